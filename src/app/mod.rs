//! Builds the parts from the config, looks after them, and ends them in order.

pub mod advice;
pub mod assemble;
mod beside;
pub mod bind;
mod catalogue;
mod certificates;
pub mod error;
pub mod files;
pub mod log;
pub mod master_secret;
mod notify;
pub mod open_ledger;
#[cfg(feature = "otlp")]
mod otlp;
mod reload;
pub mod run;
pub mod signal;
mod sockets;
pub mod sold;
mod standing;
mod supervise;
