//! Figures to a collector, every so often and a last time at the end.
//!
//! They are sums since the process began, so that one that is lost costs nothing but detail, and
//! none is kept to be sent again. The JSON form of `metrics.proto` of
//! <https://github.com/open-telemetry/opentelemetry-proto>.

use std::sync::Arc;
use std::time::Duration;

use genie_core::clock::{Clock, Timestamp};
use genie_core::figures::{Figure, Kind, Value, WAIT_STEPS_US, Waits};
use serde_json::{Value as Json, json};
use tokio_util::sync::CancellationToken;

use crate::sink::{Attempt, Sink};
use crate::wire::{self, attribute, nanos};

/// Gives figures as they are now.
pub type Source = Arc<dyn Fn() -> Vec<Figure> + Send + Sync>;

/// `AGGREGATION_TEMPORALITY_CUMULATIVE`: sums since the process began.
const CUMULATIVE: u8 = 2;

/// Sends figures.
pub(crate) struct Pusher {
    pub(crate) sink: Sink,
    pub(crate) service: String,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) began_at: Timestamp,
    pub(crate) every: Duration,
    pub(crate) source: Source,
}

impl Pusher {
    pub(crate) async fn push(self, stop: CancellationToken) {
        let mut is_known = false;
        loop {
            let is_last = tokio::select! {
                biased;
                () = stop.cancelled() => true,
                () = tokio::time::sleep(self.every) => false,
            };
            let body = self.body().to_string();
            let attempt = tokio::select! {
                attempt = self.sink.attempt("/v1/metrics", body) => attempt,
                // The last figures say it all.
                () = stop.cancelled(), if !is_last => continue,
            };
            let problem = match attempt {
                Attempt::Taken => None,
                Attempt::Later(_) => Some("the collector is away".to_owned()),
                Attempt::Refused(reason) => Some(reason),
            };
            // Once for as long as it lasts.
            if let Some(reason) = problem.as_ref().filter(|_| !is_known) {
                tracing::warn!(reason, "figures did not reach the collector");
            }
            is_known = problem.is_some();
            if is_last {
                break;
            }
        }
    }

    fn body(&self) -> Json {
        let times = (self.began_at, self.clock.now());
        let metrics: Vec<Json> =
            (self.source)().iter().map(|figure| metric(figure, times)).collect();
        json!({ "resourceMetrics": [{
            "resource": wire::resource(&self.service),
            "scopeMetrics": [{ "scope": wire::scope(), "metrics": metrics }],
        }] })
    }
}

fn seconds(micros: u64) -> f64 {
    micros as f64 / 1_000_000.0
}

fn metric(figure: &Figure, times: (Timestamp, Timestamp)) -> Json {
    let points = figure.values.iter().map(|(labels, value)| point(labels, *value, times));
    let points: Vec<Json> = points.collect();
    let has_times = |(_, value): &(_, Value)| !matches!(value, Value::Count(_));
    let unit = if figure.values.iter().any(has_times) { "s" } else { "1" };
    let mut metric = json!({ "name": figure.name, "unit": unit });
    match figure.kind {
        Kind::Counter => {
            metric["sum"] = json!({
                "dataPoints": points,
                "aggregationTemporality": CUMULATIVE,
                "isMonotonic": true,
            });
        }
        Kind::Gauge => metric["gauge"] = json!({ "dataPoints": points }),
        Kind::Histogram => {
            metric["histogram"] =
                json!({ "dataPoints": points, "aggregationTemporality": CUMULATIVE });
        }
    }
    metric
}

fn point(
    labels: &[(&'static str, String)],
    value: Value,
    (began_at, now): (Timestamp, Timestamp),
) -> Json {
    let attributes: Vec<Json> = labels.iter().map(|(key, of)| attribute(key, of)).collect();
    let mut point = json!({
        "attributes": attributes,
        "startTimeUnixNano": nanos(began_at),
        "timeUnixNano": nanos(now),
    });
    match value {
        Value::Count(count) => point["asInt"] = json!(count.to_string()),
        Value::Micros(micros) => point["asDouble"] = json!(seconds(micros)),
        Value::Waits(Waits { up_to, sum_us }) => {
            let below = [0].into_iter().chain(up_to);
            let steps = up_to.into_iter().zip(below);
            let steps = steps.map(|(up_to, below)| up_to.saturating_sub(below).to_string());
            let [.., all] = up_to;
            point["count"] = json!(all.to_string());
            point["sum"] = json!(seconds(sum_us));
            point["bucketCounts"] = steps.collect();
            point["explicitBounds"] = WAIT_STEPS_US.map(seconds).into_iter().collect();
        }
    }
    point
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written by hand after the example `examples/metrics.json` of opentelemetry-proto.
    #[test]
    fn figures_are_written_as_the_specification_says() {
        let at = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000);
        let check = |figure: Figure, expected: Json| {
            assert_eq!(metric(&figure, (at(1_544_712_660), at(1_544_712_661))), expected);
        };
        let labels = vec![("my.counter.attr", "some value".to_owned())];
        let attributes =
            json!([{ "key": "my.counter.attr", "value": { "stringValue": "some value" } }]);
        let point = |more: Json| {
            let mut point = json!({
                "attributes": attributes,
                "startTimeUnixNano": "1544712660000000000",
                "timeUnixNano": "1544712661000000000",
            });
            let fields = more.as_object().unwrap().clone();
            point.as_object_mut().unwrap().extend(fields);
            point
        };
        let figure = |kind, value| {
            let values = vec![(labels.clone(), value)];
            Figure { name: "my.figure", kind, values }
        };
        check(
            figure(Kind::Counter, Value::Count(5)),
            json!({ "name": "my.figure", "unit": "1", "sum": {
                "aggregationTemporality": 2, "isMonotonic": true,
                "dataPoints": [point(json!({ "asInt": "5" }))],
            } }),
        );
        check(
            figure(Kind::Counter, Value::Micros(1_500_000)),
            json!({ "name": "my.figure", "unit": "s", "sum": {
                "aggregationTemporality": 2, "isMonotonic": true,
                "dataPoints": [point(json!({ "asDouble": 1.5 }))],
            } }),
        );
        check(
            figure(Kind::Gauge, Value::Count(10)),
            json!({ "name": "my.figure", "unit": "1", "gauge": {
                "dataPoints": [point(json!({ "asInt": "10" }))],
            } }),
        );
        let waits = Waits { up_to: [1, 1, 3, 3, 3, 3, 3, 3, 3, 3, 4], sum_us: 2_000_000 };
        check(
            figure(Kind::Histogram, Value::Waits(waits)),
            json!({ "name": "my.figure", "unit": "s", "histogram": {
                "aggregationTemporality": 2,
                "dataPoints": [point(json!({
                    "count": "4", "sum": 2.0,
                    "bucketCounts": ["1", "0", "2", "0", "0", "0", "0", "0", "0", "0", "1"],
                    "explicitBounds":
                        [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1.0],
                }))],
            } }),
        );
    }
}
