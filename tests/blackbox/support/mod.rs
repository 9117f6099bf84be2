//! What the tests share. A test waits for a condition, never for a time; binds port 0; leaves
//! nothing behind.

mod answer;
pub mod config;
pub mod fake_clock;
pub mod http;
pub mod kannel;
pub mod ledger_file;
pub mod payer;
mod play;
pub mod pooler;
pub mod ports;
pub mod postgres;
pub mod presets;
pub mod process;
pub mod signal;
pub mod tls_bridge;
pub mod upstream;
pub mod wait;
pub mod world;

pub use http::Response;
pub use payer::{Challenge, Payer, Ticket};
pub use signal::send_signal;
pub use upstream::Behaviour;
pub use wait::{install_if_missing, wait_for, wait_until};
pub use world::{SMS, World};
