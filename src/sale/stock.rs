//! A stock of fresh invoices for each service, so that a buyer needn't wait for the node: filled by
//! what was sold lately, and handed out only while most of an invoice's time is left.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::invoices::{Invoices, ReadyInvoice};
use crate::ledger::Ledger;
use crate::price::Msat;
use crate::service::{Offer, Service};
use crate::time::UnixTime;

/// The part of its time that may be gone when an invoice is handed out.
const FRESH_DIVISOR: u32 = 5;

/// Calls to the node side by side while a stock is filled.
const CALLS_MAX: usize = 8;

/// How often a stock is looked at when nothing is sold.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);

/// How long sales are gathered while there is plenty: their invoices are made side by side, which
/// costs less than one by one.
const GATHER_TIME: Duration = Duration::from_millis(100);

/// How soon the node is asked again after it gave none.
const RETRY_DELAY: Duration = Duration::from_secs(2);

type ByName = HashMap<Arc<str>, Arc<Stock>>;

/// The stocks of all services that sell.
pub(super) struct Stocks {
    /// By the names of their services.
    stocks: ArcSwap<ByName>,
    /// Most invoices that are made ahead for each.
    capacity: usize,
    invoices: Arc<Invoices>,
    ledger: Arc<Ledger>,
}

impl Stocks {
    /// None yet, and at most `capacity` invoices for each service; 0 switches it off.
    pub(super) fn new(capacity: usize, invoices: Arc<Invoices>, ledger: Arc<Ledger>) -> Self {
        Self { stocks: ArcSwap::default(), capacity, invoices, ledger }
    }

    /// For these services from here on. The stock of one that still sells at the same price, with
    /// the same words, lives on; others are let go.
    pub(super) fn open(&self, services: &[Arc<Service>]) {
        let (before, expiry) = (self.stocks.load(), self.invoices.expiry());
        let stock = |service: &Arc<Service>| {
            let offer = service.offer.as_ref().filter(|_| self.capacity > 0)?;
            let same = before.get(&service.name).filter(|stock| stock.is_of(offer));
            let new = || Arc::new(Stock::new(offer.price, &offer.memo, self.capacity, expiry));
            Some((Arc::clone(&service.name), same.map_or_else(new, Arc::clone)))
        };
        self.stocks.store(Arc::new(services.iter().filter_map(stock).collect()));
    }

    /// A sale: an invoice for this very offer that is ready, if there is one.
    pub(super) fn take(&self, service: &str, offer: &Offer) -> Option<ReadyInvoice> {
        // A request that began before a reload sells by its own offer.
        let stock = self.stocks.load().get(service).filter(|stock| stock.is_of(offer)).cloned();
        stock?.take(self.invoices.generation(), Instant::now())
    }

    /// Whether a sale would find an invoice.
    pub(super) fn has_any(&self, service: &Service) -> bool {
        let (generation, now) = (self.invoices.generation(), Instant::now());
        self.of(service).is_some_and(|stock| !stock.is_empty(generation, now))
    }

    /// How many there are, and how many ran out unsold; `None` for a service without a stock.
    pub(super) fn counts(&self, service: &Service) -> Option<(usize, u64)> {
        self.of(service).map(|stock| stock.counts())
    }

    fn of(&self, service: &Service) -> Option<Arc<Stock>> {
        let offer = service.offer.as_ref()?;
        self.stocks.load().get(&service.name).filter(|stock| stock.is_of(offer)).cloned()
    }

    /// Keeps a service's stock for as long as it is polled. Returns at once where there is none.
    pub(super) async fn keep(&self, service: &Arc<Service>) {
        let Some(stock) = self.of(service) else { return };
        loop {
            let _ = timeout(WATCH_INTERVAL, stock.sold.notified()).await;
            if stock.is_plentiful() {
                tokio::time::sleep(GATHER_TIME).await;
            }
            let is_sold = self.invoices.node_state().is_ok()
                && !service.upstream.health.is_down()
                && service.upstream.sale_stop.may_sell(tokio::time::Instant::now()).is_ok()
                && self.ledger.health().is_ok();
            if !is_sold {
                continue;
            }
            let missing = stock.missing(self.invoices.generation(), Instant::now());
            if !self.fill(service, &stock, missing).await {
                tokio::time::sleep(RETRY_DELAY).await;
            }
        }
    }

    /// `false` if the node gave one less than was wanted.
    async fn fill(&self, service: &Arc<Service>, stock: &Arc<Stock>, mut missing: usize) -> bool {
        let (mut under_way, mut all) = (JoinSet::new(), true);
        loop {
            while missing > 0 && under_way.len() < CALLS_MAX {
                missing -= 1;
                let (invoices, stock) = (Arc::clone(&self.invoices), Arc::clone(stock));
                let service = Arc::clone(service);
                under_way.spawn(async move {
                    stock.put(invoices.make(service.offer.as_ref()?).await.ok()?);
                    Some(())
                });
            }
            match under_way.join_next().await {
                None => return all,
                Some(Ok(Some(()))) => {}
                // The others are waited for: one of them may be the trial that shows that the node
                // is well again.
                Some(Ok(None) | Err(_)) => (missing, all) = (0, false),
            }
        }
    }
}

/// One service's stock.
struct Stock {
    /// What its invoices are for, and say.
    price: Msat,
    memo: String,
    /// Most invoices that are made ahead.
    capacity: usize,
    /// How long after it was made an invoice is handed out at the latest, and how much of its time
    /// is left then.
    fresh_for: Duration,
    left: Duration,
    ready: Mutex<ReadyInvoices>,
    sold: Notify,
}

#[derive(Default)]
struct ReadyInvoices {
    invoices: VecDeque<ReadyInvoice>,
    /// When something was sold, within the last `fresh_for`; no more than the stock can be.
    sales: VecDeque<Instant>,
    wasted: u64,
}

impl Stock {
    /// At most `capacity` invoices, which live for `expiry`.
    fn new(price: Msat, memo: &str, capacity: usize, expiry: Duration) -> Self {
        let fresh_for = expiry / FRESH_DIVISOR;
        Self {
            price,
            memo: memo.to_owned(),
            capacity,
            fresh_for,
            left: expiry - fresh_for,
            ready: Mutex::default(),
            sold: Notify::new(),
        }
    }

    /// Whether its invoices are what this offer's buyers pay.
    fn is_of(&self, offer: &Offer) -> bool {
        self.price == offer.price && self.memo == offer.memo
    }

    /// A sale: an invoice, if there is one that is fresh.
    fn take(&self, generation: u64, now: Instant) -> Option<ReadyInvoice> {
        let mut ready = self.ready();
        if ready.sales.len() >= self.capacity {
            ready.sales.pop_front();
        }
        ready.sales.push_back(now);
        self.drop_stale(&mut ready, generation, now);
        let taken = ready.invoices.pop_front();
        drop(ready);
        self.sold.notify_one();
        taken
    }

    /// Whether a sale would find none.
    fn is_empty(&self, generation: u64, now: Instant) -> bool {
        let mut ready = self.ready();
        self.drop_stale(&mut ready, generation, now);
        ready.invoices.is_empty()
    }

    /// How many there are, and how many ran out unsold.
    fn counts(&self) -> (usize, u64) {
        let ready = self.ready();
        (ready.invoices.len(), ready.wasted)
    }

    /// Whether at least half of what is wanted is there.
    fn is_plentiful(&self) -> bool {
        let ready = self.ready();
        ready.invoices.len() * 2 >= ready.sales.len().min(self.capacity)
    }

    /// How many more are wanted: as many as were sold in as long as one stays fresh.
    fn missing(&self, generation: u64, now: Instant) -> usize {
        let mut ready = self.ready();
        self.drop_stale(&mut ready, generation, now);
        while ready
            .sales
            .front()
            .is_some_and(|sale| now.saturating_duration_since(*sale) > self.fresh_for)
        {
            ready.sales.pop_front();
        }
        ready.sales.len().min(self.capacity).saturating_sub(ready.invoices.len())
    }

    fn put(&self, fresh: ReadyInvoice) {
        self.ready().invoices.push_back(fresh);
    }

    fn drop_stale(&self, ready: &mut ReadyInvoices, generation: u64, now: Instant) {
        // By both clocks: the steady one stands still while the machine sleeps, the other may be
        // set back.
        let leaves_enough = UnixTime::now().plus(self.left);
        let is_stale = |one: &ReadyInvoice| {
            let is_old = now.saturating_duration_since(one.made) > self.fresh_for
                || one.expires < leaves_enough;
            is_old || one.generation != generation
        };
        // The oldest stand in front. One of another node that came late is met there in the end.
        while ready.invoices.front().is_some_and(is_stale) {
            ready.invoices.pop_front();
            ready.wasted += 1;
        }
    }

    fn ready(&self) -> MutexGuard<'_, ReadyInvoices> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lightning::Invoice;
    use crate::payment_hash::PaymentHash;

    const EXPIRY: Duration = Duration::from_secs(600);

    fn stock_of(capacity: usize) -> Stock {
        Stock::new(Msat::new(1000).unwrap(), "memo", capacity, EXPIRY)
    }

    fn put(stock: &Stock, n: u8, generation: u64, made: Instant) {
        let invoice =
            Invoice { payment_hash: PaymentHash::from_bytes([n; 32]), bolt11: String::new() };
        stock.put(ReadyInvoice {
            invoice,
            expires: UnixTime::now().plus(EXPIRY),
            until: made + EXPIRY,
            made,
            generation,
        });
    }

    #[test]
    fn it_wants_what_was_sold_lately_and_no_more_than_its_limit() {
        let (stock, now) = (stock_of(3), Instant::now());
        assert_eq!(stock.missing(0, now), 0, "nothing sells");
        assert!(stock.take(0, now).is_none());
        assert_eq!(stock.missing(0, now), 1);
        for _ in 0..100 {
            stock.take(0, now);
        }
        assert_eq!((stock.missing(0, now), stock.ready().sales.len()), (3, 3));
        put(&stock, 1, 0, now);
        assert_eq!((stock.missing(0, now), stock.is_plentiful()), (2, false));
        put(&stock, 2, 0, now);
        assert_eq!((stock.missing(0, now), stock.is_plentiful()), (1, true), "two of three");
        assert_eq!(stock.missing(0, now + Duration::from_secs(121)), 0, "sold too long ago");
    }

    #[test]
    fn only_fresh_ones_of_the_same_node_are_handed_out() {
        let (stock, now) = (stock_of(9), Instant::now());
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
        let (stock, now) = (stock_of(9), Instant::now());
        put(&stock, 1, 0, now);
        assert!(!stock.is_empty(0, now));
        stock.ready().invoices[0].expires =
            UnixTime::now().plus(EXPIRY * 4 / 5).minus(Duration::from_secs(1));
        assert!(stock.is_empty(0, now) && stock.take(0, now).is_none());
    }
}
