//! Documents: sent once, asked about by id, nobody else's, gone when they are deleted or erased.

use std::io::Write;

use serde_json::{Value, json};

use super::serving::{Place, Reply, STATEMENT, Serving, call};
use crate::program::genie_in;

/// Sends a file as it is, under a type that says nothing.
pub(super) fn send(server: &Serving, key: &str, content: &[u8]) -> Reply {
    let head = format!(
        "POST /v1/documents HTTP/1.0\r\nauthorization: Bearer {key}\r\ncontent-type: image/png\r\n\
         content-length: {}\r\n\r\n",
        content.len()
    );
    let answer = server.raw(&[head.as_bytes(), content].concat());
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let headers = head.lines().map(str::to_ascii_lowercase).collect();
    Reply { status, headers, body: body.to_owned() }
}

fn ask(server: &Serving, key: &str, id: &Value) -> Reply {
    let asked = json!({ "question": "How much did I spend?", "document_id": id });
    server.post("/v1/ask", key, asked)
}

#[test]
fn a_document_is_asked_about_by_whoever_sent_it_and_by_nobody_else() {
    let place = Place::new();
    let server = place.start();
    let asha = server.make_key(server.key(), "asha", &["user"]);
    let ravi = server.make_key(server.key(), "ravi", &["user"]);
    let vera = server.make_key(server.key(), "vera", &["auditor"]);
    let sent = send(&server, &asha, STATEMENT.as_bytes());
    assert_eq!(sent.status, 201, "{sent:?}");
    let sent = sent.json();
    assert_eq!((&sent["bytes"], &sent["statement"]["rows"]), (&json!(STATEMENT.len()), &json!(3)));
    // sha256sum of the statement, as coreutils gives it.
    assert_eq!(sent["sha256"], json!(SHA256));

    let id = &sent["id"];
    // The consent that the statement needs comes with the administrator's keys only.
    let answer = ask(&server, &asha, id);
    let inline = json!({ "question": "How much did I spend?", "statement": STATEMENT });
    let inline = server.post("/v1/ask", &asha, inline);
    assert_eq!((answer.status, inline.status), (200, 200), "{}", answer.body);
    assert_eq!(answer.json()["answer"], inline.json()["answer"]);

    // After a restart, too.
    server.kill();
    let server = place.start();
    assert_eq!(ask(&server, &asha, id).status, 200);
    let path = format!("/v1/documents/{}", id.as_str().unwrap());
    assert_eq!(server.get(&path, &asha).json()["statement"]["rows"], 3);
    assert_eq!(server.get(&path, &vera).status, 200);
    for reply in [server.get(&path, &ravi), ask(&server, &ravi, id), ask(&server, &vera, id)] {
        assert!(["not_found", "forbidden"].contains(&&*reply.code()), "{reply:?}");
    }
    assert_eq!(server.get("/v1/documents", &ravi).json()["data"], json!([]));
    let listed = server.get("/v1/documents", &asha).json();
    assert_eq!(listed["data"][0]["id"], *id);
    let made = genie_in(&place.data(), &["admin", "create", "--tenant", "globex"]).stdout;
    assert_eq!(server.get(&path, made.trim()).code(), "not_found");
    assert_eq!(delete(&server, &path, &ravi).status, 404);
    assert_eq!(delete(&server, &path, &asha).status, 204);
    assert_eq!(delete(&server, &path, &asha).status, 404);
    assert_eq!(ask(&server, &asha, id).code(), "not_found");
}

/// Of [`STATEMENT`], as `sha256sum` prints it.
const SHA256: &str = "894e3a98ae8087ea0cb776f62f211d678da41cf435f904cefcec321eb03badc4";

fn delete(server: &Serving, path: &str, key: &str) -> Reply {
    let line = format!("DELETE {path}");
    server.ask(&super::serving::Request { line: &line, key, ..Default::default() })
}

/// A workbook with one sheet of text.
fn workbook(rows: &[&[&str]]) -> Vec<u8> {
    let main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main";
    let relations = "http://schemas.openxmlformats.org/package/2006/relationships";
    let office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
    let relation = |kind: &str, target: &str| {
        format!(
            "<Relationships xmlns=\"{relations}\"><Relationship Id=\"rId1\" \
             Type=\"{office}/{kind}\" Target=\"{target}\"/></Relationships>"
        )
    };
    let cell = |text: &&str| format!("<c t=\"inlineStr\"><is><t>{text}</t></is></c>");
    let row = |row: &&[&str]| format!("<row>{}</row>", row.iter().map(cell).collect::<String>());
    let sheet: String = rows.iter().map(row).collect();
    let book = format!(
        "<workbook xmlns=\"{main}\" xmlns:r=\"{office}\"><sheets>\
         <sheet name=\"A\" sheetId=\"1\" r:id=\"rId1\"/></sheets></workbook>"
    );
    let sheet = format!("<worksheet xmlns=\"{main}\"><sheetData>{sheet}</sheetData></worksheet>");
    let files = [
        ("_rels/.rels", relation("officeDocument", "xl/workbook.xml")),
        ("xl/_rels/workbook.xml.rels", relation("worksheet", "worksheets/sheet1.xml")),
        ("xl/workbook.xml", book),
        ("xl/worksheets/sheet1.xml", sheet),
    ];
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, content) in files {
        archive.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        archive.write_all(content.as_bytes()).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

#[test]
fn a_workbook_is_read_as_the_statement_that_it_holds() {
    let place = Place::new();
    let server = place.start();
    let rows: [&[&str]; 4] = [
        &["Date", "Description", "Debit", "Credit"],
        &["2026-08-01", "Salary", "", "1000.00"],
        &["2026-08-03", "Swiggy", "450.00", ""],
        &["2026-09-03", "Swiggy", "lots", ""],
    ];
    let sent = send(&server, server.key(), &workbook(&rows));
    assert_eq!(sent.status, 201, "{sent:?}");
    let sent = sent.json();
    assert_eq!(
        (&sent["statement"]["rows"], &sent["statement"]["rejected"]),
        (&json!(2), &json!(1))
    );
    let reject = &sent["statement"]["rejects"][0];
    assert_eq!((&reject["line"], &reject["value"]), (&json!(4), &json!("lots")), "{sent:#}");
    let answer = ask(&server, server.key(), &sent["id"]).json();
    assert!(answer["answer"].as_str().unwrap().contains("₹450.00"), "{answer:#}");
}

#[test]
fn a_tool_looks_into_ones_own_documents_and_leaves_a_record() {
    let place = Place::new();
    let server = place.start();
    let asha = server.make_key(server.key(), "asha", &["user"]);
    let ravi = server.make_key(server.key(), "ravi", &["user"]);
    let id = send(&server, &asha, STATEMENT.as_bytes()).json()["id"].clone();
    let query = call("document.query", &json!({ "document_id": id, "contains": "swiggy" }));
    let found = server.post("/v1/tools/execute", &asha, query.clone());
    assert_eq!(found.status, 200, "{}", found.body);
    let found = found.json();
    let output = &found["output"];
    assert_eq!((&output["matched"], &output["out_minor"]), (&json!(2), &json!(-140_000)));
    assert_eq!(output["rows"][1]["line"], 4, "{output:#}");
    let run = server.until(&asha, found["run_id"].as_str().unwrap(), "completed");
    assert!(run["effects"].as_array().unwrap().iter().any(|one| one["tool"] == "document.query"));
    let refused = server.post("/v1/tools/execute", &ravi, query);
    assert_eq!(refused.status, 502, "{}", refused.body);
    assert!(refused.body.contains("no such document"), "{}", refused.body);
    drop(server);
    let replayed = genie_in(&place.data(), &["replay", found["run_id"].as_str().unwrap()]);
    assert_eq!(replayed.code, 0, "{}", replayed.stderr);
}

#[test]
fn a_document_that_was_changed_or_given_to_another_is_found_and_not_shown() {
    let place = Place::new();
    let server = place.start();
    let asha = server.make_key(server.key(), "asha", &["user"]);
    let ravi = server.make_key(server.key(), "ravi", &["user"]);
    let id = send(&server, &asha, STATEMENT.as_bytes()).json()["id"].clone();
    let path = format!("/v1/documents/{}", id.as_str().unwrap());
    server.kill();
    let verify = || genie_in(&place.data(), &["audit", "verify"]);
    assert_eq!(verify().code, 0, "{}", verify().stderr);
    let database = place.data().join("genie.db");
    super::audit::change(&database, "UPDATE documents SET subject = 'ravi'");
    assert!(verify().complaint().contains("the document `"), "{}", verify().stderr);
    let server = place.start();
    let shown = server.get(&path, &ravi);
    assert_eq!((shown.status, &*shown.code()), (503, "unavailable"));
    server.kill();
    super::audit::change(&database, "UPDATE documents SET subject = 'asha'");
    assert_eq!(verify().code, 0);
    super::audit::change(&database, "UPDATE documents SET sealed = zeroblob(100)");
    assert!(verify().complaint().contains("swapped or changed"), "{}", verify().stderr);
}

#[test]
fn what_cannot_be_used_is_named_with_row_column_value_and_fix() {
    let place = Place::new();
    let server = place.start_with("[http]\nbody_bytes_max = 2000\n");
    let key = server.key();
    let bad =
        "Date,Description,Debit,Credit\n2026-08-01,Salary,,1000.00\n2026-08-03,Swiggy,lots,\n";
    let sent = send(&server, key, bad.as_bytes()).json();
    assert_eq!(
        (&sent["statement"]["rows"], &sent["statement"]["rejected"]),
        (&json!(1), &json!(1))
    );
    let reject = &sent["statement"]["rejects"][0];
    assert_eq!((&reject["line"], &reject["value"]), (&json!(3), &json!("lots")), "{sent:#}");
    assert!(reject["column"] == "Debit" && reject["fix"].is_string(), "{sent:#}");
    let image = &b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"[..];
    for (content, status, code, said) in [
        (&b""[..], 422, "invalid", "empty"),
        (image, 415, "unsupported_media_type", "a PNG image, not a CSV statement"),
        (b"PK\x03\x04\x14\0\0\0\x08\0", 422, "invalid", "no Excel workbook"),
        (b"a,b\n1,2\n", 422, "invalid", "no header was recognised"),
    ] {
        let reply = send(&server, key, content);
        assert_eq!((reply.status, &*reply.code()), (status, code), "{reply:?}");
        assert!(reply.json()["detail"].as_str().unwrap().contains(said), "{reply:?}");
    }
    assert_eq!(send(&server, key, &[b'a'; 3_000]).code(), "too_large");
    let both = json!({ "question": "a", "statement": STATEMENT, "document_id": sent["id"] });
    assert_eq!(server.post("/v1/ask", key, both).code(), "invalid");
}

#[test]
fn a_document_is_sealed_on_disk_and_erased_with_its_subject() {
    let place = Place::new();
    let server = place.start();
    let asha = server.make_key(server.key(), "asha", &["user"]);
    let marked = STATEMENT.replace("Swiggy", "Zanzibarium");
    let id = send(&server, &asha, marked.as_bytes()).json()["id"].clone();
    let path = format!("/v1/documents/{}", id.as_str().unwrap());
    let admin = server.key().to_owned();
    server.kill();
    let holds = || {
        let files = std::fs::read_dir(place.data()).unwrap();
        let text = |file: std::fs::DirEntry| std::fs::read(file.path()).unwrap();
        files
            .map(|file| text(file.unwrap()))
            .any(|bytes| bytes.windows(11).any(|window| window == b"Zanzibarium"))
    };
    assert!(!holds(), "a document is on disk in the clear");
    let erased = genie_in(&place.data(), &["erase", "asha", "--yes"]);
    assert_eq!(erased.code, 0, "{}", erased.stderr);
    let server = place.start();
    assert_eq!(server.get(&path, &asha).code(), "invalid_key", "the key went, too");
    // Whoever sees the whole tenant's sees none, and the same subject, who may come again, neither.
    let again = server.make_key(&admin, "asha", &["user"]);
    for key in [&admin, &again] {
        assert_eq!(server.get(&path, key).code(), "not_found");
        assert_eq!(server.get("/v1/documents", key).json()["data"], json!([]));
    }
}
