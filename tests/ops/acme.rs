//! Certificates by ACME, from a real authority.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};

use crate::pebble::{Pebble, free_port};
use crate::support::world::Options;
use crate::support::{World, wait_for, wait_until};

const DOMAIN: &str = "sms.example.com";

/// A gate that has its certificate ordered, and looks at nothing else than this address.
fn world(pebble: &Pebble, gate_port: u16, redirect_port: Option<u16>, domain: &str) -> World {
    let redirect = redirect_port.map(|port| format!("redirect = \"127.0.0.1:{port}\""));
    let listen = format!("{}\n{}", pebble.key(domain), redirect.unwrap_or_default());
    let world = World::with(Options { listen, plain_http: Some(false), ..Options::default() });
    let mut world = world;
    let address = format!("[listen]\naddress = \"127.0.0.1:{gate_port}\"");
    world.write_config("farebox.toml", &[("[listen]\naddress = \"127.0.0.1:0\"", &address)]);
    world.stop();
    world.restart();
    world
}

/// The certificate that a client is shown; `None` if there is none.
fn shown(port: u16) -> Option<Vec<u8>> {
    let (mut stream, _) = connect(port)?;
    stream.flush().ok()?;
    stream.conn.peer_certificates()?.first().map(|certificate| certificate.to_vec())
}

fn connect(port: u16) -> Option<(StreamOwned<ClientConnection, TcpStream>, ())> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
        .with_no_client_auth();
    let name = ServerName::try_from(DOMAIN).unwrap();
    let mut connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut socket = TcpStream::connect(("127.0.0.1", port)).ok()?;
    connection.complete_io(&mut socket).ok()?;
    Some((StreamOwned::new(connection, socket), ()))
}

/// What is looked at is who issued it.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let all = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signed, all)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let all = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, all)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// What lies in the cache, and that only its user may read it.
fn cached(world: &World, name: &str) -> Vec<u8> {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = std::fs::read_dir(world.folder.path().join("state/acme")).unwrap();
    let path = folder.map(|entry| entry.unwrap().path()).next().unwrap().join(name);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o077, 0);
    std::fs::read(path).unwrap()
}

#[test]
fn a_certificate_is_issued_by_tls_kept_over_restarts_and_renewed() {
    let pebble = Pebble::start();
    let mut world = world(&pebble, pebble.tls_port, None, DOMAIN);
    let first = wait_for("a certificate", || shown(pebble.tls_port));
    // The order of the first start went nowhere: its port was another.
    wait_until("the authority's word", || pebble.issued() == 1);
    assert!(!cached(&world, "account.json").is_empty());
    let (mut stream, ()) = connect(pebble.tls_port).unwrap();
    stream.write_all(b"GET /status HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    world.stop();
    world.restart();
    assert_eq!(shown(pebble.tls_port).as_ref(), Some(&first), "it was kept");
    assert_eq!(pebble.issued(), 1);
    let ends = world.metric("farebox_certificate_expiry_timestamp_seconds");
    // One of 60 s is renewed after 40.
    let next = wait_for("a renewed certificate", || {
        shown(pebble.tls_port).filter(|certificate| *certificate != first)
    });
    assert_ne!(next, first);
    assert!(world.metric("farebox_certificate_expiry_timestamp_seconds") > ends);
    world.stop();
    // A cache that can't be read is no reason not to serve.
    let folder = world.folder.path().join("state/acme");
    let kept = std::fs::read_dir(folder).unwrap().next().unwrap().unwrap().path();
    for name in ["certificate.pem", "account.json"] {
        std::fs::write(kept.join(name), "rubbish").unwrap();
    }
    world.restart();
    wait_for("another certificate", || shown(pebble.tls_port));
    assert_eq!(pebble.issued(), 3);
}

#[test]
fn a_certificate_is_issued_by_plain_http_which_is_sent_to_https_else() {
    let pebble = Pebble::start();
    let gate = free_port();
    let world = world(&pebble, gate, Some(pebble.http_port), DOMAIN);
    wait_for("a certificate", || shown(gate));
    let port = pebble.http_port;
    let asks = |target: &str| {
        let host = [("Host", "sms.example.com:80")];
        let at = format!("127.0.0.1:{port}").parse().unwrap();
        crate::support::http::send(at, "POST", target, &host, b"{}")
    };
    let sent = asks("/api/l402/send-sms?a=b");
    assert_eq!(sent.status, 308, "with its method and body");
    let there = format!("https://sms.example.com:{gate}/api/l402/send-sms?a=b");
    assert_eq!(sent.header("location"), Some(&*there));
    assert_eq!(asks("/.well-known/acme-challenge/made-up").status, 308);
    assert!(Path::new(&world.folder.path().join("state/acme")).exists());
}

#[test]
fn a_refused_order_is_said_and_the_gate_goes_on() {
    let pebble = Pebble::start();
    // The authority looks where nobody is.
    let world = world(&pebble, free_port(), None, DOMAIN);
    world.gate.wait_until_it_says("listen.acme: no new certificate: sms.example.com:");
    assert_eq!((shown(world.address.port()), pebble.issued()), (None, 0));
    assert_eq!(world.ready()["certificate"]["status"], "missing");
    assert_eq!(world.ready()["status"], "degraded");
    assert!(world.gate.output().contains("again_in=60s"));
}
