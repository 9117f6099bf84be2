//! Requests whose bodies are waited for: bounded in all, and for each client, since each holds a
//! head and what came of a body.

use std::sync::Arc;

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::client::Client;
use crate::shares::{ClientShare, Shares};

/// Most bodies that are waited for at once, in all and of one client.
const READING_MAX: usize = 1024;
const READING_PER_CLIENT_MAX: usize = 128;

/// The places, of requests that come with a ticket, or what looks like one, and of others.
#[derive(Default)]
pub(super) struct ReadingPlaces {
    pub(super) of_holders: Reading,
    pub(super) of_strangers: Reading,
}

/// Some of them.
pub(super) struct Reading {
    places: Semaphore,
    shares: Arc<Shares>,
}

/// One of them, until this goes.
pub(super) struct ReadingPlace<'a> {
    _place: SemaphorePermit<'a>,
    _share: ClientShare,
}

impl Default for Reading {
    fn default() -> Self {
        Self { places: Semaphore::new(READING_MAX), shares: Shares::new(READING_PER_CLIENT_MAX) }
    }
}

impl Reading {
    /// `None` if there is no place, or the client has its share.
    pub(super) fn place(&self, client: &Client) -> Option<ReadingPlace<'_>> {
        let share = self.shares.of_client(client)?;
        let place = self.places.try_acquire().ok()?;
        Some(ReadingPlace { _place: place, _share: share })
    }
}
