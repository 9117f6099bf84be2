//! Payment detection: follows the node's stream of payments, and looks up what the stream can't
//! tell.
//!
//! A stream says nothing of what came before its index, of invoices that ran out, or, with an index
//! of another node, of anything. So challenges that are open are looked up each time that the
//! stream begins, and when their invoices have run out.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use crate::cache::FifoCache;
use crate::gate::Gate;
use crate::ledger::accounts::{Challenge, NewlyPaid, Recorded, SettledInvoice};
use crate::lightning::{Payment, Payments as Stream, Standing, Trouble};
use crate::payment_hash::{PaymentHash, Preimage};
use crate::time::UnixTime;

/// Preimages that are kept at hand; the node has the others.
const KNOWN: usize = 10_000;

/// How long a stream that was asked for has to go without an error until it counts as there: LND
/// says nothing until the first payment.
const SETTLED_IN: Duration = Duration::from_secs(1);

/// Pauses between two tries at the stream: doubling from the first to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LAST_PAUSE: Duration = Duration::from_secs(15);

/// Most payments in one transaction.
const AT_ONCE: usize = 256;

/// How often challenges that have run out are looked up, how many at most, and how long after they
/// ran out.
const SWEEP_EVERY: Duration = Duration::from_secs(5);
const SWEEP_MOST: u32 = 500;
const SWEEP_AFTER: Duration = Duration::from_secs(5);

/// How long after it ran out a challenge is given up of which the node still says that it may be
/// paid. Should it be, it counts all the same.
const GIVEN_UP_AFTER: Duration = Duration::from_secs(7 * 24 * 3600);

/// How soon all open challenges are looked up again, and then ever less often, until the stream has
/// told of a payment.
const UNTIL_TOLD_FIRST: Duration = Duration::from_secs(10);
const UNTIL_TOLD_LAST: Duration = Duration::from_secs(60);

/// How often it is looked whether another instance has found the index to be another node's.
const INDEX_EVERY: Duration = Duration::from_secs(10);

/// Most challenges that are looked up when the stream begins; more can hardly be open.
const CATCH_UP_MOST: u32 = 50_000;

/// Look-ups under way at once in the background; strangers have their own.
const SIDE_BY_SIDE: usize = 4;

/// Look-ups under way at once for those who ask how a ticket stands.
const STRANGERS: usize = 12;

/// How often what is owed is counted.
const COUNT_EVERY: Duration = Duration::from_secs(30);

/// What is known of payments.
pub struct Payments {
    /// Names the node, whose index is no other's.
    node: Arc<str>,
    known: FifoCache<PaymentHash, Preimage>,
    state: Mutex<Result<(), Trouble>>,
    /// The saved index turned out to be another node's.
    begins_anew: AtomicBool,
    /// What the stream told last could not be written down yet.
    unwritten: AtomicBool,
    /// Look-ups for strangers.
    strangers: Semaphore,
}

impl Payments {
    /// Knows nothing yet.
    pub fn new(node: Arc<str>) -> Self {
        Self {
            node,
            known: FifoCache::new(KNOWN),
            state: Mutex::new(Err(Trouble::NotTried)),
            begins_anew: AtomicBool::new(false),
            unwritten: AtomicBool::new(false),
            strangers: Semaphore::new(STRANGERS),
        }
    }

    /// What was paid with an invoice, if that is at hand.
    pub(crate) fn known(&self, hash: &PaymentHash) -> Option<Preimage> {
        self.known.get(hash)
    }

    /// `Err` while payments are not heard of as they come.
    pub fn state(&self) -> Result<(), Trouble> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_state(&self, state: Result<(), Trouble>) {
        let mut now = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if *now != state {
            match &state {
                Ok(()) => info!("payments: detected as they come"),
                Err(trouble) => warn!(state = trouble.word(), "payments: {trouble}"),
            }
            *now = state;
        }
    }
}

/// Whether an invoice can certainly not be paid any more. Before that, a node that knows none is
/// another node, or one restored; after it, LND may have forgotten it.
pub(crate) fn ran_out(expires: UnixTime) -> bool {
    expires.plus(SWEEP_AFTER) < UnixTime::now()
}

/// Asks the node for a stranger, and remembers a payment.
pub(crate) async fn look_up(
    gate: &Gate,
    payments: &Payments,
    hash: PaymentHash,
) -> Result<Standing, Trouble> {
    let _place = payments.strangers.try_acquire().map_err(|_| Trouble::Busy)?;
    find(gate, payments, hash).await
}

async fn find(gate: &Gate, payments: &Payments, hash: PaymentHash) -> Result<Standing, Trouble> {
    let standing = gate.node.look_up(hash).await?;
    if let Standing::Settled(payment) = &standing {
        // Before anybody hears of it, who would ask for it.
        payments.known.insert(payment.hash, payment.preimage, 1);
        // It has to be written down as handed out before it can be as paid.
        gate.ledger.flush().await;
        match gate.ledger.found(Arc::clone(&payments.node), settled_invoice(payment)).await {
            Ok(Recorded::Known) => {}
            Ok(Recorded::New(news)) => count_payment(gate, &news),
            Ok(Recorded::PastTheIndex(news)) => {
                count_payment(gate, &news);
                warn!("payments: the saved index of the stream is not this node's; it begins anew");
                payments.begins_anew.store(true, Ordering::Relaxed);
            }
            Err(error) => warn!(%error, ticket = %hash, "a payment could not be written down yet"),
        }
    }
    Ok(standing)
}

fn settled_invoice(payment: &Payment) -> SettledInvoice {
    SettledInvoice {
        hash: payment.hash,
        msat: payment.msat,
        settle_index: payment.settle_index,
        at: payment.at,
    }
}

fn count_payment(gate: &Gate, news: &NewlyPaid) {
    if let Some(service) =
        gate.catalogue.services.iter().find(|service| *service.name == *news.service)
    {
        service.metrics.paid();
    }
}

/// Follows for as long as it is polled. Returns at once where payments aren't detected.
pub async fn watch(gate: &Arc<Gate>) {
    let Some(payments) = &gate.payments else { return };
    // It may begin anew after a panic.
    payments.set_state(Err(Trouble::NotTried));
    let never = tokio::join!(follow(gate, payments), sweep(gate, payments), count(gate));
    let ((), (), ()) = never;
}

async fn follow(gate: &Arc<Gate>, payments: &Payments) {
    let mut pause = FIRST_PAUSE;
    loop {
        let started = Instant::now();
        // The reader that said so may have been dropped before it could write. What the stream told
        // is told again.
        payments.unwritten.store(false, Ordering::Relaxed);
        let why = match gate.ledger.settle_index(Arc::clone(&payments.node)).await {
            Ok(index) => {
                let (stream, has_told) = (gate.node.payments(index), AtomicBool::new(false));
                tokio::select! {
                    ended = read(gate, payments, stream, &has_told) => ended,
                    anew = catch_up(gate, payments, index, &has_told) => anew,
                }
            }
            Err(error) => Trouble::Other(error.to_string()),
        };
        payments.set_state(Err(why));
        if started.elapsed() > LAST_PAUSE {
            pause = FIRST_PAUSE;
        }
        sleep(pause).await;
        pause = (pause * 2).min(LAST_PAUSE);
    }
}

/// Writes down what comes, in its order, until the stream ends.
async fn read(
    gate: &Gate,
    payments: &Payments,
    mut stream: Box<dyn Stream>,
    has_told: &AtomicBool,
) -> Trouble {
    loop {
        let first = match stream.next().await {
            Ok(Some(payment)) => {
                has_told.store(true, Ordering::Relaxed);
                payment
            }
            Ok(None) => return Trouble::Other("LND has ended the stream of payments".to_owned()),
            Err(trouble) => return trouble,
        };
        let (mut batch, mut end) = (vec![first], None);
        while batch.len() < AT_ONCE && end.is_none() {
            match timeout(Duration::ZERO, stream.next()).await {
                Ok(Ok(Some(payment))) => batch.push(payment),
                Ok(Ok(None)) => {
                    end = Some(Trouble::Other("LND has ended the stream of payments".to_owned()))
                }
                Ok(Err(trouble)) => end = Some(trouble),
                // Nothing more for now.
                Err(_) => break,
            }
        }
        write_down(gate, payments, &batch).await;
        if let Some(end) = end {
            return end;
        }
    }
}

/// Again and again until it is written: the stream gives each payment once.
async fn write_down(gate: &Gate, payments: &Payments, batch: &[Payment]) {
    let recorded = |news: &[NewlyPaid]| {
        payments.unwritten.store(false, Ordering::Relaxed);
        news.iter().for_each(|news| count_payment(gate, news));
        let is_news = |payment: &&Payment| news.iter().any(|news| news.hash == payment.hash);
        for payment in batch.iter().filter(is_news) {
            payments.known.insert(payment.hash, payment.preimage, 1);
        }
    };
    loop {
        // A payment comes after its challenge was handed out, and so after that was noted in the
        // journal.
        if gate.ledger.flush().await {
            let settled = batch.iter().map(settled_invoice).collect();
            match gate.ledger.paid(Arc::clone(&payments.node), settled, recorded).await {
                Ok(()) => return,
                Err(error) => {
                    warn!(%error, "payments could not be written down; they are tried again");
                }
            }
        }
        // Until then nobody may take the ledger's word for what was paid.
        payments.unwritten.store(true, Ordering::Relaxed);
        payments.set_state(Err(Trouble::Other("payments can't be written down".to_owned())));
        sleep(Duration::from_secs(1)).await;
    }
}

/// Looks up what is open, now that the stream tells of everything later; again and again until it
/// has told of something: with an index that is another node's it never would.
async fn catch_up(
    gate: &Arc<Gate>,
    payments: &Payments,
    index: u64,
    has_told: &AtomicBool,
) -> Trouble {
    sleep(SETTLED_IN).await;
    let mut pause = UNTIL_TOLD_FIRST;
    loop {
        while gate.node.state().is_err() {
            sleep(SETTLED_IN).await;
        }
        match gate.ledger.open_challenges(None, CATCH_UP_MOST).await {
            Ok(open) => match look_up_all(gate, open).await {
                Ok(()) => {}
                Err(trouble) => return trouble,
            },
            Err(error) => return Trouble::Other(error.to_string()),
        }
        let again = Instant::now() + pause;
        pause = (pause * 2).min(UNTIL_TOLD_LAST);
        loop {
            if payments.begins_anew.swap(false, Ordering::Relaxed) {
                return Trouble::Other(
                    "the saved index of the stream was another node's".to_owned(),
                );
            }
            if !payments.unwritten.load(Ordering::Relaxed) {
                payments.set_state(Ok(()));
            }
            sleep(INDEX_EVERY).await;
            // Another instance has found out.
            if gate
                .ledger
                .settle_index(Arc::clone(&payments.node))
                .await
                .is_ok_and(|now| now < index)
            {
                return Trouble::Other("the saved index of the stream was set back".to_owned());
            }
            // Without an index, the stream tells of everything.
            if index > 0 && !has_told.load(Ordering::Relaxed) && Instant::now() >= again {
                break;
            }
        }
    }
}

/// Looks challenges up that have run out: paid in the last moment, or never.
async fn sweep(gate: &Arc<Gate>, payments: &Payments) {
    loop {
        sleep(SWEEP_EVERY).await;
        if gate.node.state().is_err() || payments.state().is_err() {
            continue;
        }
        let before = UnixTime::now().minus(SWEEP_AFTER).seconds();
        if let Ok(ran_out) = gate.ledger.open_challenges(Some(before), SWEEP_MOST).await {
            // What fails is looked up again in the next round.
            let _ = look_up_all(gate, ran_out).await;
        }
    }
}

/// Looks up, and closes what certainly wasn't paid. Ends with the first trouble of the node's.
async fn look_up_all(gate: &Arc<Gate>, challenges: Vec<Challenge>) -> Result<(), Trouble> {
    let mut under_way = JoinSet::new();
    let (mut never_paid, mut trouble) = (Vec::new(), None);
    let mut challenges = challenges.into_iter();
    loop {
        while under_way.len() < SIDE_BY_SIDE && trouble.is_none() {
            let Some(challenge) = challenges.next() else { break };
            let gate = Arc::clone(gate);
            under_way.spawn(async move {
                is_over(&gate, &challenge).await.map(|over| over.then_some(challenge.hash))
            });
        }
        match under_way.join_next().await {
            None => break,
            Some(Ok(Ok(gone))) => never_paid.extend(gone),
            Some(Ok(Err(why))) => trouble = Some(why),
            Some(Err(_)) => {}
        }
    }
    for some in never_paid.chunks(AT_ONCE) {
        if let Err(error) = gate.ledger.close(some.to_vec()).await {
            warn!(%error, "challenges that ran out could not be closed yet");
        }
    }
    trouble.map_or(Ok(()), Err)
}

/// Whether its invoice can't be paid any more and wasn't.
async fn is_over(gate: &Gate, challenge: &Challenge) -> Result<bool, Trouble> {
    let Some(payments) = &gate.payments else { return Ok(false) };
    loop {
        match find(gate, payments, challenge.hash).await {
            Ok(Standing::Canceled) => return Ok(true),
            Ok(Standing::Unknown) => return Ok(ran_out(challenge.expires)),
            Ok(Standing::Settled(_)) => return Ok(false),
            Ok(Standing::Open { expires, .. }) => {
                return Ok(expires.plus(GIVEN_UP_AFTER) < UnixTime::now());
            }
            Ok(Standing::Accepted) => {
                return Ok(challenge.expires.plus(GIVEN_UP_AFTER) < UnixTime::now());
            }
            // The look-ups of an earlier round; they end soon.
            Err(Trouble::Busy) => sleep(Duration::from_millis(100)).await,
            Err(trouble) => return Err(trouble),
        }
    }
}

/// Keeps the gauges of what was paid and not delivered.
async fn count(gate: &Gate) {
    loop {
        if let Ok(owed) = gate.ledger.unredeemed().await {
            for service in &gate.catalogue.services {
                let sum =
                    owed.iter().find(|(name, _)| **name == *service.name).map(|(_, sum)| *sum);
                service.metrics.unredeemed(sum.unwrap_or_default());
            }
        }
        sleep(COUNT_EVERY).await;
    }
}
