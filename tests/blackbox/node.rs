//! The node in each of its conditions: what is said of it, what buyers and payers get, and that it
//! heals without a restart.

use std::time::{Duration, Instant};

use crate::support::process::Process;
use crate::support::world::{Options, PATH, Play};
use crate::support::{SMS, World, http, wait_until};

#[test]
fn each_condition_has_its_own_word_stops_the_sale_only_and_heals() {
    let lnd = tempfile::tempdir().unwrap();
    let play = Play::start(lnd.path());
    // Until the node is asked again buyers are served from the stock.
    let limits = "unpaid_per_client = 1000".into();
    let world = World::with(Options { lnd: "timeout = \"1s\"".into(), limits, ..play.options() });
    world.wait_until_node_is("ok");
    for (condition, word) in [
        ("locked", "locked"),
        ("no-wallet", "no-wallet"),
        ("waiting", "starting"),
        ("starting", "starting"),
        ("syncing", "syncing"),
        ("down", "unreachable"),
        ("silent", "silent"),
    ] {
        let (_, ticket) = world.buy(SMS);
        play.order(condition);
        wait_until(&format!("{condition} to be noticed"), || {
            assert_ne!(world.post(&[], SMS).status, 500);
            world.ready()["node"]["status"] == word
        });
        let refused = world.post(&[], SMS);
        assert_eq!(
            (refused.status, refused.code().as_str(), refused.header("www-authenticate")),
            (503, "node-down", None),
            "{condition}"
        );
        assert!(refused.header("retry-after").is_some());
        assert_eq!(
            world.redeem(&ticket, SMS).status,
            200,
            "{condition}: paid tickets are redeemed"
        );
        assert_eq!(http::get(world.address, "/status").status, 200);
        // The calls above may have met it in a state between two.
        wait_until(&format!("the metric to say {word}"), || {
            world.metric(&format!("farebox_node_state{{state=\"{word}\"}}")) == 1.0
        });
        assert_eq!(world.metric("farebox_node_state{state=\"ok\"}"), 0.0);
        world.gate.wait_until_it_says("node: ");
        let (status, said) =
            Process::run(&["check", "--config", "farebox.toml"], world.folder.path());
        assert!(!status.success() && said.contains("FAILED   node: "), "{condition}: {said}");
        play.order("up");
        wait_until(&format!("the sale to open after {condition}"), || {
            world.post(&[], SMS).status == 402
        });
        // A call from before may still end in between.
        wait_until("the metric to say ok", || {
            world.metric("farebox_node_state{state=\"ok\"}") == 1.0
        });
    }
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
    assert_eq!(world.post(&[], SMS).code(), "node-down");
    std::fs::copy(baked("farebox"), &shown).unwrap();
    wait_until("the sale to open", || world.post(&[], SMS).status == 402);
}

#[test]
fn a_new_certificate_and_new_macaroons_are_taken_up_from_their_files() {
    let lnd = tempfile::tempdir().unwrap();
    let play = Play::start(lnd.path());
    let world = World::with(play.options());
    wait_until("the sale", || world.post(&[], SMS).status == 402);
    for renewed in ["new-certificate", "new-macaroons"] {
        play.order(renewed);
        wait_until("the sale to open again", || world.post(&[], SMS).status == 402);
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
    wait_until("the sale to open", || world.post(&[], SMS).status == 402);
    drop(silent);
}

/// The connection is lost after the invoice was stored: the buyer gets a 503, and the invoice
/// counts as unpaid.
#[test]
fn a_reset_after_the_invoice_was_stored_counts_against_the_limit() {
    let lnd = tempfile::tempdir().unwrap();
    let play = Play::start(lnd.path());
    let world = World::with(Options { limits: "unpaid_per_client = 2".into(), ..play.options() });
    world.wait_until_node_is("ok");
    play.order("resets");
    assert_eq!(world.post(&[], SMS).code(), "node-down");
    play.order("up");
    wait_until("the sale to open", || world.post(&[], SMS).status != 503);
    assert_eq!(world.post(&[], SMS).code(), "too-many-unpaid", "one that may exist, one that does");
}

/// A node that takes half its deadline for an invoice: the first buyers wait, those who come later
/// are sent away at once.
#[test]
fn a_slow_node_costs_new_buyers_a_quick_no_and_paid_payers_nothing() {
    let lnd = tempfile::tempdir().unwrap();
    let play = Play::start(lnd.path());
    let world = World::with(Options {
        lnd: "timeout = \"8s\"".into(),
        limits: "unpaid_per_client = 1000".into(),
        ..play.options()
    });
    world.wait_until_node_is("ok");
    let (_, ticket) = world.buy(SMS);
    play.order("slow 6000");
    let address = world.address;
    let ask = move || {
        http::send(address, "POST", PATH, &[("Content-Type", "application/json")], SMS.as_bytes())
    };
    let first: Vec<_> = (0..4).map(|_| std::thread::spawn(ask)).collect();
    wait_until("the node to be known as slow", || world.ready()["node"]["status"] == "slow");
    let started = Instant::now();
    for _ in 0..20 {
        let refused = ask();
        assert_eq!((refused.status, refused.code().as_str()), (503, "node-down"));
        assert_eq!(http::get(world.address, "/status").status, 200);
    }
    assert_eq!(world.redeem(&ticket, SMS).status, 200);
    assert!(started.elapsed() < Duration::from_secs(4), "they waited for the node");
    for one in first {
        assert_eq!(one.join().unwrap().status, 402, "who was there first is served");
    }
    play.order("up");
    wait_until("the sale to open", || ask().status == 402);
}

#[test]
fn check_reads_the_macaroon_and_names_the_right_one() {
    let lnd = tempfile::tempdir().unwrap();
    let play = Play::start(lnd.path());
    let world = World::with(play.options());
    let (path, good) = (
        world.folder.path().join("farebox.toml"),
        std::fs::read_to_string(world.folder.path().join("farebox.toml")).unwrap(),
    );
    let check = |changes: &[(&str, &str)], arguments: &[&str]| {
        let config =
            changes.iter().fold(good.clone(), |config, (from, to)| config.replace(from, to));
        std::fs::write(&path, config).unwrap();
        let (status, said) = Process::run(
            &[&["check", "--config", "farebox.toml"], arguments].concat(),
            world.folder.path(),
        );
        (status.success(), said)
    };
    let bake = "lncli bakemacaroon --save_to=farebox.macaroon --root_key_id=402 \
                uri:/lnrpc.Lightning/AddInvoice";

    let (fine, said) = check(&[], &[]);
    assert!(
        fine && said.contains("note     macaroon: `lnd.macaroon` may do more")
            && said.contains("invoices:read"),
        "{said}"
    );
    assert!(
        said.contains("can read the preimages of unpaid invoices")
            && said.contains(&format!("{bake}\n")),
        "{said}"
    );
    assert!(said.contains("name and version: unknown"), "what it may not ask is unknown: {said}");

    play.order("bake farebox /lnrpc.Lightning/AddInvoice");
    let (fine, said) = check(&[("invoice.macaroon", "farebox.macaroon")], &[]);
    assert!(
        fine && said.contains("ok       macaroon: may do exactly what this config needs"),
        "{said}"
    );

    let admin = play.folder.join("data/chain/bitcoin/regtest/admin.macaroon");
    let (fine, said) = check(
        &[("invoice.macaroon", "farebox.macaroon")],
        &["--macaroon", admin.to_str().unwrap()],
    );
    assert!(
        fine && said.contains("\"farebox-play (play money)\", LND farebox-play")
            && said.contains("1 active, which can receive"),
        "{said}"
    );

    let detects = ("network = \"regtest\"", "network = \"regtest\"\ndetect_payments = true");
    let (fine, said) = check(&[("invoice.macaroon", "farebox.macaroon"), detects], &[]);
    assert!(
        !fine
            && said.contains(
                "may not call /lnrpc.Lightning/SubscribeInvoices, /lnrpc.Lightning/LookupInvoice"
            ),
        "{said}"
    );
    assert!(
        said.contains(&format!(
            "{bake} uri:/lnrpc.Lightning/SubscribeInvoices uri:/lnrpc.Lightning/LookupInvoice"
        )),
        "{said}"
    );

    play.order(
        "bake watching /lnrpc.Lightning/AddInvoice /lnrpc.Lightning/SubscribeInvoices \
                /lnrpc.Lightning/LookupInvoice",
    );
    let (fine, said) = check(&[("invoice.macaroon", "watching.macaroon"), detects], &[]);
    assert!(fine && said.contains("ok       payments: that invoice could be looked up"), "{said}");

    play.order("bake blind /lnrpc.Lightning/GetInfo");
    let (fine, said) = check(&[("invoice.macaroon", "blind.macaroon")], &[]);
    assert!(
        !fine
            && said.contains("may not call /lnrpc.Lightning/AddInvoice")
            && said.contains("FAILED   invoice: "),
        "{said}"
    );
    // One that can't be read says nothing of the parts that come after it.
    let hex = play.folder.join("hex.macaroon");
    std::fs::write(&hex, "0201036c6e64").unwrap();
    let (fine, said) =
        check(&[("lnd/data/chain/bitcoin/regtest/invoice.macaroon", "lnd/hex.macaroon")], &[]);
    assert!(
        !fine
            && said.contains("FAILED   macaroon: `lnd.macaroon`: ")
            && said.contains("ok       ledger: "),
        "{said}"
    );
    let (fine, said) = check(&[], &["--macaroon", hex.to_str().unwrap()]);
    assert!(
        !fine
            && said.contains("FAILED   node: `--macaroon`: ")
            && said.contains("ok       ledger: "),
        "{said}"
    );
    play.order("down");
    let (fine, said) = check(&[("invoice.macaroon", "blind.macaroon")], &[]);
    assert!(
        !fine && said.contains("may not call /lnrpc.Lightning/AddInvoice"),
        "read without a call: {said}"
    );
}

#[test]
fn amounts_in_msat_are_asked_for_to_the_msat() {
    let world = World::new();
    let config = std::fs::read_to_string(world.folder.path().join("farebox.toml")).unwrap();
    let config = config
        .replace("price_sat = 100", "price_msat = 1500")
        .replace("state_dir = \"state\"", "state_dir = \"state2\"");
    std::fs::write(world.folder.path().join("msat.toml"), config).unwrap();
    let gate = Process::start(&["serve", "--config", "msat.toml"], world.folder.path());
    let address = gate.word_after("gate=").parse().unwrap();
    let ask = || {
        http::send(address, "POST", PATH, &[("Content-Type", "application/json")], SMS.as_bytes())
    };
    wait_until("a sale", || ask().status == 402);
    let body = ask().json();
    assert_eq!((body["priceMsat"].as_u64(), body["priceSats"].as_u64()), (Some(1500), Some(2)));
    assert!(body["invoice"].as_str().unwrap().starts_with("lnbcrt15n1"), "{body}");
}
