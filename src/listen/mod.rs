//! From sockets to requests: accept, TLS, HTTP/1.1 and HTTP/2, time limits, and the end of it all.

pub mod accept;
pub mod acme;
pub mod activity;
pub mod connection;
mod not_tls;
pub mod places;
pub mod redirect;
mod stalled_streams;
pub mod tls;
pub mod write_timeout;
