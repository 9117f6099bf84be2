//! Lines on standard error.

use tracing::Level;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::record::access_log::LogFormat;

/// Lines on standard error. No bridge from the `log` crate: some libraries would write secrets
/// through it.
pub fn init_log(format: LogFormat) {
    // Ours only: some libraries log what a stranger makes them.
    let ours = Targets::new().with_target("farebox", Level::INFO);
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let log = tracing_subscriber::registry().with(ours);
    match format {
        LogFormat::Human => log.with(layer).init(),
        LogFormat::Json => log.with(layer.json().flatten_event(true)).init(),
    }
}
