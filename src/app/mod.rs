//! Builds the parts from the config, looks after them, and ends them in order.

pub mod advice;
pub mod assemble;
pub mod bind;
pub mod error;
pub mod files;
pub mod log;
pub mod master_secret;
pub mod open_ledger;
pub mod run;
pub mod signal;
pub mod sold;
mod supervise;
