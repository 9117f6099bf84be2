//! Exactly once: who may send, what became of it, and what is given back.

pub mod accounts;
pub mod kept;
pub mod ledger;
pub mod postgres;
pub mod sqlite;
pub mod state;
