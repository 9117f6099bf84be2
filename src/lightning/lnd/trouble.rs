//! From gRPC errors to what is wrong. LND says nearly everything with the code `Unknown` and a
//! text.

use std::error::Error as _;

use tonic::{Code, Status};

use crate::lightning::Trouble;

/// Reads an error of LND's, or of the way to it.
pub(super) fn read(status: &Status) -> Trouble {
    let text = status.message();
    let has = |part: &str| text.contains(part);
    match status.code() {
        Code::Unavailable => unreachable(status),
        Code::PermissionDenied | Code::Unauthenticated => Trouble::Macaroon(text.to_owned()),
        _ if has("verification failed")
            || has("permission denied")
            || has("macaroon")
            || has("unmarshal v2") =>
        {
            Trouble::Macaroon(text.to_owned())
        }
        _ if has("wallet locked") => Trouble::Locked,
        _ if has("wallet not created") => Trouble::NoWallet,
        _ if has("in the process of starting up") || has("waiting to start") => Trouble::Starting,
        // tonic's own connection errors come as Unknown too, with the cause below.
        _ if status.source().is_some() => unreachable(status),
        _ => Trouble::Other(format!("{text} ({:?})", status.code())),
    }
}

fn unreachable(status: &Status) -> Trouble {
    let mut words = status.message().to_owned();
    let mut cause = status.source();
    while let Some(error) = cause {
        words = error.to_string();
        if let Some(rustls::Error::InvalidCertificate(why)) = rustls_error(error) {
            return Trouble::Certificate(why.to_string());
        }
        cause = error.source();
    }
    Trouble::Unreachable(words)
}

/// rustls errors travel inside of `io::Error`, whose `source` skips them.
fn rustls_error<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a rustls::Error> {
    let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    error.downcast_ref().or_else(|| inner.and_then(|inner| inner.downcast_ref()))
}
