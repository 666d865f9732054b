//! What the installation has to say beside its answers: lines on standard error.

use std::fmt;

use genie_core::clock::Clock;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

use crate::config::{Config, LogFormat};
use crate::host::SystemClock;

/// The time of day, as everywhere else.
struct Now;

impl FormatTime for Now {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        write!(writer, "{}", SystemClock.now())
    }
}

/// Begins to log what the settings say; if they say nothing, what a server's operator wants to see,
/// or errors only.
pub(super) fn start(config: &Config, serves: bool) {
    let usual = if serves { "info" } else { "error" };
    let directives = if config.log.is_empty() { usual } else { &config.log };
    let filter = EnvFilter::builder().parse_lossy(directives);
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // Whoever embeds the command line may show it their own way.
    let _ = match config.log_format {
        LogFormat::Json => lines.with_timer(Now).json().flatten_event(true).try_init(),
        LogFormat::Text if serves => lines.with_timer(Now).with_ansi(false).try_init(),
        LogFormat::Text => lines.without_time().with_ansi(false).try_init(),
    };
}
