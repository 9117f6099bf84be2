//! Plain HTTP on one side and TLS to the gate on the other, for tests that aren't about TLS.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustls::client::Resumption;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_rustls::TlsConnector;

/// A certificate for localhost, with its key.
pub struct Certificate {
    pem: String,
    key: String,
    der: CertificateDer<'static>,
}

impl Certificate {
    pub fn made() -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let signed = params.self_signed(&key).unwrap();
        Self { pem: signed.pem(), key: key.serialize_pem(), der: signed.der().clone() }
    }

    /// Puts it where the gate reads it.
    pub fn put_into(&self, folder: &Path) {
        std::fs::write(folder.join("shown.crt"), &self.pem).unwrap();
        std::fs::write(folder.join("shown.key"), &self.key).unwrap();
    }
}

pub struct TlsBridge {
    pub address: SocketAddr,
    /// The certificates that were trusted, and whether each was shown.
    shown: Arc<Vec<(CertificateDer<'static>, AtomicBool)>>,
    /// Ends with this.
    _runtime: Runtime,
}

impl TlsBridge {
    pub fn start(gate: SocketAddr, trusted: &[Certificate]) -> Self {
        let mut roots = RootCertStore::empty();
        trusted.iter().for_each(|certificate| roots.add(certificate.der.clone()).unwrap());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        // A session that goes on shows the certificate that it began with.
        config.resumption = Resumption::disabled();
        let connector = TlsConnector::from(Arc::new(config));
        let shown = trusted.iter().map(|one| (one.der.clone(), AtomicBool::new(false)));
        let shown = Arc::new(shown.collect::<Vec<_>>());
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let noted = Arc::clone(&shown);
        runtime.spawn(async move {
            while let Ok((plain, _)) = listener.accept().await {
                tokio::spawn(carry(plain, gate, connector.clone(), Arc::clone(&noted)));
            }
        });
        Self { address, shown, _runtime: runtime }
    }

    /// Which of the certificates the gate has shown.
    pub fn were_shown(&self) -> Vec<bool> {
        self.shown.iter().map(|(_, was_shown)| was_shown.load(Ordering::SeqCst)).collect()
    }
}

/// What fails here ends the connection, which a test sees.
async fn carry(
    mut plain: TcpStream,
    gate: SocketAddr,
    connector: TlsConnector,
    shown: Arc<Vec<(CertificateDer<'static>, AtomicBool)>>,
) {
    let Ok(stream) = TcpStream::connect(gate).await else { return };
    let name = ServerName::try_from("localhost").unwrap();
    let Ok(mut secure) = connector.connect(name, stream).await else { return };
    let chain = secure.get_ref().1.peer_certificates().unwrap_or_default();
    for (certificate, was_shown) in shown.iter() {
        was_shown.fetch_or(chain.contains(certificate), Ordering::SeqCst);
    }
    let _ = tokio::io::copy_bidirectional(&mut plain, &mut secure).await;
}
