//! `/openapi.json`, the `OpenAPI` 3.1 document of the routes, and `/docs`, a page that shows it.
//!
//! Which routes there are is in [`crate::router`], who may use them in [`crate::rights`], what they
//! take in the types that their handlers read; [`operations`] has the rest, and a test compares all
//! of these. What they give is in `openapi/schemas.json`, and `scripts/schemathesis` compares that
//! with what a server really gives.

use std::sync::OnceLock;

use axum::body::Body;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::http::{HeaderValue, Method};
use axum::response::{IntoResponse, Response};
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::body;
use crate::rights::{self, Right};

mod links;
mod operations;

pub(crate) use operations::operations;

/// The schemas of what the routes give.
const SCHEMAS: &str = include_str!("openapi/schemas.json");
/// The page of `/docs`; it loads nothing but the document.
const PAGE: &str = include_str!("openapi/docs.html");
/// What the page may do: run its own script and style, and ask its own server.
const PAGE_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

/// `GET /openapi.json`.
pub(crate) async fn openapi() -> Response {
    static TEXT: OnceLock<String> = OnceLock::new();
    body::json_text(TEXT.get_or_init(|| document().to_string()).clone())
}

/// `GET /docs`.
pub(crate) async fn docs() -> Response {
    let mut response = Body::from(PAGE).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CONTENT_SECURITY_POLICY, PAGE_POLICY);
    response
}

/// What a route gives with a status.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    status: u16,
    description: &'static str,
    /// Content types with the names of their schemas.
    content: Vec<(&'static str, &'static str)>,
}

/// A route as it is documented.
pub(crate) struct Operation {
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    summary: &'static str,
    /// Parameters of the query, as a schema of an object.
    query: Option<fn(&mut SchemaGenerator) -> Value>,
    body: Option<fn(&mut SchemaGenerator) -> Value>,
    /// The content type of the body.
    body_kind: &'static str,
    /// Whether the body may be a form with one file, too.
    takes_form: bool,
    answers: Vec<Answer>,
    /// Statuses of problems besides those that every such route has.
    problems: Vec<u16>,
    /// Headers that it reads: name and what for.
    headers: Vec<&'static str>,
    begins_run: bool,
}

/// A schema of its own, not among the shared ones.
fn inline<T: JsonSchema>(generator: &mut SchemaGenerator) -> Value {
    T::json_schema(generator).to_value()
}

/// A reference to a shared schema.
fn shared<T: JsonSchema>(generator: &mut SchemaGenerator) -> Value {
    generator.subschema_for::<T>().to_value()
}

impl Operation {
    fn new(method: Method, path: &'static str, summary: &'static str) -> Self {
        Self {
            method,
            path,
            summary,
            query: None,
            body: None,
            body_kind: "application/json",
            takes_form: false,
            answers: Vec::new(),
            problems: Vec::new(),
            headers: Vec::new(),
            begins_run: false,
        }
    }

    /// What stands behind the `?`.
    fn asks<T: JsonSchema>(mut self) -> Self {
        self.query = Some(inline::<T>);
        self.problems.push(422);
        self
    }

    fn takes<T: JsonSchema>(mut self) -> Self {
        self.body = Some(shared::<T>);
        self.problems.extend([400, 408, 413, 415, 422]);
        self
    }

    /// A file, which is what its bytes say.
    fn takes_file(mut self) -> Self {
        self.body = Some(|_| json!({}));
        self.body_kind = "application/octet-stream";
        self.takes_form = true;
        self.problems.extend([400, 408, 413, 415, 422]);
        self
    }

    fn gives(self, status: u16, schema: &'static str, description: &'static str) -> Self {
        self.gives_as(status, ("application/json", schema), description)
    }

    fn gives_as(
        mut self,
        status: u16,
        content: (&'static str, &'static str),
        description: &'static str,
    ) -> Self {
        match self.answers.iter_mut().find(|answer| answer.status == status) {
            Some(answer) => answer.content.push(content),
            None => self.answers.push(Answer { status, description, content: vec![content] }),
        }
        self
    }

    fn gives_nothing(mut self, status: u16, description: &'static str) -> Self {
        self.answers.push(Answer { status, description, content: Vec::new() });
        self
    }

    fn fails(mut self, problems: &[u16]) -> Self {
        self.problems.extend(problems);
        self
    }

    fn reads(mut self, header: &'static str) -> Self {
        self.headers.push(header);
        self
    }

    /// What every route has that begins a run and waits for what becomes of it.
    fn begins_run(self) -> Self {
        let begins = self.fails(&[402, 403, 409, 410, 422, 500, 502, 503, 504]);
        let begins = Self { begins_run: true, ..begins };
        begins.reads("Idempotency-Key").reads("traceparent")
    }

    fn is_open(&self) -> bool {
        rights::of(&self.method, self.path) == Some(Right::Open)
    }

    /// Whether anything may stand behind the `?`. Where it is open, that is nobody's business.
    pub(crate) fn takes_params(&self) -> bool {
        self.query.is_some() || self.is_open() || !self.path.starts_with("/v1/")
    }

    /// The statuses of all problems, in order.
    fn all_problems(&self) -> Vec<u16> {
        let mut all = self.problems.clone();
        if !self.takes_params() {
            all.push(422);
        }
        if !self.is_open() {
            all.extend([401, 403, 429, 500, 503]);
        }
        if self.path.contains('{') {
            all.push(404);
        }
        all.sort_unstable();
        all.dedup();
        all
    }

    fn parameters(&self, generator: &mut SchemaGenerator) -> Vec<Value> {
        let mut parameters: Vec<Value> = self
            .path
            .split('/')
            .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
            .map(|name| {
                // An agent has a name, everything else an id.
                let schema = if self.path.starts_with("/v1/agents/") {
                    json!({ "type": "string", "minLength": 1 })
                } else {
                    json!({ "type": "string", "format": "uuid" })
                };
                json!({ "name": name, "in": "path", "required": true, "schema": schema })
            })
            .collect();
        if let Some(query) = self.query {
            let object = query(generator);
            for (name, schema) in object["properties"].as_object().into_iter().flatten() {
                let mut schema = schema.clone();
                let description = schema.as_object_mut().and_then(|it| it.remove("description"));
                not_null(&mut schema);
                let mut parameter = json!({ "name": name, "in": "query", "schema": schema });
                if let Some(description) = description {
                    parameter["description"] = description;
                }
                parameters.push(parameter);
            }
        }
        let refer = |name: &&str| json!({ "$ref": format!("#/components/parameters/{name}") });
        parameters.extend(self.headers.iter().map(refer));
        parameters
    }

    fn responses(&self) -> Value {
        let mut responses = Map::new();
        for Answer { status, description, content } in &self.answers {
            let mut headers = json!({ "X-Request-Id": header("X-Request-Id") });
            if !self.is_open() || self.path.starts_with("/v1/auth/") {
                headers["RateLimit"] = header("RateLimit");
                headers["RateLimit-Policy"] = header("RateLimit-Policy");
            }
            if self.begins_run {
                headers["Genie-Run-Id"] = header("Genie-Run-Id");
            }
            let mut response = json!({ "description": description, "headers": headers });
            for (kind, schema) in content {
                let schema = format!("#/components/schemas/{schema}");
                response["content"][*kind] = json!({ "schema": { "$ref": schema } });
            }
            responses.insert(status.to_string(), response);
        }
        for status in self.all_problems() {
            let problem = json!({ "$ref": format!("#/components/responses/Problem{status}") });
            responses.entry(status.to_string()).or_insert(problem);
        }
        Value::Object(responses)
    }

    fn id(&self) -> String {
        format!("{} {}", self.method.as_str().to_lowercase(), self.path)
    }

    fn value(&self, generator: &mut SchemaGenerator) -> Value {
        let mut operation = json!({
            "operationId": self.id(),
            "summary": self.summary,
            "tags": [self.path.trim_start_matches("/v1").split('/').nth(1).unwrap_or_default()],
            "parameters": self.parameters(generator),
            "responses": self.responses(),
        });
        if let Some(body) = self.body {
            let mut content = json!({ self.body_kind: { "schema": body(generator) } });
            if self.takes_form {
                let file = json!({ "contentMediaType": "application/octet-stream" });
                content["multipart/form-data"]["schema"] = json!({
                    "type": "object",
                    "properties": { "file": file },
                    "required": ["file"],
                    "additionalProperties": false,
                });
            }
            operation["requestBody"] = json!({ "required": true, "content": content });
        }
        operation["security"] = if self.is_open() { json!([]) } else { json!([{ "key": [] }]) };
        match rights::of(&self.method, self.path) {
            Some(Right::Roles(roles)) => {
                operation["description"] = json!(format!("For the roles {}.", roles.join(", ")));
            }
            Some(Right::Operates(roles)) => {
                let of = "in the tenant of the operators";
                let roles = roles.join(", ");
                operation["description"] = json!(format!("For the roles {roles} {of}."));
            }
            _ => {}
        }
        operation
    }
}

/// A parameter that is not given is not `null`.
fn not_null(schema: &mut Value) {
    if let Some(types) = schema["type"].as_array() {
        let left: Vec<&Value> = types.iter().filter(|one| *one != "null").collect();
        schema["type"] = if let [one] = left[..] { one.clone() } else { json!(left) };
    }
}

fn header(name: &str) -> Value {
    json!({ "$ref": format!("#/components/headers/{name}") })
}

/// The document.
pub(crate) fn document() -> Value {
    let settings = SchemaSettings::draft2020_12()
        .with(|settings| settings.definitions_path = "/components/schemas".into());
    let mut generator = settings.into_generator();
    let (mut paths, operations) = (json!({}), operations());
    for operation in &operations {
        let method = operation.method.as_str().to_lowercase();
        paths[operation.path][method] = operation.value(&mut generator);
    }
    links::add(&mut paths, &operations);
    // The text is compiled in, and a test reads it.
    let mut components: Value = serde_json::from_str(SCHEMAS).unwrap_or_default();
    if let Some(schemas) = components["schemas"].as_object_mut() {
        schemas.extend(generator.take_definitions(true));
    }
    for (status, text) in operations::PROBLEMS {
        components["responses"][format!("Problem{status}")] = problem(*status, text);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Genie",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Agents behind HTTP: every message governed, every effect recorded.",
            "license": { "name": "MIT", "identifier": "MIT" },
        },
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "servers": [{ "url": "/" }],
        "paths": paths,
        "components": components,
    })
}

fn problem(status: u16, text: &str) -> Value {
    let mut headers = json!({ "X-Request-Id": header("X-Request-Id") });
    match status {
        401 => headers["WWW-Authenticate"] = header("WWW-Authenticate"),
        409 | 429 | 503 => headers["Retry-After"] = header("Retry-After"),
        _ => {}
    }
    let schema = json!({ "$ref": "#/components/schemas/Problem" });
    let content = json!({ "application/problem+json": { "schema": schema } });
    json!({ "description": text, "headers": headers, "content": content })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::router::routes;

    #[test]
    fn the_document_has_the_routes_of_the_router_and_no_others() {
        let document = document();
        let mut documented = BTreeSet::new();
        for (path, methods) in document["paths"].as_object().unwrap() {
            for method in methods.as_object().unwrap().keys() {
                documented.insert((method.to_uppercase(), path.clone()));
            }
        }
        let routed: BTreeSet<(String, String)> = routes()
            .iter()
            .map(|route| (route.method.to_string(), route.path.to_owned()))
            .collect();
        assert_eq!(documented, routed);
        assert_eq!(operations().len(), routes().len(), "a route is documented twice");
    }

    #[test]
    fn every_reference_leads_somewhere_and_nothing_is_there_in_vain() {
        let document = document();
        let text = document.to_string();
        let referred: BTreeSet<&str> = text
            .split("\"$ref\":\"#/")
            .skip(1)
            .map(|rest| rest.split('"').next().unwrap())
            .collect();
        for reference in &referred {
            let pointer = format!("/{reference}");
            assert!(document.pointer(&pointer).is_some(), "{reference} is not there");
        }
        for group in ["schemas", "headers", "parameters", "responses"] {
            for name in document["components"][group].as_object().unwrap().keys() {
                let reference = format!("components/{group}/{name}");
                assert!(referred.contains(&*reference), "nobody refers to {reference}");
            }
        }
    }

    #[test]
    fn the_page_loads_nothing_from_elsewhere() {
        for foreign in ["http://", "https://", "src=", "@import", "url("] {
            assert!(!PAGE.contains(foreign), "{foreign}");
        }
    }
}
