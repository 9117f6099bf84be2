//! A stock of fresh invoices for each service, so that a buyer needn't wait for the node: filled by
//! what was sold lately, at the prices that it was sold at, and handed out only while most of an
//! invoice's time is left.

use std::collections::{BTreeMap, HashMap, VecDeque};
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

    /// For these services from here on. The stock of one that still sells at the same price, or by
    /// a price list, with the same words, lives on; others are let go. What has its price from a
    /// rate has none: it would be another one by the time that it is sold.
    pub(super) fn open(&self, services: &[Arc<Service>]) {
        let (before, expiry) = (self.stocks.load(), self.invoices.expiry());
        let stock = |service: &Arc<Service>| {
            let offer = service.offer.as_ref().filter(|_| self.capacity > 0)?;
            let offer = Some(offer).filter(|offer| offer.pricing.is_steady())?;
            let same = before.get(&service.name).filter(|stock| stock.is_of(offer));
            let new = || {
                let fixed = offer.pricing.fixed();
                Arc::new(Stock::new(fixed, &offer.memo, self.capacity, expiry))
            };
            Some((Arc::clone(&service.name), same.map_or_else(new, Arc::clone)))
        };
        self.stocks.store(Arc::new(services.iter().filter_map(stock).collect()));
    }

    /// A sale: an invoice for this very offer at this price that is ready, if there is one.
    pub(super) fn take(&self, service: &str, offer: &Offer, price: Msat) -> Option<ReadyInvoice> {
        // A request that began before a reload sells by its own offer.
        let stock = self.stocks.load().get(service).filter(|stock| stock.is_of(offer)).cloned();
        stock?.take(price, self.invoices.generation(), Instant::now())
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
    async fn fill(
        &self,
        service: &Arc<Service>,
        stock: &Arc<Stock>,
        mut missing: Vec<Msat>,
    ) -> bool {
        let (mut under_way, mut all) = (JoinSet::new(), true);
        loop {
            while under_way.len() < CALLS_MAX
                && let Some(price) = missing.pop()
            {
                let (invoices, stock) = (Arc::clone(&self.invoices), Arc::clone(stock));
                let service = Arc::clone(service);
                under_way.spawn(async move {
                    let made = invoices.make(service.offer.as_ref()?, price).await;
                    stock.put(price, made.ok()?);
                    Some(())
                });
            }
            match under_way.join_next().await {
                None => return all,
                Some(Ok(Some(()))) => {}
                // The others are waited for: one of them may be the trial that shows that the node
                // is well again.
                Some(Ok(None) | Err(_)) => {
                    missing.clear();
                    all = false;
                }
            }
        }
    }
}

/// One service's stock.
struct Stock {
    /// What its invoices are over, where all are over the same, and what they say.
    fixed: Option<Msat>,
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
    /// By what they are over; no list is empty.
    invoices: BTreeMap<Msat, VecDeque<ReadyInvoice>>,
    /// When something was sold, and for how much, within the last `fresh_for`; no more than the
    /// stock can be.
    sales: VecDeque<(Instant, Msat)>,
    wasted: u64,
}

impl ReadyInvoices {
    fn count(&self) -> usize {
        self.invoices.values().map(VecDeque::len).sum()
    }
}

impl Stock {
    /// At most `capacity` invoices, which live for `expiry`.
    fn new(fixed: Option<Msat>, memo: &str, capacity: usize, expiry: Duration) -> Self {
        let fresh_for = expiry / FRESH_DIVISOR;
        Self {
            fixed,
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
        self.fixed == offer.pricing.fixed() && self.memo == offer.memo
    }

    /// A sale: an invoice over its price, if there is one that is fresh.
    fn take(&self, price: Msat, generation: u64, now: Instant) -> Option<ReadyInvoice> {
        let mut ready = self.ready();
        if ready.sales.len() >= self.capacity {
            ready.sales.pop_front();
        }
        ready.sales.push_back((now, price));
        self.drop_stale(&mut ready, generation, now);
        let taken = ready.invoices.get_mut(&price).and_then(VecDeque::pop_front);
        ready.invoices.retain(|_, invoices| !invoices.is_empty());
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
        (ready.count(), ready.wasted)
    }

    /// Whether at least half of what is wanted is there.
    fn is_plentiful(&self) -> bool {
        let ready = self.ready();
        ready.count() * 2 >= ready.sales.len().min(self.capacity)
    }

    /// What more is wanted: as many over each price as were sold in as long as one stays fresh.
    fn missing(&self, generation: u64, now: Instant) -> Vec<Msat> {
        let mut ready = self.ready();
        self.drop_stale(&mut ready, generation, now);
        while ready
            .sales
            .front()
            .is_some_and(|(sold, _)| now.saturating_duration_since(*sold) > self.fresh_for)
        {
            ready.sales.pop_front();
        }
        let mut there: BTreeMap<Msat, usize> =
            ready.invoices.iter().map(|(price, invoices)| (*price, invoices.len())).collect();
        let is_missing = |price: &Msat| match there.get_mut(price) {
            Some(left @ 1..) => {
                *left -= 1;
                false
            }
            _ => true,
        };
        let missing = ready.sales.iter().map(|(_, price)| *price).filter(is_missing);
        missing.take(self.capacity.saturating_sub(ready.count())).collect()
    }

    fn put(&self, price: Msat, fresh: ReadyInvoice) {
        self.ready().invoices.entry(price).or_default().push_back(fresh);
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
        let ReadyInvoices { invoices, wasted, .. } = ready;
        for invoices in invoices.values_mut() {
            while invoices.front().is_some_and(is_stale) {
                invoices.pop_front();
                *wasted += 1;
            }
        }
        invoices.retain(|_, invoices| !invoices.is_empty());
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
        Stock::new(None, "memo", capacity, EXPIRY)
    }

    const PRICE: Msat = Msat::MIN;

    fn put(stock: &Stock, n: u8, generation: u64, made: Instant) {
        put_over(stock, PRICE, n, generation, made);
    }

    fn put_over(stock: &Stock, price: Msat, n: u8, generation: u64, made: Instant) {
        let invoice =
            Invoice { payment_hash: PaymentHash::from_bytes([n; 32]), bolt11: String::new() };
        let ready = ReadyInvoice {
            invoice,
            expires: UnixTime::now().plus(EXPIRY),
            until: made + EXPIRY,
            made,
            generation,
        };
        stock.put(price, ready);
    }

    #[test]
    fn it_wants_what_was_sold_lately_and_no_more_than_its_limit() {
        let (stock, now) = (stock_of(3), Instant::now());
        let missing = |generation, now| stock.missing(generation, now).len();
        assert_eq!(missing(0, now), 0, "nothing sells");
        assert!(stock.take(PRICE, 0, now).is_none());
        assert_eq!(missing(0, now), 1);
        for _ in 0..100 {
            stock.take(PRICE, 0, now);
        }
        assert_eq!((missing(0, now), stock.ready().sales.len()), (3, 3));
        put(&stock, 1, 0, now);
        assert_eq!((missing(0, now), stock.is_plentiful()), (2, false));
        put(&stock, 2, 0, now);
        assert_eq!((missing(0, now), stock.is_plentiful()), (1, true), "two of three");
        assert_eq!(missing(0, now + Duration::from_secs(121)), 0, "sold too long ago");
    }

    #[test]
    fn each_price_has_its_own_and_all_share_the_limit() {
        let (stock, now) = (stock_of(4), Instant::now());
        let [low, high] = [10, 300].map(|sat| Msat::from_sat(sat).unwrap());
        for price in [low, high, low] {
            assert!(stock.take(price, 0, now).is_none());
        }
        assert_eq!(stock.missing(0, now), [low, high, low]);
        put_over(&stock, low, 1, 0, now);
        assert_eq!(stock.missing(0, now), [high, low]);
        assert!(stock.take(high, 0, now).is_none(), "never one over another price");
        put_over(&stock, high, 2, 0, now);
        let taken = stock.take(high, 0, now).unwrap();
        assert_eq!(taken.invoice.payment_hash, PaymentHash::from_bytes([2; 32]));
        assert!(stock.missing(0, now).len() <= 3 && stock.counts() == (1, 0));
    }

    #[test]
    fn only_fresh_ones_of_the_same_node_are_handed_out() {
        let (stock, now) = (stock_of(9), Instant::now());
        put(&stock, 1, 0, now);
        put(&stock, 2, 0, now + Duration::from_secs(60));
        let taken = stock.take(PRICE, 0, now + Duration::from_secs(121)).unwrap();
        assert_eq!(
            taken.invoice.payment_hash,
            PaymentHash::from_bytes([2; 32]),
            "the first had less than 80 % of its time left"
        );
        put(&stock, 3, 0, now);
        assert!(stock.take(PRICE, 1, now).is_none(), "another node's");
        assert_eq!(stock.counts(), (0, 2));
    }

    #[test]
    fn one_that_has_run_out_while_the_machine_slept_is_not_handed_out() {
        let (stock, now) = (stock_of(9), Instant::now());
        put(&stock, 1, 0, now);
        assert!(!stock.is_empty(0, now));
        let soon = UnixTime::now().plus(EXPIRY * 4 / 5).minus(Duration::from_secs(1));
        stock.ready().invoices.get_mut(&PRICE).unwrap()[0].expires = soon;
        assert!(stock.is_empty(0, now) && stock.take(PRICE, 0, now).is_none());
    }
}
