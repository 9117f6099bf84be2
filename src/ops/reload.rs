//! `POST /reload`: the config is read again and, if all of it is well, holds from there on.

use std::path::PathBuf;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::{Response, StatusCode};
use serde_json::json;
use tokio::sync::{mpsc, oneshot};

use super::response::{say, text};

/// What a reload did.
#[derive(Debug)]
pub struct Reloaded {
    /// Keys that say something new, and that only a restart takes up.
    pub needs_restart: Vec<&'static str>,
    /// What works, and isn't as it should be.
    pub warnings: Vec<String>,
}

/// Why a reload changed nothing, in words for the operator.
#[derive(Clone, Debug)]
pub struct ReloadFailed {
    /// The file that is at fault, if it is one, and the line in it.
    pub file: Option<PathBuf>,
    /// The line in it, from 1.
    pub line: Option<usize>,
    /// What is wrong, and what to do.
    pub what: String,
    /// Whether the config is at fault; else it may be well, and can't be brought into force now.
    pub is_config: bool,
}

/// Whoever asked for a reload, and hears how it ended.
pub type ReloadRequest = oneshot::Sender<Result<Reloaded, ReloadFailed>>;

/// Asks for a reload, and says how it ended.
pub(super) async fn answer(reloads: &mpsc::Sender<ReloadRequest>) -> Response<Full<Bytes>> {
    let (asker, ended) = oneshot::channel();
    let asked = reloads.send(asker).await.is_ok();
    match ended.await {
        Ok(Ok(Reloaded { needs_restart, warnings })) if asked => {
            let body = json!({
                "applied": true,
                "needs_restart": needs_restart,
                "warnings": warnings,
            });
            text(StatusCode::OK, "application/json", format!("{body}\n"))
        }
        Ok(Err(failed)) => refused(failed),
        _ => say(StatusCode::SERVICE_UNAVAILABLE, "farebox is stopping"),
    }
}

/// RFC 9457.
fn refused(failed: ReloadFailed) -> Response<Full<Bytes>> {
    let ReloadFailed { file, line, what, is_config } = failed;
    let (status, title, hint) = match is_config {
        true => (
            StatusCode::UNPROCESSABLE_ENTITY,
            "The config can't be used",
            "nothing has changed: mend it and reload once more; `farebox check` says more",
        ),
        false => (
            StatusCode::SERVICE_UNAVAILABLE,
            "The config can't be brought into force now",
            "nothing has changed: reload once more when the ledger is there again",
        ),
    };
    let body = json!({
        "type": "about:blank",
        "title": title,
        "status": status.as_u16(),
        "detail": what,
        "file": file.map(|file| file.display().to_string()),
        "line": line,
        "hint": hint,
    });
    text(status, "application/problem+json", format!("{body}\n"))
}
