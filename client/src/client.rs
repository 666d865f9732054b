//! Sending requests: with the token, within bounds, and again where that is safe.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use genie_core::ids::Ids;
use reqwest::header::{
    ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER,
};
use reqwest::{Method, Response, StatusCode};
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use crate::address::Address;
use crate::error::{Error, Problem, told};
use crate::pace::{self, ATTEMPTS_MAX, TWIN_ATTEMPTS_MAX};
use crate::upload::{Upload, unread};

/// Longest time to get a connection.
const CONNECT_WAIT: Duration = Duration::from_secs(10);
/// Longest time for the head of an answer; a run has a minute, unless its server is told otherwise.
const ANSWER_WAIT: Duration = Duration::from_mins(3);
/// Longest silence within an answer.
const READ_WAIT: Duration = Duration::from_mins(1);
/// Most bytes of an answer.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// Most bytes of a problem.
const PROBLEM_BYTES_MAX: usize = 1 << 20;

const JSON: &str = "application/json";
pub(crate) const EVENTS: &str = "text/event-stream";
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The secret that says who asks: a key as `genie serve` gives it.
#[derive(Clone)]
pub struct Token(Zeroizing<String>);

impl Token {
    /// Takes the text, without white space around it.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(Zeroizing::new(text.trim().to_owned()))
    }

    fn header(&self) -> Result<HeaderValue, Error> {
        let is_plain = !self.0.is_empty() && self.0.bytes().all(|byte| byte.is_ascii_graphic());
        let text = Zeroizing::new(format!("Bearer {}", *self.0));
        let value = HeaderValue::from_str(&text).ok().filter(|_| is_plain);
        let mut value = value.ok_or(Error::Token)?;
        value.set_sensitive(true);
        Ok(value)
    }
}

impl fmt::Debug for Token {
    /// Without the secret.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Token(…)")
    }
}

/// A client of one server, for one token. Cheap to clone; connections are kept and shared.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    address: Arc<Address>,
    token: HeaderValue,
    pub(crate) ids: Arc<dyn Ids>,
}

impl fmt::Debug for Client {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Client").field("address", &self.address).finish_non_exhaustive()
    }
}

/// What may be done about a request of which nobody knows whether it arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Again {
    /// It is sent again: a second time changes nothing.
    Safe,
    /// It is not: only one that certainly did not arrive, or was refused for now, is.
    Unsafe,
}

/// What a request carries.
enum Content {
    Nothing,
    Json(Vec<u8>),
    File(Upload),
}

/// A request.
pub(crate) struct Request<'a> {
    method: Method,
    path: &'a [&'a str],
    query: Vec<(&'a str, String)>,
    content: Content,
    accept: &'static str,
    headers: HeaderMap,
    again: Again,
}

impl<'a> Request<'a> {
    /// Reads something.
    pub(crate) fn get(path: &'a [&'a str]) -> Self {
        Self {
            method: Method::GET,
            path,
            query: Vec::new(),
            content: Content::Nothing,
            accept: JSON,
            headers: HeaderMap::new(),
            again: Again::Safe,
        }
    }

    /// Changes something.
    pub(crate) fn post(path: &'a [&'a str], body: Option<&serde_json::Value>) -> Self {
        let content = body.map(|body| Content::Json(body.to_string().into_bytes()));
        let content = content.unwrap_or(Content::Nothing);
        Self { method: Method::POST, content, again: Again::Unsafe, ..Self::get(path) }
    }

    /// Sends a file.
    pub(crate) fn send(path: &'a [&'a str], upload: Upload) -> Self {
        Self { content: Content::File(upload), ..Self::post(path, None) }
    }

    /// Removes something, which a second time changes nothing.
    pub(crate) fn delete(path: &'a [&'a str]) -> Self {
        Self { method: Method::DELETE, ..Self::get(path) }
    }

    /// Adds what stands behind the `?`, if there is a value.
    pub(crate) fn with(mut self, name: &'a str, value: Option<impl ToString>) -> Self {
        self.query.extend(value.map(|value| (name, value.to_string())));
        self
    }

    /// Asks for this kind of answer.
    pub(crate) fn accepting(mut self, kind: &'static str) -> Self {
        self.accept = kind;
        self
    }

    /// Says behind which event to go on.
    pub(crate) fn behind(mut self, id: Option<&str>) -> Self {
        let id = id.and_then(|id| HeaderValue::from_str(id).ok());
        self.headers.extend(id.map(|id| (HeaderName::from_static("last-event-id"), id)));
        self
    }

    /// A second time changes nothing.
    pub(crate) fn repeatable(mut self) -> Self {
        self.again = Again::Safe;
        self
    }

    /// Whether what it carries is used up.
    fn is_spent(&self) -> bool {
        matches!(&self.content, Content::File(upload) if upload.is_spent())
    }

    /// Carries a fresh key, so that the server does it once however often it is sent.
    pub(crate) fn keyed(mut self, ids: &dyn Ids) -> Self {
        let key = format!("{:016x}{:016x}", ids.random(), ids.random());
        self.headers.extend(HeaderValue::try_from(key).ok().map(|key| (IDEMPOTENCY_KEY, key)));
        self.repeatable()
    }
}

/// Why an attempt gave no answer.
enum Missed {
    /// The server was not reached; with what went wrong.
    Connect(String),
    /// Nobody knows whether the request arrived.
    Broken(String),
    /// What was to be sent cannot be read.
    Unread(std::io::Error),
}

impl Client {
    /// A client of the server at this address, which is `https`, or `http` to this machine.
    /// `ids` gives randomness, for keys and waits.
    ///
    /// # Errors
    /// [`Error::Address`], [`Error::Insecure`], [`Error::Token`], [`Error::Setup`].
    pub fn new(server: &str, token: &Token, ids: Arc<dyn Ids>) -> Result<Self, Error> {
        let address = Address::read(server)?;
        let builder = reqwest::Client::builder()
            .connect_timeout(CONNECT_WAIT)
            .read_timeout(READ_WAIT)
            // Another server is another server, which the token is not for.
            .redirect(reqwest::redirect::Policy::none())
            .http1_only();
        // A proxy would see a token that is to stay on this machine.
        let builder = if address.is_plain() { builder.no_proxy() } else { builder };
        let http = builder.build().map_err(Error::Setup)?;
        Ok(Self { http, address: Arc::new(address), token: token.header()?, ids })
    }

    /// Sends a request, again if need be, and gives an answer that is no problem.
    ///
    /// # Errors
    /// What the server says no with, or that it was not reached.
    pub(crate) async fn send(&self, mut request: Request<'_>) -> Result<Response, Error> {
        // What was waited for because a twin was being taken counts against nothing else.
        let mut attempts_max = ATTEMPTS_MAX;
        for attempt in 1..=TWIN_ATTEMPTS_MAX {
            let (failed, asked, most) = match self.attempt(&mut request).await {
                Ok(response) if response.status().is_success() => return Ok(response),
                Ok(response) => {
                    let problem = problem(response).await;
                    let asked = problem.retry_after;
                    let most = match &*problem.code {
                        "in_progress" => {
                            attempts_max += 1;
                            TWIN_ATTEMPTS_MAX
                        }
                        _ if problem.passes() => attempts_max,
                        _ => 0,
                    };
                    (Error::Problem(Box::new(problem)), asked, most)
                }
                Err(missed) => {
                    let (problem, again) = match missed {
                        Missed::Connect(problem) => (problem, true),
                        Missed::Broken(problem) => (problem, request.again == Again::Safe),
                        Missed::Unread(error) => return Err(Error::Upload(error)),
                    };
                    let most = if again { attempts_max } else { 0 };
                    (self.unreachable(attempt, problem), None, most)
                }
            };
            let wait = pace::wait(attempt, asked, &*self.ids)
                .filter(|_| attempt < most && !request.is_spent());
            let Some(wait) = wait else { return Err(failed) };
            tokio::time::sleep(wait).await;
        }
        let problem = "it was tried often enough".to_owned();
        Err(self.unreachable(TWIN_ATTEMPTS_MAX, problem))
    }

    /// What is said where no answer came.
    pub(crate) fn unreachable(&self, attempts: u32, problem: String) -> Error {
        let server = self.address.of(&[], &[]).to_string();
        Error::Unreachable { server, attempts, problem }
    }

    async fn attempt(&self, request: &mut Request<'_>) -> Result<Response, Missed> {
        let url = self.address.of(request.path, &request.query);
        let mut builder = self
            .http
            .request(request.method.clone(), url)
            .headers(request.headers.clone())
            .header(AUTHORIZATION, self.token.clone())
            .header(ACCEPT, request.accept);
        match &mut request.content {
            Content::Nothing => {}
            Content::Json(text) => {
                builder = builder.header(CONTENT_TYPE, JSON).body(text.clone());
            }
            Content::File(upload) => {
                let (kind, body) = upload.open(&*self.ids).await.map_err(Missed::Unread)?;
                builder = builder.header(CONTENT_TYPE, kind).body(body);
            }
        }
        match tokio::time::timeout(ANSWER_WAIT, builder.send()).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) if error.is_connect() => Err(Missed::Connect(told(error))),
            Ok(Err(error)) => Err(match unread(&error) {
                Some(unread) => Missed::Unread(unread),
                None => Missed::Broken(told(error)),
            }),
            Err(_) => Err(Missed::Broken(format!("nothing came within {ANSWER_WAIT:?}"))),
        }
    }

    /// Sends a request and reads the JSON that comes.
    pub(crate) async fn json<T: DeserializeOwned>(&self, request: Request<'_>) -> Result<T, Error> {
        read(self.send(request).await?).await
    }
}

/// The JSON of an answer.
pub(crate) async fn read<T: DeserializeOwned>(response: Response) -> Result<T, Error> {
    let body = bytes(response, ANSWER_BYTES_MAX).await?;
    serde_json::from_slice(&body).map_err(|error| Error::unreadable(&error))
}

/// The text of an answer.
pub(crate) async fn text(response: Response) -> Result<String, Error> {
    let body = bytes(response, ANSWER_BYTES_MAX).await?;
    String::from_utf8(body).map_err(|error| Error::unreadable(&error))
}

async fn bytes(mut response: Response, bytes_max: usize) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    loop {
        let chunk = response.chunk().await;
        let chunk = chunk.map_err(|error| Error::Unreadable(told(error)))?;
        let Some(chunk) = chunk else { return Ok(bytes) };
        if bytes.len() + chunk.len() > bytes_max {
            return Err(Error::Unreadable(format!("it has more than {bytes_max} bytes")));
        }
        bytes.extend_from_slice(&chunk);
    }
}

/// The problem that an answer says.
async fn problem(response: Response) -> Problem {
    let status = response.status();
    let after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let after = after.and_then(|text| text.parse().ok()).map(Duration::from_secs);
    let body = bytes(response, PROBLEM_BYTES_MAX).await.unwrap_or_default();
    let mut problem = Problem::read(status.as_u16(), &body, after);
    if status.is_redirection() || status == StatusCode::SWITCHING_PROTOCOLS {
        problem.detail = format!("the server answers {status}; give the address that it names");
    }
    problem
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_one_line_and_nobody_is_shown_it() {
        let token = Token::new(" gk_abc\n");
        assert_eq!(token.header().unwrap(), "Bearer gk_abc");
        let shown = format!("{token:?} {:?}", token.header().unwrap());
        assert!(!shown.contains("gk_"), "{shown}");
        for text in ["", " ", "a b", "a\r\nx: y", "é"] {
            assert!(matches!(Token::new(text).header(), Err(Error::Token)), "{text:?}");
        }
    }
}
