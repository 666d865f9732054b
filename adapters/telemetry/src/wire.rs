//! OTLP/HTTP in its JSON form: what traces and metrics share, and traces.
//!
//! Field names, ids as hexadecimal text, 64-bit numbers as decimal text and enum values as numbers:
//! <https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding> and `trace.proto` of
//! <https://github.com/open-telemetry/opentelemetry-proto>.

use serde::Serialize;
use serde_json::{Value, json};

use genie_core::clock::Timestamp;

/// What a span stands for, `SpanKind` of `trace.proto`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Work between agents.
    Internal = 1,
    /// A request from outside.
    Server = 2,
    /// A call to a tool.
    Client = 3,
}

/// One span.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Span {
    pub(crate) trace_id: u128,
    pub(crate) id: u64,
    pub(crate) parent: Option<u64>,
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) start: Timestamp,
    pub(crate) end: Timestamp,
    pub(crate) attributes: Vec<(&'static str, String)>,
    /// Why it failed, as a code.
    pub(crate) failure: Option<String>,
}

/// `STATUS_CODE_ERROR` of `trace.proto`.
const STATUS_ERROR: u8 = 2;

/// A name with its value.
pub(crate) fn attribute(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": { "stringValue": value } })
}

/// A time as it is written.
pub(crate) fn nanos(time: Timestamp) -> String {
    format!("{}000", time.as_micros())
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    trace_id: String,
    span_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_span_id: Option<String>,
    name: String,
    kind: u8,
    start_time_unix_nano: String,
    end_time_unix_nano: String,
    attributes: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Value>,
}

impl Span {
    fn written(&self) -> Written {
        let attributes = self.attributes.iter();
        Written {
            trace_id: format!("{:032x}", self.trace_id),
            span_id: format!("{:016x}", self.id),
            parent_span_id: self.parent.map(|parent| format!("{parent:016x}")),
            name: self.name.clone(),
            kind: self.kind as u8,
            start_time_unix_nano: nanos(self.start),
            end_time_unix_nano: nanos(self.end),
            attributes: attributes.map(|(key, value)| attribute(key, value)).collect(),
            status: self
                .failure
                .as_ref()
                .map(|code| json!({ "code": STATUS_ERROR, "message": code })),
        }
    }
}

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Who sends something.
pub(crate) fn resource(service: &str) -> Value {
    let named = [attribute("service.name", service), attribute("service.version", VERSION)];
    json!({ "attributes": named })
}

/// What made it.
pub(crate) fn scope() -> Value {
    json!({ "name": "genie", "version": VERSION })
}

/// The body of a request that exports spans.
pub(crate) fn request(service: &str, spans: &[Span]) -> Value {
    let spans: Vec<Written> = spans.iter().map(Span::written).collect();
    json!({ "resourceSpans": [{
        "resource": resource(service),
        "scopeSpans": [{ "scope": scope(), "spans": spans }],
    }] })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written by hand after the example `examples/trace.json` of opentelemetry-proto.
    #[test]
    fn a_span_is_written_as_the_specification_says() {
        let span = Span {
            trace_id: 0x5b8e_fff7_9803_8103_d269_b633_8131_13de,
            id: 0xeee1_9b7e_c3c1_b174,
            parent: Some(0xeee1_9b7e_c3c1_b173),
            name: "I'm a server span".to_owned(),
            kind: Kind::Server,
            start: Timestamp::from_micros(1_544_712_660_000_000),
            end: Timestamp::from_micros(1_544_712_661_000_000),
            attributes: vec![("my.span.attr", "some value".to_owned())],
            failure: None,
        };
        let body = request("my.service", std::slice::from_ref(&span));
        let resource = &body["resourceSpans"][0];
        let named = json!({ "key": "service.name", "value": { "stringValue": "my.service" } });
        assert_eq!(resource["resource"]["attributes"][0], named);
        assert_eq!(
            resource["scopeSpans"][0]["spans"],
            json!([{
                "traceId": "5b8efff798038103d269b633813113de",
                "spanId": "eee19b7ec3c1b174",
                "parentSpanId": "eee19b7ec3c1b173",
                "name": "I'm a server span",
                "startTimeUnixNano": "1544712660000000000",
                "endTimeUnixNano": "1544712661000000000",
                "kind": 2,
                "attributes": [
                    { "key": "my.span.attr", "value": { "stringValue": "some value" } }
                ]
            }])
        );
        let failed = Span { failure: Some("denied".to_owned()), parent: None, ..span };
        let body = request("my.service", &[failed]);
        let written = &body["resourceSpans"][0]["scopeSpans"][0]["spans"][0];
        assert_eq!(written["status"], json!({ "code": 2, "message": "denied" }));
        assert!(written.get("parentSpanId").is_none());
    }
}
