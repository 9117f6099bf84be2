//! Makes the macaroon of a new challenge.

use super::identifier::{Identifier, TokenId};
use super::verify::Kind;
use super::{caveat, macaroon};
use crate::keys::{KeyIndex, KeyRing};
use crate::payment_hash::PaymentHash;

/// What a new ticket says.
pub struct Ticket<'a> {
    /// Name of the service that it pays for.
    pub service: &'a str,
    /// The payment that it is bought with.
    pub payment_hash: PaymentHash,
    /// Whose token it is.
    pub token_id: TokenId,
    /// Unix seconds after which it is worth nothing, if it was never handed in.
    pub valid_until: u64,
    /// What it costs, in msat.
    pub price_msat: u64,
    /// How many segments of a text message it costs that much for.
    pub segments: Option<u32>,
    /// What it buys.
    pub kind: Kind,
}

/// A genuine macaroon of ours as it can be paid for: without a preimage that its holder has put
/// into a caveat, and that isn't the right one. `None` if it isn't one of ours.
pub fn payable(ring: &KeyRing, key: KeyIndex, macaroon: &[u8]) -> Option<Vec<u8>> {
    let read = macaroon::read(macaroon)?;
    let is_preimage = |caveat: &[u8]| caveat.starts_with(b"preimage=");
    if !read.unverified.caveats.iter().any(|caveat| is_preimage(caveat)) {
        return Some(macaroon.to_vec());
    }
    let root_key = ring.get(key)?.root_key(&read.identifier.to_bytes());
    Some(read.unverified.without(&root_key, is_preimage))
}

/// The macaroon in binary.
pub fn ticket(ring: &KeyRing, ticket: &Ticket<'_>) -> Vec<u8> {
    let identifier = Identifier { payment_hash: ticket.payment_hash, token_id: ticket.token_id };
    let root_key = ring.minting().root_key(&identifier.to_bytes());
    let (service, valid_until, price_msat) =
        (ticket.service, ticket.valid_until, ticket.price_msat);
    let caveats = match &ticket.kind {
        Kind::SingleUse { request } => {
            caveat::single_use(service, valid_until, price_msat, ticket.segments, request)
        }
        Kind::Pass { uses } => caveat::pass(service, valid_until, price_msat, *uses),
    };
    macaroon::create(&root_key, None, &identifier.to_bytes(), &caveats)
}
