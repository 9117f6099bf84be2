//! Decides whether a credential is a ticket of ours for a service, and paid. Not whether it was
//! used before or bought for this very request: that is the ledger's and the gate's part.

use std::sync::Arc;

use subtle::ConstantTimeEq as _;

use super::credential::{Credential, Proof};
use super::identifier::{Identifier, TokenId};
use super::{caveat, macaroon};
use crate::era::Era;
use crate::keys::{KeyIndex, KeyRing};
use crate::payment_hash::PaymentHash;
use crate::payment_hash::Preimage;
use crate::request_digest::RequestDigest;
use crate::time::UnixTime;

/// What a ticket buys; its own caveats decide.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// One request.
    SingleUse {
        /// Digest of the request that it was bought for.
        request: RequestDigest,
    },
    /// Any of the service's requests.
    Pass {
        /// How many; `None` for as many as fit into its time.
        uses: Option<u32>,
    },
}

/// What a ticket of a service may be named after.
#[derive(Clone, Copy, Debug)]
pub struct Names<'a> {
    /// The service's name.
    pub now: &'a str,
    /// Names that it had before.
    pub formerly: &'a [Arc<str>],
}

impl<'a> Names<'a> {
    /// All of them, the one of today first.
    pub fn all(&self) -> impl Iterator<Item = &'a str> {
        std::iter::once(self.now).chain(self.formerly.iter().map(|name| &**name))
    }
}

/// Which of a service's names it is: 0 for the one of today.
pub type NameIndex = usize;

/// A genuine ticket for the service, not necessarily paid.
#[derive(Clone, Copy)]
pub struct Genuine {
    /// The payment that it is, or is to be, bought with.
    pub payment_hash: PaymentHash,
    /// Which key of the ring signed it.
    pub key: KeyIndex,
    /// `valid_until` as we minted it, in Unix seconds.
    pub minted_valid_until: u64,
    /// The narrowest `valid_until` of its holder, in Unix seconds.
    pub valid_until: u64,
    /// When it was minted.
    pub minted: UnixTime,
    /// The ledger's life that it was minted in.
    pub era: Era,
    /// What it cost, in msat.
    pub price_msat: u64,
    /// How many segments of a text message it was bought for.
    pub segments: Option<u32>,
    /// The name of its service when it was minted.
    pub name: NameIndex,
    /// What it buys.
    pub kind: Kind,
}

/// A genuine ticket whose preimage was shown.
#[derive(Clone, Copy)]
pub struct Paid(Genuine);

impl Paid {
    /// What it says.
    pub fn ticket(&self) -> &Genuine {
        &self.0
    }
}

/// Why a credential is no paid ticket for this service.
#[derive(Clone)]
pub enum Refusal {
    /// Not a macaroon that we could have minted.
    Unreadable,
    /// The signature is not ours: made up, altered, of another network or of a secret that is gone.
    Forged,
    /// Genuine, but bought for something else.
    OtherService,
    /// Genuine, but a caveat can't be read, widens an earlier one, or one that the service demands
    /// is missing.
    Caveats,
    /// A genuine pass, and the service sells single requests.
    PassNotTaken,
    /// Genuine, and no preimage was shown.
    NotPaid(Box<Genuine>),
    /// Genuine, and the preimage is not that of its payment.
    WrongPreimage(Box<Genuine>),
    /// Genuine, and what stands in the preimage's place can't be read.
    UnreadablePreimage(Box<Genuine>),
}

/// Checks signature, caveats and preimage, in that order. Only where the service sells passes is a
/// ticket that names no request one.
pub fn ticket(
    ring: &KeyRing,
    names: Names<'_>,
    sells_passes: bool,
    credential: &Credential,
) -> Result<Paid, Refusal> {
    let read = macaroon::read(&credential.macaroon).ok_or(Refusal::Unreadable)?;
    let identifier = read.identifier.to_bytes();
    let key = ring.find(|keys| read.unverified.is_signed_by(&keys.root_key(&identifier)));
    let key = key.ok_or(Refusal::Forged)?;
    let (name, terms) = terms(names, &read.unverified.caveats)?;
    let (Some(minted_valid_until), Some(valid_until), Some(price_msat)) =
        (terms.minted_valid_until, terms.valid_until, terms.price_msat)
    else {
        return Err(Refusal::Caveats);
    };
    let kind = match terms.request {
        Some(request) => Kind::SingleUse { request },
        None if sells_passes => Kind::Pass { uses: terms.uses },
        None => return Err(Refusal::PassNotTaken),
    };
    let Identifier { payment_hash, token_id: TokenId { minted, era, .. } } = read.identifier;
    let genuine = Genuine {
        payment_hash,
        key,
        minted_valid_until,
        valid_until,
        minted,
        era,
        price_msat,
        segments: terms.segments,
        name,
        kind,
    };
    let preimage = shown(credential.proof, terms.preimage, genuine)?;
    if bool::from(preimage.payment_hash().as_bytes().ct_eq(payment_hash.as_bytes())) {
        Ok(Paid(genuine))
    } else {
        Err(Refusal::WrongPreimage(Box::new(genuine)))
    }
}

/// The service that a credential says it is for, by the name that it was minted with; not verified.
/// Saves a signature for each of the others.
pub fn named_service(credential: &Credential) -> Option<String> {
    let read = macaroon::read(&credential.macaroon)?;
    let minted = |caveat: &Vec<u8>| Some(caveat.strip_prefix(b"services=")?.to_vec());
    let name = read.unverified.caveats.iter().find_map(minted)?;
    let name = name.split(|byte| *byte == b':').next()?;
    String::from_utf8(name.to_vec()).ok()
}

/// What the caveats say of the service, by the name that they know it by.
fn terms(names: Names<'_>, caveats: &[Vec<u8>]) -> Result<(NameIndex, caveat::Terms), Refusal> {
    for (index, name) in names.all().enumerate() {
        let terms = caveat::read(name, caveats).map_err(|_| Refusal::Caveats)?;
        if terms.for_service {
            return Ok((index, terms));
        }
    }
    Err(Refusal::OtherService)
}

/// The preimage beside the macaroon or in its caveat; both must agree.
fn shown(proof: Proof, in_caveat: Option<Preimage>, genuine: Genuine) -> Result<Preimage, Refusal> {
    match (proof, in_caveat) {
        (Proof::Unreadable, _) => Err(Refusal::UnreadablePreimage(Box::new(genuine))),
        (Proof::None, None) => Err(Refusal::NotPaid(Box::new(genuine))),
        (Proof::Preimage(beside), None) => Ok(beside),
        (Proof::None, Some(inside)) => Ok(inside),
        (Proof::Preimage(beside), Some(inside)) if beside == inside => Ok(beside),
        (Proof::Preimage(_), Some(_)) => Err(Refusal::WrongPreimage(Box::new(genuine))),
    }
}
