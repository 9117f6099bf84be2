//! The challenge that is shown to who asks a service for nothing.

use std::sync::Arc;

use dashmap::DashMap;
use tokio::sync::Mutex;

use super::challenge::NewChallenge;
use crate::service::Service;

/// What is shown for one service: nothing until somebody asks.
pub(super) type Shown = Arc<Mutex<Option<NewChallenge>>>;

/// One for each service, by its name, which its challenge is bound to.
#[derive(Default)]
pub(super) struct Probed(DashMap<Arc<str>, Shown>);

impl Probed {
    /// That of a service.
    pub(super) fn of(&self, service: &Service) -> Shown {
        Arc::clone(&self.0.entry(Arc::clone(&service.name)).or_default())
    }

    /// Of these services only.
    pub(super) fn retain(&self, services: &[Arc<Service>]) {
        self.0.retain(|name, _| services.iter().any(|service| service.name == *name));
    }
}
