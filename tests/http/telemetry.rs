//! Spans and figures at a collector, over real HTTP.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, Sender, channel};

use serde_json::{Value, json};

use super::serving::{Place, Request, question};

/// A body, with the path that it was sent to.
type Taken = (String, Value);

/// Takes what comes, the first time only after having been asked twice.
fn collector() -> (String, Receiver<Taken>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for (index, stream) in listener.incoming().enumerate() {
            let (stream, sender) = (stream.unwrap(), sender.clone());
            std::thread::spawn(move || take(stream, index == 0, &sender));
        }
    });
    (address, receiver)
}

fn take(mut stream: std::net::TcpStream, mut busy: bool, sender: &Sender<Taken>) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    loop {
        let mut length = 0;
        let first = reader.by_ref().lines().next()?.ok()?;
        let path = first.strip_prefix("POST ")?.strip_suffix(" HTTP/1.1")?.to_owned();
        for line in reader.by_ref().lines().map_while(Result::ok) {
            let line = line.to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(text) = line.strip_prefix("content-length: ") {
                length = text.parse().ok()?;
            }
            assert!(!line.starts_with("authorization"), "{line}");
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        let status = if std::mem::take(&mut busy) {
            "503 Service Unavailable"
        } else {
            sender.send((path, serde_json::from_slice(&body).unwrap())).ok()?;
            "200 OK"
        };
        let reply = format!("HTTP/1.1 {status}\r\ncontent-length: 2\r\n\r\n{{}}");
        stream.write_all(reply.as_bytes()).ok()?;
    }
}

/// What was sent to this path by now.
fn sent_to(path: &str, received: &Receiver<Taken>) -> Vec<Value> {
    received.try_iter().filter(|(to, _)| to == path).map(|(_, body)| body).collect()
}

fn attribute<'a>(span: &'a Value, key: &str) -> &'a str {
    let attributes = span["attributes"].as_array().unwrap();
    let found = attributes.iter().find(|attribute| attribute["key"] == key);
    found.and_then(|found| found["value"]["stringValue"].as_str()).unwrap()
}

#[test]
fn a_collector_gets_the_spans_of_a_run_as_one_tree_and_nothing_of_what_was_said() {
    let (endpoint, received) = collector();
    let place = Place::new();
    let settings =
        format!("[telemetry]\notlp_endpoint = \"{endpoint}\"\nservice_name = \"bank\"\n");
    let server = place.start_with(&settings);
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let traceparent = format!("00-{trace}-b7ad6b7169203331-01");
    let headers = [("traceparent", traceparent.as_str())];
    let asked =
        Request { line: "POST /v1/ask", key: server.key(), headers: &headers, body: question() };
    let run = server.ask(&asked).json()["run_id"].clone();
    server.signal("-TERM");
    let (in_order, log) = server.ended();
    assert!(in_order && !log.contains("dropped"), "{log}");

    let bodies = sent_to("/v1/traces", &received);
    assert!(!bodies.is_empty(), "{log}");
    let text = json!(bodies).to_string();
    assert!(!text.contains("Swiggy") && !text.contains("How much"), "{text}");
    let spans: Vec<&Value> = bodies
        .iter()
        .flat_map(|body| {
            let resource = &body["resourceSpans"][0];
            let named = &resource["resource"]["attributes"][0]["value"]["stringValue"];
            assert_eq!(named, "bank");
            resource["scopeSpans"][0]["spans"].as_array().unwrap()
        })
        .collect();
    assert!(spans.len() > 8, "{text}");
    let roots: Vec<&&Value> =
        spans.iter().filter(|span| span.get("parentSpanId").is_none()).collect();
    let [root] = roots[..] else { panic!("{text}") };
    assert_eq!((&root["name"], &root["kind"]), (&json!("invoke_agent supervisor"), &json!(2)));
    for span in &spans {
        assert_eq!(
            (&span["traceId"], attribute(span, "genie.run_id")),
            (&json!(trace), run.as_str().unwrap())
        );
        let time = |field: &str| span[field].as_str().unwrap().parse::<u64>().unwrap();
        assert!(time("startTimeUnixNano") <= time("endTimeUnixNano"), "{span}");
        assert!(span.get("status").is_none(), "{span}");
        let parent = &span["parentSpanId"];
        assert!(
            parent.is_null() || spans.iter().any(|other| other["spanId"] == *parent),
            "an orphan: {span}"
        );
    }
}

/// The values of a figure with their labels, out of a body.
fn values<'a>(body: &'a Value, name: &str, kind: &str) -> Vec<(Vec<&'a str>, &'a Value)> {
    let metrics = &body["resourceMetrics"][0]["scopeMetrics"][0]["metrics"];
    let metric = metrics.as_array().unwrap().iter().find(|metric| metric["name"] == name);
    assert!(metric.is_some(), "no {name} in {body:#}");
    let metric = metric.unwrap();
    let labels = |point: &'a Value| {
        let attributes = point["attributes"].as_array().unwrap().iter();
        attributes.map(|label| label["value"]["stringValue"].as_str().unwrap()).collect()
    };
    let points = metric[kind]["dataPoints"].as_array().unwrap();
    points.iter().map(|point| (labels(point), point)).collect()
}

#[test]
fn a_collector_gets_the_figures_again_and_again_and_at_the_end() {
    let (endpoint, received) = collector();
    let place = Place::new();
    let server = place.start_with(&format!(
        "[telemetry]\notlp_endpoint = \"{endpoint}\"\nservice_name = \"bank\"\n\
         metrics_every = \"50ms\"\n"
    ));
    // Twice before anything was asked, which takes an interval.
    let mut first = Vec::new();
    while first.len() < 2 {
        let (path, body) = received.recv().unwrap();
        first.extend((path == "/v1/metrics").then_some(body));
    }
    let started = |body: &Value| {
        let values = values(body, "genie_runs_started_total", "sum");
        let [(_, point)] = values[..] else { panic!("{body:#}") };
        point["asInt"].as_str().unwrap().parse::<u64>().unwrap()
    };
    assert_eq!((started(&first[0]), started(&first[1])), (0, 0));
    assert_eq!(server.post("/v1/ask", server.key(), question()).status, 200);
    server.signal("-TERM");
    let (in_order, log) = server.ended();
    assert!(in_order, "{log}");

    let bodies = sent_to("/v1/metrics", &received);
    let last = bodies.last().unwrap();
    let resource = &last["resourceMetrics"][0]["resource"]["attributes"][0];
    assert_eq!(resource["value"]["stringValue"], "bank");
    assert_eq!(started(last), 1, "the last figures say what was last");
    let ended = values(last, "genie_runs_ended_total", "sum");
    let completed = ended.iter().find(|(labels, _)| labels[..] == ["completed"]).unwrap();
    assert_eq!(completed.1["asInt"], "1");
    let requests = values(last, "genie_http_requests_total", "sum");
    let asked = requests.iter().find(|(labels, _)| labels[..] == ["POST", "/v1/ask", "200"]);
    assert_eq!(asked.unwrap().1["asInt"], "1");
    let flights = values(last, "genie_runs_in_flight", "gauge");
    assert_eq!(flights[0].1["asInt"], "0");
    let waits = values(last, "genie_journal_wait_seconds", "histogram");
    assert_eq!(waits[0].1["count"], "1");
    let text = json!(bodies).to_string();
    assert!(!text.contains("Swiggy") && !text.contains("How much"), "{text}");
}

#[test]
fn a_collector_for_spans_only_gets_no_figures() {
    let (endpoint, received) = collector();
    let place = Place::new();
    let settings = format!("[telemetry]\notlp_endpoint = \"{endpoint}\"\nmetrics_every = \"\"\n");
    let server = place.start_with(&settings);
    assert_eq!(server.post("/v1/ask", server.key(), question()).status, 200);
    server.signal("-TERM");
    assert!(server.ended().0);
    assert_eq!(sent_to("/v1/metrics", &received), Vec::<Value>::new());
}

#[test]
fn a_collector_that_is_away_costs_spans_and_nothing_else() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", free.local_addr().unwrap());
    drop(free);
    let place = Place::new();
    let server = place.start_with(&format!("[telemetry]\notlp_endpoint = \"{endpoint}\"\n"));
    assert_eq!(server.post("/v1/ask", server.key(), question()).status, 200);
    server.signal("-TERM");
    assert!(server.ended().0);
}
