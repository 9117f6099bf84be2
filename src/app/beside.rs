//! What goes on beside the requests.

use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::CryptoProvider;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::assemble::{self, App};
use super::open_ledger::SECRET_NOTE_INTERVAL;
use super::supervise::{supervise, supervise_until};
use crate::file_watch::LOOK_INTERVAL;
use crate::listen::tls::CurrentCertificate;
use crate::service::{Catalogue, Offer, Service};
use crate::upstream::Upstream;

/// How often tickets that wait are counted.
const COUNT_INTERVAL: Duration = Duration::from_secs(5);

/// How often the certificate's files are read again.
const CERTIFICATE_INTERVAL: Duration = Duration::from_secs(5);

/// Starts what goes on for as long as the process does.
pub(super) fn look_after(app: &Arc<App>) {
    supervise("the node's state", Arc::clone(&app.node), |node| async move { node.watch().await });
    let ledger = || Arc::clone(&app.ledger);
    supervise("the ledger", ledger(), |ledger| async move { ledger.run().await });
    supervise("the accounts", ledger(), |ledger| async move { ledger.run_journal().await });
    supervise("revoked tickets", ledger(), |ledger| async move { ledger.watch_revoked().await });
    if let Some(payments) = &app.payments {
        supervise(
            "payments",
            Arc::clone(payments),
            |payments| async move { payments.watch().await },
        );
    }
    supervise(
        "the count of tickets",
        Arc::clone(app),
        |app| async move { count_tickets(&app).await },
    );
    supervise("the minting secret", Arc::clone(app), |app| async move { note_secret(&app).await });
    let Some(certificates) = &app.certificates else { return };
    if let Some(acme) = &certificates.acme {
        supervise("certificates", Arc::clone(acme), |acme| async move { acme.run().await });
    } else {
        let parts = (Arc::clone(&certificates.shown), Arc::clone(&app.provider));
        supervise("the certificate", parts, |(shown, provider)| async move {
            refresh_certificate(&shown, &provider).await;
        });
    }
}

/// What goes on for the services of one catalogue, until it is replaced by the next.
#[derive(Default)]
pub(super) struct BesideServices {
    health: Vec<(Arc<Upstream>, CancellationToken)>,
    /// Ends what is begun anew for each catalogue.
    begun: CancellationToken,
}

impl BesideServices {
    /// From here on for these services. What is looked at and stays the same is looked at on.
    pub(super) fn open(&mut self, app: &Arc<App>, catalogue: &Catalogue) {
        let is_used = |upstream: &Arc<Upstream>| {
            catalogue.services.iter().any(|service| Arc::ptr_eq(&service.upstream, upstream))
        };
        self.health.retain(|(upstream, stop)| {
            let stays = is_used(upstream);
            if !stays {
                stop.cancel();
            }
            stays
        });
        std::mem::take(&mut self.begun).cancel();
        if let Some(rate) = &catalogue.rate {
            let stop = self.begun.clone();
            supervise_until(stop, "the price of a bitcoin", Arc::clone(rate), |rate| async move {
                rate.follow().await
            });
        }
        for service in &catalogue.services {
            self.watch(&service.upstream);
            let sold = (Arc::clone(&app.sale), Arc::clone(service));
            let stop = self.begun.clone();
            supervise_until(stop, "a stock of invoices", sold, |(sale, service)| async move {
                sale.keep_stock(&service).await
            });
            let (listed, stop) = (Arc::clone(service), self.begun.clone());
            supervise_until(stop, "lists of numbers", listed, |service| async move {
                watch_lists(&service).await;
            });
        }
        for look_up in app.redeem.look_up_at(catalogue) {
            let parts = (Arc::clone(&app.redeem), look_up);
            supervise("look-ups at an upstream", parts, |(redeem, look_up)| async move {
                redeem.follow(&look_up).await
            });
        }
    }

    fn watch(&mut self, upstream: &Arc<Upstream>) {
        if self.health.iter().any(|(watched, _)| Arc::ptr_eq(watched, upstream)) {
            return;
        }
        let stop = CancellationToken::new();
        let (watched, until) = (Arc::clone(upstream), stop.clone());
        supervise_until(until, "an upstream's health", watched, |upstream| async move {
            upstream.watch().await
        });
        self.health.push((Arc::clone(upstream), stop));
    }
}

/// Takes up lists that change, for as long as it is polled.
async fn watch_lists(service: &Arc<Service>) {
    while service.offer.as_ref().is_some_and(Offer::has_lists) {
        tokio::time::sleep(LOOK_INTERVAL).await;
        let looked = Arc::clone(service);
        // It reads files.
        let looking = spawn_blocking(move || {
            if let Some(offer) = &looked.offer {
                offer.look_at_lists(&looked.name);
            }
        });
        if looking.await.is_err_and(|ended| ended.is_panic()) {
            warn!(service = &*service.name, "its lists could not be looked at");
        }
    }
}

/// Keeps the gauges of tickets that wait.
async fn count_tickets(app: &App) {
    loop {
        if let Ok(waiting) = app.ledger.waiting().await {
            let catalogue = app.catalogue.load();
            let sold = catalogue.services.iter().filter(|service| service.offer.is_some());
            let names: Vec<_> = sold.map(|service| Arc::clone(&service.name)).collect();
            app.metrics.tickets(&names, &waiting);
        }
        tokio::time::sleep(COUNT_INTERVAL).await;
    }
}

async fn note_secret(app: &App) {
    loop {
        tokio::time::sleep(SECRET_NOTE_INTERVAL).await;
        while let Err(error) =
            assemble::note_secret(app, app.catalogue.load().times.longest_life).await
        {
            warn!(%error, "the minting secret could not be noted in the ledger");
            tokio::time::sleep(Duration::from_secs(10)).await;
        }
    }
}

/// Shows payers a renewed certificate as soon as its files hold it.
async fn refresh_certificate(certificate: &CurrentCertificate, provider: &CryptoProvider) {
    let mut said = None;
    loop {
        tokio::time::sleep(CERTIFICATE_INTERVAL).await;
        match certificate.refresh(provider) {
            Ok(true) => info!("listen.certificate: the files have changed, and are used now"),
            Ok(false) => said = None,
            // One of the two files may be new already: it is said if that stays so.
            Err(error) => {
                let what = error.to_string();
                if said.as_ref() == Some(&what) {
                    warn!("{what}; the certificate that was read before is still used");
                }
                said = Some(what);
            }
        }
    }
}
