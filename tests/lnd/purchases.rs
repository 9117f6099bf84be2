//! The three steps with real payments, and who pays as a client does.

use std::process::Command;

use base64::Engine as _;
use macaroon::{ByteString, Format, Macaroon};

use crate::regtest::network;
use crate::support::process::Process;
use crate::support::world::PATH;
use crate::support::{SMS, World, http};
use crate::{at, open, selling};

#[test]
fn twenty_purchases_in_a_row_by_curl_with_the_narrowest_macaroon() {
    let network = network();
    let world = open(selling(&network.seller));
    let (status, said) = Process::run(&["check", "--config", "farebox.toml"], world.folder.path());
    assert!(
        status.success()
            && said.contains("ok       macaroon: may do exactly what this config needs"),
        "{said}"
    );
    let url = format!("http://{}{PATH}", world.address);
    let curl = |more: &[&str]| {
        let mut curl = Command::new("curl");
        let done = curl
            .args(["-sS", &url, "-H", "Content-Type: application/json", "-d", SMS])
            .args(more)
            .output()
            .unwrap();
        assert!(done.status.success(), "{done:?}");
        String::from_utf8(done.stdout).unwrap()
    };
    for n in 1..=20 {
        let challenge: serde_json::Value = serde_json::from_str(&curl(&[])).unwrap();
        assert_eq!(world.upstream.count(), n - 1, "asking sends nothing");
        let preimage = network.payer.pay(challenge["invoice"].as_str().unwrap()).unwrap();
        let ticket =
            format!("Authorization: L402 {}:{preimage}", challenge["macaroon"].as_str().unwrap());
        assert_eq!(curl(&["-H", &ticket]), "Okay");
        assert_eq!(curl(&["-H", &ticket]), "Okay", "the stored answer");
        assert_eq!(world.upstream.count(), n, "one payment, one message");
    }
}

#[test]
fn check_tells_a_macaroon_that_can_not_mint_and_asks_with_one_that_may() {
    let network = network();
    let mut options = at(&network.seller);
    options.macaroon = Some(network.seller.bake("blind", &["/lnrpc.Lightning/GetInfo"]));
    let world = World::with(options);
    let (status, said) = Process::run(&["check", "--config", "farebox.toml"], world.folder.path());
    assert!(
        !status.success() && said.contains("may not call /lnrpc.Lightning/AddInvoice"),
        "{said}"
    );
    assert!(
        said.contains(
            "FAILED   invoice: LND refuses the macaroon in `lnd.macaroon`: permission denied"
        ),
        "{said}"
    );
    assert!(said.contains("uri:/lnrpc.Lightning/AddInvoice"), "{said}");

    let world = open(selling(&network.seller));
    let (status, said) = Process::run(&["check", "--config", "farebox.toml"], world.folder.path());
    assert!(
        status.success() && said.contains("name and version: unknown"),
        "what it may not ask is no failure: {said}"
    );
    let readonly = network.seller.macaroon("readonly");
    let arguments = ["check", "--config", "farebox.toml", "--macaroon", readonly.to_str().unwrap()];
    let (status, said) = Process::run(&arguments, world.folder.path());
    assert!(
        status.success()
            && said.contains("\"seller\", LND 0.21.2")
            && said.contains("1 active, which can receive 9"),
        "{said}"
    );
    let (_, said) = {
        let world = open(at(&network.seller));
        Process::run(&["check", "--config", "farebox.toml"], world.folder.path())
    };
    assert!(
        said.contains("may do more than this config needs") && said.contains("invoices:read"),
        "LND's own invoice.macaroon: {said}"
    );
    let admin = open(crate::support::world::Options {
        macaroon: Some(network.seller.macaroon("admin")),
        ..at(&network.seller)
    });
    let (_, said) = Process::run(&["check", "--config", "farebox.toml"], admin.folder.path());
    assert!(said.contains("can spend your money"), "{said}");
}

/// Lightning Labs' `lnget` with its defaults: one token per host, tried first whatever the request;
/// a challenge is asked for twice and paid once; only the first `WWW-Authenticate` line is read;
/// the preimage goes into a caveat too.
struct Lnget<'a> {
    world: &'a World,
    pay: &'a dyn Fn(&str) -> String,
    token: Option<(Macaroon, String)>,
}

impl Lnget<'_> {
    fn send(&mut self, body: &str) -> http::Response {
        let headers = self.token.as_ref().map(|(macaroon, preimage)| {
            let mut with_preimage = macaroon.clone();
            with_preimage
                .add_first_party_caveat(ByteString(format!("preimage={preimage}").into_bytes()));
            let text = base64::engine::general_purpose::URL_SAFE
                .decode(pad(&with_preimage.serialize(Format::V2).unwrap()))
                .unwrap();
            format!("L402 {}:{preimage}", base64::engine::general_purpose::STANDARD.encode(text))
        });
        let headers: Vec<(&str, &str)> =
            headers.iter().map(|value| ("Authorization", value.as_str())).collect();
        self.world.payer().sends(&headers, body)
    }

    fn get(&mut self, body: &str) -> http::Response {
        let answer = self.send(body);
        if answer.status != 402 {
            return answer;
        }
        // Its token is no good here: it forgets it, asks again, and pays what that says.
        self.token = None;
        let again = self.send(body);
        let line = again.header("www-authenticate").unwrap();
        let parameter = |name: &str| {
            line.split(&format!("{name}=\"")).nth(1).unwrap().split('"').next().unwrap().to_owned()
        };
        assert!(line.starts_with("L402 macaroon=\""), "{line}");
        let preimage = (self.pay)(&parameter("invoice"));
        let macaroon = Macaroon::deserialize(parameter("macaroon")).unwrap();
        self.token = Some((macaroon, preimage));
        self.send(body)
    }
}

fn pad(text: &str) -> String {
    let text = text.trim_end_matches('=');
    format!("{text}{}", "=".repeat((4 - text.len() % 4) % 4))
}

#[test]
fn a_client_that_behaves_as_lnget_does_buys_two_messages() {
    let network = network();
    let world = open(selling(&network.seller));
    let paid = std::cell::Cell::new(0);
    let pay = |invoice: &str| {
        paid.set(paid.get() + 1);
        network.payer.pay(invoice).unwrap()
    };
    let mut client = Lnget { world: &world, pay: &pay, token: None };
    assert_eq!(client.get(SMS).text(), "Okay");
    assert_eq!(client.get(SMS).text(), "Okay", "the same again costs nothing");
    assert_eq!((paid.get(), world.upstream.count()), (1, 1));
    let another = r#"{"phone_number":"+1234567890","message":"a second, different message"}"#;
    assert_eq!(
        client.get(another).text(),
        "Okay",
        "the old token is tried first, and not consumed by it"
    );
    assert_eq!((paid.get(), world.upstream.count()), (2, 2));
    assert_eq!(
        world.metric("farebox_challenges_total{service=\"send-sms\"}"),
        4.0,
        "two challenges for each purchase"
    );
}

#[test]
fn a_challenge_names_what_it_sells_and_nothing_of_the_request() {
    let network = network();
    let world = open(selling(&network.seller));
    let challenge = world.payer().asks(SMS);
    let read = network.payer.cli(&["decodepayreq", &challenge.invoice]);
    assert_eq!(
        (read["description"].as_str(), read["num_satoshis"].as_str(), read["expiry"].as_str()),
        (Some("Send an SMS"), Some("100"), Some("600"))
    );
    assert_eq!(read["payment_hash"], challenge.response.json()["paymentHash"]);
}
