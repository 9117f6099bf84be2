//! The one thread that writes. It takes all that waits, commits it in one transaction, and only then answers.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use tracing::{error, info};

use super::CommitObserver;
use super::store::Store;
use crate::l402::PaymentHash;
use crate::l402::root_key::Fingerprint;
use crate::redemption::ledger::{Claimed, LedgerError, Settled, Settlement, Terms};
use crate::redemption::state::{Attempt, Claim, ClaimId};
use crate::time::UnixTime;

/// Most commands in one transaction.
const BATCH: usize = 512;

/// Pause between two looks for rows to forget, when the last one found few.
const PRUNE_PAUSE: Duration = Duration::from_secs(60);

type Answer<T> = oneshot::Sender<Result<T, LedgerError>>;

/// What the writer is asked to do.
pub(super) enum Command {
    Claim {
        attempt: Attempt,
        reply: Answer<Claimed>,
    },
    Settle {
        settlement: Settlement,
        reply: Answer<Settled>,
    },
    NoteSecret {
        secret: Fingerprint,
        needed_until: UnixTime,
        reply: Answer<()>,
    },
    SecretsInUse {
        now: UnixTime,
        reply: Answer<Vec<[u8; 16]>>,
    },
    /// Prune, or try to get the database back.
    Tick,
}

/// An answer that waits for the commit.
enum Pending {
    Claim(Answer<Claimed>, Claimed),
    Settle(Answer<Settled>, Settled),
    NoteSecret(Answer<()>),
    SecretsInUse(Answer<Vec<[u8; 16]>>, Vec<[u8; 16]>),
}

pub(super) struct Writer {
    path: PathBuf,
    /// `None` after an error, until it could be opened again.
    store: Option<Store>,
    terms: Terms,
    health: Arc<Mutex<Option<String>>>,
    observer: CommitObserver,
    /// Granted in a transaction whose commit was not confirmed: nobody was told, nothing was sent.
    unconfirmed: Vec<(PaymentHash, ClaimId)>,
    next_prune: Instant,
}

impl Writer {
    pub(super) fn new(path: PathBuf, store: Store, terms: Terms, health: Arc<Mutex<Option<String>>>, observer: CommitObserver) -> Self {
        Self { path, store: Some(store), terms, health, observer, unconfirmed: Vec::new(), next_prune: Instant::now() }
    }

    /// Ends when every sender is gone.
    pub(super) fn run(mut self, mut queue: mpsc::Receiver<Command>) {
        let mut batch = Vec::with_capacity(BATCH);
        while let Some(first) = queue.blocking_recv() {
            batch.push(first);
            while batch.len() < BATCH {
                match queue.try_recv() {
                    Ok(more) => batch.push(more),
                    Err(_) => break,
                }
            }
            self.serve(&mut batch);
        }
    }

    fn serve(&mut self, batch: &mut Vec<Command>) {
        if let Err(why) = self.reopen() {
            self.refuse(batch.drain(..), why);
            return;
        }
        let Some(store) = self.store.as_mut() else { return };
        let mut granted = Vec::new();
        match transact(store, batch, self.terms, &mut granted, &mut self.next_prune, &self.observer) {
            Ok(answers) => {
                batch.clear();
                answers.into_iter().for_each(Pending::send);
            }
            Err(error) => {
                store.rollback();
                self.store = None;
                self.unconfirmed.extend(granted);
                error!(%error, ledger = %self.path.display(), "the ledger failed; it is opened again");
                let why = error.to_string();
                self.set_health(Some(why.clone()));
                self.refuse(batch.drain(..), why);
            }
        }
    }

    /// Opens the database after a failure, and first of all takes back what was granted to nobody.
    fn reopen(&mut self) -> Result<(), String> {
        if self.store.is_some() {
            return Ok(());
        }
        let store = Store::open(&self.path).map_err(|error| error.to_string())?;
        let taken_back = store.begin().and_then(|()| store.withdraw(&self.unconfirmed)).and_then(|()| store.commit());
        if let Err(error) = taken_back {
            store.rollback();
            return Err(error.to_string());
        }
        self.unconfirmed.clear();
        self.store = Some(store);
        self.set_health(None);
        info!(ledger = %self.path.display(), "the ledger is back");
        Ok(())
    }

    fn refuse(&self, batch: impl Iterator<Item = Command>, why: String) {
        for command in batch {
            let down = LedgerError::Down(why.clone());
            match command {
                Command::Claim { reply, .. } => drop(reply.send(Err(down))),
                Command::Settle { reply, .. } => drop(reply.send(Err(down))),
                Command::NoteSecret { reply, .. } => drop(reply.send(Err(down))),
                Command::SecretsInUse { reply, .. } => drop(reply.send(Err(down))),
                Command::Tick => {}
            }
        }
    }

    fn set_health(&self, health: Option<String>) {
        *self.health.lock().unwrap_or_else(PoisonError::into_inner) = health;
    }
}

/// One transaction over the whole batch. On an error nothing may be told to anybody; `granted` then names what to take back.
fn transact(
    store: &mut Store,
    batch: &mut Vec<Command>,
    terms: Terms,
    granted: &mut Vec<(PaymentHash, ClaimId)>,
    next_prune: &mut Instant,
    observer: &CommitObserver,
) -> rusqlite::Result<Vec<Pending>> {
    let started = Instant::now();
    let now = UnixTime::now();
    store.begin()?;
    // Read only: the commands stay in the batch until the commit, so that a failure can answer them.
    let mut results = Vec::with_capacity(batch.len());
    for command in batch.iter() {
        results.push(match command {
            Command::Claim { attempt, .. } => {
                let claimed = store.claim(attempt, now, terms.replay)?;
                if claimed.claim == Claim::Granted {
                    granted.push((attempt.hash, attempt.claim));
                }
                Some(Done::Claim(claimed))
            }
            Command::Settle { settlement, .. } => Some(Done::Settle(store.settle(settlement, now)?)),
            Command::NoteSecret { secret, needed_until, .. } => {
                store.note_secret(secret.as_bytes(), *needed_until)?;
                Some(Done::NoteSecret)
            }
            Command::SecretsInUse { now, .. } => Some(Done::SecretsInUse(store.secrets_in_use(*now)?)),
            Command::Tick => {
                if Instant::now() >= *next_prune && !store.prune(now, terms.replay)? {
                    *next_prune = Instant::now() + PRUNE_PAUSE;
                }
                None
            }
        });
    }
    store.commit()?;
    observer(started.elapsed());
    let answers = batch.drain(..).zip(results).filter_map(|(command, done)| pair(command, done?)).collect();
    Ok(answers)
}

/// What a command came to, before anybody is told.
enum Done {
    Claim(Claimed),
    Settle(Settled),
    NoteSecret,
    SecretsInUse(Vec<[u8; 16]>),
}

fn pair(command: Command, done: Done) -> Option<Pending> {
    Some(match (command, done) {
        (Command::Claim { reply, .. }, Done::Claim(claimed)) => Pending::Claim(reply, claimed),
        (Command::Settle { reply, .. }, Done::Settle(settled)) => Pending::Settle(reply, settled),
        (Command::NoteSecret { reply, .. }, Done::NoteSecret) => Pending::NoteSecret(reply),
        (Command::SecretsInUse { reply, .. }, Done::SecretsInUse(all)) => Pending::SecretsInUse(reply, all),
        _ => return None,
    })
}

impl Pending {
    /// A receiver that is gone doesn't matter: who asked has stopped waiting.
    fn send(self) {
        match self {
            Self::Claim(reply, claimed) => drop(reply.send(Ok(claimed))),
            Self::Settle(reply, settled) => drop(reply.send(Ok(settled))),
            Self::NoteSecret(reply) => drop(reply.send(Ok(()))),
            Self::SecretsInUse(reply, all) => drop(reply.send(Ok(all))),
        }
    }
}
