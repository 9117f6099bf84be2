//! The L402 protocol alone: what a ticket says, how it is written, minted and verified. Pure: no
//! I/O, and the time comes in.

pub mod caveat;
pub mod challenge;
pub mod credential;
pub mod identifier;
pub mod macaroon;
pub mod mint;
pub mod root_key;
pub mod verify;

#[cfg(test)]
mod properties;

pub use credential::Preimage;
pub use identifier::PaymentHash;
pub use root_key::KeyRing;
