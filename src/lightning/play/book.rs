//! The play node's invoices. An invoice is paid by an HTLC that names its payment secret and
//! amount, and that reveals the preimage. A hold invoice only locks the HTLC in, until whoever made
//! the invoice reveals the preimage or gives the money back.

use std::collections::{BTreeMap, HashMap};
use std::str::FromStr as _;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bitcoin::hashes::{Hash as _, sha256};
use bitcoin::secp256k1::{PublicKey, Secp256k1, SecretKey};
use lightning_invoice::{Bolt11Invoice, Currency, InvoiceBuilder, PaymentSecret};
use tokio::sync::watch;

pub(super) use super::stored_invoice::{StoredInvoice, StoredState};
use crate::payment_hash::{PaymentHash, Preimage};
use crate::time::UnixTime;

/// Most invoices that it remembers; the oldest go first.
const INVOICES_MAX: usize = 200_000;

/// Seconds an invoice lives if none are named, as with LND.
const DEFAULT_EXPIRY: u64 = 24 * 3600;

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
    /// Wrong payment secret or amount, or given back; a node doesn't tell which.
    #[error("incorrect or unknown payment details")]
    IncorrectDetails,
}

/// Why a hold invoice can't be settled or cancelled, in LND's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HoldError {
    /// There is no such invoice.
    #[error("unable to locate invoice")]
    Unknown,
    /// Nobody has paid it.
    #[error("invoice still open")]
    StillOpen,
    /// It ran out, or was cancelled.
    #[error("invoice already canceled")]
    AlreadyCanceled,
    /// It was paid.
    #[error("invoice already settled")]
    AlreadySettled,
}

/// The invoices of one node.
pub struct Book {
    key: SecretKey,
    entries: Mutex<Entries>,
    /// Counts the changes, for a stream that waits for one.
    changes: watch::Sender<u64>,
}

#[derive(Default)]
struct Entries {
    by_hash: HashMap<PaymentHash, StoredInvoice>,
    by_index: BTreeMap<u64, PaymentHash>,
    by_settle_index: BTreeMap<u64, PaymentHash>,
    added: u64,
    settled: u64,
}

/// What a stream of invoices has shown: the next one comes strictly after both.
#[derive(Clone, Copy)]
pub struct Cursor {
    added: u64,
    settled: u64,
}

impl Book {
    /// Empty, of the node with this key.
    pub fn new(key: SecretKey) -> Self {
        Self { key, entries: Mutex::default(), changes: watch::Sender::new(0) }
    }

    /// The node's public key.
    pub fn public_key(&self) -> PublicKey {
        self.key.public_key(&Secp256k1::signing_only())
    }

    /// Changes with every invoice that is added or whose state changes.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Makes and stores an invoice. `Err` is what LND would say.
    pub fn add(
        &self,
        memo: &str,
        amount_msat: u64,
        expiry: u64,
    ) -> Result<(PaymentHash, StoredInvoice), String> {
        let preimage = Preimage::from_bytes(random()?);
        let hash = preimage.payment_hash();
        self.store(hash, Some(preimage), memo, amount_msat, expiry).map(|entry| (hash, entry))
    }

    /// The same for a hash whose preimage somebody else has.
    pub fn add_hold(
        &self,
        hash: PaymentHash,
        memo: &str,
        amount_msat: u64,
        expiry: u64,
    ) -> Result<StoredInvoice, String> {
        self.store(hash, None, memo, amount_msat, expiry)
    }

    fn store(
        &self,
        hash: PaymentHash,
        preimage: Option<Preimage>,
        memo: &str,
        amount_msat: u64,
        expiry: u64,
    ) -> Result<StoredInvoice, String> {
        let expiry = if expiry == 0 { DEFAULT_EXPIRY } else { expiry };
        let payment_secret = random()?;
        let now = UnixTime::now().seconds();
        let bolt11 = self.write(&hash, memo, amount_msat, expiry, payment_secret, now)?;
        let mut entries = self.entries();
        if entries.by_hash.contains_key(&hash) {
            return Err("invoice with payment hash already exists".to_owned());
        }
        entries.added += 1;
        let add_index = entries.added;
        let state = StoredState::Open;
        let entry = StoredInvoice {
            memo: memo.to_owned(),
            preimage,
            payment_secret,
            amount_msat,
            created: now,
            expiry,
            add_index,
            bolt11,
            state,
        };
        entries.by_hash.insert(hash, entry.clone());
        entries.by_index.insert(entry.add_index, hash);
        if entries.by_hash.len() > INVOICES_MAX
            && let Some((_, oldest)) = entries.by_index.pop_first()
            && let Some(StoredInvoice { state: StoredState::Settled { index, .. }, .. }) =
                entries.by_hash.remove(&oldest)
        {
            entries.by_settle_index.remove(&index);
        }
        drop(entries);
        self.tell();
        Ok(entry)
    }

    fn write(
        &self,
        hash: &PaymentHash,
        memo: &str,
        amount_msat: u64,
        expiry: u64,
        payment_secret: [u8; 32],
        now: u64,
    ) -> Result<String, String> {
        let builder = InvoiceBuilder::new(Currency::Regtest)
            .description(memo.to_owned())
            .payment_hash(sha256::Hash::from_byte_array(*hash.as_bytes()))
            .payment_secret(PaymentSecret(payment_secret))
            .duration_since_epoch(Duration::from_secs(now))
            .expiry_time(Duration::from_secs(expiry))
            .min_final_cltv_expiry_delta(80)
            .basic_mpp();
        let builder =
            if amount_msat > 0 { builder.amount_milli_satoshis(amount_msat) } else { builder };
        let signed = builder.build_signed(|digest| {
            Secp256k1::signing_only().sign_ecdsa_recoverable(digest, &self.key)
        });
        signed.map(|invoice| invoice.to_string()).map_err(|error| error.to_string())
    }

    /// An invoice as it stands now.
    pub fn look_up(&self, hash: &PaymentHash) -> Option<StoredInvoice> {
        let mut entries = self.entries();
        let entry = entries.by_hash.get_mut(hash)?;
        entry.expire();
        Some(entry.clone())
    }

    /// Where a stream starts: after these indices, or, for 0, after what is there.
    pub fn cursor(&self, add_index: u64, settle_index: u64) -> Cursor {
        let entries = self.entries();
        let from = |asked: u64, newest: u64| if asked == 0 { newest } else { asked };
        Cursor {
            added: from(add_index, entries.added),
            settled: from(settle_index, entries.settled),
        }
    }

    /// The next of a stream: an invoice that was added, as it was then, or one that was settled.
    pub fn next(&self, cursor: &mut Cursor) -> Option<(PaymentHash, StoredInvoice)> {
        let entries = self.entries();
        if let Some((index, hash)) = entries.by_index.range(cursor.added + 1..).next() {
            cursor.added = *index;
            return entries
                .by_hash
                .get(hash)
                .map(|entry| (*hash, StoredInvoice { state: StoredState::Open, ..entry.clone() }));
        }
        let (index, hash) =
            entries.by_settle_index.range(cursor.settled.saturating_add(1)..).next()?;
        cursor.settled = *index;
        entries.by_hash.get(hash).map(|entry| (*hash, entry.clone()))
    }

    /// What a wallet does with an invoice: reads it, and sends an HTLC to the node that it names.
    /// Waits while a hold invoice holds it.
    pub async fn pay(&self, bolt11: &str, amount_msat: Option<u64>) -> Result<Preimage, PayError> {
        let invoice = Bolt11Invoice::from_str(bolt11.trim()).map_err(|_| PayError::NotAnInvoice)?;
        if invoice.recover_payee_pub_key() != self.public_key() {
            return Err(PayError::NoRoute);
        }
        let amount_msat =
            amount_msat.or(invoice.amount_milli_satoshis()).ok_or(PayError::NoAmount)?;
        let hash = PaymentHash::from_bytes(invoice.payment_hash().to_byte_array());
        let mut changes = self.changes();
        if let Some(preimage) =
            self.receive_htlc(&hash, &invoice.payment_secret().0, amount_msat)?
        {
            return Ok(preimage);
        }
        loop {
            match self.look_up(&hash) {
                Some(StoredInvoice {
                    state: StoredState::Settled { .. },
                    preimage: Some(preimage),
                    ..
                }) => return Ok(preimage),
                Some(StoredInvoice { state: StoredState::Accepted { .. }, .. }) => {}
                _ => return Err(PayError::IncorrectDetails),
            }
            changes.changed().await.map_err(|_| PayError::IncorrectDetails)?;
        }
    }

    /// Takes a payment in, and reveals the preimage for it; `None` if it is held. At least the
    /// amount, and at most twice it, as BOLT 4 says.
    fn receive_htlc(
        &self,
        hash: &PaymentHash,
        payment_secret: &[u8; 32],
        amount_msat: u64,
    ) -> Result<Option<Preimage>, PayError> {
        let mut entries = self.entries();
        let entry = entries.by_hash.get_mut(hash).ok_or(PayError::IncorrectDetails)?;
        entry.expire();
        match entry.state {
            StoredState::Settled { .. } | StoredState::Accepted { .. } => {
                return Err(PayError::AlreadyPaid);
            }
            StoredState::Canceled => return Err(PayError::Expired),
            StoredState::Open => {}
        }
        let fits = (entry.amount_msat..=entry.amount_msat.saturating_mul(2)).contains(&amount_msat);
        if entry.payment_secret != *payment_secret || !(fits || entry.amount_msat == 0) {
            return Err(PayError::IncorrectDetails);
        }
        let preimage = entry.preimage;
        match preimage {
            Some(_) => entries.settle(hash, amount_msat),
            None => entry.state = StoredState::Accepted { paid_msat: amount_msat },
        }
        drop(entries);
        self.tell();
        Ok(preimage)
    }

    /// Takes the money of a hold invoice. Saying it again is fine.
    pub fn settle_hold(&self, preimage: Preimage) -> Result<(), HoldError> {
        let hash = preimage.payment_hash();
        let mut entries = self.entries();
        let entry = entries.by_hash.get_mut(&hash).ok_or(HoldError::Unknown)?;
        entry.expire();
        match entry.state {
            StoredState::Open => return Err(HoldError::StillOpen),
            StoredState::Canceled => return Err(HoldError::AlreadyCanceled),
            StoredState::Settled { .. } => return Ok(()),
            StoredState::Accepted { paid_msat } => {
                entry.preimage = Some(preimage);
                entries.settle(&hash, paid_msat);
            }
        }
        drop(entries);
        self.tell();
        Ok(())
    }

    /// Gives the money of a hold invoice back, or takes back any invoice that isn't paid. Saying it
    /// again is fine.
    pub fn cancel(&self, hash: &PaymentHash) -> Result<(), HoldError> {
        let mut entries = self.entries();
        let entry = entries.by_hash.get_mut(hash).ok_or(HoldError::Unknown)?;
        if let StoredState::Settled { .. } = entry.state {
            return Err(HoldError::AlreadySettled);
        }
        entry.state = StoredState::Canceled;
        drop(entries);
        self.tell();
        Ok(())
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self) {
        self.changes.send_modify(|count| *count = count.wrapping_add(1));
    }
}

impl Entries {
    fn settle(&mut self, hash: &PaymentHash, paid_msat: u64) {
        self.settled += 1;
        let index = self.settled;
        self.by_settle_index.insert(index, *hash);
        if let Some(entry) = self.by_hash.get_mut(hash) {
            entry.state = StoredState::Settled { at: UnixTime::now().seconds(), index, paid_msat };
        }
    }
}

/// 32 bytes from the system's random source.
pub(super) fn random() -> Result<[u8; 32], String> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes).map_err(|error| error.to_string())?;
    Ok(bytes)
}

#[cfg(test)]
#[path = "book_tests.rs"]
mod tests;
