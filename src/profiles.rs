//! What takes profiles of this process, if this build can.

use genie_edge::Profiles;

/// Nothing.
#[cfg(not(all(feature = "pprof", target_os = "linux", target_arch = "x86_64")))]
pub(crate) fn profiles() -> Option<Profiles> {
    None
}

/// Samples of what it executes and allocates.
#[cfg(all(feature = "pprof", target_os = "linux", target_arch = "x86_64"))]
#[expect(clippy::unnecessary_wraps, reason = "other builds have nothing")]
pub(crate) fn profiles() -> Option<Profiles> {
    use genie_core::clock::Timestamp;
    use genie_edge::NoProfile;
    use genie_profile::{NotTaken, Wanted, cpu, heap};

    fn wanted(began_at: Timestamp, lasts: std::time::Duration) -> Wanted {
        Wanted { lasts, began_at_ns: began_at.as_micros().saturating_mul(1_000) }
    }
    fn none(error: &NotTaken) -> NoProfile {
        match error {
            NotTaken::Busy | NotTaken::Gone => NoProfile::Busy(error.to_string()),
            NotTaken::Allocator | NotTaken::System(_) => NoProfile::Impossible(error.to_string()),
        }
    }
    Some(Profiles {
        cpu: |now, lasts, gone| cpu(&wanted(now, lasts), gone).map_err(|error| none(&error)),
        heap: |now, lasts, gone| heap(&wanted(now, lasts), gone).map_err(|error| none(&error)),
    })
}
