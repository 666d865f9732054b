//! The HTTP interface under load: a real `genie serve` over a fresh database, with policies,
//! journal and sealing as they are by default, and a bare axum server beside it.
//!
//! Server and generator share the machine, as do the two servers, which take turns; so the ratios
//! travel better than the figures.

mod bare;
mod binary;
mod child;
mod load;
mod streams;

use std::time::Duration;

use genie_agents::finance::domain::generate::SAMPLE_TEN_ROWS;
use serde_json::json;

use super::durable::tempdir;
use super::finance::QUESTION;
use super::{Effort, Figure, host};
use child::Child;
use load::{Rate, Request};

pub(super) use bare::serve as bare;

/// How often the two servers take turns.
const TURNS: u32 = 3;
/// Connections at once.
const CONNECTIONS: usize = 64;
/// How long an idle server is left alone before its memory is looked at.
const IDLE: Duration = Duration::from_secs(2);

pub(super) async fn measure(effort: Effort) -> anyhow::Result<Vec<Figure>> {
    let directory = tempdir()?;
    // The first start makes the database, the second finds it.
    let first = Child::genie(&directory.0).await?;
    let key = first.key()?.to_owned();
    drop(first);
    let mut ready = Vec::new();
    for _ in 0..TURNS {
        ready.push(Child::genie(&directory.0).await?.ready_in());
    }
    ready.sort_unstable();
    let genie = Child::genie(&directory.0).await?;
    tokio::time::sleep(IDLE).await;
    let idle = genie.resident_bytes()?;
    let bare = Child::bare().await?;
    let mut figures = throughput(effort, &genie, &bare, &key).await?;
    drop(bare);
    figures.extend(streams::measure(&genie, &key).await?);
    drop(genie);
    figures.extend([
        Figure::new("idle server, resident", idle / host::MIB, "MiB").at_most(30.0),
        Figure::new("server ready after exec, database exists, p50", ms(ready[1]), "ms")
            .at_most(150.0),
        Figure::new("binary", binary::stripped_bytes()? / host::MIB, "MiB").at_most(30.0),
    ]);
    Ok(figures)
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

async fn throughput(
    effort: Effort,
    genie: &Child,
    bare: &Child,
    key: &str,
) -> anyhow::Result<Vec<Figure>> {
    let health = Request::get("/health", "");
    let function = json!({ "name": "calculator", "arguments": { "expression": "0.1 + 0.2" } });
    let call = json!({ "id": "call_1", "type": "function", "function": function });
    let call = Request::post("/v1/tools/execute", key, &call);
    let question = json!({ "question": QUESTION, "statement": SAMPLE_TEN_ROWS });
    let question = Request::post("/v1/ask", key, &question);
    let (mut rates, each) = (Rates::default(), Duration::from_secs(effort.seconds));
    for _ in 0..TURNS {
        rates.bare.push(load::drive(bare.address(), &health, (CONNECTIONS, each)).await?);
        rates.health.push(load::drive(genie.address(), &health, (CONNECTIONS, each)).await?);
        rates.echo.push(load::drive(bare.address(), &call, (CONNECTIONS, each)).await?);
        rates.calls.push(load::drive(genie.address(), &call, (CONNECTIONS, each)).await?);
        rates.asks.push(load::drive(genie.address(), &question, (CONNECTIONS, each)).await?);
    }
    Ok(rates.figures())
}

/// What the turns gave.
#[derive(Default)]
struct Rates {
    bare: Vec<Rate>,
    health: Vec<Rate>,
    echo: Vec<Rate>,
    calls: Vec<Rate>,
    asks: Vec<Rate>,
}

/// The turn in the middle.
fn median(rates: &mut [Rate]) -> Rate {
    rates.sort_by(|one, other| one.per_second.total_cmp(&other.per_second));
    rates.get(rates.len() / 2).copied().unwrap_or_default()
}

impl Rates {
    fn figures(mut self) -> Vec<Figure> {
        let (bare, health) = (median(&mut self.bare), median(&mut self.health));
        let (echo, calls) = (median(&mut self.echo), median(&mut self.calls));
        let asks = median(&mut self.asks);
        let ratio = |one: Rate, other: Rate| one.per_second / other.per_second.max(1.0);
        vec![
            Figure::new("GET /health, bare axum", bare.per_second, "/s"),
            Figure::new("GET /health", health.per_second, "/s"),
            Figure::new("GET /health ÷ bare axum", ratio(health, bare), "").at_least(0.8),
            Figure::new("tool call, bare axum with the same bodies", echo.per_second, "/s"),
            Figure::new("POST /v1/tools/execute, calculator", calls.per_second, "/s")
                .at_least(3_000.0),
            Figure::new("POST /v1/tools/execute, p50", calls.p50_ms, "ms"),
            Figure::new("POST /v1/tools/execute, p99", calls.p99_ms, "ms").at_most(25.0),
            Figure::new("tool call, bare axum ÷ genie", ratio(echo, calls), "×"),
            Figure::new("POST /v1/ask over ten rows", asks.per_second, "/s").at_least(800.0),
            Figure::new("POST /v1/ask over ten rows, p50", asks.p50_ms, "ms"),
            Figure::new("POST /v1/ask over ten rows, p99", asks.p99_ms, "ms"),
        ]
    }
}
