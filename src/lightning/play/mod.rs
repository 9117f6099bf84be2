//! The play node: a simulated LND on regtest, for the demo and for tests. Its money is play money.
//!
//! To a client it is LND: pinned TLS, macaroons that are really verified, errors in LND's words,
//! real BOLT 11 invoices, streams with indices, and preimages that are had only by paying, through
//! the wallet beside it. A test can have it fail.

mod bakery;
mod book;
mod condition;
mod grpc;
mod invoices;
mod layout;
mod lightning;
mod stored_invoice;
pub mod wallet;
mod wallet_page;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

pub use self::book::Book;
pub use self::condition::Condition;
use self::condition::Control;
pub use self::layout::{Layout, LayoutError};

/// What it calls itself.
pub const ALIAS: &str = "farebox-play (play money)";

/// A play node.
pub struct PlayNode {
    layout: Mutex<Layout>,
    book: Book,
    control: Control,
}

impl PlayNode {
    /// Makes or reads the folder, which looks like LND's. Doesn't listen yet.
    pub fn open(folder: &Path) -> Result<Arc<Self>, LayoutError> {
        let layout = Layout::open(folder)?;
        let book = Book::new(layout.node_key);
        Ok(Arc::new(Self { layout: Mutex::new(layout), book, control: Control::default() }))
    }

    /// Where its files are.
    pub fn layout(&self) -> MutexGuard<'_, Layout> {
        self.layout.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has it be in a condition, or make files again: `new-certificate`, `new-macaroons`, `bake
    /// <name> <method>..`. `Err` says what it takes.
    pub fn order(&self, words: &str) -> Result<(), String> {
        let fault = |error: LayoutError| error.to_string();
        match words.split_whitespace().collect::<Vec<_>>().as_slice() {
            ["new-certificate"] => {
                let mut layout = self.layout();
                *layout = layout.with_new_certificate().map_err(fault)?;
            }
            ["new-macaroons"] => {
                let mut layout = self.layout();
                *layout = layout.with_new_macaroons().map_err(fault)?;
            }
            ["bake", name, methods @ ..]
                if name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') =>
            {
                self.layout().bake(name, methods).map_err(fault)?;
                return Ok(());
            }
            _ => {
                self.control.set(words.parse()?);
                return Ok(());
            }
        }
        self.control.files_changed();
        Ok(())
    }

    /// Answers gRPC at the listener's address, over TLS, until the end of the process.
    pub async fn serve(self: Arc<Self>, listener: TcpListener) {
        let Ok(address) = listener.local_addr() else { return };
        let mut listener = Some(listener);
        let (mut condition, mut files) = (self.control.follow(), self.control.follow_files());
        let mut cut = CancellationToken::new();
        loop {
            let is_down = *condition.borrow_and_update() == Condition::Down;
            if is_down {
                listener = None;
                cut.cancel();
                cut = CancellationToken::new();
                let _ = condition.changed().await;
                continue;
            }
            let Some(open) = &listener else {
                listener = TcpListener::bind(address).await.ok();
                if listener.is_none() {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                continue;
            };
            tokio::select! {
                accepted = open.accept() => {
                    let Ok((socket, _)) = accepted else { continue };
                    let _ = socket.set_nodelay(true);
                    let acceptor = TlsAcceptor::from(Arc::clone(&self.layout().tls));
                    let (node, cut) = (Arc::clone(&self), cut.clone());
                    tokio::spawn(async move {
                        if let Ok(stream) = acceptor.accept(socket).await {
                            grpc::connection(stream, node, cut).await;
                        }
                    });
                }
                _ = condition.changed() => {}
                _ = files.changed() => {
                    cut.cancel();
                    cut = CancellationToken::new();
                }
            }
        }
    }
}
