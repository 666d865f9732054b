//! Paces in memory: each process counts for itself.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Claim, Error, Mark, Missed, Outage, Paces, Standing};
use crate::async_trait;
use crate::clock::{Clock, Timestamp};
use crate::limits::PACES_MAX;

#[derive(Debug, Clone, Copy)]
struct Kept {
    mark: Mark,
    ends: Timestamp,
}

/// Paces of one process.
pub struct MemoryPaces {
    clock: Arc<dyn Clock>,
    kept: Mutex<HashMap<String, Kept>>,
}

impl MemoryPaces {
    /// Paces by this clock; nobody has asked anything yet.
    #[must_use]
    pub fn by(clock: Arc<dyn Clock>) -> Self {
        Self { clock, kept: Mutex::default() }
    }
}

/// Makes room: first of what is worth nothing any more, then of those that are nearest to that.
/// Half of the room is made at once, so that this is rare however many come.
fn make_room(kept: &mut HashMap<String, Kept>, now: Timestamp) {
    kept.retain(|_, kept| kept.ends > now);
    let keep = PACES_MAX / 2;
    if kept.len() <= keep {
        return;
    }
    let mut ends: Vec<Timestamp> = kept.values().map(|kept| kept.ends).collect();
    let gone = ends.len() - keep;
    let (_, last, _) = ends.select_nth_unstable(gone - 1);
    let last = *last;
    kept.retain(|_, kept| kept.ends > last);
}

#[async_trait]
impl Paces for MemoryPaces {
    async fn take(&self, claims: &[Claim]) -> Result<Vec<Standing>, Error> {
        let now = self.clock.now();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let keys: Vec<String> = claims.iter().map(|claim| claim.key(now)).collect();
        let mark = |kept: &HashMap<String, Kept>, key: &str| kept.get(key).map(|kept| kept.mark);
        let next: Vec<(bool, Mark)> = claims
            .iter()
            .zip(&keys)
            .map(|(claim, key)| claim.next(mark(&kept, key), now))
            .collect();
        if next.iter().all(|(fits, _)| *fits) {
            if kept.len() + claims.len() > PACES_MAX {
                make_room(&mut kept, now);
            }
            for ((claim, key), (_, mark)) in claims.iter().zip(&keys).zip(&next) {
                kept.insert(key.clone(), Kept { mark: *mark, ends: claim.ends(*mark, now) });
            }
        }
        let standings = claims.iter().zip(&keys).zip(&next);
        let standings =
            standings.map(|((claim, key), (fits, _))| claim.standing(mark(&kept, key), now, *fits));
        Ok(standings.collect())
    }

    fn outage(&self, _: &str) -> Option<Outage> {
        None
    }

    fn missed(&self) -> Missed {
        Missed::default()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::SteadyClock;
    use crate::pace::Span;

    fn paces() -> MemoryPaces {
        // 1970-01-02T23:59:00Z: a minute before midnight.
        let start = Timestamp::from_micros((2 * 86_400 - 60) * 1_000_000);
        MemoryPaces::by(Arc::new(SteadyClock::starting_at(start)))
    }

    fn flow(whom: &str, quota: u32) -> Claim {
        let span = Span::Flow(Duration::from_mins(1));
        Claim { rule: "key", whom: whom.to_owned(), quota, span }
    }

    async fn one(paces: &MemoryPaces, claim: &Claim) -> Standing {
        paces.take(std::slice::from_ref(claim)).await.unwrap()[0]
    }

    #[tokio::test(start_paused = true)]
    async fn a_quota_is_used_at_once_and_comes_back_bit_by_bit() {
        let (paces, key) = (paces(), flow("a", 6));
        for left in [5, 4, 3, 2, 1, 0] {
            assert_eq!(one(&paces, &key).await.left, left);
        }
        for _ in 0..3 {
            let over = one(&paces, &key).await;
            assert_eq!((over.left, over.wait), (0, Some(Duration::from_secs(10))));
        }
        assert_eq!(one(&paces, &flow("b", 6)).await.wait, None, "each has its own");
        tokio::time::advance(Duration::from_secs(9)).await;
        assert_eq!(one(&paces, &key).await.wait, Some(Duration::from_secs(1)));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(one(&paces, &key).await.wait, None);
        tokio::time::advance(Duration::from_mins(1)).await;
        assert_eq!(one(&paces, &key).await.left, 5, "no more than the quota is saved up");
    }

    #[tokio::test(start_paused = true)]
    async fn a_day_begins_anew_at_midnight_and_never_has_more() {
        let (paces, day) = (paces(), Claim { rule: "day", span: Span::Day, ..flow("a", 2) });
        assert_eq!(one(&paces, &day).await.left, 1);
        assert_eq!(one(&paces, &day).await.left, 0);
        let over = one(&paces, &day).await;
        assert_eq!((over.left, over.wait), (0, Some(Duration::from_mins(1))));
        tokio::time::advance(Duration::from_mins(1)).await;
        assert_eq!(one(&paces, &day).await.left, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_is_counted_by_all_rules_or_by_none() {
        let paces = paces();
        let both = [flow("a", 5), Claim { rule: "tenant", ..flow("acme", 1) }];
        assert!(paces.take(&both).await.unwrap().iter().all(|one| one.wait.is_none()));
        let over = paces.take(&both).await.unwrap();
        assert_eq!((over[0].wait, over[0].left), (None, 4), "nothing was taken from the key");
        assert_eq!(over[1].wait, Some(Duration::from_mins(1)));
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_longest_is_remembered_when_there_is_no_room() {
        let (paces, worst) = (paces(), flow("worst", 3));
        for _ in 0..3 {
            one(&paces, &worst).await;
        }
        for number in 0..PACES_MAX + 10 {
            one(&paces, &flow(&number.to_string(), 1_000)).await;
        }
        assert!(paces.kept.lock().unwrap().len() <= PACES_MAX);
        assert!(one(&paces, &worst).await.wait.is_some());
    }
}
