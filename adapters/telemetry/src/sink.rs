//! The collector: one attempt at a time to hand it something.

use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::redirect::Policy;

use crate::export::Error;

/// How long the collector may take to answer; the specification's default.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Longest wait that a collector may ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(30);

/// A collector that takes OTLP over HTTP.
#[derive(Debug, Clone)]
pub(crate) struct Sink {
    client: reqwest::Client,
    base: String,
}

/// What became of one attempt.
pub(crate) enum Attempt {
    Taken,
    /// It may be taken later, after this long if the collector says so.
    Later(Option<Duration>),
    Refused(String),
}

impl Sink {
    /// The collector at this base URL.
    pub(crate) fn at(endpoint: &str) -> Result<Self, Error> {
        let unusable = |reason: String| Error::Endpoint { endpoint: endpoint.to_owned(), reason };
        let base = reqwest::Url::parse(endpoint).map_err(|error| unusable(error.to_string()))?;
        if !matches!(base.scheme(), "http" | "https") || base.host().is_none() {
            return Err(unusable("it has no `http` or `https` host".to_owned()));
        }
        if !base.username().is_empty() || base.password().is_some() {
            return Err(unusable("a secret does not belong into a URL".to_owned()));
        }
        let client = reqwest::Client::builder().timeout(TIMEOUT).redirect(Policy::none());
        let base = base.as_str().trim_end_matches('/').to_owned();
        Ok(Self { client: client.build()?, base })
    }

    /// Sends this, in JSON, to a path such as `/v1/traces`.
    pub(crate) async fn attempt(&self, path: &str, body: String) -> Attempt {
        let request = self.client.post(format!("{}{path}", self.base));
        let request = request.header(CONTENT_TYPE, "application/json").body(body);
        let Ok(response) = request.send().await else { return Attempt::Later(None) };
        match response.status() {
            status if status.is_success() => Attempt::Taken,
            // Those that the specification calls retryable.
            StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => {
                let asked = response.headers().get(RETRY_AFTER);
                let seconds = asked.and_then(|asked| asked.to_str().ok()?.parse().ok());
                let asked =
                    seconds.map(|seconds| Duration::from_secs(seconds).min(RETRY_AFTER_MAX));
                Attempt::Later(asked)
            }
            status => Attempt::Refused(format!("the collector says {}", status.as_u16())),
        }
    }
}
