//! The L402 protocol alone: what a ticket says, how it is written, minted and verified. Pure: no
//! I/O, and the time comes in.

pub mod authorization;
pub mod caveat;
pub mod challenge;
pub mod credential;
pub mod identifier;
pub mod macaroon;
pub mod mint;
pub mod verify;

#[cfg(test)]
mod properties;
