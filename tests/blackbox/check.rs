//! Promise 9: `check` and `serve` say which part of a config is wrong, and what to do about it.

use crate::support::process::{CONFIG_FAULT, Process};
use crate::support::world::Play;
use crate::support::{SMS, World};

#[test]
fn check_works_beside_a_running_serve() {
    let world = World::new();
    let payer = world.payer();
    payer.redeems(&payer.buys(SMS), SMS).is_delivered("Okay");
    let (status, said) = world.farebox("check --config farebox.toml");
    assert!(status.success(), "{said}");
    for part in [
        "ok       config",
        "note     certificate",
        "ok       node",
        "ok       invoice: made one of 1 sat",
        "ok       ledger",
        "1 ticket(s), 0 parked",
        "ok       state",
        "ok       secret",
        "ok       service send-sms",
    ] {
        assert!(said.contains(part), "{part} in:\n{said}");
    }
}

#[test]
fn check_says_that_an_upstream_is_down_and_serve_goes_on() {
    let world = World::new();
    let payer = world.payer();
    let ticket = payer.buys(SMS);
    payer.redeems(&ticket, SMS).is_delivered("Okay");
    world.upstream.stop();
    let (status, said) = world.farebox("check --config farebox.toml");
    assert_eq!(status.code(), Some(1));
    assert!(
        said.contains("FAILED   service send-sms: its upstream at 127.0.0.1:")
            && said.contains("start it, or correct `upstream`"),
        "{said}"
    );
    payer.redeems(&ticket, SMS).is_replayed("Okay");
}

#[test]
fn check_names_each_part_that_fails() {
    let world = World::new();
    for (from, to, words) in [
        ("tls.cert\"", "no-such.cert\"", "FAILED   node: `lnd.certificate`: "),
        ("invoice.macaroon\"", "no-such.macaroon\"", "FAILED   node: `lnd.macaroon`: "),
        (
            "\"regtest\"",
            "\"mainnet\"",
            "FAILED   invoice: LND's invoice is not what was asked for: it is for regtest",
        ),
        ("price_sat = 100", "price_sat = \"100\"", "FAILED   config: wrong.toml:"),
        ("state_dir = \"state\"", "state_dir = \"/proc/nowhere\"", "FAILED   state: "),
    ] {
        world.write_config("wrong.toml", &[(from, to)]);
        let (status, said) = world.farebox("check --config wrong.toml");
        assert_eq!(status.code(), Some(1), "{to}: {said}");
        assert!(said.contains(words), "{to}:\n{said}");
    }
}

#[test]
fn serve_says_that_its_config_is_missing() {
    let world = World::new();
    let (status, said) = world.farebox("serve --config no-such.toml");
    assert_eq!(status.code(), Some(CONFIG_FAULT));
    assert!(said.contains("no-such.toml: can't read the config"), "{said}");
    let nowhere = tempfile::tempdir().unwrap();
    let (status, said) = Process::run(&["serve"], nowhere.path());
    assert_eq!(status.code(), Some(CONFIG_FAULT));
    assert!(said.contains("farebox.toml: can't read") && said.contains("/etc/farebox"), "{said}");
}

#[test]
fn a_config_in_the_working_folder_needs_no_name() {
    let mut world = World::new();
    world.stop();
    let (status, said) = world.farebox("tickets list");
    assert!(status.success(), "{said}");
    let (status, said) = world.farebox("check");
    assert!(status.success() && said.contains("All is well"), "{said}");
}

/// As behind `| head -1`, once that has read enough.
#[test]
fn what_is_printed_to_nobody_is_no_panic() {
    let mut world = World::new();
    world.stop();
    for command in ["check", "tickets list", "tickets stats", "ledger backup copy.db"] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut farebox = std::process::Command::new(env!("CARGO_BIN_EXE_farebox"));
        farebox.args(command.split(' ')).current_dir(world.folder.path()).stdout(writer);
        let ended = farebox.env("SMS_BACKEND_TOKEN", "x").output().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(said.is_empty() && ended.status.code() == Some(141), "{command}: {ended:?}");
    }
}

#[test]
fn an_address_in_use_is_said_with_its_key() {
    let world = World::new();
    let address = world.address.to_string();
    let changes = [
        ("\"127.0.0.1:0\"", &*format!("\"{address}\"")),
        ("state_dir = \"state\"", "state_dir = \"state2\""),
    ];
    world.write_config("second.toml", &changes);
    let (status, said) = world.farebox("serve --config second.toml");
    assert_eq!(status.code(), Some(1));
    assert!(said.contains("`listen.address`") && said.contains(&address), "{said}");
}

/// A config whose node is a play node of its own.
struct Checked {
    world: World,
    play: Play,
}

const BAKE: &str = "lncli bakemacaroon --save_to=farebox.macaroon --root_key_id=402 \
                    uri:/lnrpc.Lightning/AddInvoice";

const DETECTS: (&str, &str) =
    ("network = \"regtest\"", "network = \"regtest\"\ndetect_payments = true");

impl Checked {
    fn new() -> Self {
        let play = Play::new();
        Self { world: World::with(play.options()), play }
    }

    /// What `check` says of a changed config, and whether all is well.
    fn check(&self, changes: &[(&str, &str)], arguments: &str) -> (bool, String) {
        self.world.write_config("checked.toml", changes);
        let command = format!("check --config checked.toml {arguments}");
        let (status, said) = self.world.farebox(command.trim_end());
        (status.success(), said)
    }

    /// The same with one macaroon in the place of the usual one.
    fn check_with(&self, macaroon: &str) -> (bool, String) {
        self.check(&[("invoice.macaroon", &format!("{macaroon}.macaroon"))], "")
    }
}

#[test]
fn a_macaroon_that_may_do_more_than_it_needs_is_noted_and_the_right_one_is_named() {
    let checked = Checked::new();
    let (fine, said) = checked.check(&[], "");
    assert!(
        fine && said.contains("note     macaroon: `lnd.macaroon` may do more")
            && said.contains("invoices:read"),
        "{said}"
    );
    assert!(
        said.contains("can read the preimages of unpaid invoices")
            && said.contains(&format!("{BAKE}\n")),
        "{said}"
    );
    assert!(said.contains("name and version: unknown"), "what it may not ask is unknown: {said}");
}

#[test]
fn a_macaroon_that_may_do_exactly_what_is_needed_is_right() {
    let checked = Checked::new();
    checked.play.order("bake farebox /lnrpc.Lightning/AddInvoice");
    let (fine, said) = checked.check_with("farebox");
    assert!(
        fine && said.contains("ok       macaroon: may do exactly what this config needs"),
        "{said}"
    );
    let admin = checked.play.folder.join("data/chain/bitcoin/regtest/admin.macaroon");
    let (fine, said) = checked.check(
        &[("invoice.macaroon", "farebox.macaroon")],
        &format!("--macaroon {}", admin.display()),
    );
    assert!(
        fine && said.contains("\"farebox-play (play money)\", LND farebox-play")
            && said.contains("1 active, which can receive"),
        "{said}"
    );
}

#[test]
fn a_macaroon_that_may_not_detect_payments_is_told_with_the_one_that_may() {
    let checked = Checked::new();
    checked.play.order("bake farebox /lnrpc.Lightning/AddInvoice");
    let (fine, said) = checked.check(&[("invoice.macaroon", "farebox.macaroon"), DETECTS], "");
    let missing = "/lnrpc.Lightning/SubscribeInvoices, /lnrpc.Lightning/LookupInvoice";
    assert!(!fine && said.contains(&format!("may not call {missing}")), "{said}");
    let bake =
        format!("{BAKE} uri:/lnrpc.Lightning/SubscribeInvoices uri:/lnrpc.Lightning/LookupInvoice");
    assert!(said.contains(&bake), "{said}");
    checked.play.order(
        "bake watching /lnrpc.Lightning/AddInvoice /lnrpc.Lightning/SubscribeInvoices \
         /lnrpc.Lightning/LookupInvoice",
    );
    let (fine, said) = checked.check(&[("invoice.macaroon", "watching.macaroon"), DETECTS], "");
    assert!(fine && said.contains("ok       payments: that invoice could be looked up"), "{said}");
}

#[test]
fn a_macaroon_that_may_not_make_invoices_fails() {
    let checked = Checked::new();
    checked.play.order("bake blind /lnrpc.Lightning/GetInfo");
    let (fine, said) = checked.check_with("blind");
    assert!(
        !fine
            && said.contains("may not call /lnrpc.Lightning/AddInvoice")
            && said.contains("FAILED   invoice: "),
        "{said}"
    );
    checked.play.order("down");
    let (fine, said) = checked.check_with("blind");
    assert!(
        !fine && said.contains("may not call /lnrpc.Lightning/AddInvoice"),
        "read without a call: {said}"
    );
}

/// One that can't be read says nothing of the parts that come after it.
#[test]
fn a_macaroon_that_can_not_be_read_fails_alone() {
    let checked = Checked::new();
    let hex = checked.play.folder.join("hex.macaroon");
    std::fs::write(&hex, "0201036c6e64").unwrap();
    let (fine, said) = checked
        .check(&[("lnd/data/chain/bitcoin/regtest/invoice.macaroon", "lnd/hex.macaroon")], "");
    assert!(
        !fine
            && said.contains("FAILED   macaroon: `lnd.macaroon`: ")
            && said.contains("ok       ledger: "),
        "{said}"
    );
    let (fine, said) = checked.check(&[], &format!("--macaroon {}", hex.display()));
    assert!(
        !fine
            && said.contains("FAILED   node: `--macaroon`: ")
            && said.contains("ok       ledger: "),
        "{said}"
    );
}
