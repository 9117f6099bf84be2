//! From a verified ticket to one outcome: claim durably, forward once, settle.

pub mod exchange;
pub mod in_flight;
pub mod look_up;
pub mod pass;
pub mod recent;
pub mod run;
pub mod sealed_order;
pub mod stored_answer;
pub mod ticket;
