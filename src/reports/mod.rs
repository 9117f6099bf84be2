//! What backends say of messages after they took them, and what phones send back. A report never
//! touches a ticket or its money.

use std::sync::Arc;

use tracing::{debug, info, warn};

use crate::keys::KeyRing;
use crate::ledger::Ledger;
use crate::ledger::error::LedgerError;
use crate::ledger::messages::{Allowed, DeliveryState, RefusedBy, Report, ReportName};
use crate::order::phone_number::is_e164;
use crate::service::reports::News;
use crate::service::{Catalogue, Service};
use crate::sms::stop_words::Wish;

/// Hears backends.
pub struct Reports {
    ring: Arc<KeyRing>,
    ledger: Arc<Ledger>,
}

/// Where a backend has news.
#[derive(Clone, Copy)]
pub enum NewsAddress<'a> {
    /// Of one message.
    Message {
        /// Its service.
        service: &'a str,
        /// What nobody else knows.
        token: &'a str,
    },
    /// Of all messages of a service.
    Service {
        /// The service.
        service: &'a str,
        /// What nobody else knows.
        secret: &'a str,
    },
}

/// Why news were not taken.
#[derive(Debug)]
pub enum NotHeard {
    /// Nothing reports at this address.
    NoSuchAddress,
    /// The ledger can't be written now: the backend should say it again.
    LedgerDown,
}

impl From<LedgerError> for NotHeard {
    fn from(_: LedgerError) -> Self {
        Self::LedgerDown
    }
}

impl Reports {
    /// From its parts.
    pub fn new(ring: Arc<KeyRing>, ledger: Arc<Ledger>) -> Self {
        Self { ring, ledger }
    }

    /// The service whose backend reports at an address. `Err` if nothing does; what is said there
    /// needn't be read then.
    pub fn expects<'c>(
        &self,
        catalogue: &'c Catalogue,
        at: NewsAddress<'_>,
    ) -> Result<&'c Arc<Service>, NotHeard> {
        let is_known = match at {
            NewsAddress::Message { token, .. } => {
                self.ring.all().any(|keys| keys.name_in_token(token).is_some())
            }
            NewsAddress::Service { service, secret } => {
                self.ring.all().any(|keys| keys.is_inbound_secret(service, secret))
            }
        };
        let (NewsAddress::Message { service, .. } | NewsAddress::Service { service, .. }) = at;
        if is_known { named(catalogue, service) } else { Err(NotHeard::NoSuchAddress) }
    }

    /// Takes what is said at an address; gives what its backend wants to be answered.
    pub async fn hear(
        &self,
        catalogue: &Catalogue,
        at: NewsAddress<'_>,
        news: &News<'_>,
    ) -> Result<String, NotHeard> {
        match at {
            NewsAddress::Message { service, token } => {
                self.of_message(catalogue, service, token, news).await
            }
            NewsAddress::Service { service, secret } => {
                self.of_service(catalogue, service, secret, news).await
            }
        }
    }

    /// Takes a report on the one message that `token` names; gives what its backend wants to be
    /// answered.
    async fn of_message(
        &self,
        catalogue: &Catalogue,
        service: &str,
        token: &str,
        news: &News<'_>,
    ) -> Result<String, NotHeard> {
        let service = named(catalogue, service)?;
        let rules = service.mapping.as_ref().and_then(|mapping| mapping.reports.as_ref());
        let rules = rules.ok_or(NotHeard::NoSuchAddress)?;
        let name = self.ring.all().find_map(|keys| keys.name_in_token(token));
        let name = name.and_then(ReportName::read).ok_or(NotHeard::NoSuchAddress)?;
        if let Some(state) = rules.state_in(news) {
            self.note(service, name, state).await?;
        }
        Ok(rules.answer.clone())
    }

    /// Takes what comes to the address of all a service's messages: reports that name their
    /// message, and what phones send.
    async fn of_service(
        &self,
        catalogue: &Catalogue,
        name: &str,
        secret: &str,
        news: &News<'_>,
    ) -> Result<String, NotHeard> {
        let service = named(catalogue, name)?;
        let mapping = service.mapping.as_ref().ok_or(NotHeard::NoSuchAddress)?;
        if !self.ring.all().any(|keys| keys.is_inbound_secret(name, secret)) {
            return Err(NotHeard::NoSuchAddress);
        }
        let (mut answer, mut is_read) = (None, false);
        if let Some(rules) = &mapping.inbound {
            answer = Some(&rules.answer);
            if let Some((from, text)) = rules.message_in(news) {
                is_read = true;
                self.obey(service, from.as_deref(), &text).await?;
            }
        }
        if let Some(rules) = &mapping.reports {
            answer = answer.or(Some(&rules.answer));
            if let Some((name, state)) = rules.named_in(news).zip(rules.state_in(news)) {
                is_read = true;
                self.note(service, name, state).await?;
            }
        }
        if !is_read {
            info!(
                service = name,
                "what came in is neither a report nor a message that can be read"
            );
        }
        answer.cloned().ok_or(NotHeard::NoSuchAddress)
    }

    async fn note(
        &self,
        service: &Service,
        name: ReportName,
        state: DeliveryState,
    ) -> Result<(), NotHeard> {
        let services = service.names().all().map(str::to_owned).collect();
        match self.ledger.report(Report { name, state, services }).await? {
            Some(reported) if reported.is_news => {
                service.metrics.delivery(&reported.country, state);
                let (ticket, state) = (reported.ticket, state.word());
                info!(%ticket, service = %service.name, state, "its backend reports");
            }
            Some(_) => {}
            None => debug!(service = %service.name, "a report on a message that isn't remembered"),
        }
        Ok(())
    }

    /// Whoever wants no more messages gets none, until they want them again.
    async fn obey(
        &self,
        service: &Service,
        from: Option<&str>,
        text: &str,
    ) -> Result<(), NotHeard> {
        let rules = service.offer.as_ref().and_then(|offer| offer.numbers.as_ref());
        let Some((rules, wish)) = rules.zip(Wish::of(text)) else { return Ok(()) };
        let Some(from) = from.filter(|from| is_e164(from)) else {
            let service = &*service.name;
            warn!(
                service,
                ?wish,
                "a phone's wish can't be obeyed: its number isn't written with its country code"
            );
            return Ok(());
        };
        let numbers = service.number_hashes(&self.ring, from);
        // By which one number is told from another, and from nothing else.
        let number = numbers.first().map(|first| hex::encode(first.as_bytes()));
        let (service_name, number) = (&*service.name, number.unwrap_or_default());
        match wish {
            Wish::Stop => {
                if let Some(refused) =
                    service.refused_number(&self.ring, rules, from, RefusedBy::Others)
                {
                    self.ledger.refuse_number(refused).await?;
                }
                info!(service = service_name, number, "a phone wants no more messages");
            }
            Wish::Start => {
                self.ledger.allow_numbers(numbers, Allowed::ByPhone).await?;
                info!(service = service_name, number, "a phone wants messages again");
            }
        }
        Ok(())
    }
}

/// The service that has this name, or had it.
fn named<'c>(catalogue: &'c Catalogue, name: &str) -> Result<&'c Arc<Service>, NotHeard> {
    let has_name = |service: &&Arc<Service>| service.names().all().any(|own| own == name);
    catalogue.services.iter().find(has_name).ok_or(NotHeard::NoSuchAddress)
}
