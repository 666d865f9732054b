//! Several processes over one server: they share one quota, exactly.

use futures::future::join_all;
use genie_core::pace::Paces;

use crate::server::url;
use crate::{claim, hour, prefix, shared};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Redis: scripts/test starts one"]
async fn a_thousand_requests_at_once_to_two_processes_share_one_quota() {
    let (url, prefix) = (url(), prefix());
    let (one, two) = (shared(&url, &prefix).await, shared(&url, &prefix).await);
    let claims = [claim("key", "both", (400, hour())), claim("tenant", "both", (800, hour()))];
    let taken = join_all((0..1_000).map(|number| {
        let paces = if number % 2 == 0 { &one } else { &two };
        paces.take(&claims)
    }))
    .await;
    let passed = taken.iter().filter(|one| one.as_ref().unwrap()[0].wait.is_none());
    assert_eq!(passed.count(), 400);
    // Of the tenant, no more was taken than has passed.
    let left = one.take(&claims[1..]).await.unwrap()[0].left;
    assert_eq!(left, 399);
    one.close().await;
    two.close().await;
}

#[tokio::test]
#[ignore = "needs Redis: scripts/test starts one"]
async fn another_prefix_is_another_installation() {
    let url = url();
    let (one, two) = (shared(&url, &prefix()).await, shared(&url, &prefix()).await);
    let claims = [claim("key", "same", (2, hour()))];
    for paces in [&one, &two] {
        assert_eq!(paces.take(&claims).await.unwrap()[0].left, 1);
    }
    one.close().await;
    two.close().await;
}
