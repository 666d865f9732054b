//! What the operating system says of this process; Linux only, absent elsewhere.

/// One mebibyte.
pub(super) const MIB: f64 = 1_048_576.0;

/// Resident memory in bytes.
pub(super) fn resident_bytes() -> Option<f64> {
    status("VmRSS:")
}

/// The most resident memory that this process ever had, in bytes.
pub(super) fn resident_peak_bytes() -> Option<f64> {
    status("VmHWM:")
}

fn status(field: &str) -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1_024.0)
}
