//! A server that dies, stops, comes back or refuses: what becomes of requests under each mode.

use std::time::{Duration, Instant};

use genie_core::pace::{Missed, Outage, Paces, Span};
use genie_redis::{SharedPaces, StartError};

use crate::server::{PATIENCE, Server};
use crate::{claim, hour, options, prefix};

/// Waits until the server counts again, or no longer does.
async fn until(paces: &SharedPaces, outage: Option<Outage>) {
    let patience = Instant::now() + PATIENCE;
    while paces.outage("key") != outage {
        assert!(Instant::now() < patience, "the outage is not {outage:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
#[ignore = "needs Redis: scripts/test has it"]
async fn a_server_that_is_killed_is_done_without_as_each_rule_says_until_it_is_back() {
    let mut server = Server::start(&[]);
    let paces = SharedPaces::start(options(&server.url(), &prefix())).await.unwrap();
    let (key, user) = (claim("key", "a", (3, hour())), claim("user", "a", (3, hour())));
    let login = claim("login", "a", (3, hour()));
    let all = [key.clone(), user.clone(), login.clone()];
    assert_eq!(paces.take(&all).await.unwrap().len(), 3);
    assert_eq!(paces.outage("login"), None);
    server.kill();

    // Open: everybody passes, and nobody is told of a quota.
    for _ in 0..5 {
        assert_eq!(paces.take(std::slice::from_ref(&user)).await.unwrap(), []);
    }
    // Local: this process has the whole quota to give, and no more.
    for left in [2, 1, 0] {
        let told = paces.take(&[key.clone(), user.clone()]).await.unwrap();
        assert_eq!((told.len(), told[0].rule, told[0].left), (1, "key", left));
    }
    assert!(paces.take(std::slice::from_ref(&key)).await.unwrap()[0].wait.is_some());
    // Closed: nobody passes, whatever the other rules say; nor by a rule that nobody has listed.
    for claims in [&[login.clone()][..], &all, &[claim("tenant", "a", (3, hour()))]] {
        assert!(paces.take(claims).await.is_err());
    }
    assert_eq!(paces.missed(), Missed { open: 5, local: 4, closed: 3 });
    let outages = ["key", "user", "login", "tenant"].map(|rule| paces.outage(rule));
    let expected = [Outage::Local, Outage::Open, Outage::Closed, Outage::Closed];
    assert_eq!(outages, expected.map(Some));

    server.start_again();
    until(&paces, None).await;
    let told = paces.take(&all).await.unwrap();
    assert!(told.len() == 3 && told.iter().all(|one| one.left == 2), "{told:?}");
    assert_eq!(paces.missed(), Missed { open: 5, local: 4, closed: 3 });

    // The same once more: an outage is not the end of anything.
    server.kill();
    until(&paces, Some(Outage::Local)).await;
    server.start_again();
    until(&paces, None).await;
    assert_eq!(paces.take(&all).await.unwrap().len(), 3);
    paces.close().await;
}

#[tokio::test]
#[ignore = "needs Redis: scripts/test has it"]
async fn a_server_that_is_silent_costs_one_request_its_patience_and_the_next_nothing() {
    let server = Server::start(&[]);
    let answer_max = Duration::from_millis(300);
    let options = crate::Options { answer_max, ..options(&server.url(), &prefix()) };
    let paces = SharedPaces::start(options).await.unwrap();
    let key = [claim("key", "a", (1_000, hour()))];
    assert_eq!(paces.take(&key).await.unwrap()[0].left, 999);
    server.stop(true);
    let began = Instant::now();
    assert_eq!(paces.take(&key).await.unwrap()[0].left, 999, "counted here");
    let first = began.elapsed();
    assert!((answer_max..answer_max * 10).contains(&first), "{first:?}");
    let began = Instant::now();
    for _ in 0..100 {
        paces.take(&key).await.unwrap();
    }
    assert!(began.elapsed() < answer_max, "{:?} for a hundred", began.elapsed());
    server.stop(false);
    until(&paces, None).await;
    paces.close().await;
}

#[tokio::test]
#[ignore = "needs Redis: scripts/test has it"]
async fn an_outage_is_found_out_also_while_nobody_asks() {
    let mut server = Server::start(&[]);
    let paces = SharedPaces::start(options(&server.url(), &prefix())).await.unwrap();
    server.kill();
    until(&paces, Some(Outage::Local)).await;
    assert_eq!(paces.missed(), Missed::default());
    paces.close().await;
}

#[tokio::test]
#[ignore = "needs Redis: scripts/test has it"]
async fn a_server_that_is_away_at_the_start_is_looked_for_until_it_is_there() {
    let mut server = Server::start(&[]);
    server.kill();
    let paces = SharedPaces::start(options(&server.url(), &prefix())).await.unwrap();
    assert_eq!(paces.outage("key"), Some(Outage::Local));
    server.start_again();
    until(&paces, None).await;
    paces.close().await;
}

#[tokio::test]
#[ignore = "needs Redis: scripts/test has it"]
async fn a_server_that_answers_but_does_not_count_is_away() {
    let server = Server::start(&[]);
    let paces = SharedPaces::start(options(&server.url(), &prefix())).await.unwrap();
    let client = redis::Client::open(server.url()).unwrap();
    let mut operator = client.get_multiplexed_async_connection().await.unwrap();
    let memory = async |operator: &mut redis::aio::MultiplexedConnection, bytes: u64| {
        let mut set = redis::cmd("CONFIG");
        set.arg("SET").arg("maxmemory").arg(bytes).exec_async(operator).await.unwrap();
    };
    // It answers everything but what would have to be written.
    memory(&mut operator, 1).await;
    until(&paces, Some(Outage::Local)).await;
    let key = [claim("key", "a", (3, hour()))];
    for left in [2, 1, 0] {
        assert_eq!(paces.take(&key).await.unwrap()[0].left, left);
    }
    assert_eq!(paces.missed(), Missed { local: 3, ..Missed::default() });
    memory(&mut operator, 0).await;
    until(&paces, None).await;
    paces.close().await;
}

/// Why paces at this URL do not start.
async fn refused(url: &str) -> String {
    let refused = SharedPaces::start(options(url, &prefix())).await.err().unwrap();
    assert!(!format!("{refused} {refused:?}").contains("hush"), "{refused}");
    if let StartError::Refused { server, .. } = &refused {
        assert!(server.starts_with("127.0.0.1:"), "{server}");
    }
    refused.to_string()
}

#[tokio::test]
#[ignore = "needs Redis: scripts/test has it"]
async fn a_password_that_is_refused_stops_the_start_and_is_not_shown() {
    let server = Server::start(&["--requirepass", "right"]);
    let port = server.port();
    for url in [format!("redis://:hush@127.0.0.1:{port}"), server.url()] {
        let text = refused(&url).await;
        assert!(text.contains("correct user and password in `redis.url`"), "{text}");
    }
    let right = options(&format!("redis://:right@127.0.0.1:{port}"), &prefix());
    let paces = SharedPaces::start(right).await.unwrap();
    assert_eq!(paces.outage("key"), None);
    let day = [claim("key", "a", (2, Span::Day))];
    assert_eq!(paces.take(&day).await.unwrap()[0].left, 1);
    paces.close().await;
}

#[tokio::test]
async fn a_url_that_is_none_is_refused_with_what_to_write() {
    for url in ["rediss://:hush@db", "redis://:hush@", "redis://:hush@db:x", "db:6379", ""] {
        let text = refused(url).await;
        assert!(text.contains("; write `redis://USER:PASSWORD@HOST:PORT"), "{url}: {text}");
    }
}
