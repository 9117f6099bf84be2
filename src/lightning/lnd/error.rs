//! LND's words: from gRPC errors to what is wrong, and what to do about it. LND says nearly
//! everything with the code `Unknown` and a text.

use std::error::Error as _;
use std::time::Duration;

use tonic::{Code, Status};

use crate::lightning::error::{NodeError, NodeErrorKind as Kind};

/// Reads an error of LND's, or of the way to it.
pub(super) fn read(status: &Status) -> NodeError {
    let text = status.message();
    let has = |part: &str| text.contains(part);
    match status.code() {
        Code::Unavailable => unreachable(status),
        Code::PermissionDenied | Code::Unauthenticated => macaroon(text),
        _ if has("verification failed")
            || has("permission denied")
            || has("macaroon")
            || has("unmarshal v2") =>
        {
            macaroon(text)
        }
        _ if has("wallet locked") => locked(),
        _ if has("wallet not created") => no_wallet(),
        _ if has("in the process of starting up") || has("waiting to start") => starting(),
        // tonic's own connection errors come as Unknown too, with the cause below.
        _ if status.source().is_some() => unreachable(status),
        _ => other(&format!("{text} ({:?})", status.code())),
    }
}

fn unreachable(status: &Status) -> NodeError {
    let mut words = status.message().to_owned();
    let mut cause = status.source();
    while let Some(error) = cause {
        words = error.to_string();
        if let Some(rustls::Error::InvalidCertificate(why)) = rustls_error(error) {
            return NodeError::new(
                Kind::Certificate,
                format!(
                    "LND shows another certificate than the one in `lnd.certificate` ({why}); \
                     copy LND's tls.cert again"
                ),
            );
        }
        cause = error.source();
    }
    NodeError::new(
        Kind::Unreachable,
        format!(
            "no connection to LND ({words}); is it running, and is `lnd.address` its gRPC address?"
        ),
    )
}

/// rustls errors travel inside of `io::Error`, whose `source` skips them.
fn rustls_error<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a rustls::Error> {
    let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    error.downcast_ref().or_else(|| inner.and_then(|inner| inner.downcast_ref()))
}

pub(super) fn file(what: String) -> NodeError {
    NodeError::new(Kind::File, what)
}

pub(super) fn locked() -> NodeError {
    NodeError::new(Kind::Locked, "LND's wallet is locked; run `lncli unlock`")
}

pub(super) fn no_wallet() -> NodeError {
    NodeError::new(Kind::NoWallet, "LND has no wallet yet; run `lncli create`")
}

pub(super) fn starting() -> NodeError {
    NodeError::new(Kind::Starting, "LND is starting")
}

pub(super) fn syncing() -> NodeError {
    NodeError::new(Kind::Syncing, "LND is syncing with the chain")
}

pub(super) fn macaroon(said: &str) -> NodeError {
    let what = format!("LND refuses the macaroon in `lnd.macaroon`: {said}");
    NodeError::new(Kind::Credential, what)
}

pub(super) fn silent(limit: Duration) -> NodeError {
    NodeError::new(Kind::Silent, format!("LND does not answer within {limit:?}"))
}

pub(super) fn wrong_invoice(why: &str) -> NodeError {
    NodeError::new(Kind::WrongInvoice, format!("LND's invoice is not what was asked for: {why}"))
}

pub(super) fn other(said: &str) -> NodeError {
    NodeError::other(format!("LND says: {said}"))
}

pub(super) fn slow(patience: Duration) -> NodeError {
    let what = format!("LND is slow: the oldest call waits for more than {patience:?}");
    NodeError::new(Kind::Slow, what)
}
