//! What happened, without secrets.

pub mod access_log;
pub mod metrics;
