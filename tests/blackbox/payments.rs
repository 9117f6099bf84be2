//! Payments are detected, none is missed, none is counted twice, and only who holds the macaroon
//! hears of one.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::support::postgres::Postgres;
use crate::support::process::Process;
use crate::support::world::{Options, Play};
use crate::support::{Behaviour, Challenge, Response, SMS, World, http, wait_for, wait_until};

const STATUS: &str = "/l402/status";

fn watched() -> (tempfile::TempDir, Play, World) {
    let lnd = tempfile::tempdir().unwrap();
    let play = Play::start(lnd.path());
    let world = World::with(play.watched());
    wait_until_watching(&world);
    (lnd, play, world)
}

fn wait_until_watching(world: &World) {
    wait_until("payments to be detected", || world.ready()["payments"]["status"] == "ok");
}

fn status(world: &World, challenge: &Challenge, query: &str) -> Response {
    http::send(
        world.address,
        "GET",
        &format!("{STATUS}{query}"),
        &[("Authorization", &format!("L402 {}:", challenge.macaroon))],
        b"",
    )
}

fn state(world: &World, challenge: &Challenge) -> String {
    let answer = status(world, challenge, "");
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["state"].as_str().unwrap().to_owned()
}

fn stats(world: &World) -> serde_json::Value {
    http::get(world.ops, "/tickets/stats?days=2").json()[0].clone()
}

#[test]
fn a_holder_hears_of_the_payment_gets_the_preimage_and_sees_the_message_go() {
    let (_lnd, _play, world) = watched();
    let challenge = world.ask(SMS);
    let before = status(&world, &challenge, "");
    assert_eq!(
        (before.json()["state"].as_str(), before.header("l402-preimage")),
        (Some("unpaid"), None),
        "an open invoice has one too"
    );
    assert_eq!(before.header("cache-control"), Some("no-store"));
    let preimage = world.pay(&challenge);
    wait_until("paid", || state(&world, &challenge) == "paid");
    let paid = status(&world, &challenge, "");
    assert_eq!(paid.header("l402-preimage"), Some(preimage.as_str()));
    assert!(!paid.text().contains(&preimage), "never in a body");
    assert_eq!(world.upstream.count(), 0, "hearing of it sends nothing");

    world.upstream.behave(Behaviour::Stall);
    let (address, macaroon) = (world.address, challenge.macaroon.clone());
    let sending = std::thread::spawn(move || {
        let authorization = format!("L402 {macaroon}:");
        http::send(
            address,
            "POST",
            crate::support::world::PATH,
            &[("Content-Type", "application/json"), ("Authorization", &authorization)],
            SMS.as_bytes(),
        )
    });
    wait_until("sending", || state(&world, &challenge) == "sending");
    world.upstream.release();
    let answer = sending.join().unwrap();
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (200, "Okay"),
        "the macaroon alone does, where the service allows it"
    );
    wait_until("delivered", || state(&world, &challenge) == "delivered");
    assert_eq!(status(&world, &challenge, "").header("l402-preimage"), Some(preimage.as_str()));
    let again = world.redeem(&format!("L402 {}:{preimage}", challenge.macaroon), SMS);
    assert_eq!((again.status, again.header("idempotent-replayed")), (200, Some("true")));
    assert_eq!(world.upstream.count(), 1);

    world.upstream.behave(Behaviour::status(500, "oops"));
    let (parked, ticket) = world.buy(SMS);
    assert_eq!(world.redeem(&ticket, SMS).code(), "outcome-unknown");
    assert_eq!(state(&world, &parked), "parked");
    world.upstream.behave(Behaviour::status(400, "no"));
    let (free, ticket) = world.buy(SMS);
    assert_eq!(world.redeem(&ticket, SMS).status, 502);
    assert_eq!(state(&world, &free), "paid", "free again");
}

#[test]
fn an_unpaid_macaroon_alone_is_asked_to_pay_the_same_invoice_and_strangers_hear_nothing() {
    let (_lnd, _play, world) = watched();
    let challenge = world.ask(SMS);
    let alone = format!("L402 {}:", challenge.macaroon);
    for _ in 0..3 {
        let again = Challenge::from(world.redeem(&alone, SMS));
        assert_eq!(
            (&again.invoice, &again.macaroon),
            (&challenge.invoice, &challenge.macaroon),
            "one invoice, one macaroon"
        );
        assert_eq!(again.response.code(), "ticket-not-paid");
    }
    let other = r#"{"phone_number":"+1234567890","message":"another"}"#;
    assert_ne!(
        Challenge::from(world.redeem(&alone, other)).invoice,
        challenge.invoice,
        "that was for another request"
    );
    world.pay(&challenge);
    wait_until("paid", || state(&world, &challenge) == "paid");
    assert_eq!(
        world.redeem(&alone, other).status,
        402,
        "a macaroon alone opens its own request only"
    );
    assert_eq!(world.upstream.count(), 0);

    let ask = |authorization: &str| {
        http::send(world.address, "GET", STATUS, &[("Authorization", authorization)], b"")
    };
    let mut forged = challenge.macaroon.clone().into_bytes();
    let middle = forged.len() / 2;
    forged[middle] = if forged[middle] == b'A' { b'B' } else { b'A' };
    let forged = String::from_utf8(forged).unwrap();
    for (authorization, expected) in [
        (format!("L402 {forged}:"), 403),
        ("L402 AAAA:".to_owned(), 403),
        ("Bearer x".to_owned(), 400),
    ] {
        let answer = ask(&authorization);
        assert_eq!(answer.status, expected, "{answer:?}");
        assert!(
            answer.header("l402-preimage").is_none() && answer.header("www-authenticate").is_none()
        );
    }
    assert_eq!(http::get(world.address, STATUS).status, 400);
    assert_eq!(http::send(world.address, "POST", STATUS, &[], b"").status, 405);
    assert_eq!(http::send(world.address, "OPTIONS", STATUS, &[], b"").status, 204);
    assert_eq!(status(&world, &challenge, "?wait=999").status, 400);
    assert_eq!(status(&world, &challenge, "?preimage=1").status, 400);
    // Where it isn't allowed, the node's word is not asked for.
    let plain = World::new();
    let (bought, _) = plain.buy(SMS);
    assert_eq!(plain.redeem(&format!("L402 {}:", bought.macaroon), SMS).status, 402);
    assert_eq!(
        status(&plain, &bought, "").status,
        404,
        "and nothing is told where payments aren't detected"
    );
}

#[test]
fn a_long_poll_ends_with_the_payment_and_a_stream_tells_each_state() {
    let (_lnd, _play, world) = watched();
    let challenge = world.ask(SMS);
    let started = Instant::now();
    assert_eq!(status(&world, &challenge, "?wait=1").json()["state"], "unpaid");
    assert!(started.elapsed() >= Duration::from_secs(1), "it waits as long as it is asked to");

    let mut stream = BufReader::new(TcpStream::connect(world.address).unwrap());
    stream.get_ref().set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let head = format!(
        "GET {STATUS} HTTP/1.1\r\nHost: gate.test\r\nAccept: text/event-stream\r\nAuthorization: \
         L402 {}:\r\n\r\n",
        challenge.macaroon
    );
    stream.get_mut().write_all(head.as_bytes()).unwrap();
    let mut until = |wanted: &str| {
        let mut line = String::new();
        while !line.contains(wanted) {
            line.clear();
            assert!(stream.read_line(&mut line).unwrap() > 0, "the stream ended before {wanted}");
        }
    };
    until("text/event-stream");
    until("\"unpaid\"");
    std::thread::scope(|scope| {
        let poll = scope.spawn(|| status(&world, &challenge, "?wait=30&state=unpaid"));
        let started = Instant::now();
        world.pay(&challenge);
        let polled = poll.join().unwrap();
        assert_eq!(polled.json()["state"], "paid");
        assert!(polled.header("l402-preimage").is_some());
        assert!(started.elapsed() < Duration::from_secs(20), "it ended with the payment");
    });
    until("\"paid\"");
    assert_eq!(
        status(&world, &challenge, "?wait=30&state=unpaid").json()["state"],
        "paid",
        "what is news is told at once"
    );
    assert_eq!(world.redeem(&format!("L402 {}:", challenge.macaroon), SMS).status, 200);
    until("\"delivered\"");
}

#[test]
fn every_end_of_the_stream_is_resumed_and_a_payment_counts_once() {
    let (_lnd, play, mut world) = watched();
    let bought: Vec<_> = (0..3).map(|_| world.ask(SMS)).collect();
    world.pay(&bought[0]);
    wait_until("the first", || state(&world, &bought[0]) == "paid");
    // A clean end: the wallet is locked, and unlocked after a payment (which a play node takes all
    // the same).
    play.order("locked");
    wait_until("the end of the stream", || world.ready()["payments"]["status"] != "ok");
    assert_eq!(play.pay(&bought[1].invoice).status, 200);
    play.order("up");
    wait_until_watching(&world);
    assert_eq!(state(&world, &bought[1]), "paid");
    // Down, and a crash of ours meanwhile.
    play.order("down");
    wait_until("the end of the stream", || world.ready()["payments"]["status"] != "ok");
    assert_eq!(play.pay(&bought[2].invoice).status, 200);
    world.gate.kill();
    play.order("up");
    world.restart();
    wait_until_watching(&world);
    for challenge in &bought {
        assert_eq!(state(&world, challenge), "paid");
    }
    let day = stats(&world);
    assert_eq!(
        (day["minted"].as_u64(), day["paid"].as_u64(), day["paidMsat"].as_u64()),
        (Some(3), Some(3), Some(300_000)),
        "{day}"
    );
    assert_eq!((day["redeemed"].as_u64(), day["unredeemed"].as_u64()), (Some(0), Some(3)));
}

/// Before the first payment there is no index to resume by: what was paid meanwhile is looked up.
#[test]
fn what_the_stream_can_not_replay_is_looked_up() {
    let (_lnd, play, mut world) = watched();
    let challenge = world.ask(SMS);
    wait_until("the challenge to be on record", || stats(&world)["minted"] == 1);
    world.gate.kill();
    assert_eq!(
        play.pay(&challenge.invoice).status,
        200,
        "the node's first payment: index 1, which no stream replays"
    );
    world.restart();
    wait_until("paid", || state(&world, &challenge) == "paid");
    assert_eq!(world.redeem(&format!("L402 {}:", challenge.macaroon), SMS).status, 200);
}

/// The index that was saved is ahead of the node's (another node, or one restored): the stream
/// would stay silent for ever.
#[test]
fn an_index_of_another_node_is_found_out() {
    let (_lnd, play, mut world) = watched();
    let first = world.ask(SMS);
    world.pay(&first);
    wait_until("paid", || state(&world, &first) == "paid");
    world.gate.kill();
    let ledger = rusqlite_set_index(&world, 1000);
    assert_eq!(ledger, 1000);
    let second = {
        world.restart();
        wait_until_watching(&world);
        world.ask(SMS)
    };
    assert_eq!(play.pay(&second.invoice).status, 200);
    // What turns up only after a crash may be older than the accounts, and says nothing of the
    // index.
    wait_until("the challenge to be on record", || stats(&world)["minted"] == 2);
    // Told by a look-up at the latest when the stream begins again.
    world.crash_and_restart();
    wait_until("the second", || state(&world, &second) == "paid");
    wait_until("a new beginning", || index(&world) == Some(2));
    wait_until_watching(&world);
    let third = world.ask(SMS);
    world.pay(&third);
    wait_until("the third, by the stream", || state(&world, &third) == "paid");
    assert_eq!(stats(&world)["paid"], 3);
}

/// Promise 4: the stream seems well and tells nothing. Who would be given a new invoice is looked
/// up before.
#[test]
fn nobody_is_asked_to_pay_again_for_what_a_silent_stream_did_not_tell() {
    let (_lnd, play, mut world) = watched();
    let first = world.ask(SMS);
    world.pay(&first);
    wait_until("paid", || state(&world, &first) == "paid");
    let second = world.ask(SMS);
    wait_until("the challenge to be on record", || stats(&world)["minted"] == 2);
    world.gate.kill();
    rusqlite_set_index(&world, 1000);
    // From now on its invoice isn't remembered, so it can't be given again.
    world.restart();
    wait_until_watching(&world);
    assert_eq!(play.pay(&second.invoice).status, 200);
    let answer = world.redeem(&format!("L402 {}:", second.macaroon), SMS);
    assert_eq!((answer.status, answer.header("www-authenticate")), (200, None), "{answer:?}");
}

#[test]
fn a_pending_challenge_is_given_again_after_a_restart_too() {
    let (_lnd, _play, mut world) = watched();
    let challenge = world.ask(SMS);
    wait_until("the challenge to be on record", || stats(&world)["minted"] == 1);
    world.crash_and_restart();
    wait_until_watching(&world);
    let again = Challenge::from(world.redeem(&format!("L402 {}:", challenge.macaroon), SMS));
    assert_eq!(
        (&again.invoice, &again.macaroon),
        (&challenge.invoice, &challenge.macaroon),
        "one invoice, one macaroon"
    );
    assert_eq!(again.response.json()["expiresAt"], challenge.response.json()["expiresAt"]);
    world.pay(&challenge);
    wait_until("paid", || state(&world, &challenge) == "paid");
    assert_eq!(world.redeem(&format!("L402 {}:", challenge.macaroon), SMS).status, 200);
    assert_eq!(stats(&world)["minted"], 1);
}

/// Promise 4: also where the preimage is asked for, nobody who hands in the macaroon alone is sold
/// another while the first is paid.
#[test]
fn who_has_paid_and_sends_no_preimage_is_told_so_after_a_restart_instead_of_asked_to_pay_again() {
    let lnd = tempfile::tempdir().unwrap();
    let play = Play::start(lnd.path());
    let mut world = World::with(Options { service: String::new(), ..play.watched() });
    wait_until_watching(&world);
    let challenge = world.ask(SMS);
    wait_until("the challenge to be on record", || stats(&world)["minted"] == 1);
    world.gate.kill();
    let paid = play.pay(&challenge.invoice);
    assert_eq!(paid.status, 200);
    world.restart();
    wait_until_watching(&world);
    let told = world.redeem(&format!("L402 {}:", challenge.macaroon), SMS);
    assert_eq!(
        (told.status, told.code().as_str(), told.header("www-authenticate")),
        (422, "preimage-missing", None),
        "{told:?}"
    );
    assert_eq!(
        (told.json()["retry"].as_str(), told.json()["charged"].as_bool()),
        (Some("same-ticket"), Some(false))
    );
    let preimage = status(&world, &challenge, "").header("l402-preimage").unwrap().to_owned();
    assert_eq!(world.redeem(&format!("L402 {}:{preimage}", challenge.macaroon), SMS).status, 200);
}

/// Promise 4: that an invoice was seen to run out is not certain enough where its holder says that
/// it was paid.
#[test]
fn what_was_closed_wrongly_is_looked_up_before_anybody_is_asked_to_pay_again() {
    let (_lnd, play, mut world) = watched();
    let challenge = world.ask(SMS);
    wait_until("the challenge to be on record", || stats(&world)["minted"] == 1);
    world.gate.kill();
    database(&world).execute("UPDATE challenges SET state = 3", []).unwrap();
    assert_eq!(
        play.pay(&challenge.invoice).status,
        200,
        "the node's first payment: index 1, which no stream replays"
    );
    world.restart();
    wait_until_watching(&world);
    let answer = world.redeem(&format!("L402 {}:", challenge.macaroon), SMS);
    assert_eq!((answer.status, answer.header("www-authenticate")), (200, None), "{answer:?}");
    assert_eq!(stats(&world)["paid"], 1);
}

/// Promise 4: a node that knows nothing of an invoice which can still be paid is another node, and
/// its word counts for nothing.
#[test]
fn what_was_sold_at_another_node_is_neither_closed_nor_sold_again() {
    let (_lnd, play, mut world) = watched();
    let challenge = world.ask(SMS);
    wait_until("the challenge to be on record", || stats(&world)["minted"] == 1);
    let (elsewhere, path) =
        (tempfile::tempdir().unwrap(), world.folder.path().join("farebox.toml"));
    let other = Play::start(elsewhere.path());
    let at_first = std::fs::read_to_string(&path).unwrap();
    let place = |play: &Play| (play.grpc.to_string(), play.folder.to_str().unwrap().to_owned());
    let ((from, from_folder), (to, to_folder)) = (place(&play), place(&other));
    std::fs::write(&path, at_first.replace(&from, &to).replace(&from_folder, &to_folder)).unwrap();
    world.gate.kill();
    world.restart();
    wait_until_watching(&world);
    assert_eq!(play.pay(&challenge.invoice).status, 200);
    let alone = format!("L402 {}:", challenge.macaroon);
    let unsure = world.redeem(&alone, SMS);
    assert_eq!(
        (unsure.status, unsure.code().as_str(), unsure.header("www-authenticate")),
        (503, "node-down", None),
        "{unsure:?}"
    );
    assert_ne!(state(&world, &challenge), "expired");
    // Back at the first, all is found.
    std::fs::write(&path, at_first).unwrap();
    world.gate.kill();
    world.restart();
    wait_until("paid", || state(&world, &challenge) == "paid");
    assert_eq!(world.redeem(&alone, SMS).status, 200);
    assert_eq!(world.upstream.count(), 1);
}

/// Nothing is sold meanwhile: the stream's end has the node looked at, long before its next turn.
#[test]
fn the_end_of_the_stream_shows_in_the_nodes_state_at_once() {
    let (_lnd, play, world) = watched();
    play.order("locked");
    let started = Instant::now();
    wait_until("locked", || world.ready()["node"]["status"] == "locked");
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "it was found by the look that comes every ten seconds"
    );
}

fn database(world: &World) -> rusqlite::Connection {
    rusqlite::Connection::open(world.folder.path().join("state/ledger.db")).unwrap()
}

fn rusqlite_set_index(world: &World, value: i64) -> i64 {
    let database = database(world);
    database
        .execute("UPDATE marks SET value = ?1 WHERE name LIKE 'settle-index %'", [value])
        .unwrap();
    index(world).unwrap()
}

fn index(world: &World) -> Option<i64> {
    database(world)
        .query_row("SELECT value FROM marks WHERE name LIKE 'settle-index %'", [], |row| row.get(0))
        .ok()
}

#[test]
fn an_invoice_that_runs_out_is_expired_and_a_payment_that_is_not_known_yet_is_never_charged_again()
{
    let lnd = tempfile::tempdir().unwrap();
    let play = Play::start(lnd.path());
    let options = play.watched();
    let world = World::with(Options {
        lnd: format!("{}\ninvoice_expiry = \"10s\"", options.lnd),
        ..options
    });
    wait_until_watching(&world);
    let never = world.ask(SMS);
    let paid = world.ask(SMS);
    // Paid while the node can't be asked: the macaroon alone gets a 503, and no new invoice.
    play.order("locked");
    wait_until("the end of the stream", || world.ready()["payments"]["status"] != "ok");
    assert_eq!(play.pay(&paid.invoice).status, 200);
    let unsure = world.redeem(&format!("L402 {}:", paid.macaroon), SMS);
    assert_eq!(
        (unsure.status, unsure.code().as_str(), unsure.header("www-authenticate")),
        (503, "node-down", None)
    );
    assert_eq!(unsure.json()["retry"], "same-ticket");
    let untold = status(&world, &paid, "");
    assert_eq!(
        (untold.status, untold.code().as_str()),
        (503, "node-down"),
        "not a word that may be wrong: {untold:?}"
    );
    play.order("up");
    wait_until_watching(&world);
    assert_eq!(world.redeem(&format!("L402 {}:", paid.macaroon), SMS).status, 200);
    wait_until("expired", || state(&world, &never) == "expired");
    let fresh = Challenge::from(world.redeem(&format!("L402 {}:", never.macaroon), SMS));
    assert_ne!(fresh.invoice, never.invoice, "that one can't be paid any more");
    assert_eq!(play.pay(&never.invoice).status, 422);
}

#[test]
fn the_accounts_say_what_was_asked_for_paid_and_delivered() {
    let (_lnd, _play, world) = watched();
    for redeemed in [true, true, false] {
        let (challenge, ticket) = world.buy(SMS);
        wait_until("paid", || state(&world, &challenge) == "paid");
        if redeemed {
            assert_eq!(world.redeem(&ticket, SMS).status, 200);
        }
    }
    world.ask(SMS);
    let day = wait_for("the books", || Some(stats(&world)).filter(|day| day["minted"] == 4));
    let (paid, redeemed, owed) = (&day["paid"], &day["redeemed"], &day["unredeemed"]);
    assert_eq!(
        (paid.as_u64(), redeemed.as_u64(), owed.as_u64()),
        (Some(3), Some(2), Some(1)),
        "{day}"
    );
    assert_eq!(
        (day["service"].as_str(), day["mintedMsat"].as_u64(), day["unredeemedMsat"].as_u64()),
        (Some("send-sms"), Some(400_000), Some(100_000))
    );
    assert_eq!(world.metric("farebox_payments_total{service=\"send-sms\"}"), 3.0);
    assert_eq!(world.metric("farebox_payment_detection_up"), 1.0);
    let config = std::fs::read_to_string(world.folder.path().join("farebox.toml")).unwrap();
    let config = config.replace(
        "[ops]\naddress = \"127.0.0.1:0\"",
        &format!("[ops]\naddress = \"{}\"", world.ops),
    );
    std::fs::write(world.folder.path().join("ops.toml"), config).unwrap();
    let (good, said) =
        Process::run(&["tickets", "--config", "ops.toml", "stats"], world.folder.path());
    assert!(
        good.success() && said.contains("4 (400 sat)") && said.contains("1 (100 sat)"),
        "{said}"
    );
    // Where payments aren't detected, they are unknown and the rest is counted all the same.
    let plain = World::new();
    let (_, ticket) = plain.buy(SMS);
    assert_eq!(plain.redeem(&ticket, SMS).status, 200);
    let day = wait_for("the counters", || Some(stats(&plain)).filter(|day| day["minted"] == 1));
    assert!(day["paid"].is_null() && day["unredeemed"].is_null() && day["redeemed"] == 1, "{day}");
}

/// Two instances on one database and one node: each payment counts once, and either tells of it.
#[test]
fn two_instances_count_a_payment_once() {
    let postgres = Postgres::start();
    let lnd = tempfile::tempdir().unwrap();
    let play = Play::start(lnd.path());
    let options = Options {
        lnd: play.watched().lnd,
        service: play.watched().service,
        node: play.options().node,
        wallet: play.options().wallet,
        ..Options::postgres(&postgres.url())
    };
    let first = World::with(options.clone());
    let second = World::before(first.upstream.clone(), options);
    wait_until_watching(&first);
    wait_until_watching(&second);
    for n in 0..6 {
        let (seller, other) = if n % 2 == 0 { (&first, &second) } else { (&second, &first) };
        let challenge = seller.ask(SMS);
        seller.pay(&challenge);
        wait_until("paid, says the other", || state(other, &challenge) == "paid");
        wait_until("paid, says the seller", || state(seller, &challenge) == "paid");
        assert_eq!(other.redeem(&format!("L402 {}:", challenge.macaroon), SMS).status, 200);
    }
    let day = wait_for("the books", || Some(stats(&first)).filter(|day| day["minted"] == 6));
    assert_eq!(
        (day["paid"].as_u64(), day["redeemed"].as_u64(), day["unredeemed"].as_u64()),
        (Some(6), Some(6), Some(0)),
        "{day}"
    );
    let index = postgres.query("SELECT value FROM farebox.marks WHERE name LIKE 'settle-index %'");
    assert_eq!(index, "6");
    // A challenge of which no row tells (a crash came first), asked about by many at once: it is
    // written down once, and counts once.
    let lost = first.ask(SMS);
    wait_until("the row", || postgres.query("SELECT count(*) FROM farebox.challenges") == "7");
    postgres.query("DELETE FROM farebox.challenges WHERE state = 1");
    std::thread::scope(|scope| {
        for world in [&first, &second, &first, &second, &first, &second, &first, &second] {
            scope.spawn(|| assert_eq!(state(world, &lost), "unpaid"));
        }
    });
    first.pay(&lost);
    for world in [&first, &second] {
        wait_until("paid", || state(world, &lost) == "paid");
    }
    assert_eq!(stats(&first)["paid"], 7);
    assert_eq!(first.redeem(&format!("L402 {}:", lost.macaroon), SMS).status, 200);
}

/// A burst is sold from the stock, which a call to the node filled before; what is not fresh any
/// more is not handed out.
#[test]
fn a_burst_no_larger_than_the_stock_costs_no_call_to_the_node() {
    let lnd = tempfile::tempdir().unwrap();
    let play = Play::start(lnd.path());
    let limits = "unpaid_per_client = 1000".into();
    let world = World::with(Options { limits, lnd: "timeout = \"30s\"".into(), ..play.options() });
    world.wait_until_node_is("ok");
    let stock = || world.metric("farebox_stock{service=\"send-sms\"}");
    assert_eq!(stock(), 0.0, "none when nothing sells");
    let hits = || world.metric("farebox_stock_total{result=\"hit\",service=\"send-sms\"}");
    (0..20).for_each(|_| drop(world.ask(SMS)));
    wait_until("a stock of what was sold", || stock() == 20.0);
    let before = hits();
    // The node takes seconds for an invoice now, and nobody waits for it.
    play.order("slow 5000");
    let started = Instant::now();
    let mut sold = vec![world.ask(SMS)];
    // Who would have to wait for it is sent away; these needn't.
    wait_until("the node to be known as slow", || world.ready()["node"]["status"] == "slow");
    sold.extend((1..20).map(|_| world.ask(SMS)));
    assert_eq!(hits() - before, 20.0);
    assert!(started.elapsed() < Duration::from_secs(4), "somebody waited for the node");
    play.order("up");
    let mut invoices: Vec<_> = sold.iter().map(|challenge| &challenge.invoice).collect();
    invoices.sort();
    invoices.dedup();
    assert_eq!(invoices.len(), 20, "one invoice, one macaroon");
    let ticket = format!("L402 {}:{}", sold[0].macaroon, world.pay(&sold[0]));
    assert_eq!(world.redeem(&ticket, SMS).text(), "Okay");
    // The node is known to be down: nothing is sold, whatever is in stock.
    wait_until("a stock again", || stock() > 0.0);
    play.order("locked");
    wait_until("the lock to be noticed", || world.ready()["node"]["status"] == "locked");
    assert_eq!(world.post(&[], SMS).code(), "node-down");
    // Other files may mean another node: what is of the old one is left to run out.
    play.order("up");
    wait_until("the sale", || world.post(&[], SMS).status == 402);
    wait_until("a stock once more", || stock() > 0.0);
    play.order("new-certificate");
    wait_until("the old stock to be gone", || {
        world.metric("farebox_stock_wasted{service=\"send-sms\"}") > 0.0
    });
}
