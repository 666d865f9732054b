//! Whether spans and figures are sent, and by what, if this build can send any.

use std::sync::Arc;

use genie_core::figures::Figure;
use genie_core::tap::Tap;

use crate::config::Telemetry;

/// Gives figures as they are now.
pub(crate) type Source = Arc<dyn Fn() -> Vec<Figure> + Send + Sync>;

/// Spans and figures on their way to a collector, if there is one.
#[derive(Default)]
pub(crate) struct Spans {
    #[cfg(feature = "otlp")]
    handle: Option<genie_telemetry::Handle>,
}

impl Spans {
    /// Begins to send spans if the settings name a collector.
    #[cfg(feature = "otlp")]
    pub(crate) fn start(settings: &Telemetry, tap: Tap) -> Result<Self, String> {
        if settings.otlp_endpoint.is_empty() {
            return Ok(Self::default());
        }
        let options = genie_telemetry::Options {
            endpoint: settings.otlp_endpoint.clone(),
            service: settings.service_name.clone(),
            metrics_every: settings.metrics_every,
            clock: Arc::new(crate::host::SystemClock),
        };
        let handle = genie_telemetry::start(&options, tap).map_err(|error| error.to_string())?;
        Ok(Self { handle: Some(handle) })
    }

    /// Says that this build cannot send any if the settings name a collector.
    #[cfg(not(feature = "otlp"))]
    pub(crate) fn start(settings: &Telemetry, _tap: Tap) -> Result<Self, String> {
        if settings.otlp_endpoint.is_empty() {
            return Ok(Self::default());
        }
        Err("this build has no `otlp`; build it with the default features".to_owned())
    }

    /// Sends these figures, too.
    #[cfg_attr(not(feature = "otlp"), expect(clippy::unused_self, reason = "nothing to send"))]
    pub(crate) fn push(&mut self, source: Source) {
        #[cfg(feature = "otlp")]
        if let Some(handle) = &mut self.handle {
            handle.push(source);
        }
        #[cfg(not(feature = "otlp"))]
        drop(source);
    }

    /// Sends what is left.
    #[cfg_attr(not(feature = "otlp"), expect(clippy::unused_async, reason = "nothing to send"))]
    pub(crate) async fn close(self) {
        #[cfg(feature = "otlp")]
        if let Some(handle) = self.handle {
            handle.close().await;
        }
    }
}
