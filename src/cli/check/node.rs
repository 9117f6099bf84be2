//! The node's part of `check`: what the macaroon may do, read from itself; whether LND serves and
//! makes invoices; and what it tells of itself to a macaroon that may ask.

use std::fmt::Display;
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use super::report::Report;
use crate::config::Config;
use crate::lightning::lnd::macaroon_id::{
    ADD_INVOICE, GET_INFO, LIST_CHANNELS, LOOKUP_INVOICE, Method, SUBSCRIBE_INVOICES,
};
use crate::lightning::lnd::permissions::{Permissions, bake_command, compare};
use crate::lightning::lnd::{Channels, Inbound, Lnd, LndSettings};
use crate::lightning::{InvoiceState, NewInvoice, Node as _};
use crate::tls;

/// How long the invoice lives that is made to see that one can be made.
const EXPIRY: Duration = Duration::from_secs(60);

/// Why something isn't known that a macaroon for minting needn't tell.
const MAY_NOT_ASK: &str =
    "unknown (the macaroon needn't ask; `check --macaroon readonly.macaroon` does)";

/// Looks at everything that has to do with the node.
pub(super) async fn check(report: &mut Report, config: &Config, asking: Option<&Path>) {
    macaroon(report, config);
    let node = Lnd::new(config.lnd.clone(), tls::provider(), Box::new(|_, _| {}));
    if let Err(error) = node.wallet_state().await {
        return report.failed("node", error);
    }
    report.ok(
        "node",
        format!("LND at {} serves, with the certificate in `lnd.certificate`", config.lnd.address),
    );
    invoice(report, config, &node).await;
    about_itself(report, config, asking).await;
}

/// What the features that are on ask of the macaroon.
fn needed(config: &Config) -> Vec<Method> {
    let mut needed = vec![ADD_INVOICE];
    if config.detects_payments {
        needed.extend([SUBSCRIBE_INVOICES, LOOKUP_INVOICE]);
    }
    needed
}

/// Reads the macaroon. `Err` is what is wrong with it, and what to do.
fn permissions(path: &Path, needed: &[Method], bake: &str) -> Result<Permissions, String> {
    let fault = |why: &dyn Display, hint: &str| {
        format!("`lnd.macaroon`: {}: {why}; {hint}", path.display())
    };
    let bytes = std::fs::read(path).map_err(|error| match error.kind() {
        ErrorKind::PermissionDenied => {
            fault(&error, "let the user that runs `serve` read it, through all folders above it")
        }
        _ => fault(&error, &format!("correct the path, or bake one: {bake}")),
    })?;
    compare(&bytes, needed).map_err(|why| fault(&why, &format!("bake one: {bake}")))
}

/// Without a call: a macaroon of LND's says itself what it may do.
fn macaroon(report: &mut Report, config: &Config) {
    let needed = needed(config);
    let bake = bake_command(&needed);
    let permissions = match permissions(&config.lnd.macaroon, &needed, &bake) {
        Ok(permissions) => permissions,
        Err(what) => return report.failed("macaroon", what),
    };
    if !permissions.missing.is_empty() {
        let missing = permissions.missing.join(", ");
        report.failed(
            "macaroon",
            format!(
                "`lnd.macaroon` may not call {missing}, which this \
                                           config needs; bake one that may: {bake}"
            ),
        );
    } else if permissions.wider.is_empty() {
        report.ok("macaroon", "may do exactly what this config needs");
    }
    if !permissions.restrictions.is_empty() {
        let restrictions = permissions.restrictions.join("`, `");
        report.note(
            "macaroon",
            format!(
                "LND takes `lnd.macaroon` only where `{restrictions}` \
                                         holds; otherwise nothing is sold"
            ),
        );
    }
    if !permissions.wider.is_empty() {
        let danger = match (
            permissions.spends,
            permissions.reads_invoices && !config.detects_payments,
        ) {
            (true, _) => " Whoever gets hold of it can spend your money.",
            (false, true) => {
                " Whoever gets hold of it can read the preimages of unpaid invoices, and so forge \
                 tickets."
            }
            (false, false) => "",
        };
        let wider = permissions.wider.join(", ");
        report.note(
            "macaroon",
            format!(
                "`lnd.macaroon` may do more than this config needs: \
                                         {wider}.{danger} Bake a narrower one: {bake}"
            ),
        );
    }
}

async fn invoice(report: &mut Report, config: &Config, node: &Lnd) {
    let made = match node.add_invoice(NewInvoice::trial(EXPIRY)).await {
        Ok(made) => made,
        Err(no_invoice) => return report.failed("invoice", no_invoice.error),
    };
    report.ok(
        "invoice",
        format!(
            "made one of 1 sat on {}, which nobody will pay and which runs out in a minute",
            config.lnd.network
        ),
    );
    if config.detects_payments {
        match node.look_up(made.payment_hash).await {
            Ok(InvoiceState::Open { .. }) => {
                report.ok("payments", "that invoice could be looked up")
            }
            Ok(_) => report.failed(
                "payments",
                "that invoice could be looked up, but isn't open; is another LND at `lnd.address`?",
            ),
            Err(error) => report.failed("payments", error),
        }
    }
}

/// Who the node is, and whether it can be paid: as far as a macaroon may ask.
async fn about_itself(report: &mut Report, config: &Config, asking: Option<&Path>) {
    let path = asking.unwrap_or(&config.lnd.macaroon);
    let read = std::fs::read(path).map_err(|error| error.to_string());
    let may = |method: Method| {
        let permissions = compare(read.as_ref().map_err(Clone::clone)?, &[method]);
        permissions.map(|allowed| allowed.missing.is_empty()).map_err(|why| why.to_string())
    };
    let (may_info, may_channels) = match (may(GET_INFO), may(LIST_CHANNELS)) {
        (Ok(info), Ok(channels)) => (info, channels),
        (Err(why), _) | (_, Err(why)) => {
            let why = format!("{}: {why}", path.display());
            match asking {
                Some(_) => report.failed("node", format!("`--macaroon`: {why}")),
                // Said to be at fault already, where it is asked whether it can mint.
                None => report.note("node", format!("name, version and channels: unknown ({why})")),
            }
            return;
        }
    };
    let settings = LndSettings { macaroon: path.to_owned(), ..config.lnd.clone() };
    let node = Lnd::new(settings, tls::provider(), Box::new(|_, _| {}));
    if may_info {
        name_and_version(report, config, &node).await;
    } else {
        report.note("node", format!("name and version: {MAY_NOT_ASK}"));
    }
    if may_channels {
        match node.channels().await {
            Ok(found) => match judged(found, config.lnd.private, dearest(config)) {
                Ok(said) => report.ok("channels", said),
                Err(said) => report.failed("channels", said),
            },
            Err(error) => report.note("channels", format!("unknown ({error})")),
        }
    } else {
        report.note("channels", MAY_NOT_ASK);
    }
}

async fn name_and_version(report: &mut Report, config: &Config, node: &Lnd) {
    let info = match node.info().await {
        Ok(info) => info,
        Err(error) => {
            return report.note("node", format!("name and version: unknown ({error})"));
        }
    };
    let behind = if info.synced { "" } else { "; it has not seen the newest block" };
    report.ok("node", format!("\"{}\", LND {}{behind}", info.alias, info.version));
    let ours = config.lnd.network;
    if let Some(theirs) = info.network.filter(|theirs| theirs != ours.name()) {
        report.failed("node", format!("it is on {theirs}, but `lnd.network` says {ours}"));
    }
}

/// The highest price of the services, in sat.
fn dearest(config: &Config) -> u64 {
    let prices = config
        .services
        .iter()
        .filter_map(|service| service.offer.as_ref()?.price_range().map(|(_, high)| high.sat()));
    prices.max().unwrap_or(0)
}

/// What is said of the channels; `private` is the config's, `dearest` the highest price in sat.
fn judged(found: Channels, private: bool, dearest: u64) -> Result<String, String> {
    let hidden = if private { 0 } else { found.private.channels };
    let Inbound { channels, sat } =
        if private { found.public.and(found.private) } else { found.public };
    let and_hidden = match hidden {
        0 => String::new(),
        _ => format!(
            "; payers find no way to {hidden} private one(s) beside, unless `private = true` in \
             [lnd]"
        ),
    };
    match (channels, hidden) {
        (0, 0) => {
            Err("there is no active channel: nobody can pay; open one, with inbound liquidity"
                .to_owned())
        }
        (0, _) => Err(format!(
            "all {hidden} are private, and payers find no way to them; set `private = true` in \
             [lnd]"
        )),
        _ if sat < dearest => Err(format!(
            "{channels} active, which can receive {sat} sat; a service costs {dearest} \
             sat{and_hidden}"
        )),
        _ => Ok(format!("{channels} active, which can receive {sat} sat{and_hidden}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_channels_that_payers_find_count() {
        let found = |public: (usize, u64), private: (usize, u64)| Channels {
            public: Inbound { channels: public.0, sat: public.1 },
            private: Inbound { channels: private.0, sat: private.1 },
        };
        let says = |what: Result<String, String>, part: &str| {
            what.unwrap_or_else(|error| format!("FAILED {error}")).contains(part)
        };
        assert!(says(
            judged(found((0, 0), (0, 0)), true, 100),
            "FAILED there is no active channel"
        ));
        assert!(says(judged(found((0, 0), (2, 9000)), false, 100), "FAILED all 2 are private"));
        assert_eq!(
            judged(found((0, 0), (2, 9000)), true, 100),
            Ok("2 active, which can receive 9000 sat".to_owned())
        );
        let mixed = judged(found((1, 50), (1, 9000)), false, 100);
        assert!(says(
            mixed,
            "FAILED 1 active, which can receive 50 sat; a service costs 100 sat; payers find no \
             way to 1 private"
        ));
        assert_eq!(
            judged(found((1, 50), (1, 9000)), true, 100),
            Ok("2 active, which can receive 9050 sat".to_owned())
        );
    }
}
