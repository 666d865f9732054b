//! Files on their way in: from forms, from clients that send what nobody wants, and from many slow
//! ones at once.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::pin::Pin;
use std::process::Command;
use std::task::{Context, Poll};

use genie_client::{Error, Halt, Question, Upload};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};

use super::client::client;
use super::serving::{Place, STATEMENT, Serving};

const KIB: usize = 1_024;
const MIB: usize = 1_024 * KIB;

/// The head of an upload.
fn head(server: &Serving, more: &str) -> String {
    format!(
        "POST /v1/documents HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
         authorization: Bearer {}\r\n{more}\r\n\r\n",
        server.key()
    )
}

/// Status and body of what comes back.
fn answer(mut stream: TcpStream) -> (u16, Value) {
    let mut bytes = Vec::new();
    // A server that has read enough closes before all is sent.
    let _ = stream.read_to_end(&mut bytes);
    let text = String::from_utf8_lossy(&bytes).into_owned();
    assert!(text.contains("\r\n\r\n"), "{text}");
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap())
}

#[test]
fn what_is_no_statement_is_refused_before_it_has_come() {
    let place = Place::new();
    // Far more than is allowed by its length would be refused without a look at it.
    let server = place.start_with(
        "[http]\nbody_bytes_max = 200_000_000\nuploads_bytes_max = 200_000_000\n\
         [limits]\nblob_bytes_max = 200_000_000\n",
    );
    let mut seed = 7_u32;
    let mut garbage = || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 24) as u8
    };
    let garbage: Vec<u8> = (0..MIB).map(|_| garbage()).collect();
    let form = "content-type: multipart/form-data; boundary=x";
    let part = "--x\r\ncontent-disposition: form-data; name=a; filename=b\r\n\r\n";
    for (kind, before) in [("content-type: text/csv", ""), (form, part)] {
        let length = before.len() + 100 * MIB;
        let mut stream = server.connect();
        let head = head(&server, &format!("{kind}\r\ncontent-length: {length}"));
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(before.as_bytes()).unwrap();
        // No more of it comes until there is an answer.
        stream.write_all(&garbage[..16 * KIB]).unwrap();
        let (status, problem) = answer(stream);
        assert_eq!((status, &problem["code"]), (415, &json!("unsupported_media_type")));
        assert!(problem["detail"].as_str().unwrap().contains("not a CSV"), "{problem}");

        // Whoever does not wait gets rid of a small part of it.
        let mut stream = server.connect();
        stream.write_all(head.as_bytes()).unwrap();
        let _ = stream.write_all(before.as_bytes());
        let sent = (0..100).take_while(|_| stream.write_all(&garbage).is_ok()).count();
        assert!(sent < 50, "{sent} MiB of garbage were taken");
    }
    let resident_mib = server.resident_kib() / 1_024;
    assert!(resident_mib < 160, "{resident_mib} MiB");
}

#[test]
fn many_slow_uploads_hold_bounded_memory() {
    let place = Place::new();
    let server = place.start_with("[http]\nuploads_bytes_max = 4_194_304\n");
    let row = "2026-08-03,Swiggy,450.00,\n";
    let part = STATEMENT.to_owned() + &row.repeat(MIB / row.len());
    let length = 2 * part.len();
    let open = || {
        let mut stream = server.connect();
        let head = head(&server, &format!("content-length: {length}"));
        stream.write_all(head.as_bytes()).unwrap();
        let _ = stream.write_all(part.as_bytes());
        stream
    };
    // A megabyte of each has been sent, and the rest is still to come.
    let streams: Vec<TcpStream> = (0..50).map(|_| open()).collect();
    let refused = streams.iter().filter(|stream| {
        // What was refused can be read, what is held cannot.
        stream.set_read_timeout(Some(std::time::Duration::from_secs(2))).unwrap();
        stream.peek(&mut [0]).is_ok_and(|read| read > 0)
    });
    let refused = refused.count();
    assert!((40..=50).contains(&refused), "{refused} of 50 were refused");
    let resident_mib = server.resident_kib() / 1_024;
    assert!(resident_mib < 160, "{resident_mib} MiB");
    // They do not keep anybody else from being served, nor, once they are gone, from sending.
    assert_eq!(server.get("/health", "").status, 200);
    for stream in streams {
        drop(stream);
    }
    let small = || {
        let mut stream = server.connect();
        let head = head(&server, &format!("content-length: {}", STATEMENT.len()));
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(STATEMENT.as_bytes()).unwrap();
        answer(stream).0
    };
    let began = std::time::Instant::now();
    while small() != 201 {
        assert!(began.elapsed().as_secs() < 30, "what was given up is still held");
    }
    let held = server.get("/metrics", server.key()).body;
    assert!(held.contains("genie_http_upload_bytes 0\n"), "{held}");
}

/// Runs curl; gives the status and the body.
fn curl(server: &Serving, more: &[&str]) -> (u16, Value) {
    let mut curl = Command::new("curl");
    let key = format!("authorization: Bearer {}", server.key());
    curl.args(["--silent", "--show-error", "--write-out", "\n%{http_code}", "--header", &key]);
    curl.args(more).arg(format!("http://{}/v1/documents", server.address()));
    let output = curl.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let (body, status) = text.rsplit_once('\n').unwrap();
    (status.parse().unwrap(), serde_json::from_str(body).unwrap())
}

#[test]
fn a_form_with_one_file_is_as_good_as_the_file() {
    let place = Place::new();
    let server = place.start();
    let file = place.write("statement.csv", STATEMENT);
    let (status, bare) = curl(&server, &["--data-binary", &format!("@{file}")]);
    assert_eq!(status, 201, "{bare}");
    let (status, sent) = curl(&server, &["--form", &format!("statement=@{file}")]);
    assert_eq!(status, 201, "{sent}");
    for same in ["sha256", "bytes", "statement"] {
        assert_eq!(sent[same], bare[same], "{same}");
    }
    let image = place.write("image.csv", "\u{1}\u{2}GIF8 is at the wrong place\0");
    for (fields, expected, code) in [
        (vec![format!("a=@{image}")], 415, "unsupported_media_type"),
        (vec!["a=no file".to_owned()], 422, "invalid"),
        (vec![format!("a=@{file}"), format!("b=@{file}")], 422, "invalid"),
        (vec![format!("a=@{file}"), "b=more".to_owned()], 422, "invalid"),
    ] {
        let arguments: Vec<&str> =
            fields.iter().flat_map(|field| ["--form", field.as_str()]).collect();
        let (status, problem) = curl(&server, &arguments);
        assert_eq!((status, &problem["code"]), (expected, &json!(code)), "{fields:?}: {problem}");
    }
    for kind in ["multipart/form-data", "multipart/form-data; boundary=x"] {
        let kind = format!("content-type: {kind}");
        let (status, problem) = curl(&server, &["--header", &kind, "--data-binary", "--y"]);
        assert_eq!((status, &problem["code"]), (400, &json!("malformed")), "{kind}: {problem}");
    }
    let (status, problem) =
        curl(&server, &["--header", "content-encoding: gzip", "--data-binary", "x"]);
    assert_eq!(status, 415, "{problem}");
}

/// The statement with more rows, which come one by one: nobody holds it whole.
struct Growing {
    part: &'static [u8],
    rows: usize,
}

fn growing(rows: usize) -> Growing {
    Growing { part: STATEMENT.as_bytes(), rows }
}

impl AsyncRead for Growing {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let this = self.get_mut();
        if this.part.is_empty() && this.rows > 0 {
            (this.part, this.rows) = (ROW.as_bytes(), this.rows - 1);
        }
        let (now, later) = this.part.split_at(this.part.len().min(buffer.remaining()));
        buffer.put_slice(now);
        this.part = later;
        Poll::Ready(Ok(()))
    }
}

const ROW: &str = "2026-08-03,Swiggy,450.00,\n";

#[tokio::test]
async fn the_typed_client_sends_files_and_readers_and_asks_about_them() {
    let place = Place::new();
    let server = place.start();
    let client = client(&server, server.key(), 1);
    let file = place.write("statement.csv", STATEMENT);
    let bare = client.send_document(Upload::of_file(&file)).await.unwrap();
    assert_eq!((bare.bytes, bare.statement.rows), (STATEMENT.len() as u64, 3));
    let named = Upload::of_file(&file).with_name("my statement.csv").with_content_type("text/csv");
    let named = client.send_document(named).await.unwrap();
    assert_eq!((named.sha256, &named.statement), (bare.sha256, &bare.statement));
    assert_ne!(named.id, bare.id);
    let question = Question::of_document("How much did I spend?", bare.id);
    let Halt::Answered(answered) = client.ask(&question).await.unwrap() else { panic!("waits") };
    assert_eq!(answered.fields["answer"], "You spent ₹1,400.00, in 2 payments.");

    // Of unknown length, of one that is said, and in a form.
    let rows = 20_000;
    let bytes = (STATEMENT.len() + rows * ROW.len()) as u64;
    for upload in [
        Upload::of_reader(growing(rows)),
        Upload::of_reader(growing(rows)).with_bytes(bytes),
        Upload::of_reader(growing(rows)).with_name("many.csv"),
    ] {
        let sent = client.send_document(upload).await.unwrap();
        assert_eq!((sent.bytes, sent.statement.rows), (bytes, rows as u64 + 3));
    }
}

#[tokio::test]
async fn the_typed_client_is_told_why_a_file_is_not_taken() {
    let place = Place::new();
    let server = place.start_with("[http]\nbody_bytes_max = 1_048_576\n");
    let client = client(&server, server.key(), 1);
    let image = place.write("image.csv", "\u{1}\u{2}GIF8 is at the wrong place\0");
    let rejected = place.write("bad.csv", &format!("{STATEMENT}2026-13-01,Swiggy,450.00,\n"));
    let error = client.send_document(Upload::of_file(&image)).await.unwrap_err();
    assert_eq!(error.code(), Some("unsupported_media_type"), "{error}");
    let sent = client.send_document(Upload::of_file(&rejected)).await.unwrap();
    assert_eq!((sent.statement.rejected, sent.statement.rejects[0].line), (1, 5));
    // Its length alone says so, or its first bytes, before much of it has come: however fast the
    // rest would be sent, the answer is heard.
    for _ in 0..10 {
        let large = Upload::of_reader(growing(MIB)).with_bytes(100 * MIB as u64);
        let error = client.send_document(large).await.unwrap_err();
        assert_eq!(error.code(), Some("too_large"), "{error}");
        let garbage = Upload::of_reader(tokio::io::repeat(7).take(MIB as u64));
        let error = client.send_document(garbage).await.unwrap_err();
        assert_eq!(error.code(), Some("unsupported_media_type"), "{error}");
    }
    // What fails in the middle leaves nothing behind.
    let short = Upload::of_reader(growing(1_000)).with_bytes(MIB as u64 - 1);
    let error = client.send_document(short).await.unwrap_err();
    assert!(matches!(error, Error::Upload(_)), "{error}");
    let listed = server.get("/v1/documents", server.key()).json();
    assert_eq!(listed["data"].as_array().unwrap().len(), 1, "{listed}");
}
