//! A stock of fresh invoices for each service, so that a buyer needn't wait for the node: filled by
//! what was sold lately, and handed out only while most of an invoice's time is left.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::gate::Gate;
use crate::lightning::{Invoice, Wanted};
use crate::service::{Offer, Service};
use crate::time::UnixTime;

/// The part of its time that may be gone when an invoice is handed out.
const MAY_BE_GONE: u32 = 5;

/// Calls to the node side by side while a stock is filled.
const CALLS_MAX: usize = 8;

/// How often a stock is looked at when nothing is sold.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);

/// How long sales are gathered while there is plenty: their invoices are made side by side, which
/// costs less than one by one.
const GATHER_TIME: Duration = Duration::from_millis(100);

/// How soon the node is asked again after it gave none.
const RETRY_DELAY: Duration = Duration::from_secs(2);

/// The stocks of all services that sell, in the order of the catalogue.
pub struct Stocks(Vec<Option<Stock>>);

impl Stocks {
    /// At most `most` invoices for each service, which live for `expiry`. 0 switches it off.
    pub fn new(services: &[Arc<Service>], most: usize, expiry: Duration) -> Self {
        let sells = |service: &Arc<Service>| service.offer.is_some() && most > 0;
        let stock = |service| sells(service).then(|| Stock::new(most, expiry));
        Self(services.iter().map(stock).collect())
    }

    /// A service's; `None` if it has none.
    pub fn of(&self, service: &Service) -> Option<&Stock> {
        self.0.get(service.index)?.as_ref()
    }
}

/// An invoice and its times.
pub struct Fresh {
    /// The invoice.
    pub invoice: Invoice,
    /// When it runs out at the earliest.
    pub expires: UnixTime,
    /// The same, by the clock that doesn't jump.
    pub until: Instant,
    made: Instant,
    /// Which node it is of, as far as our files tell.
    generation: u64,
}

/// One service's stock.
pub struct Stock {
    most: usize,
    /// How long after it was made an invoice is handed out at the latest, and how much of its time
    /// is left then.
    fresh_for: Duration,
    left: Duration,
    shelf: Mutex<Shelf>,
    sold: Notify,
}

#[derive(Default)]
struct Shelf {
    invoices: VecDeque<Fresh>,
    /// When something was sold, within the last `fresh_for`; no more than the stock can be.
    sales: VecDeque<Instant>,
    wasted: u64,
}

impl Stock {
    /// At most `most` invoices, which live for `expiry`.
    fn new(most: usize, expiry: Duration) -> Self {
        let fresh_for = expiry / MAY_BE_GONE;
        Self {
            most,
            fresh_for,
            left: expiry - fresh_for,
            shelf: Mutex::default(),
            sold: Notify::new(),
        }
    }

    /// A sale: an invoice, if there is one that is fresh.
    pub fn take(&self, generation: u64, now: Instant) -> Option<Fresh> {
        let mut shelf = self.shelf();
        if shelf.sales.len() >= self.most {
            shelf.sales.pop_front();
        }
        shelf.sales.push_back(now);
        self.clear_out(&mut shelf, generation, now);
        let taken = shelf.invoices.pop_front();
        drop(shelf);
        self.sold.notify_one();
        taken
    }

    /// Whether a sale would find none.
    pub fn is_empty(&self, generation: u64, now: Instant) -> bool {
        let mut shelf = self.shelf();
        self.clear_out(&mut shelf, generation, now);
        shelf.invoices.is_empty()
    }

    /// How many there are, and how many ran out unsold.
    pub fn counts(&self) -> (usize, u64) {
        let shelf = self.shelf();
        (shelf.invoices.len(), shelf.wasted)
    }

    /// Whether at least half of what is wanted is there.
    fn is_plentiful(&self) -> bool {
        let shelf = self.shelf();
        shelf.invoices.len() * 2 >= shelf.sales.len().min(self.most)
    }

    /// How many more are wanted: as many as were sold in as long as one stays fresh.
    fn missing(&self, generation: u64, now: Instant) -> usize {
        let mut shelf = self.shelf();
        self.clear_out(&mut shelf, generation, now);
        while shelf
            .sales
            .front()
            .is_some_and(|sale| now.saturating_duration_since(*sale) > self.fresh_for)
        {
            shelf.sales.pop_front();
        }
        shelf.sales.len().min(self.most).saturating_sub(shelf.invoices.len())
    }

    fn put(&self, fresh: Fresh) {
        self.shelf().invoices.push_back(fresh);
    }

    fn clear_out(&self, shelf: &mut Shelf, generation: u64, now: Instant) {
        // By both clocks: the steady one stands still while the machine sleeps, the other may be
        // set back.
        let leaves_enough = UnixTime::now().plus(self.left);
        let is_stale = |one: &Fresh| {
            let is_old = now.saturating_duration_since(one.made) > self.fresh_for
                || one.expires < leaves_enough;
            is_old || one.generation != generation
        };
        // The oldest stand in front. One of another node that came late is met there in the end.
        while shelf.invoices.front().is_some_and(is_stale) {
            shelf.invoices.pop_front();
            shelf.wasted += 1;
        }
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A fresh invoice of the node's.
pub(crate) async fn make(gate: &Gate, offer: &Offer) -> Result<Fresh, crate::lightning::NoInvoice> {
    let expiry = gate.catalogue.times.invoice_expiry;
    // Before the node is asked: so the invoice never runs out earlier than we say.
    let (made, expires, generation) =
        (Instant::now(), UnixTime::now().plus(expiry), gate.node.generation());
    let invoice = gate
        .node
        .add_invoice(Wanted { amount: offer.price, memo: offer.memo.clone(), expiry })
        .await?;
    Ok(Fresh { invoice, expires, until: made + expiry, made, generation })
}

/// Keeps a service's stock for as long as it is polled. Returns at once where there is none.
pub async fn watch(gate: Arc<Gate>, service: Arc<Service>) {
    let Some(stock) = gate.stocks.of(&service) else { return };
    loop {
        let _ = timeout(WATCH_INTERVAL, stock.sold.notified()).await;
        if stock.is_plentiful() {
            tokio::time::sleep(GATHER_TIME).await;
        }
        if gate.node.state().is_err()
            || service.upstream.health.is_down()
            || gate.ledger.health().is_err()
        {
            continue;
        }
        let missing = stock.missing(gate.node.generation(), Instant::now());
        if !fill(&gate, &service, missing).await {
            tokio::time::sleep(RETRY_DELAY).await;
        }
    }
}

/// `false` if the node gave one less than was wanted.
async fn fill(gate: &Arc<Gate>, service: &Arc<Service>, mut missing: usize) -> bool {
    let (mut under_way, mut all) = (JoinSet::new(), true);
    loop {
        while missing > 0 && under_way.len() < CALLS_MAX {
            missing -= 1;
            let (gate, service) = (Arc::clone(gate), Arc::clone(service));
            under_way.spawn(async move {
                let (offer, stock) = (service.offer.as_ref()?, gate.stocks.of(&service)?);
                stock.put(make(&gate, offer).await.ok()?);
                Some(())
            });
        }
        match under_way.join_next().await {
            None => return all,
            Some(Ok(Some(()))) => {}
            // The others are waited for: one of them may be the trial that shows that the node is
            // well again.
            Some(Ok(None) | Err(_)) => (missing, all) = (0, false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payment_hash::PaymentHash;

    const EXPIRY: Duration = Duration::from_secs(600);

    fn put(stock: &Stock, n: u8, generation: u64, made: Instant) {
        let invoice =
            Invoice { payment_hash: PaymentHash::from_bytes([n; 32]), bolt11: String::new() };
        stock.put(Fresh {
            invoice,
            expires: UnixTime::now().plus(EXPIRY),
            until: made + EXPIRY,
            made,
            generation,
        });
    }

    #[test]
    fn it_wants_what_was_sold_lately_and_no_more_than_its_limit() {
        let (stock, now) = (Stock::new(3, EXPIRY), Instant::now());
        assert_eq!(stock.missing(0, now), 0, "nothing sells");
        assert!(stock.take(0, now).is_none());
        assert_eq!(stock.missing(0, now), 1);
        for _ in 0..100 {
            stock.take(0, now);
        }
        assert_eq!((stock.missing(0, now), stock.shelf().sales.len()), (3, 3));
        put(&stock, 1, 0, now);
        assert_eq!((stock.missing(0, now), stock.is_plentiful()), (2, false));
        put(&stock, 2, 0, now);
        assert_eq!((stock.missing(0, now), stock.is_plentiful()), (1, true), "two of three");
        assert_eq!(stock.missing(0, now + Duration::from_secs(121)), 0, "sold too long ago");
    }

    #[test]
    fn only_fresh_ones_of_the_same_node_are_handed_out() {
        let (stock, now) = (Stock::new(9, EXPIRY), Instant::now());
        put(&stock, 1, 0, now);
        put(&stock, 2, 0, now + Duration::from_secs(60));
        let taken = stock.take(0, now + Duration::from_secs(121)).unwrap();
        assert_eq!(
            taken.invoice.payment_hash,
            PaymentHash::from_bytes([2; 32]),
            "the first had less than 80 % of its time left"
        );
        put(&stock, 3, 0, now);
        assert!(stock.take(1, now).is_none(), "another node's");
        assert_eq!(stock.counts(), (0, 2));
    }

    #[test]
    fn one_that_has_run_out_while_the_machine_slept_is_not_handed_out() {
        let (stock, now) = (Stock::new(9, EXPIRY), Instant::now());
        put(&stock, 1, 0, now);
        assert!(!stock.is_empty(0, now));
        stock.shelf().invoices[0].expires =
            UnixTime::now().plus(EXPIRY * 4 / 5).minus(Duration::from_secs(1));
        assert!(stock.is_empty(0, now) && stock.take(0, now).is_none());
    }
}
