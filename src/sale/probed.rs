//! The challenge that is shown to who asks a service for nothing.

use std::sync::Arc;

use tokio::sync::Mutex;

use super::challenge::NewChallenge;
use crate::service::Service;

/// One for each service; none until somebody asks.
pub(super) struct Probed(Vec<Mutex<Option<NewChallenge>>>);

impl Probed {
    pub(super) fn new(services: &[Arc<Service>]) -> Self {
        Self(services.iter().map(|_| Mutex::default()).collect())
    }

    /// That of a service.
    pub(super) fn of(&self, service: &Service) -> Option<&Mutex<Option<NewChallenge>>> {
        self.0.get(service.index)
    }
}
