//! What the node says was paid.

pub mod check;
pub mod stream;
