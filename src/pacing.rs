//! Where requests are counted: in this process, or in Redis if the settings name a server and this
//! build can speak to one.

use std::sync::Arc;

use genie_core::pace::{MemoryPaces, Paces};

use crate::config::Redis;
use crate::host::SystemClock;

/// Where requests are counted.
pub(crate) struct Pacing {
    /// The word for the place.
    pub(crate) place: &'static str,
    pub(crate) paces: Arc<dyn Paces>,
    #[cfg(feature = "redis")]
    shared: Option<Arc<genie_redis::SharedPaces>>,
}

impl Pacing {
    /// Each process counts for itself.
    fn alone() -> Self {
        Self {
            place: "in_process",
            paces: Arc::new(MemoryPaces::by(Arc::new(SystemClock))),
            #[cfg(feature = "redis")]
            shared: None,
        }
    }

    /// Begins to count where the settings say.
    #[cfg(feature = "redis")]
    pub(crate) async fn start(settings: &Redis) -> Result<Self, String> {
        let Some(url) = &settings.url else { return Ok(Self::alone()) };
        let options = genie_redis::Options {
            url: url.secret().clone(),
            prefix: settings.prefix.clone(),
            answer_max: settings.answer_max,
            outages: settings.outages.by_rule(),
            clock: Arc::new(SystemClock),
        };
        let shared = genie_redis::SharedPaces::start(options).await;
        let shared = Arc::new(shared.map_err(|error| error.to_string())?);
        Ok(Self { place: "redis", paces: shared.clone(), shared: Some(shared) })
    }

    /// Says that this build cannot speak to a server if the settings name one.
    #[cfg(not(feature = "redis"))]
    #[expect(clippy::unused_async, reason = "there is nothing to connect to")]
    pub(crate) async fn start(settings: &Redis) -> Result<Self, String> {
        if settings.url.is_none() {
            return Ok(Self::alone());
        }
        Err("this build has no `redis`; build it with the default features".to_owned())
    }

    /// Lets go of the server.
    #[cfg_attr(not(feature = "redis"), expect(clippy::unused_async, reason = "nothing to close"))]
    pub(crate) async fn close(&self) {
        #[cfg(feature = "redis")]
        if let Some(shared) = &self.shared {
            shared.close().await;
        }
    }
}
