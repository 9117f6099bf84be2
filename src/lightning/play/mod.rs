//! The play node: a simulated LND on regtest, for the demo and for tests. Its money is play money.
//!
//! To a client it is LND: pinned TLS, macaroons that are really verified, errors in LND's words, real BOLT 11 invoices, and preimages
//! that are had only by paying, through the wallet beside it.

mod bakery;
mod book;
mod grpc;
mod layout;
pub mod wallet;

use std::path::Path;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

pub use self::book::Book;
pub use self::layout::{Layout, LayoutError};

/// What it calls itself.
pub const ALIAS: &str = "farebox-play (play money)";

/// A play node that is laid out in a folder but doesn't listen yet.
pub struct PlayNode {
    layout: Layout,
    book: Arc<Book>,
}

impl PlayNode {
    /// Makes or reads the folder, which looks like LND's.
    pub fn open(folder: &Path) -> Result<Self, LayoutError> {
        let layout = Layout::open(folder)?;
        let book = Arc::new(Book::new(layout.node_key));
        Ok(Self { layout, book })
    }

    /// Its invoices, for the wallet.
    pub fn book(&self) -> Arc<Book> {
        Arc::clone(&self.book)
    }

    /// Where its files are.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Answers gRPC on the listener, over TLS, until the end of the process.
    pub async fn serve(self, listener: TcpListener) {
        let acceptor = TlsAcceptor::from(Arc::clone(&self.layout.tls));
        let node = Arc::new(grpc::Grpc::new(self.book, self.layout.bakery));
        loop {
            let Ok((socket, _)) = listener.accept().await else { continue };
            let _ = socket.set_nodelay(true);
            let (acceptor, node) = (acceptor.clone(), Arc::clone(&node));
            tokio::spawn(async move {
                if let Ok(stream) = acceptor.accept(socket).await {
                    grpc::connection(stream, node).await;
                }
            });
        }
    }
}
