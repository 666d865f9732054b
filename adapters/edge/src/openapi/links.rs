//! What of an answer leads where: `OpenAPI` links, for readers and for programs that follow them.

use serde_json::{Value, json};

use super::Operation;

/// Where an id comes from: the path, the method, the status and the place in the answer, and in
/// which paths it may stand.
const LINKS: &[(&str, &str, u16, &str, &str)] = &[
    ("/v1/ask", "post", 200, "/run_id", "/v1/runs/{id}"),
    ("/v1/ask", "post", 202, "/run_id", "/v1/runs/{id}"),
    ("/v1/ask", "post", 202, "/approval_id", "/v1/approvals/{id}"),
    ("/v1/tools/execute", "post", 200, "/run_id", "/v1/runs/{id}"),
    ("/v1/tools/execute", "post", 202, "/run_id", "/v1/runs/{id}"),
    ("/v1/tools/execute", "post", 202, "/approval_id", "/v1/approvals/{id}"),
    ("/v1/runs", "get", 200, "/data/0/run_id", "/v1/runs/{id}"),
    ("/v1/approvals", "get", 200, "/data/0/id", "/v1/approvals/{id}"),
    ("/v1/approvals/{id}", "get", 200, "/run_id", "/v1/runs/{id}"),
    ("/v1/documents", "post", 201, "/id", "/v1/documents/{id}"),
    ("/v1/documents", "get", 200, "/data/0/id", "/v1/documents/{id}"),
    ("/v1/auth/tokens", "post", 201, "/id", "/v1/auth/tokens/{id}"),
    ("/v1/auth/tokens", "get", 200, "/data/0/id", "/v1/auth/tokens/{id}"),
    ("/v1/agents", "get", 200, "/data/0/id", "/v1/agents/{id}"),
];

/// Adds the links to the paths of a document.
pub(super) fn add(paths: &mut Value, operations: &[Operation]) {
    for (path, method, status, place, prefix) in LINKS {
        let response =
            paths.pointer_mut(&format!("/{}/{method}/responses/{status}", path.replace('/', "~1")));
        let Some(response) = response else { continue };
        for operation in operations.iter().filter(|one| one.path.starts_with(prefix)) {
            let id = operation.id();
            let words = id.split(|letter: char| !letter.is_ascii_alphanumeric());
            let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
            response["links"][format!("{}{}", words.join("-"), place.replace('/', "."))] = json!({
                "operationId": id,
                "parameters": { "id": format!("$response.body#{place}") },
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::document;
    use super::*;

    #[test]
    fn every_link_is_of_an_answer_that_there_is_and_leads_somewhere() {
        let document = document();
        let mut found = 0;
        for answer in document["paths"].as_object().unwrap().values().flat_map(|path| {
            path.as_object().unwrap().values().flat_map(|operation| {
                operation["responses"].as_object().unwrap().values().collect::<Vec<_>>()
            })
        }) {
            found += answer["links"].as_object().map_or(0, serde_json::Map::len);
        }
        let leads = |prefix: &&str| {
            let all = super::super::operations();
            all.iter().filter(|one| one.path.starts_with(prefix)).count()
        };
        let wanted: Vec<usize> = LINKS.iter().map(|(.., prefix)| leads(prefix)).collect();
        assert!(wanted.iter().all(|count| *count > 0), "{wanted:?}");
        assert_eq!(found, wanted.iter().sum::<usize>());
    }
}
