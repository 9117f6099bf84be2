//! Promise 6: TLS with both protocols, and https to the upstream, which is always verified.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use crate::support::http;
use crate::support::process::Process;
use crate::support::world::{Options, PATH};
use crate::support::{Behaviour, Challenge, Response, SMS, Ticket, World};

pub fn certificate(folder: &Path, name: &str) {
    let key = rcgen::KeyPair::generate().unwrap();
    let signed = rcgen::CertificateParams::new(vec!["localhost".to_owned()])
        .unwrap()
        .self_signed(&key)
        .unwrap();
    std::fs::write(folder.join(format!("{name}.crt")), signed.pem()).unwrap();
    std::fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).unwrap();
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

pub fn client(ca: &Path, alpn: &[u8]) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca).unwrap()).unwrap();
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![alpn.to_vec()];
    config
}

/// One request over TLS, by the protocol that ALPN names.
async fn send(
    address: SocketAddr,
    ca: &Path,
    alpn: &[u8],
    ticket: Option<&Ticket>,
    path: &str,
    body: &'static str,
) -> Response {
    let mut request = hyper::Request::post(path).header("content-type", "application/json");
    if let Some(ticket) = ticket {
        request = request.header("authorization", ticket.authorization());
    }
    let request = request.body(Full::new(Bytes::from_static(body.as_bytes()))).unwrap();
    exchange(address, ca, alpn, request).await
}

async fn exchange(
    address: SocketAddr,
    ca: &Path,
    alpn: &[u8],
    mut request: hyper::Request<Full<Bytes>>,
) -> Response {
    let socket = tokio::net::TcpStream::connect(address).await.unwrap();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(client(ca, alpn)));
    let stream =
        connector.connect(ServerName::try_from("localhost").unwrap(), socket).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(alpn));
    let host = format!("localhost:{}", address.port());
    if alpn == b"h2" {
        *request.uri_mut() = format!("https://{host}{}", request.uri()).parse().unwrap();
    } else {
        request.headers_mut().insert("host", host.parse().unwrap());
    }
    let response = if alpn == b"h2" {
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
                .await
                .unwrap();
        tokio::spawn(connection);
        sender.send_request(request).await.unwrap()
    } else {
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        sender.send_request(request).await.unwrap()
    };
    let status = response.status().as_u16();
    let headers = response
        .headers()
        .iter()
        .map(|(n, v)| (n.to_string(), v.to_str().unwrap().to_owned()))
        .collect();
    let body = response.into_body().collect().await.unwrap();
    assert!(body.trailers().is_none(), "nobody asked for trailers");
    Response { status, headers, body: body.to_bytes().to_vec(), ..Response::default() }
}

fn tls_world() -> (World, tempfile::TempDir) {
    tls_world_with(Options::default())
}

pub fn tls_world_with(options: Options) -> (World, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    certificate(folder.path(), "gate");
    let at = folder.path().display();
    let listen = format!("certificate = \"{at}/gate.crt\"\nkey = \"{at}/gate.key\"");
    (World::with(Options { listen, plain_http: Some(false), ..options }), folder)
}

async fn sells_and_delivers(alpn: &[u8]) {
    let (world, folder) = tokio::task::block_in_place(tls_world);
    let ca = folder.path().join("gate.crt");
    let challenge = Challenge::from(send(world.address, &ca, alpn, None, PATH, SMS).await);
    let next = challenge.response.json()["next"].as_str().unwrap().to_owned();
    let here = format!("'https://localhost:{}{PATH}'", world.address.port());
    assert!(next.contains(&here), "{next}");
    let ticket = tokio::task::block_in_place(|| world.payer().pays(&challenge));
    send(world.address, &ca, alpn, Some(&ticket), PATH, SMS).await.is_delivered("Okay");
    assert_eq!(world.upstream.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn http2_sells_and_delivers() {
    sells_and_delivers(b"h2").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn http1_sells_and_delivers() {
    sells_and_delivers(b"http/1.1").await;
}

/// Both ways: at once by a reload, in some seconds by itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_certificate_is_shown() {
    let (world, folder) = tokio::task::block_in_place(tls_world);
    let ca = folder.path().join("gate.crt");
    send(world.address, &ca, b"h2", None, PATH, SMS).await.has_status(402);
    // A half is no certificate.
    certificate(folder.path(), "other");
    std::fs::copy(folder.path().join("other.crt"), &ca).unwrap();
    tokio::task::block_in_place(|| {
        let said = world.refuses_to_reload();
        assert!(said["detail"].as_str().unwrap().contains("belong together"), "{said}");
    });
    std::fs::copy(folder.path().join("other.key"), folder.path().join("gate.key")).unwrap();
    tokio::task::block_in_place(|| world.reloads());
    send(world.address, &ca, b"h2", None, PATH, SMS).await.has_status(402);
    // As certbot does it: a link leads elsewhere.
    certificate(folder.path(), "third");
    for end in ["crt", "key"] {
        let (link, new) = (folder.path().join("link"), folder.path().join(format!("third.{end}")));
        std::os::unix::fs::symlink(new, &link).unwrap();
        std::fs::rename(link, folder.path().join(format!("gate.{end}"))).unwrap();
    }
    tokio::task::block_in_place(|| {
        world.gate.wait_until_it_says("listen.certificate: the files have changed");
    });
    send(world.address, &ca, b"http/1.1", None, PATH, SMS).await.has_status(402);
}

/// Else all that they get is an alert of seven bytes.
#[test]
fn a_client_that_speaks_plain_http_is_told_to_use_https() {
    let (world, _folder) = tls_world();
    let long = vec![b'x'; 1 << 20];
    for (method, body) in [("GET", &b""[..]), ("POST", SMS.as_bytes()), ("POST", &long)] {
        let answer = http::send(world.address, method, PATH, &[], body);
        assert!(answer.text().contains("https://"), "{answer:?}");
        answer.is(400, "bad-request");
    }
}

/// hyper sends a body after the answer to HEAD over HTTP/2, which clients take for a fault.
#[tokio::test(flavor = "multi_thread")]
async fn the_answer_to_head_has_a_length_and_no_body() {
    let (world, folder) = tokio::task::block_in_place(tls_world);
    let ca = folder.path().join("gate.crt");
    for (path, status) in [("/nothing", 404), (PATH, 405), ("/l402/status", 404)] {
        for alpn in [&b"h2"[..], b"http/1.1"] {
            let request = hyper::Request::head(path).body(Full::default()).unwrap();
            let answer = exchange(world.address, &ca, alpn, request).await.in_case(path);
            answer.has_status(status);
            let length: usize = answer.header("content-length").unwrap().parse().unwrap();
            assert!(length > 0 && answer.body.is_empty(), "{path}: {answer:?}");
        }
    }
}

/// hyper would drop the body of a request that comes with another HTTP version; nobody asked for
/// trailers, and least of all for a challenge in one.
async fn passes_free_bodies_on_without_trailers(alpn: &[u8]) {
    let (world, folder) = tokio::task::block_in_place(tls_world);
    let ca = folder.path().join("gate.crt");
    let free = send(world.address, &ca, alpn, None, "/free", "streamed on").await;
    free.has_status(200);
    assert_eq!(world.upstream.last().body, b"streamed on");
    world.upstream.behave(Behaviour::Raw(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: \
         chunked\r\n\r\n4\r\nOkay\r\n0\r\nWWW-Authenticate: L402 macaroon=\"a\", \
         invoice=\"b\"\r\n\r\n",
    ));
    assert_eq!(send(world.address, &ca, alpn, None, "/free", "").await.text(), "Okay");
}

#[tokio::test(flavor = "multi_thread")]
async fn http2_passes_free_bodies_on_without_trailers() {
    passes_free_bodies_on_without_trailers(b"h2").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn http1_passes_free_bodies_on_without_trailers() {
    passes_free_bodies_on_without_trailers(b"http/1.1").await;
}

/// A reset of the stream drops the handler; the redemption goes on.
#[tokio::test(flavor = "multi_thread")]
async fn an_http2_reset_does_not_stop_a_redemption() {
    let (world, folder) = tokio::task::block_in_place(tls_world);
    let ca = folder.path().join("gate.crt");
    let challenge = Challenge::from(send(world.address, &ca, b"h2", None, PATH, SMS).await);
    let ticket = tokio::task::block_in_place(|| world.payer().pays(&challenge));
    world.upstream.behave(Behaviour::Stall);
    let (address, path, used) = (world.address, ca.clone(), ticket.clone());
    let payer =
        tokio::spawn(async move { send(address, &path, b"h2", Some(&used), PATH, SMS).await });
    tokio::task::block_in_place(|| world.upstream.wait_until_asked());
    payer.abort();
    assert!(payer.await.is_err());
    world.upstream.release();
    send(world.address, &ca, b"h2", Some(&ticket), PATH, SMS).await.is_replayed("Okay");
    assert_eq!(world.upstream.count(), 1);
}

#[test]
fn a_key_that_does_not_belong_to_the_certificate_is_refused_before_a_port_is_bound() {
    let folder = tempfile::tempdir().unwrap();
    certificate(folder.path(), "gate");
    certificate(folder.path(), "other");
    let config = r#"
[listen]
address = "127.0.0.1:0"
certificate = "gate.crt"
key = "other.key"
[lnd]
address = "127.0.0.1:1"
certificate = "none"
macaroon = "none"
network = "regtest"
[[service]]
name = "free"
method = "GET"
path = "/"
ticket = "free"
upstream = "http://127.0.0.1:1/"
"#;
    std::fs::write(folder.path().join("farebox.toml"), config).unwrap();
    let (status, said) = Process::run(&["serve", "--config", "farebox.toml"], folder.path());
    assert_eq!(status.code(), Some(1), "the right one may come yet");
    assert!(said.contains("`listen.certificate`") && said.contains("belong together"), "{said}");
}

/// An https upstream that answers `Okay`, with a certificate of our own making.
async fn https_upstream(folder: &Path) -> SocketAddr {
    certificate(folder, "upstream");
    let chain = vec![CertificateDer::from_pem_file(folder.join("upstream.crt")).unwrap()];
    let key = PrivateKeyDer::from_pem_file(folder.join("upstream.key")).unwrap();
    let config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(socket).await else { return };
                let answer = hyper::service::service_fn(|_| async {
                    Ok::<_, std::convert::Infallible>(hyper::Response::new(Full::new(
                        Bytes::from_static(b"Okay"),
                    )))
                });
                let _ = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), answer)
                    .await;
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn an_https_upstream_is_verified_always() {
    let folder = tempfile::tempdir().unwrap();
    let address = https_upstream(folder.path()).await;
    let service = |name: &str, more: &str| {
        format!(
            "[[service]]\nname = \"{name}\"\nmethod = \"POST\"\npath = \"/{name}\"\nticket = \
             \"single-use\"\nprice_sat = 5\nupstream = \"https://localhost:{}/\"\n{more}\n",
            address.port()
        )
    };
    let ca = format!("upstream_ca = \"{}/upstream.crt\"", folder.path().display());
    let more = service("verified", &ca) + &service("unknown", "");
    let world = tokio::task::block_in_place(|| World::with(Options { more, ..Options::default() }));
    tokio::task::block_in_place(|| {
        world.wait_until_upstream_is("unknown", "down");
        world.payer_at("POST", "/unknown").tries_to_buy("{}").is(503, "upstream-down");
        let payer = world.payer_at("POST", "/verified");
        payer.redeems(&payer.buys("{}"), "{}").is_delivered("Okay");
    });
}
