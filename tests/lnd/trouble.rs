//! What goes wrong with a real LND: what Farebox answers meanwhile, and that it heals without a
//! restart.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};

use prost::Message;
use tonic::codegen::http::uri::PathAndQuery;
use tonic_prost::ProstCodec;

use crate::regtest::{Lnd, network};
use crate::support::world::{Options, PATH};
use crate::support::{SMS, World, http, wait_until};
use crate::{ADD_INVOICE, at, open, selling};

fn ask(address: std::net::SocketAddr) -> http::Response {
    http::send(address, "POST", PATH, &[("Content-Type", "application/json")], SMS.as_bytes())
}

#[test]
fn restarted_under_load_it_costs_buyers_a_503_and_payers_nothing() {
    let mut network = network();
    let world = open(selling(&network.seller));
    let challenge = world.payer().asks(SMS);
    let preimage = network.payer.pay(&challenge.invoice).unwrap();
    let ticket = challenge.with_preimage(&preimage);
    let (done, address) = (AtomicBool::new(false), world.address);
    let seen = std::thread::scope(|scope| {
        let buyers: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    let mut seen = std::collections::BTreeMap::<String, u32>::new();
                    while !done.load(Ordering::SeqCst) {
                        let answer = ask(address);
                        *seen.entry(format!("{} {}", answer.status, answer.code())).or_default() +=
                            1;
                        std::thread::sleep(std::time::Duration::from_millis(20));
                    }
                    seen
                })
            })
            .collect();
        network.seller.stop();
        wait_until("the node to be known as gone", || world.ready()["node"]["status"] != "ok");
        world.payer().redeems(&ticket, SMS).is_delivered("Okay");
        assert_eq!(http::get(world.address, "/status").status, 200);
        network.seller.start();
        wait_until("the sale to open", || ask(address).status == 402);
        done.store(true, Ordering::SeqCst);
        buyers.into_iter().map(|buyer| buyer.join().unwrap()).collect::<Vec<_>>()
    });
    for (answer, _) in seen.iter().flatten() {
        assert!(
            ["402 payment-required", "503 node-down", "503 too-busy"].contains(&answer.as_str()),
            "{seen:?}"
        );
    }
    assert_eq!(
        world
            .upstream
            .requests()
            .iter()
            .filter(|request| request.line.starts_with("POST /send"))
            .count(),
        1
    );
}

#[test]
fn a_renewed_certificate_is_taken_up() {
    let mut network = network();
    let world = open(selling(&network.seller));
    network.seller.stop();
    let before = fs::read(network.seller.folder.join("tls.cert")).unwrap();
    for file in ["tls.cert", "tls.key"] {
        fs::remove_file(network.seller.folder.join(file)).unwrap();
    }
    wait_until("the loss to be noticed", || world.ready()["node"]["status"] != "ok");
    network.seller.start_and_wait();
    assert_ne!(fs::read(network.seller.folder.join("tls.cert")).unwrap(), before);
    wait_until("the sale to open", || ask(world.address).status == 402);
    // And one that isn't in the file is refused: the old one is put back there.
    let renewed = fs::read(network.seller.folder.join("tls.cert")).unwrap();
    let folder = world.folder.path().join("copied");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("tls.cert"), before).unwrap();
    let mut options = selling(&network.seller);
    options.node = Some((network.seller.grpc, folder.clone()));
    let other = World::with(options);
    other.wait_until_node_is("certificate");
    assert_eq!(ask(other.address).code(), "node-down");
    fs::write(folder.join("tls.cert"), renewed).unwrap();
    wait_until("the sale to open", || ask(other.address).status == 402);
}

#[test]
fn a_rotated_root_key_is_told_and_a_new_macaroon_taken_up() {
    let network = network();
    let invoices = || network.seller.cli(&["listinvoices"])["invoices"].as_array().unwrap().len();
    let before = invoices();
    let world = World::with(selling(&network.seller));
    world.wait_until_node_is("ok");
    assert_eq!(invoices(), before, "the macaroon is shown without an invoice");
    wait_until("the sale to open", || ask(world.address).status == 402);
    network.seller.cli(&["deletemacaroonid", "402"]);
    wait_until("the sale to stop", || ask(world.address).status == 503);
    wait_until("its cause to be told", || world.ready()["node"]["status"] == "macaroon");
    world.gate.wait_until_it_says("LND refuses the macaroon in `lnd.macaroon`");
    network.seller.bake("farebox", &[ADD_INVOICE]);
    wait_until("the sale to open", || ask(world.address).status == 402);
}

#[test]
fn without_its_chain_for_a_while_it_heals() {
    let network = network();
    let world = open(selling(&network.seller));
    network.freeze_chain(true);
    for _ in 0..20 {
        let answer = ask(world.address);
        assert!(answer.status == 402 || answer.code() == "node-down", "{answer:?}");
    }
    network.freeze_chain(false);
    network.wait_for_channel();
    wait_until("the sale to open", || ask(world.address).status == 402);
    let challenge = world.payer().asks(SMS);
    let preimage = network.payer.pay(&challenge.invoice).unwrap();
    let ticket = challenge.with_preimage(&preimage);
    world.payer().redeems(&ticket, SMS).is_delivered("Okay");
}

#[derive(Clone, PartialEq, Message)]
struct Nothing {}

#[derive(Clone, PartialEq, Message)]
struct Seed {
    #[prost(string, repeated, tag = "1")]
    words: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
struct InitWallet {
    #[prost(bytes = "vec", tag = "1")]
    password: Vec<u8>,
    #[prost(string, repeated, tag = "2")]
    words: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
struct UnlockWallet {
    #[prost(bytes = "vec", tag = "1")]
    password: Vec<u8>,
}

/// Calls LND's `WalletUnlocker`, which needs no macaroon; `lncli create` asks a person.
async fn unlocker<Q: Message + 'static, A: Message + Default + 'static>(
    node: &Lnd,
    method: &'static str,
    question: Q,
) -> A {
    let mut client =
        tonic::client::Grpc::new(crate::same_answers::channel(node.grpc, &node.folder));
    client.ready().await.unwrap();
    let path = PathAndQuery::from_static(method);
    client
        .unary(tonic::Request::new(question), path, ProstCodec::<Q, A>::default())
        .await
        .unwrap()
        .into_inner()
}

/// A node of its own: its wallet is made, locked by each restart, and unlocked.
#[test]
fn a_wallet_that_is_not_there_locked_and_unlocked_is_each_told() {
    let home = tempfile::tempdir().unwrap();
    let mut node =
        Lnd::new(home.path(), "locking", vec!["--bitcoin.node=nochainbackend".to_owned()]);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    node.start();
    wait_until("LND to want a wallet", || node.state() == "NON_EXISTING");
    let macaroon = home.path().join("farebox.macaroon");
    fs::write(&macaroon, [2, 0]).unwrap();
    let world = World::with(Options { macaroon: Some(macaroon.clone()), ..at(&node) });
    world.wait_until_node_is("no-wallet");
    assert_eq!(ask(world.address).code(), "node-down");
    runtime.block_on(async {
        let seed: Seed = unlocker(&node, "/lnrpc.WalletUnlocker/GenSeed", Nothing {}).await;
        let init = InitWallet { password: b"a password".to_vec(), words: seed.words };
        let _: Nothing = unlocker(&node, "/lnrpc.WalletUnlocker/InitWallet", init).await;
    });
    wait_until("LND", || node.state() == "SERVER_ACTIVE");
    fs::copy(node.bake("farebox", &[ADD_INVOICE]), &macaroon).unwrap();
    wait_until("the sale to open", || ask(world.address).status == 402);
    node.stop();
    world.wait_until_node_is("unreachable");
    node.start();
    world.wait_until_node_is("locked");
    assert_eq!(ask(world.address).code(), "node-down");
    let _: Nothing = runtime.block_on(unlocker(
        &node,
        "/lnrpc.WalletUnlocker/UnlockWallet",
        UnlockWallet { password: b"a password".to_vec() },
    ));
    wait_until("the sale to open", || ask(world.address).status == 402);
}
