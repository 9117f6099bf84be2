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
mod accounts;
mod always_refused;
mod answers;
mod backends;
mod backup;
mod browsers;
mod by_query;
mod changed_config;
mod check;
mod clocks;
mod command_line;
mod crash;
mod delivery_reports;
mod descriptions;
mod exactly_once;
mod instances;
mod kannel;
mod log;
mod mappings;
mod master_secret;
mod message_limits;
mod metrics;
mod node;
mod operator;
mod opt_outs;
mod ordinary_mistakes;
mod paid_without_preimage;
mod passed_on;
mod passes;
mod payer_steps;
mod payment_status;
mod payment_stream;
mod pending_challenge;
mod postgres;
mod price_property;
mod prices;
mod probes;
mod quotes;
mod refused;
mod refused_requests;
mod reload;
mod reload_look_ups;
mod reload_under_load;
mod repeats;
mod restarts;
mod sale;
mod secrets;
mod shadow;
mod shares;
mod sloppy_backends;
mod slow_clients;
mod sms;
mod smuggling;
mod stock;
mod tls;
mod unpaid_limits;
mod upstream_truth;
mod wire;
