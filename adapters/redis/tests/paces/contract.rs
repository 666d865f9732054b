//! What paces promise, wherever they are counted.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use genie_core::clock::{SteadyClock, Timestamp};
use genie_core::pace::{Claim, MemoryPaces, Missed, Paces, Span, Standing};

use crate::server::url;
use crate::{claim, hour, prefix, shared};

async fn one(paces: &dyn Paces, claim: &Claim) -> Standing {
    paces.take(std::slice::from_ref(claim)).await.unwrap()[0]
}

async fn a_quota_is_used_at_once_and_each_has_its_own(paces: &dyn Paces) {
    let key = claim("key", "own", (5, hour()));
    for left in [4, 3, 2, 1, 0] {
        let standing = one(paces, &key).await;
        assert_eq!((standing.left, standing.wait), (left, None));
        assert_eq!((standing.rule, standing.quota, standing.span), ("key", 5, hour()));
    }
    let over = one(paces, &key).await;
    let wait = over.wait.unwrap();
    assert!(wait <= Duration::from_mins(12) && wait > Duration::from_mins(11), "{wait:?}");
    assert!(over.whole_in > Duration::from_mins(59), "{over:?}");
    for other in [claim("key", "other", (5, hour())), claim("user", "own", (5, hour()))] {
        assert_eq!(one(paces, &other).await.left, 4, "{other:?}");
    }
}

async fn whoever_waits_as_told_may_ask_again(paces: &dyn Paces) {
    let key = claim("key", "waits", (2, Span::Flow(Duration::from_millis(200))));
    let mut waited = 0;
    while waited < 3 {
        if let Some(wait) = one(paces, &key).await.wait {
            tokio::time::sleep(wait).await;
            assert_eq!(one(paces, &key).await.wait, None);
            waited += 1;
        }
    }
}

async fn a_request_is_counted_by_all_rules_or_by_none(paces: &dyn Paces) {
    let both = [claim("key", "all", (5, hour())), claim("tenant", "all", (1, hour()))];
    assert!(paces.take(&both).await.unwrap().iter().all(|one| one.wait.is_none()));
    for _ in 0..3 {
        let over = paces.take(&both).await.unwrap();
        assert_eq!((over[0].wait, over[0].left), (None, 4), "nothing was taken from the key");
        assert!(over[1].wait.is_some() && over[1].left == 0, "{over:?}");
    }
    assert_eq!(paces.take(&[]).await.unwrap(), []);
}

async fn a_day_has_no_more_than_its_quota(paces: &dyn Paces) {
    let day = claim("key-day", "day", (3, Span::Day));
    let first = one(paces, &day).await;
    if first.whole_in < Duration::from_mins(1) {
        // Just before midnight, a new day would begin in the middle of this.
        return;
    }
    assert_eq!(first.left, 2);
    assert_eq!((one(paces, &day).await.left, one(paces, &day).await.left), (1, 0));
    let over = one(paces, &day).await;
    assert_eq!((over.left, over.wait), (0, Some(over.whole_in)));
    assert!(over.whole_in <= Duration::from_hours(24));
}

async fn a_thousand_at_once_get_the_quota_and_no_more(paces: &dyn Paces) {
    let (key, day) = (claim("key", "rush", (300, hour())), claim("key-day", "rush", (1_000, DAY)));
    let claims = [key, day];
    let taken = join_all((0..1_000).map(|_| paces.take(&claims))).await;
    let passed = taken.iter().filter(|one| one.as_ref().unwrap()[0].wait.is_none());
    assert_eq!(passed.count(), 300);
}

const DAY: Span = Span::Day;

async fn contract(paces: &dyn Paces) {
    a_quota_is_used_at_once_and_each_has_its_own(paces).await;
    whoever_waits_as_told_may_ask_again(paces).await;
    a_request_is_counted_by_all_rules_or_by_none(paces).await;
    a_day_has_no_more_than_its_quota(paces).await;
    a_thousand_at_once_get_the_quota_and_no_more(paces).await;
    assert_eq!((paces.outage("key"), paces.missed()), (None, Missed::default()));
}

#[tokio::test]
async fn paces_in_memory_keep_the_contract() {
    let start = Timestamp::from_micros(1_795_275_569_000_000);
    contract(&MemoryPaces::by(Arc::new(SteadyClock::starting_at(start)))).await;
}

#[tokio::test]
#[ignore = "needs Redis: scripts/test starts one"]
async fn paces_in_redis_keep_the_contract() {
    let paces = shared(&url(), &prefix()).await;
    contract(&paces).await;
    paces.close().await;
}
