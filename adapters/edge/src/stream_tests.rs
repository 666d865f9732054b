//! Streams when nothing happens or nobody reads, and handlers that panic.

use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Method, Request};
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use futures::StreamExt;
use serde_json::Value;
use tokio::time::Instant;
use tower::ServiceExt;

use crate::desk::{Desk, Fate};
use crate::events::{OfRun, Reader, Until, stream};
use crate::follow::Follower;
use crate::request;
use crate::view::Sight;

/// The body of a stream of a run in which nothing happens, for whoever has a key of their own.
async fn silent(desk: &Desk) -> Body {
    silent_for(desk, &desk.key("acme", &["user"], Fate::Good).await).await
}

async fn silent_for(desk: &Desk, key: &str) -> Body {
    let edge = &desk.edge;
    let follower = Follower::of_new(edge, &desk.tenant("acme"), edge.fresh());
    let reader = Reader { sight: Sight::All, until: Until::End };
    stream(edge, desk.caller(key).await, OfRun { follower, reader }).into_body()
}

#[tokio::test(start_paused = true)]
async fn a_stream_without_events_says_that_it_is_alive_and_says_goodbye() {
    let desk = Desk::new().await;
    let mut frames = silent(&desk).await.into_data_stream();
    let began = Instant::now();
    for beat in 1..=3 {
        assert_eq!(frames.next().await.unwrap().unwrap(), ": heartbeat\n\n");
        assert_eq!(began.elapsed().as_secs(), beat * 15);
    }
    desk.edge.closing.cancel();
    let last = frames.next().await.unwrap().unwrap();
    assert!(last.starts_with(b"retry: 1000\nevent: stream.closing\n"), "{last:?}");
    assert!(frames.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_nothing_or_leaves_is_let_go_and_nothing_is_kept_for_it() {
    let desk = Desk::new().await;
    let streams = || desk.edge.counters.streams.load(Ordering::Relaxed);
    let (idle, left) = (silent(&desk).await, silent(&desk).await);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!((streams(), desk.edge.hub.followed()), (2, 2));
    drop(left);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!((streams(), desk.edge.hub.followed()), (1, 1));
    // What waits for it is bounded, and so is how long.
    tokio::time::sleep(Duration::from_mins(10)).await;
    assert_eq!((streams(), desk.edge.hub.followed()), (0, 0));
    drop(idle);
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_soon_after_its_credential() {
    let desk = Desk::new().await;
    let key = desk.key("acme", &["user"], Fate::Good).await;
    let token = desk.token("acme", &["user"], Fate::Good).await;
    let mut stays = silent(&desk).await.into_data_stream();
    let mut ends = Vec::new();
    for shown in [&key, &token] {
        let mut frames = silent_for(&desk, shown).await.into_data_stream();
        assert_eq!(frames.next().await.unwrap().unwrap(), ": heartbeat\n\n");
        ends.push(frames);
    }
    desk.revoke_elsewhere(&key).await;
    let logout = desk.send(&Method::POST, "/v1/auth/logout", Some(&token), "").await;
    assert_eq!(logout.status, 204);
    let ended = Instant::now();
    for mut frames in ends {
        let last = loop {
            let frame = frames.next().await.unwrap().unwrap();
            if frame != ": heartbeat\n\n" {
                break frame;
            }
        };
        assert_eq!(last, "event: stream.closing\ndata: {\"reason\":\"credential\"}\n\n");
        assert!(frames.next().await.is_none());
    }
    // It is asked for every 5 s, and what is said of a key may be remembered for one.
    assert!(ended.elapsed().as_secs() <= 10, "{:?}", ended.elapsed());
    for _ in 0..3 {
        assert_eq!(stays.next().await.unwrap().unwrap(), ": heartbeat\n\n");
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_panics_is_a_500_for_its_client_alone() {
    async fn panics() -> &'static str {
        assert!(std::hint::black_box(false), "as asked");
        "never"
    }
    let desk = Desk::new().await;
    let router: Router = Router::new()
        .route("/panics", get(panics))
        .route("/answers", get(async || "well"))
        .layer(from_fn_with_state(desk.edge.clone(), request::around));
    let send = async |path: &str| {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = router.clone().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        (status, to_bytes(response.into_body(), 10_000).await.unwrap())
    };
    let (status, body) = send("/panics").await;
    let problem: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((status, &problem["code"]), (500, &"internal".into()));
    assert!(!problem.to_string().contains("as asked"), "what broke is for the log");
    assert_eq!(send("/answers").await, (200, "well".into()));
}
