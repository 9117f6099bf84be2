//! Farebox: a reverse proxy that sells single HTTP requests over Lightning (L402), exactly once
//! each.
//!
//! ARCHITECTURE.md has the words, the promises, the way of a request and the rooms. Arrows between
//! the rooms point down only, and no files import each other in a circle: `tests/tidy` checks it.

/// Every response that Farebox authors.
pub mod answer;
/// Builds the parts, looks after them, and ends them.
pub mod app;
/// A bounded cache.
pub mod cache;
/// The subcommands.
pub mod cli;
/// Who asks.
pub mod client;
/// The stable word for what a request came to.
pub mod code;
/// What the operator wrote, made safe.
pub mod config;
/// Where tests have the process die.
mod crash_point;
/// Which life of a ledger a ticket was minted in.
pub mod era;
/// A file that may change while it is used.
pub mod file_watch;
/// Who spoke through a proxy, by the proxy's own word.
pub mod forwarded;
/// The way of a request.
pub mod gate;
/// HMAC-SHA256.
pub mod hmac;
/// From the master secret to every key.
pub mod keys;
/// The protocol alone: tickets, how they are written, minted and verified.
pub mod l402;
/// Exactly once: the durable record of tickets that were handed in, and its state machine.
pub mod ledger;
/// Where invoices come from: LND, and the play node.
pub mod lightning;
/// What an operator lists in a file of its own.
pub mod listed;
/// From sockets to requests.
pub mod listen;
/// The first digits of telephone numbers.
pub mod number_hash;
pub mod number_prefix;
/// The operator's listener.
pub mod ops;
/// What a client asks to buy.
pub mod order;
/// How an upstream took a request.
pub mod outcome;
/// Whose a new file is.
pub mod owner;
/// What people, programs and directories read.
pub mod pages;
/// What the node says was paid.
pub mod payment;
/// A payment's hash and its preimage.
pub mod payment_hash;
/// The place that a request was sent to.
pub mod place;
/// What it costs.
pub mod price;
/// What a bitcoin costs in another currency.
pub mod rate;
/// How often a client may ask.
pub mod rate_limit;
/// What happened, without secrets.
pub mod record;
/// From a verified ticket to one outcome.
pub mod redeem;
pub mod reports;
/// What binds a ticket to a request.
pub mod request_digest;
/// From "no ticket" to a 402.
pub mod sale;
/// What only the operator may read.
pub mod seal;
/// Whether a client has ended its side of a connection.
pub mod send_end;
/// What is for sale.
pub mod service;
/// Places that all share, and the part of one.
pub mod shares;
/// Text messages as the network counts them.
pub mod sms;
/// Our own path that says how a ticket stands.
pub mod status;
/// What a client hands in.
pub mod ticket;
/// Wall-clock time.
pub mod time;
/// How servers that we speak to are verified.
pub mod tls;
pub mod trace;
/// The operator's backend.
pub mod upstream;
