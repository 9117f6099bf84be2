//! A changed config, while requests go on: read, checked as a whole, and only then in force.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tracing::{error, info, warn};

use super::advice::advice;
use super::assemble::{self, App};
use super::beside::BesideServices;
use super::error::StartError;
use super::log::Log;
use super::standing::Standing;
use super::{certificates, files, master_secret, notify, sold};
use crate::config::{Config, FixedKeys, Held, Limits, LogSettings, OpsSettings};
use crate::listen::places::Places;
use crate::listen::tls::Certificate;
use crate::ops::guard::Guard;
use crate::ops::reload::{ReloadFailed, ReloadRequest, Reloaded};
use crate::service::Catalogue;

/// How long a reload waits for the ledger, to say whether all that was sold can be redeemed.
const FLUSH_MAX: Duration = Duration::from_secs(2);

/// What a reload changes, and how.
pub(super) struct Reload {
    pub(super) app: Arc<App>,
    /// Where the config was read from.
    pub(super) path: PathBuf,
    /// What only a restart changes, as it was at the start.
    pub(super) fixed: FixedKeys,
    /// What holds until then.
    pub(super) held: Held,
    pub(super) places: Arc<Places>,
    pub(super) guard: Arc<ArcSwap<Guard>>,
    pub(super) drain: Arc<Mutex<Duration>>,
    pub(super) log: Log,
    pub(super) beside: BesideServices,
}

/// All that can go wrong has gone well.
struct Prepared {
    config: Settings,
    catalogue: Arc<Catalogue>,
    certificate: Option<Certificate>,
    needs_restart: Vec<&'static str>,
    warnings: Vec<String>,
}

/// What of a config isn't in the catalogue.
struct Settings {
    limits: Limits,
    ops: OpsSettings,
    log: LogSettings,
    drain: Duration,
    hash: u64,
}

impl Reload {
    /// Reloads as often as it is asked to, one after the other.
    pub(super) async fn run(
        mut self,
        mut asked: mpsc::Receiver<ReloadRequest>,
        standing: Arc<Standing>,
    ) {
        while let Some(asker) = asked.recv().await {
            if self.app.stopping.is_cancelled() {
                return;
            }
            notify::reloading();
            let ended = self.reload().await;
            self.app.metrics.config.reloaded(ended.is_ok());
            // Else systemd would take it for serving again.
            if !self.app.stopping.is_cancelled() {
                standing.reloaded(&ended);
            }
            let _ = asker.send(ended);
        }
    }

    async fn reload(&mut self) -> Result<Reloaded, ReloadFailed> {
        let prepared = match self.prepare().await {
            Ok(prepared) => prepared,
            Err(error) => {
                error!("reload: {error}; nothing has changed");
                return Err(said(error));
            }
        };
        let needs_restart = prepared.needs_restart.clone();
        let warnings = self.apply(prepared).await;
        match needs_restart.is_empty() {
            true => info!("reload: the config is in force"),
            false => warn!(
                needs_restart = needs_restart.join(", "),
                "reload: the config is in force, but for these keys, which a restart takes up"
            ),
        }
        Ok(Reloaded { needs_restart, warnings })
    }

    /// Reads and checks all of it. `Err` has changed nothing.
    async fn prepare(&self) -> Result<Prepared, StartError> {
        let (path, held) = (self.path.clone(), self.held.clone());
        let what = "the config could not be read";
        let read = spawn_blocking(move || Config::read_again(&path, &held)).await;
        let read = read.map_err(|error| StartError::System { what, source: error.into() })?;
        let (mut config, fixed) = read?;
        let mut needs_restart = self.fixed.changed_in(&fixed);
        // Of another place nothing is read: the next start may have to make it.
        let is_elsewhere = |key: &&str| ["state_dir", "tickets.master_secret"].contains(key);
        if !needs_restart.iter().any(is_elsewhere) {
            let secrets = master_secret::load(&config.tickets, &[], None)?.secrets;
            if !self.app.ring.is_of(&secrets) {
                needs_restart.push("tickets.master_secret");
            }
        }
        if let Some(files) = files::limit() {
            files::fit(&mut config.limits, files, config.services.len());
        }
        let advice = advice(&config).into_iter().map(|(part, what)| format!("{part}: {what}"));
        let mut warnings: Vec<String> = advice.collect();
        let certificate = self.certificate(&config, &mut warnings)?;
        let settings = Settings {
            limits: config.limits.clone(),
            ops: config.ops.clone(),
            log: config.log.clone(),
            drain: config.listen.drain,
            hash: config.hash,
        };
        let before = self.app.catalogue.load();
        // Before anything is sold that lives longer.
        let longest_life = config.longest_life();
        if longest_life > before.times.longest_life {
            assemble::note_secret(&self.app, longest_life).await?;
        }
        let catalogue = Arc::new(self.app.maker.make(config, Some(&before))?);
        Ok(Prepared { config: settings, catalogue, certificate, needs_restart, warnings })
    }

    /// The certificate that is shown from here on; what is wrong with one that only a restart would
    /// show is a warning.
    fn certificate(
        &self,
        config: &Config,
        warnings: &mut Vec<String>,
    ) -> Result<Option<Certificate>, StartError> {
        let read = certificates::read(config, &self.app.provider);
        if self.app.certificates.as_ref().is_some_and(|now| now.acme.is_none()) {
            return Ok(read?);
        }
        if let Err(error) = read {
            warnings.push(format!("the next start would fail: {error}"));
        }
        Ok(None)
    }

    /// Can't fail. Gives what the operator should hear of.
    async fn apply(&mut self, prepared: Prepared) -> Vec<String> {
        let Prepared { config, catalogue, certificate, warnings, .. } = prepared;
        let Settings { limits, ops, log, drain, hash } = config;
        let app = &self.app;
        app.metrics.config.is(hash);
        self.log.filter(&log);
        *self.drain.lock().unwrap_or_else(PoisonError::into_inner) = drain;
        self.guard.store(Arc::new(Guard { token: ops.token, hosts: ops.hosts }));
        if let (Some(certificates), Some(certificate)) = (&app.certificates, certificate) {
            certificates.shown.replace(certificate);
        }
        let proxies = limits.trusted_proxies.clone();
        self.places.resize(limits.connections, limits.connections_per_client, proxies);
        app.sale.limit(limits.unpaid_per_client, limits.unpaid_total);
        app.redeem.limit(&catalogue.limits, limits.redemptions);
        for service in &catalogue.services {
            service.upstream.limit(limits.redemptions);
        }
        app.sale.open(&catalogue);
        let before = app.catalogue.load();
        app.catalogue.replace(Arc::clone(&catalogue));
        app.gate.open(Arc::clone(&catalogue));
        self.beside.open(app, &catalogue);
        let stays = |name: &str| catalogue.services.iter().any(|service| *service.name == *name);
        for gone in before.services.iter().filter(|service| !stays(&service.name)) {
            app.metrics.forget(&gone.name);
        }
        let detects = catalogue.detects_payments;
        // What was sold a moment ago counts too.
        let _ = timeout(FLUSH_MAX, app.ledger.flush()).await;
        let lost = sold::unredeemable(&app.ledger, &catalogue.services, detects).await;
        let warnings: Vec<String> = warnings.into_iter().chain(lost).collect();
        for what in &warnings {
            warn!("reload: {what}");
        }
        warnings
    }
}

fn said(error: StartError) -> ReloadFailed {
    let is_config = !matches!(error, StartError::Ledger(_));
    match error {
        StartError::Config(error) => {
            let (file, line) = error.place();
            let (file, what) = (Some(file.to_owned()), error.what().to_owned());
            ReloadFailed { file, line, what, is_config }
        }
        error => ReloadFailed { file: None, line: None, what: error.to_string(), is_config },
    }
}
