//! Black-box tests: the real binary, the play node over TLS, and a scripted upstream that counts.
//! By promise, a module each.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    missing_docs,
    unreachable_pub
)]

mod support;

// Early in the alphabet, because it takes minutes.
mod abandoned_answers;
mod answers;
mod backup;
mod changed_config;
mod clocks;
mod crash;
mod exactly_once;
mod kannel;
mod money;
mod node;
mod operator;
mod paid_without_preimage;
mod passes;
mod payer_steps;
mod payments;
mod postgres;
mod secrets;
mod slow_clients;
mod smuggling;
mod tls;
mod upstream_truth;
mod wire;
