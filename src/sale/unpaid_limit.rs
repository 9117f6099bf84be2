//! How much may be asked for without paying: the unpaid challenges, counted per client and in all.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::time::sleep;

use crate::client::{Client, ClientKey, SiteKey};
use crate::payment_hash::PaymentHash;
use crate::time::UnixTime;

/// Longest time for which a challenge is put off.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Most of those who are refused that are kept waiting for it; the others are refused at once.
const WAITING_MAX: usize = 1000;

/// How many clients of one site count together.
const CLIENTS_PER_SITE: usize = 8;

/// The unpaid challenges. One counts from before its invoice is asked for until it is redeemed or
/// its invoice has run out.
pub struct UnpaidLimit {
    per_client: AtomicUsize,
    total: AtomicUsize,
    lifetime: Duration,
    open: Mutex<Open>,
    waiting: Semaphore,
}

#[derive(Default)]
struct Open {
    /// By number: that is the order in which they run out, but for the second by which one is put
    /// off more than the next.
    challenges: BTreeMap<u64, OpenChallenge>,
    by_hash: HashMap<PaymentHash, u64>,
    clients: HashMap<ClientKey, BTreeSet<u64>>,
    /// How many a site has.
    sites: HashMap<SiteKey, usize>,
    next: u64,
}

struct OpenChallenge {
    client: ClientKey,
    site: Option<SiteKey>,
    /// Until when it counts.
    until: Instant,
    sold: Option<Sold>,
}

struct Sold {
    hash: PaymentHash,
    invoice: OpenInvoice,
}

/// An invoice that somebody was asked to pay.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OpenInvoice {
    /// BOLT 11 text.
    pub bolt11: Arc<str>,
    /// When it runs out.
    pub expires: UnixTime,
    /// The same, by the clock that doesn't jump, but stands still while the machine sleeps.
    pub until: Instant,
}

/// A place for one challenge. Dropped before the node was asked, it is free again; after that it
/// counts until it runs out.
pub struct Reservation<'a> {
    unpaid: &'a UnpaidLimit,
    number: u64,
    asked: bool,
    pause: Duration,
}

/// All places are taken; there may be one after this time.
#[derive(Debug, PartialEq, Eq)]
pub struct LimitReached(pub Duration);

impl UnpaidLimit {
    /// Limits per client and in all; `lifetime` is the invoices'.
    pub fn new(per_client: usize, total: usize, lifetime: Duration) -> Self {
        Self {
            per_client: AtomicUsize::new(per_client),
            total: AtomicUsize::new(total),
            lifetime,
            open: Mutex::default(),
            waiting: Semaphore::new(WAITING_MAX),
        }
    }

    /// Other limits, from here on.
    pub fn limit(&self, per_client: usize, total: usize) {
        self.per_client.store(per_client, Ordering::Relaxed);
        self.total.store(total, Ordering::Relaxed);
    }

    fn per_client(&self) -> usize {
        self.per_client.load(Ordering::Relaxed)
    }

    fn total(&self) -> usize {
        self.total.load(Ordering::Relaxed)
    }

    /// Takes a place for a client's challenge.
    pub fn reserve(&self, client: &Client, now: Instant) -> Result<Reservation<'_>, LimitReached> {
        let mut open = self.open(now);
        let wait = |challenge: &OpenChallenge| {
            LimitReached(challenge.until.saturating_duration_since(now))
        };
        if open.challenges.len() >= self.total() {
            return Err(open
                .challenges
                .first_key_value()
                .map_or(LimitReached(self.lifetime), |(_, oldest)| wait(oldest)));
        }
        let (client, site) = (client.key(), client.site());
        let of_site = site.and_then(|site| open.sites.get(&site)).copied().unwrap_or_default();
        if of_site >= self.per_site() {
            // Whichever of it runs out first: not looked for, since it is no client's own.
            return Err(LimitReached(self.lifetime));
        }
        let own = open.clients.get(&client);
        if own.map_or(0, BTreeSet::len) >= self.per_client() {
            let oldest =
                own.and_then(BTreeSet::first).and_then(|number| open.challenges.get(number));
            return Err(oldest.map_or(LimitReached(self.lifetime), wait));
        }
        let pause = self.pause(open.challenges.len());
        let number = open.next;
        open.next += 1;
        open.clients.entry(client).or_default().insert(number);
        if let Some(site) = site {
            *open.sites.entry(site).or_default() += 1;
        }
        open.challenges
            .insert(number, OpenChallenge { client, site, until: now + self.lifetime, sold: None });
        Ok(Reservation { unpaid: self, number, asked: false, pause })
    }

    /// How many an IPv6 /48 may have, of which somebody may have every address: a few clients'
    /// share, and a quarter of all at most.
    fn per_site(&self) -> usize {
        (self.per_client() * CLIENTS_PER_SITE).min(self.total() / 4).max(self.per_client())
    }

    /// How long the next one is delayed while `taken` of all places are in use, but not all.
    fn pause(&self, taken: usize) -> Duration {
        let total = self.total();
        let half = total / 2;
        // There may be more than a reload has left room for.
        let part = taken.saturating_sub(half) as f64 / (total - half) as f64;
        PAUSE_MAX.mul_f64(part.min(1.0))
    }

    /// Waits with a refusal for as long as a challenge is put off at most.
    pub async fn delay(&self) {
        if let Ok(_turn) = self.waiting.try_acquire() {
            sleep(PAUSE_MAX).await;
        }
    }

    /// The invoice of a challenge that is still open.
    pub fn pending(&self, hash: &PaymentHash, now: Instant) -> Option<OpenInvoice> {
        let open = self.open(now);
        let invoice = &open.challenges.get(open.by_hash.get(hash)?)?.sold.as_ref()?.invoice;
        (invoice.until > now && invoice.expires > UnixTime::now()).then(|| invoice.clone())
    }

    /// It was paid and handed in.
    pub fn redeemed(&self, hash: &PaymentHash, now: Instant) {
        let mut open = self.open(now);
        if let Some(number) = open.by_hash.get(hash).copied() {
            open.forget(number);
        }
    }

    /// How many are open.
    pub fn count(&self, now: Instant) -> usize {
        self.open(now).challenges.len()
    }

    fn open(&self, now: Instant) -> MutexGuard<'_, Open> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some((number, oldest)) = open.challenges.first_key_value() {
            if oldest.until > now {
                break;
            }
            let number = *number;
            open.forget(number);
        }
        open
    }
}

impl Open {
    fn forget(&mut self, number: u64) {
        let Some(challenge) = self.challenges.remove(&number) else { return };
        if let Some(sold) = challenge.sold {
            self.by_hash.remove(&sold.hash);
        }
        if let Some(site) = challenge.site
            && let Some(of_site) = self.sites.get_mut(&site)
        {
            *of_site -= 1;
            if *of_site == 0 {
                self.sites.remove(&site);
            }
        }
        if let Some(own) = self.clients.get_mut(&challenge.client) {
            own.remove(&number);
            if own.is_empty() {
                self.clients.remove(&challenge.client);
            }
        }
    }
}

impl Reservation<'_> {
    /// How long the challenge is to be put off: not at all while less than half of all places are
    /// taken, then the longer the fewer are left. A client that asks again and again without
    /// paying, from however many addresses, so takes ever less of the machine from payers.
    pub fn pause(&self) -> Duration {
        self.pause
    }

    /// From here on the node may store an invoice, whether we hear of it or not.
    pub fn asking(&mut self) {
        self.asked = true;
    }

    /// The node certainly stored none.
    pub fn give_up(mut self) {
        self.asked = false;
    }

    /// The invoice that it stored.
    ///
    /// It may run out before those that were handed out earlier, having been made ahead: then it
    /// counts a little longer than it lives.
    pub fn fill(self, hash: PaymentHash, invoice: OpenInvoice) {
        let mut open = self.unpaid.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(challenge) = open.challenges.get_mut(&self.number) {
            // It was asked for later than its place was taken, if it was put off.
            challenge.until = challenge.until.max(invoice.until);
            challenge.sold = Some(Sold { hash, invoice });
            open.by_hash.insert(hash, self.number);
        }
    }
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        if !self.asked {
            self.unpaid.open.lock().unwrap_or_else(PoisonError::into_inner).forget(self.number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFETIME: Duration = Duration::from_secs(600);

    fn client(n: u8) -> Client {
        Client::of([127, 0, 0, n].into(), true)
    }

    fn invoice(now: Instant) -> OpenInvoice {
        OpenInvoice {
            bolt11: "lnbc..".into(),
            expires: UnixTime::now().plus(LIFETIME),
            until: now + LIFETIME,
        }
    }

    fn buy(unpaid: &UnpaidLimit, who: u8, hash: u8, now: Instant) -> Result<(), LimitReached> {
        let mut place = unpaid.reserve(&client(who), now)?;
        place.asking();
        place.fill(PaymentHash::from_bytes([hash; 32]), invoice(now));
        Ok(())
    }

    #[test]
    fn limits_per_client_and_in_all() {
        let (unpaid, now) = (UnpaidLimit::new(2, 3, LIFETIME), Instant::now());
        assert!(
            buy(&unpaid, 1, 1, now).is_ok()
                && buy(&unpaid, 1, 2, now + Duration::from_secs(60)).is_ok()
        );
        let later = now + Duration::from_secs(100);
        assert_eq!(buy(&unpaid, 1, 3, later), Err(LimitReached(Duration::from_secs(500))));
        assert!(buy(&unpaid, 2, 3, later).is_ok());
        assert!(buy(&unpaid, 3, 4, later).is_err(), "the total");
        unpaid.redeemed(&PaymentHash::from_bytes([1; 32]), later);
        assert!(buy(&unpaid, 1, 4, later).is_ok());
        assert_eq!(unpaid.count(now + LIFETIME + Duration::from_secs(60)), 2);
        assert_eq!(unpaid.count(later + LIFETIME), 0);
        let open = unpaid.open.lock().unwrap();
        assert!(open.clients.is_empty() && open.by_hash.is_empty() && open.challenges.is_empty());
    }

    #[test]
    fn a_48_does_not_take_the_places_of_all() {
        let (unpaid, now) = (UnpaidLimit::new(2, 16, LIFETIME), Instant::now());
        let of = |site: u16, n: u16| {
            let address = format!("2001:db8:{site:x}:{n:x}::1").parse().unwrap();
            let mut place = unpaid.reserve(&Client::of(address, true), now)?;
            place.asking();
            Ok::<_, LimitReached>(())
        };
        assert_eq!((0..9).filter(|n| of(1, *n).is_ok()).count(), 4, "a quarter of all");
        assert!(of(2, 1).is_ok() && unpaid.reserve(&client(1), now).is_ok());
        assert_eq!(unpaid.count(now + LIFETIME), 0);
        assert!(unpaid.open.lock().unwrap().sites.is_empty());
    }

    #[test]
    fn the_fewer_places_are_left_the_longer_the_next_is_delayed() {
        let (unpaid, now) = (UnpaidLimit::new(10, 10, LIFETIME), Instant::now());
        let held: Vec<_> = (0..10).map(|_| unpaid.reserve(&client(1), now).unwrap()).collect();
        let pauses: Vec<_> = held.iter().map(|place| place.pause().as_millis()).collect();
        assert_eq!(pauses, [0, 0, 0, 0, 0, 0, 200, 400, 600, 800], "one that is put off counts");
        drop(held);
        assert_eq!(unpaid.reserve(&client(1), now).unwrap().pause(), Duration::ZERO);
        assert_eq!(
            UnpaidLimit::new(1, 1, LIFETIME).reserve(&client(1), now).unwrap().pause(),
            Duration::ZERO
        );
    }

    #[tokio::test]
    async fn a_bounded_number_of_refusals_waits() {
        let (unpaid, started) = (UnpaidLimit::new(1, 1, LIFETIME), Instant::now());
        let unpaid = Arc::new(unpaid);
        let mut all = tokio::task::JoinSet::new();
        for _ in 0..=WAITING_MAX {
            let unpaid = Arc::clone(&unpaid);
            all.spawn(async move { unpaid.delay().await });
        }
        let mut at_once = 0;
        while all.join_next().await.is_some() {
            at_once += u32::from(started.elapsed() < PAUSE_MAX);
        }
        assert_eq!(at_once, 1);
    }

    #[test]
    fn a_place_is_free_again_unless_the_node_was_asked() {
        let (unpaid, now) = (UnpaidLimit::new(1, 1, LIFETIME), Instant::now());
        drop(unpaid.reserve(&client(1), now).unwrap());
        let mut place = unpaid.reserve(&client(1), now).unwrap();
        place.asking();
        place.give_up();
        let mut place = unpaid.reserve(&client(1), now).unwrap();
        place.asking();
        drop(place);
        assert!(unpaid.reserve(&client(1), now).is_err(), "a client that left in the middle");
    }

    #[test]
    fn a_pending_challenge_is_found_until_it_runs_out() {
        let (unpaid, now) = (UnpaidLimit::new(9, 9, LIFETIME), Instant::now());
        buy(&unpaid, 1, 1, now).unwrap();
        let hash = PaymentHash::from_bytes([1; 32]);
        assert_eq!(
            unpaid.pending(&hash, now).map(|found| (found.bolt11, found.until)),
            Some(("lnbc..".into(), now + LIFETIME))
        );
        assert_eq!(unpaid.pending(&hash, now + LIFETIME), None);
        let (slept, mut place) =
            (PaymentHash::from_bytes([2; 32]), unpaid.reserve(&client(1), now).unwrap());
        place.asking();
        place.fill(slept, OpenInvoice { expires: UnixTime::now(), ..invoice(now) });
        assert_eq!(
            unpaid.pending(&slept, now),
            None,
            "it ran out while the steady clock stood still"
        );
    }
}
