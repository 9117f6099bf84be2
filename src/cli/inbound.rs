//! `farebox inbound`: where backends report on messages, and hand on what phones send. The
//! addresses are secret: whoever knows one can have numbers refused.

use std::path::Path;
use std::process::ExitCode;

use super::failure::Failure;
use crate::app::master_secret;
use crate::cli::print::{complain, say};
use crate::config::Config;
use crate::keys::KeyRing;
use crate::service::ServiceSpec;
use crate::service::reports::{INBOUND_PATH, ReportBy};

/// A line for each service whose backend has something to say at an address of its own.
pub(super) fn run(path: &Path) -> Result<ExitCode, Failure> {
    let config = Config::read(path).inspect_err(|_| {
        complain!("this needs what `serve` needs: its config whole, with all secrets");
    })?;
    let loaded = master_secret::load(&config.tickets, &[], None).inspect_err(|_| {
        complain!(
            "the addresses hang on the master secret, which the first start of `serve` makes"
        );
    })?;
    let secrets = loaded.secrets;
    let ring = KeyRing::new(&secrets, "").ok_or_else(master_secret::no_secret)?;
    let public = config.listen.public_url.as_deref();
    let mut is_known = false;
    let mut addressed = config.services.iter().filter(|service| has_address(service));
    let all_have_bases = addressed.all(|service| base(service).is_some());
    for service in config.services.iter().filter(|service| has_address(service)) {
        is_known = true;
        let secret = ring.minting().inbound_secret(&service.name);
        let base = base(service).or(public).unwrap_or_default().trim_end_matches('/');
        say!("{} {base}{INBOUND_PATH}/{}/{secret}", service.name, service.name);
    }
    if !is_known {
        complain!("no service has a backend that reports at an address of its own");
    } else if public.is_none() && !all_have_bases {
        complain!("these are paths: without `public_url` nobody knows how Farebox is reached");
    }
    Ok(ExitCode::SUCCESS)
}

/// How its backend reaches Farebox, if that is said.
fn base(service: &ServiceSpec) -> Option<&str> {
    let reports = service.mapping.as_ref()?.reports.as_ref()?;
    Some(&*reports.base).filter(|base| !base.is_empty())
}

fn has_address(service: &ServiceSpec) -> bool {
    let Some(mapping) = &service.mapping else { return false };
    let names_messages = |by: &ReportBy| !matches!(by, ReportBy::Address);
    mapping.inbound.is_some()
        || mapping.reports.as_ref().is_some_and(|reports| names_messages(&reports.by))
}
