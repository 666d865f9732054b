//! When to try again: twice as long each time with some chance in it, or as long as the server
//! says, within bounds.

use std::time::Duration;

use genie_core::ids::Ids;

/// How often a request is sent at most.
pub(crate) const ATTEMPTS_MAX: u32 = 6;
/// How often one is sent whose twin is being taken: a server that was killed while it took the
/// first holds its key for half a minute.
pub(crate) const TWIN_ATTEMPTS_MAX: u32 = 45;
/// The wait after the first attempt.
const FIRST: Duration = Duration::from_millis(100);
/// Longest wait that this client chooses.
const CHOSEN_MAX: Duration = Duration::from_secs(5);
/// Longest wait that a server may ask for; one that wants more is believed, and not asked again.
const ASKED_MAX: Duration = Duration::from_secs(30);

/// How long to wait after attempt number `attempt`, from 1; `None` if the server wants more
/// patience than there is.
pub(crate) fn wait(attempt: u32, asked: Option<Duration>, ids: &dyn Ids) -> Option<Duration> {
    if asked.is_some_and(|asked| asked > ASKED_MAX) {
        return None;
    }
    let most = FIRST.saturating_mul(1 << attempt.min(16)).min(CHOSEN_MAX);
    // From half of it to all of it, so that clients that were cut off together do not come back
    // together.
    let chance = u32::try_from(ids.random() >> 33).unwrap_or(0);
    let chosen = most / 2 + (most / 2).mul_f64(f64::from(chance) / f64::from(1_u32 << 31));
    Some(asked.map_or(chosen, |asked| asked.max(chosen)))
}

#[cfg(test)]
mod tests {
    use genie_core::ids::SeededIds;

    use super::*;

    #[test]
    fn waits_grow_within_bounds_and_a_server_is_heard() {
        let ids = SeededIds::new(1);
        for (attempt, most) in [(1, 200), (2, 400), (3, 800), (5, 3_200)] {
            let wait = wait(attempt, None, &ids).unwrap().as_millis();
            assert!((most / 2..=most).contains(&wait), "{attempt}: {wait} ms");
        }
        assert!(wait(TWIN_ATTEMPTS_MAX, None, &ids).unwrap() <= CHOSEN_MAX);
        let asked = Duration::from_secs(20);
        assert_eq!(wait(1, Some(asked), &ids), Some(asked));
        assert_eq!(wait(1, Some(Duration::from_hours(1)), &ids), None);
    }
}
