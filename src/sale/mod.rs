//! From "no ticket" to a 402: what can't be delivered isn't sold.

pub mod curl;
pub mod offer;
pub mod sell;
pub mod stock;
pub mod unpaid_limit;
