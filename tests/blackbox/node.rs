//! Promise 5: the node in each of its conditions: what is said of it, what buyers and payers get,
//! and that it heals without a restart.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::world::{Options, Play};
use crate::support::{SMS, World, wait_until};

/// In this condition of the node sales stop and nothing else does; it has its own word for
/// operators, and heals.
fn stops_the_sale_only_and_heals(condition: &str, word: &str) {
    let play = Play::new();
    // Until the node is asked again buyers are served from the stock.
    let limits = "unpaid_per_client = 1000".into();
    let world = World::with(Options { lnd: "timeout = \"1s\"".into(), limits, ..play.options() });
    let payer = world.payer();
    world.wait_until_node_is("ok");
    let ticket = payer.buys(SMS);
    play.order(condition);
    wait_until(&format!("{condition} to be noticed"), || {
        assert_ne!(payer.tries_to_buy(SMS).status, 500);
        world.ready()["node"]["status"] == word
    });
    let refused = payer.tries_to_buy(SMS);
    refused.is(503, "node-down");
    assert!(refused.header("retry-after").is_some());
    // Paid tickets are redeemed.
    payer.redeems(&ticket, SMS).is_delivered("Okay");
    world.serves_what_is_free();
    // The calls above may have met it in a state between two.
    wait_until(&format!("the metric to say {word}"), || {
        world.metric(&format!("farebox_node_state{{state=\"{word}\"}}")) == 1.0
    });
    assert_eq!(world.metric("farebox_node_state{state=\"ok\"}"), 0.0);
    world.gate.wait_until_it_says("node: ");
    let (status, said) = world.farebox("check --config farebox.toml");
    assert!(!status.success() && said.contains("FAILED   node: "), "{condition}: {said}");
    play.order("up");
    world.wait_until_it_sells();
    // A call from before may still end in between.
    wait_until("the metric to say ok", || world.metric("farebox_node_state{state=\"ok\"}") == 1.0);
}

#[test]
fn a_locked_node_stops_the_sale_only_and_heals() {
    stops_the_sale_only_and_heals("locked", "locked");
}

#[test]
fn a_node_without_a_wallet_stops_the_sale_only_and_heals() {
    stops_the_sale_only_and_heals("no-wallet", "no-wallet");
}

#[test]
fn a_waiting_node_stops_the_sale_only_and_heals() {
    stops_the_sale_only_and_heals("waiting", "starting");
}

#[test]
fn a_starting_node_stops_the_sale_only_and_heals() {
    stops_the_sale_only_and_heals("starting", "starting");
}

#[test]
fn a_syncing_node_stops_the_sale_only_and_heals() {
    stops_the_sale_only_and_heals("syncing", "syncing");
}

#[test]
fn a_node_that_is_down_stops_the_sale_only_and_heals() {
    stops_the_sale_only_and_heals("down", "unreachable");
}

#[test]
fn a_silent_node_stops_the_sale_only_and_heals() {
    stops_the_sale_only_and_heals("silent", "silent");
}

#[test]
fn it_starts_without_a_node_sells_nothing_and_heals() {
    let lnd = tempfile::tempdir().unwrap();
    let play = Play::start(lnd.path());
    let address = play.grpc;
    drop(play);
    let node = Some((address, lnd.path().join("lnd")));
    let world = World::with(Options { node, ..Options::default() });
    let payer = world.payer();
    world.wait_until_node_is("unreachable");
    payer.tries_to_buy(SMS).is(503, "node-down");
    world.serves_what_is_free();
    assert_eq!(world.ready()["status"], "degraded");
    let play = Play::start_at(lnd.path(), &address.to_string());
    world.wait_until_it_sells();
    // The node goes again: what is paid is redeemed all the same.
    let ticket = play.pays(&payer.asks(SMS));
    drop(play);
    wait_until("sales to stop", || payer.tries_to_buy(SMS).status == 503);
    payer.redeems(&ticket, SMS).is_delivered("Okay");
}

#[test]
fn another_node_s_certificate_or_macaroon_is_refused_and_named() {
    let (node, stranger) = (Play::new(), Play::new());
    let world = World::with(Options {
        node: Some((node.grpc, stranger.folder.clone())),
        ..Options::default()
    });
    let payer = world.payer();
    world.wait_until_node_is("certificate");
    payer.tries_to_buy(SMS).is(503, "node-down");
    // The right certificate with the stranger's macaroon.
    std::fs::copy(node.folder.join("tls.cert"), stranger.folder.join("tls.cert")).unwrap();
    world.wait_until_node_is("macaroon");
    payer.tries_to_buy(SMS).is(503, "node-down");
    let macaroon = "data/chain/bitcoin/regtest/invoice.macaroon";
    std::fs::copy(node.folder.join(macaroon), stranger.folder.join(macaroon)).unwrap();
    world.wait_until_it_sells();
}

#[test]
fn an_invoice_of_another_network_is_no_challenge() {
    let play = Play::new();
    let mut world = World::with(play.options());
    world.wait_until_node_is("ok");
    world.write_config("farebox.toml", &[("\"regtest\"", "\"mainnet\"")]);
    world.gate.kill();
    world.start_again();
    // Before the first buyer has asked.
    world.wait_until_node_is("wrong-invoice");
    world.gate.wait_until_it_says("for regtest, but `lnd.network` says mainnet");
    world.payer().tries_to_buy(SMS).is(503, "node-down");
}

/// Hands on what comes in to somewhere else, once it may.
struct HeldBack {
    address: SocketAddr,
    let_go: mpsc::Sender<()>,
}

impl HeldBack {
    fn before(there: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (let_go, may_go) = mpsc::channel();
        thread::spawn(move || {
            if may_go.recv().is_err() {
                return;
            }
            for near in listener.incoming() {
                let (near, far) = (near.unwrap(), TcpStream::connect(there).unwrap());
                let (mut answers, mut asked) =
                    (near.try_clone().unwrap(), far.try_clone().unwrap());
                thread::spawn(move || io::copy(&mut { near }, &mut asked));
                thread::spawn(move || io::copy(&mut { far }, &mut answers));
            }
        });
        Self { address, let_go }
    }
}

#[test]
fn a_buyer_who_comes_before_the_node_was_looked_at_waits_and_nobody_else_does() {
    let play = Play::new();
    let held = HeldBack::before(play.grpc);
    let node = Some((held.address, play.folder.clone()));
    let world = World::with(Options { node, ..play.options() });
    world.serves_what_is_free();
    let ready = world.ready();
    assert_eq!((&ready["status"], &ready["node"]["status"]), (&"ok".into(), &"not-tried".into()));
    assert_eq!(world.metric("farebox_connections "), 0.0);
    thread::scope(|scope| {
        let buyer = scope.spawn(|| world.payer().tries_to_buy(SMS));
        wait_until("the buyer", || world.metric("farebox_connections ") == 1.0);
        held.let_go.send(()).unwrap();
        assert_eq!(buyer.join().unwrap().status, 402);
    });
}

/// The State service takes no macaroon, and so knows nothing of this.
#[test]
fn a_macaroon_that_lnd_refuses_is_told_before_the_first_buyer() {
    let lnd = tempfile::tempdir().unwrap();
    let play = Play::start(lnd.path());
    let baked =
        |name: &str| play.folder.join(format!("data/chain/bitcoin/regtest/{name}.macaroon"));
    play.order("bake blind /lnrpc.Lightning/GetInfo");
    play.order("bake farebox /lnrpc.Lightning/AddInvoice");
    let shown = lnd.path().join("shown.macaroon");
    std::fs::copy(baked("blind"), &shown).unwrap();
    let world = World::with(Options { macaroon: Some(shown.clone()), ..play.options() });
    world.wait_until_node_is("macaroon");
    world.gate.wait_until_it_says("LND refuses the macaroon in `lnd.macaroon`");
    world.payer().tries_to_buy(SMS).is(503, "node-down");
    std::fs::copy(baked("farebox"), &shown).unwrap();
    world.wait_until_it_sells();
}

#[test]
fn a_new_certificate_and_new_macaroons_are_taken_up_from_their_files() {
    let play = Play::new();
    let world = World::with(play.options());
    world.wait_until_it_sells();
    for renewed in ["new-certificate", "new-macaroons"] {
        play.order(renewed);
        world.wait_until_it_sells();
    }
}

/// A host that takes the connection and says nothing, and then is gone without a word: the old
/// socket stays open.
#[test]
fn a_node_that_never_shakes_hands_is_left_for_the_one_that_does() {
    let lnd = tempfile::tempdir().unwrap();
    let play = Play::start(lnd.path());
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    listener.set_nonblocking(true).unwrap();
    let world = World::with(Options {
        node: Some((address, play.folder.clone())),
        lnd: "timeout = \"1s\"".into(),
        ..play.options()
    });
    let mut silent = Vec::new();
    wait_until("a call", || {
        silent.extend(listener.accept().map(|(socket, _)| socket));
        !silent.is_empty() && world.ready()["node"]["status"] == "silent"
    });
    drop(listener);
    drop(play);
    let _play = Play::start_at(lnd.path(), &address.to_string());
    world.wait_until_it_sells();
    drop(silent);
}

/// A node that takes connections and says nothing: free and paid requests keep their pace, buyers
/// get a quick 503.
#[test]
fn a_node_that_hangs_stops_only_the_sale() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut held = Vec::new();
        for stream in silent.incoming() {
            held.push(stream);
        }
    });
    let lnd = tempfile::tempdir().unwrap();
    drop(Play::start(lnd.path()));
    let world = World::with(Options {
        node: Some((address, lnd.path().join("lnd"))),
        lnd: "timeout = \"1s\"".into(),
        ..Options::default()
    });
    let started = Instant::now();
    let mut asked = 0;
    while started.elapsed() < Duration::from_secs(3) {
        world.payer().tries_to_buy(SMS).has_status(503);
        let free = Instant::now();
        world.serves_what_is_free();
        assert!(free.elapsed() < Duration::from_secs(1), "a free request waited for the node");
        asked += 1;
    }
    assert!(asked > 10);
}

/// The connection is lost after the invoice was stored: the buyer gets a 503, and the invoice
/// counts as unpaid.
#[test]
fn a_reset_after_the_invoice_was_stored_counts_against_the_limit() {
    let play = Play::new();
    let world = World::with(Options { limits: "unpaid_per_client = 2".into(), ..play.options() });
    let payer = world.payer();
    world.wait_until_node_is("ok");
    play.order("resets");
    payer.tries_to_buy(SMS).is(503, "node-down");
    play.order("up");
    wait_until("the sale to open", || payer.tries_to_buy(SMS).status != 503);
    // One that may exist, one that does.
    payer.tries_to_buy(SMS).is(429, "too-many-unpaid");
}

/// A node that takes half its deadline for an invoice: the first buyers wait, those that come later
/// are sent away at once.
#[test]
fn a_slow_node_costs_new_buyers_a_quick_no_and_paid_payers_nothing() {
    let play = Play::new();
    let world = World::with(Options {
        lnd: "timeout = \"8s\"".into(),
        limits: "unpaid_per_client = 1000".into(),
        ..play.options()
    });
    let payer = world.payer();
    world.wait_until_node_is("ok");
    let ticket = payer.buys(SMS);
    play.order("slow 6000");
    std::thread::scope(|scope| {
        let first: Vec<_> = (0..4).map(|_| scope.spawn(|| payer.tries_to_buy(SMS))).collect();
        world.wait_until_node_is("slow");
        let started = Instant::now();
        for _ in 0..20 {
            payer.tries_to_buy(SMS).is(503, "node-down");
            world.serves_what_is_free();
        }
        payer.redeems(&ticket, SMS).is_delivered("Okay");
        assert!(started.elapsed() < Duration::from_secs(4), "they waited for the node");
        for one in first {
            assert_eq!(one.join().unwrap().status, 402, "a buyer that was there first is served");
        }
    });
    play.order("up");
    world.wait_until_it_sells();
}

#[test]
fn amounts_in_msat_are_asked_for_to_the_msat() {
    let mut world = World::new();
    world.write_config("farebox.toml", &[("price_sat = 100", "price_msat = 1500")]);
    world.stop();
    world.restart();
    let challenge = world.payer().asks(SMS);
    let body = challenge.response.json();
    assert_eq!((body["priceMsat"].as_u64(), body["priceSats"].as_u64()), (Some(1500), Some(2)));
    assert!(challenge.invoice.starts_with("lnbcrt15n1"), "{body}");
}
