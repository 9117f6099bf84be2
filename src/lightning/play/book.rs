//! The play node's invoices. An invoice is paid by an HTLC that names its payment secret and amount, and that reveals the preimage.

use std::collections::{BTreeMap, HashMap};
use std::str::FromStr as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bitcoin::hashes::{Hash as _, sha256};
use bitcoin::secp256k1::{PublicKey, Secp256k1, SecretKey};
use lightning_invoice::{Bolt11Invoice, Currency, InvoiceBuilder, PaymentSecret};

use crate::l402::{PaymentHash, Preimage};
use crate::time::UnixTime;

/// Most invoices that it remembers; the oldest go first.
const CAPACITY: usize = 200_000;

/// Seconds an invoice lives if none are named, as with LND.
const DEFAULT_EXPIRY: u64 = 24 * 3600;

/// Where an invoice stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// It can be paid.
    Open,
    /// It was paid.
    Settled {
        /// When, in Unix seconds.
        at: u64,
        /// How many were paid before it, plus one.
        index: u64,
        /// What was paid, in msat.
        paid_msat: u64,
    },
    /// It ran out.
    Canceled,
}

/// An invoice as the node keeps it.
#[derive(Clone)]
pub struct Entry {
    /// Its description.
    pub memo: String,
    /// What its payer gets.
    pub preimage: Preimage,
    /// What its payer must name.
    pub payment_secret: [u8; 32],
    /// In msat; 0 leaves it to the payer.
    pub amount_msat: u64,
    /// Unix seconds.
    pub created: u64,
    /// Seconds that it can be paid.
    pub expiry: u64,
    /// How many were added before it, plus one.
    pub add_index: u64,
    /// BOLT 11 text.
    pub bolt11: String,
    /// Where it stands.
    pub standing: Standing,
}

/// Why an HTLC fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PayError {
    /// Not BOLT 11 at all.
    #[error("this is not a BOLT 11 invoice")]
    NotAnInvoice,
    /// Of another node: play money doesn't leave this one.
    #[error("no route: this wallet has play money and pays the invoices of its own play node only")]
    NoRoute,
    /// It was paid before.
    #[error("the invoice is already paid")]
    AlreadyPaid,
    /// It ran out.
    #[error("the invoice has expired")]
    Expired,
    /// It names no amount, and neither did the payer.
    #[error("the invoice names no amount")]
    NoAmount,
    /// Wrong payment secret or amount; a node doesn't tell which.
    #[error("incorrect or unknown payment details")]
    IncorrectDetails,
}

/// The invoices of one node.
pub struct Book {
    key: SecretKey,
    entries: Mutex<Entries>,
}

#[derive(Default)]
struct Entries {
    by_hash: HashMap<PaymentHash, Entry>,
    by_index: BTreeMap<u64, PaymentHash>,
    added: u64,
    settled: u64,
}

impl Book {
    /// Empty, of the node with this key.
    pub fn new(key: SecretKey) -> Self {
        Self { key, entries: Mutex::default() }
    }

    /// The node's public key.
    pub fn public_key(&self) -> PublicKey {
        self.key.public_key(&Secp256k1::signing_only())
    }

    /// Makes and stores an invoice. `Err` is what LND would say.
    pub fn add(&self, memo: &str, amount_msat: u64, expiry: u64) -> Result<(PaymentHash, Entry), String> {
        let expiry = if expiry == 0 { DEFAULT_EXPIRY } else { expiry };
        let preimage = Preimage::from_bytes(random()?);
        let payment_secret = random()?;
        let hash = preimage.payment_hash();
        let now = UnixTime::now().seconds();
        let builder = InvoiceBuilder::new(Currency::Regtest)
            .description(memo.to_owned())
            .payment_hash(sha256::Hash::from_byte_array(*hash.as_bytes()))
            .payment_secret(PaymentSecret(payment_secret))
            .duration_since_epoch(Duration::from_secs(now))
            .expiry_time(Duration::from_secs(expiry))
            .min_final_cltv_expiry_delta(80)
            .basic_mpp();
        let builder = if amount_msat > 0 { builder.amount_milli_satoshis(amount_msat) } else { builder };
        let bolt11 = builder
            .build_signed(|digest| Secp256k1::signing_only().sign_ecdsa_recoverable(digest, &self.key))
            .map_err(|error| error.to_string())?
            .to_string();
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.added += 1;
        let entry = Entry {
            memo: memo.to_owned(),
            preimage,
            payment_secret,
            amount_msat,
            created: now,
            expiry,
            add_index: entries.added,
            bolt11,
            standing: Standing::Open,
        };
        entries.by_hash.insert(hash, entry.clone());
        entries.by_index.insert(entry.add_index, hash);
        if entries.by_hash.len() > CAPACITY
            && let Some((_, oldest)) = entries.by_index.pop_first()
        {
            entries.by_hash.remove(&oldest);
        }
        Ok((hash, entry))
    }

    /// An invoice as it stands now.
    pub fn look_up(&self, hash: &PaymentHash) -> Option<Entry> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = entries.by_hash.get_mut(hash)?;
        expire(entry);
        Some(entry.clone())
    }

    /// What a wallet does with an invoice: reads it, and sends an HTLC to the node that it names.
    pub fn pay(&self, bolt11: &str) -> Result<Preimage, PayError> {
        let invoice = Bolt11Invoice::from_str(bolt11.trim()).map_err(|_| PayError::NotAnInvoice)?;
        if invoice.recover_payee_pub_key() != self.public_key() {
            return Err(PayError::NoRoute);
        }
        let amount_msat = invoice.amount_milli_satoshis().ok_or(PayError::NoAmount)?;
        let hash = PaymentHash::from_bytes(invoice.payment_hash().to_byte_array());
        self.receive_htlc(&hash, &invoice.payment_secret().0, amount_msat)
    }

    /// Takes a payment in, and reveals the preimage for it. At least the amount, and at most twice it, as BOLT 4 says.
    fn receive_htlc(&self, hash: &PaymentHash, payment_secret: &[u8; 32], amount_msat: u64) -> Result<Preimage, PayError> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let next = entries.settled + 1;
        let entry = entries.by_hash.get_mut(hash).ok_or(PayError::IncorrectDetails)?;
        expire(entry);
        match entry.standing {
            Standing::Settled { .. } => return Err(PayError::AlreadyPaid),
            Standing::Canceled => return Err(PayError::Expired),
            Standing::Open => {}
        }
        let fits = (entry.amount_msat..=entry.amount_msat.saturating_mul(2)).contains(&amount_msat);
        if entry.payment_secret != *payment_secret || !fits {
            return Err(PayError::IncorrectDetails);
        }
        entry.standing = Standing::Settled { at: UnixTime::now().seconds(), index: next, paid_msat: amount_msat };
        let preimage = entry.preimage;
        entries.settled = next;
        Ok(preimage)
    }
}

fn expire(entry: &mut Entry) {
    if entry.standing == Standing::Open && UnixTime::now().seconds() >= entry.created.saturating_add(entry.expiry) {
        entry.standing = Standing::Canceled;
    }
}

/// 32 bytes from the system's random source.
pub(super) fn random() -> Result<[u8; 32], String> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes).map_err(|error| error.to_string())?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lightning::network::{Network, read_prefix};

    fn book(key: u8) -> Book {
        Book::new(SecretKey::from_slice(&[key; 32]).unwrap())
    }

    #[test]
    fn an_invoice_is_real_bolt_11_and_paying_reveals_its_preimage_once() {
        let book = book(1);
        let (hash, entry) = book.add("PLAY", 100_000, 600).unwrap();
        let read = Bolt11Invoice::from_str(&entry.bolt11).unwrap();
        assert_eq!(read.amount_milli_satoshis(), Some(100_000));
        assert_eq!(read.expiry_time(), Duration::from_secs(600));
        let features = read.features().unwrap();
        assert!(features.requires_variable_length_onion() && features.requires_payment_secret() && features.supports_basic_mpp());
        assert_eq!(read_prefix(&entry.bolt11), Some((Network::Regtest, 100_000)));
        let preimage = book.pay(&entry.bolt11).unwrap();
        assert_eq!(preimage.payment_hash(), hash);
        assert!(matches!(book.look_up(&hash).unwrap().standing, Standing::Settled { index: 1, paid_msat: 100_000, .. }));
        assert_eq!(book.pay(&entry.bolt11).err(), Some(PayError::AlreadyPaid));
    }

    #[test]
    fn a_stranger_s_or_an_expired_invoice_and_wrong_details_are_not_paid() {
        let (ours, theirs) = (book(1), book(2));
        let (_, foreign) = theirs.add("", 1000, 600).unwrap();
        assert_eq!(ours.pay(&foreign.bolt11).err(), Some(PayError::NoRoute));
        assert_eq!(ours.pay("lnbc1nonsense").err(), Some(PayError::NotAnInvoice));
        let (hash, entry) = ours.add("", 1000, 600).unwrap();
        assert_eq!(ours.receive_htlc(&hash, &[0; 32], 1000).err(), Some(PayError::IncorrectDetails));
        assert_eq!(ours.receive_htlc(&hash, &entry.payment_secret, 999).err(), Some(PayError::IncorrectDetails));
        assert_eq!(ours.receive_htlc(&hash, &entry.payment_secret, 2001).err(), Some(PayError::IncorrectDetails));
        ours.entries.lock().unwrap().by_hash.get_mut(&hash).unwrap().created -= 600;
        assert_eq!(ours.pay(&entry.bolt11).err(), Some(PayError::Expired));
        assert_eq!(ours.look_up(&hash).unwrap().standing, Standing::Canceled);
    }
}
