//! Exactly once: who may send, what became of it, and what is given back.

pub mod accounts;
pub mod journal;
pub mod postgres;
pub mod revoked;
pub mod sqlite;
pub mod state;
pub mod store;
pub mod stored_answer;
