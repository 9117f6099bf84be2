//! Promise 7: a client that leaves an answer alone and goes on with others holds nothing for ever.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;

use crate::support::Behaviour;
use crate::support::world::Options;
use crate::tls::{client, tls_world_with};

/// A client that opens no window for one answer and goes on with others holds a
/// connection to the upstream, of which there are so many only; not for ever.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_an_http2_client_leaves_alone_is_taken_back() {
    let limits = "redemptions = 1".to_owned();
    let (world, folder) =
        tokio::task::block_in_place(|| tls_world_with(Options { limits, ..Options::default() }));
    world.upstream.behave(Behaviour::Answer {
        status: 200,
        headers: "",
        body: vec![b'x'; 24 << 20],
    });
    let socket = tokio::net::TcpStream::connect(world.address).await.unwrap();
    let connector =
        tokio_rustls::TlsConnector::from(Arc::new(client(&folder.path().join("gate.crt"), b"h2")));
    let stream =
        connector.connect(ServerName::try_from("localhost").unwrap(), socket).await.unwrap();
    let mut http2 = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
    let (sender, connection) =
        http2.initial_stream_window_size(1000).handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let ask = || {
        let uri = format!("https://localhost:{}/free", world.address.port());
        sender
            .clone()
            .send_request(hyper::Request::post(uri).body(Full::<Bytes>::default()).unwrap())
    };
    let left_alone = ask().await.unwrap();
    assert_eq!(left_alone.status(), 200);
    world.upstream.behave(Behaviour::okay());
    assert_eq!(ask().await.unwrap().status(), 503, "there is one connection only");
    let started = std::time::Instant::now();
    while ask().await.unwrap().status() != 200 {
        assert!(
            started.elapsed() < std::time::Duration::from_secs(240),
            "it holds the connection for as long as it likes"
        );
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    }
    assert!(
        left_alone.into_body().collect().await.is_err(),
        "what was taken back does not look whole"
    );
}
