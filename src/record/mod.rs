//! What happened, without secrets.

pub mod access_log;
pub mod lines;
pub mod log_filter;
pub mod metrics;
pub mod request_log;
