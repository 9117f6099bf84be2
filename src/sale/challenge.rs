//! A challenge: as it is made, as it is offered, as the 402's body says it.

use serde::Serialize;

use crate::answer::why_to_pay::WhichInvoice;
use crate::l402::verify::Kind;
use crate::lightning::Invoice;
use crate::payment_hash::PaymentHash;
use crate::price::Msat;
use crate::request_digest::RequestDigest;
use crate::time::UnixTime;

/// What is bought by a new challenge.
pub(super) struct Bought {
    /// What it is bound to, if it is for one request.
    pub(super) bound: RequestDigest,
    /// What it costs.
    pub(super) price: Msat,
    /// For how many segments of a text message.
    pub(super) segments: Option<u32>,
}

/// A new challenge.
pub(super) struct NewChallenge {
    pub(super) invoice: Invoice,
    pub(super) macaroon: Vec<u8>,
    /// When the invoice runs out.
    pub(super) expires: UnixTime,
    pub(super) kind: Kind,
    /// What it costs.
    pub(super) price: Msat,
    /// Until when the ticket is worth something, in Unix seconds.
    pub(super) valid_until: u64,
}

/// What a 402 offers.
pub(super) struct Offered<'a> {
    /// The macaroon, in binary.
    pub(super) macaroon: &'a [u8],
    /// BOLT 11 text.
    pub(super) invoice: &'a str,
    /// Payment hash of the invoice.
    pub(super) hash: PaymentHash,
    /// Whose invoice it is.
    pub(super) which: WhichInvoice,
    /// Until when the invoice can be paid.
    pub(super) expires: UnixTime,
    /// What the ticket costs.
    pub(super) price: Msat,
    /// What its payment buys.
    pub(super) kind: Kind,
    /// Until when the ticket is worth something, in Unix seconds.
    pub(super) valid_until: u64,
    /// Other words than those that belong to the code.
    pub(super) detail: Option<&'static str>,
}

/// What a 402 offers, as its body says it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ChallengeBody<'a> {
    pub(super) macaroon: &'a str,
    pub(super) invoice: &'a str,
    pub(super) payment_hash: String,
    pub(super) price_sats: u64,
    pub(super) price_msat: u64,
    pub(super) expires_at: u64,
    pub(super) service: &'a str,
    pub(super) next: String,
    pub(super) retry_policy: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) status_url: Option<String>,
    pub(super) quote_url: String,
    pub(super) docs: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pass_until: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pass_uses: Option<u32>,
}
