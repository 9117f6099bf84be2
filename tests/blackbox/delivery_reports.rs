//! Promises 6, 7 and 9: what backends report of messages is told to their payers, in whatever order
//! it comes, and touches no ticket.

use serde_json::{Value, json};

use crate::support::http::{self, Response};
use crate::support::payer::{Payer, Ticket};
use crate::support::presets::{PRESETS, SECRET, TO, service};
use crate::support::world::{Options, Play};
use crate::support::{Behaviour, World, wait_until};

/// How a backend reports: where it was told to, or at one address for all its messages.
struct Reporting {
    preset: &'static str,
    accepted: (u16, &'static str),
    /// Where the request says the address; `None` for the one of the service.
    told_in: Option<&'static str>,
    /// What is added to the address, the media type, and the body, in which `STATE`, `NAME` and
    /// `NUMBER` stand for these.
    query: &'static str,
    media: &'static str,
    body: &'static str,
    /// The words for sent, delivered, failed, and one that is no news.
    words: [&'static str; 4],
    answer: &'static str,
}

pub const FORM: &str = "application/x-www-form-urlencoded";
pub const JSON: &str = "application/json";

const REPORTING: [Reporting; 7] = [
    Reporting {
        preset: "kannel",
        accepted: (202, "0: Accepted for delivery"),
        told_in: Some("dlr-url"),
        query: "?status=STATE",
        media: "",
        body: "",
        words: ["8", "1", "2", "32"],
        answer: "",
    },
    Reporting {
        preset: "twilio",
        accepted: (201, r#"{"sid":"SM1","status":"queued"}"#),
        told_in: Some("StatusCallback"),
        query: "",
        media: FORM,
        body: "MessageSid=SM1&MessageStatus=STATE&To=%2B49&From=%2B1",
        words: ["sent", "delivered", "undelivered", "queued"],
        answer: "",
    },
    Reporting {
        preset: "vonage",
        accepted: (200, r#"{"messages":[{"status":"0","message-id":"0A"}]}"#),
        told_in: Some("callback"),
        query: "?msisdn=49&status=STATE&err-code=0",
        media: "",
        body: "",
        words: ["buffered", "delivered", "expired", "unknown"],
        answer: "",
    },
    Reporting {
        preset: "plivo",
        accepted: (202, r#"{"message_uuid":["u-1"]}"#),
        told_in: Some("url"),
        query: "",
        media: FORM,
        body: "MessageUUID=u-1&Status=STATE",
        words: ["sent", "delivered", "undelivered", "queued"],
        answer: "",
    },
    Reporting {
        preset: "jasmin",
        accepted: (200, r#"Success "0703-a""#),
        told_in: Some("dlr-url"),
        query: "",
        media: FORM,
        body: "id=0703-a&level=3&message_status=STATE",
        words: ["ESME_ROK", "DELIVRD", "UNDELIV", "UNKNOWN"],
        answer: "ACK/Jasmin",
    },
    Reporting {
        preset: "android-sms-gateway",
        accepted: (202, r#"{"id":"abc","state":"Pending"}"#),
        told_in: None,
        query: "",
        media: JSON,
        body: r#"{"event":"STATE","payload":{"messageId":"NAME","phoneNumber":"NUMBER"}}"#,
        words: ["sms:sent", "sms:delivered", "sms:failed", "system:ping"],
        answer: "",
    },
    Reporting {
        preset: "httpsms",
        accepted: (200, r#"{"data":{"id":"m1","status":"pending"}}"#),
        told_in: None,
        query: "",
        media: JSON,
        body: r#"{"type":"STATE","data":{"request_id":"NAME","contact":"NUMBER","content":"x"}}"#,
        words: [
            "message.phone.sent",
            "message.phone.delivered",
            "message.send.failed",
            "message.call.missed",
        ],
        answer: "",
    },
];

pub fn order(to: &str) -> String {
    json!({ "number": to, "words": "hello" }).to_string()
}

pub fn options(play: &Play) -> Options {
    let more: String = PRESETS.iter().map(service).collect();
    let mut options = play.watched();
    options.environment.push(("SECRET", SECRET.to_owned()));
    let listen = format!("{}\npublic_url = \"http://gate.example/sms\"\n", options.listen);
    Options { more, listen, ..options }
}

pub fn delivery(payer: &Payer, ticket: &Ticket) -> Value {
    payer.asks_for_status(ticket).json()["delivery"]["state"].clone()
}

/// The path at which a service's backend reports on all messages.
pub fn inbound_path(world: &World, service: &str) -> String {
    let (status, said) = world.farebox("inbound --config farebox.toml");
    assert!(status.success(), "{said}");
    let line = said.lines().find(|line| line.starts_with(&format!("{service} "))).unwrap();
    let url = line.split_whitespace().nth(1).unwrap();
    assert!(url.starts_with("http://gate.example/sms/l402/inbound/"), "{url}");
    url.strip_prefix("http://gate.example/sms").unwrap().to_owned()
}

impl Reporting {
    /// What its backend was told or is to be told: the path, and its name for the message.
    fn address(&self, world: &World) -> (String, String) {
        let request = world.upstream.last();
        let body = String::from_utf8_lossy(&request.body).into_owned();
        let Some(told_in) = self.told_in else {
            let body: Value = serde_json::from_str(&body).unwrap();
            let name = body.get("id").or(body.get("request_id")).unwrap().as_str().unwrap();
            return (inbound_path(world, self.preset), name.to_owned());
        };
        let url = match body.starts_with('{') {
            true => {
                serde_json::from_str::<Value>(&body).unwrap()[told_in].as_str().unwrap().to_owned()
            }
            false => {
                let query = request.line.split([' ', '?']).nth(2).unwrap_or_default();
                let fields = if body.is_empty() { query.to_owned() } else { body };
                let mut fields = form_urlencoded::parse(fields.as_bytes());
                fields.find(|(name, _)| name == told_in).unwrap().1.into_owned()
            }
        };
        let path = url.strip_prefix("http://gate.example/sms").unwrap();
        assert!(!path.contains("%2B49") && !path.contains("49170"), "{path}");
        (path.split('?').next().unwrap().to_owned(), String::new())
    }

    /// A message that its backend has: the ticket, where it reports, and by which name.
    fn sells(&self, world: &World, play: &Play) -> (Payer, Ticket, String, String) {
        let payer = world.payer_at("POST", &format!("/{}", self.preset));
        let ticket = play.pays(&payer.asks(&order(TO)));
        payer.redeems(&ticket, &order(TO)).in_case(self.preset).has_status(200);
        let (path, name) = self.address(world);
        (payer, ticket, path, name)
    }

    fn is_heard(&self, world: &World, play: &Play) {
        let (payer, ticket, path, name) = self.sells(world, play);
        let (case, [sent, delivered, failed, no_news]) = (self.preset, self.words);
        assert_eq!(delivery(&payer, &ticket), "accepted", "{case}");
        let row = world.row_of(&ticket.payment_hash());
        assert_eq!(row["delivery"]["state"], "accepted", "{case}");
        for (word, state) in [
            (no_news, "accepted"),
            (sent, "sent"),
            (sent, "sent"),
            (failed, "failed"),
            (sent, "failed"),
            (delivered, "delivered"),
            (failed, "delivered"),
            (delivered, "delivered"),
        ] {
            let heard = self.says(world, &path, &name, word).in_case(case);
            let expected = if self.answer.is_empty() { 204 } else { 200 };
            assert_eq!((heard.status, heard.text().as_str()), (expected, self.answer));
            assert_eq!(delivery(&payer, &ticket), state, "{case} {word}");
        }
        let after = world.row_of(&ticket.payment_hash());
        assert_eq!((&after["state"], &after["changedAt"]), (&row["state"], &row["changedAt"]));
        for state in ["sent", "failed", "delivered"] {
            let line = format!(
                "farebox_deliveries_total{{country=\"+49\",service=\"{case}\",state=\"{state}\"}}"
            );
            assert_eq!(world.metric(&line), 1.0, "{line}");
        }
    }

    /// The next message is another one, and nobody else finds its address.
    fn is_heard_at_its_address_only(&self, world: &World, play: &Play) {
        let (payer, ticket, path, name) = self.sells(world, play);
        let mut guessed = path.clone();
        let last = guessed.pop().unwrap();
        guessed.push(if last == '0' { '1' } else { '0' });
        let other = path.replace(&format!("/{}/", self.preset), "/nobody/");
        for bad in [guessed, other, format!("{path}0"), path[..path.len() - 32].to_owned()] {
            let heard = self.says(world, &bad, &name, self.words[2]).in_case(self.preset);
            heard.is(404, "not-found");
        }
        // Nor has the backend of another service a word in it.
        for other in REPORTING.iter().filter(|other| other.preset != self.preset) {
            let path = path.replace(&format!("/{}/", self.preset), &format!("/{}/", other.preset));
            for (word, of) in [(self.words[1], self), (other.words[1], other)] {
                of.says(world, &path, &name, word);
            }
        }
        assert_eq!(delivery(&payer, &ticket), "accepted", "{}", self.preset);
    }

    fn says(&self, world: &World, path: &str, name: &str, word: &str) -> Response {
        let fill = |text: &str| text.replace("STATE", word).replace("NAME", name);
        let (query, body) = (fill(self.query), fill(self.body).replace("NUMBER", TO));
        let path = format!("{path}{query}");
        if body.is_empty() {
            return http::get(world.address, &path);
        }
        let media = [("Content-Type", self.media)];
        http::send(world.address, "POST", &path, &media, body.as_bytes())
    }
}

#[test]
fn each_backend_is_heard_in_any_order_and_more_than_once() {
    let play = Play::new();
    let world = World::with(options(&play));
    world.wait_until_payments_are_detected();
    for reporting in &REPORTING {
        let (status, accepted) = reporting.accepted;
        world.upstream.behave(Behaviour::status(status, accepted));
        reporting.is_heard(&world, &play);
        reporting.is_heard_at_its_address_only(&world, &play);
    }
    let heard = "farebox_requests_total{code=\"heard\",service=\"twilio\"}";
    assert!(world.metric(heard) > 1.0);
    let log = world.gate.output();
    assert!(!log.contains("/l402/report/") && !log.contains("/l402/inbound/"));
}

/// A report that comes before the answer, after a restart, at the second listener; and none after
/// its time.
#[test]
fn reports_are_taken_whenever_they_come() {
    let play = Play::new();
    let mut world = World::with(options(&play));
    world.wait_until_payments_are_detected();
    let kannel = &REPORTING[0];
    let payer = world.payer_at("POST", "/kannel");
    let ticket = play.pays(&payer.asks(&order(TO)));
    world.upstream.behave(Behaviour::Stall);
    std::thread::scope(|scope| {
        let late = scope.spawn(|| payer.redeems(&ticket, &order(TO)));
        wait_until("the backend to be asked", || world.upstream.count() == 1);
        let (path, name) = kannel.address(&world);
        kannel.says(&world, &path, &name, "8").has_status(204);
        assert_eq!(delivery(&payer, &ticket), "sent", "while it is being sent");
        late.join().unwrap().is(504, "outcome-unknown");
    });
    world.upstream.release();
    // It says what became of a message that nobody knows of, and settles nothing.
    let (path, name) = kannel.address(&world);
    kannel.says(&world, &path, &name, "1").has_status(204);
    let row = world.row_of(&ticket.payment_hash());
    assert_eq!((&row["state"], &row["delivery"]["state"]), (&json!("parked"), &json!("delivered")));
    world.crash_and_restart();
    world.wait_until_payments_are_detected();
    let payer = world.payer_at("POST", "/kannel");
    assert_eq!(delivery(&payer, &ticket), "delivered");
    world.upstream.behave(Behaviour::status(202, "0: Accepted for delivery"));
    let second = play.pays(&payer.asks(&order(TO)));
    payer.redeems(&second, &order(TO)).has_status(200);
    let (path, _) = kannel.address(&world);
    let inside = http::get(world.ops, &format!("{path}?status=1"));
    inside.has_status(204);
    assert_eq!(delivery(&payer, &second), "delivered");
    http::get(world.ops, &format!("{path}0?status=1")).has_status(404);
    world.write_ops_config();
    let (_, said) = world.farebox(&format!(
        "tickets --config ops.toml --output table show {}",
        second.payment_hash()
    ));
    assert!(
        said.lines().any(|line| line.starts_with("message") && line.contains("delivered")),
        "{said}"
    );
}

/// Events and long polls tell of it as it comes.
#[test]
fn who_waits_hears_of_it() {
    let play = Play::new();
    let world = World::with(options(&play));
    world.wait_until_payments_are_detected();
    let kannel = &REPORTING[0];
    let payer = world.payer_at("POST", "/kannel");
    world.upstream.behave(Behaviour::status(202, "0: Accepted for delivery"));
    let ticket = play.pays(&payer.asks(&order(TO)));
    payer.redeems(&ticket, &order(TO)).has_status(200);
    let (path, name) = kannel.address(&world);
    let waited = std::thread::scope(|scope| {
        let query = "?wait=60&state=delivered&delivery=accepted";
        let waiting = scope.spawn(|| payer.asks_for_status_by(&ticket, query).json());
        // Who says no `delivery` hears of the next one.
        let other = scope.spawn(|| payer.asks_for_status_by(&ticket, "?wait=60&state=delivered"));
        std::thread::sleep(std::time::Duration::from_millis(200));
        assert!(!waiting.is_finished() && !other.is_finished());
        kannel.says(&world, &path, &name, "8");
        let said = std::time::Instant::now();
        other.join().unwrap();
        assert!(said.elapsed().as_secs() < 40, "it heard of nothing, its time was up");
        waiting.join().unwrap()
    });
    assert_eq!(waited["delivery"]["state"], "sent");
    assert!(waited["delivery"]["at"].as_str().unwrap().starts_with("20"));
    payer.asks_for_status_by(&ticket, "?wait=1&delivery=gone").has_status(400);
    let events = std::thread::scope(|scope| {
        let address = world.address;
        // The stream ends by itself once nothing more can come.
        let authorization = ticket.authorization();
        let stream = scope.spawn(move || {
            let headers =
                [("Authorization", authorization.as_str()), ("Accept", "text/event-stream")];
            http::send(address, "GET", "/l402/status", &headers, b"").text()
        });
        std::thread::sleep(std::time::Duration::from_millis(200));
        kannel.says(&world, &path, &name, "1");
        stream.join().unwrap()
    });
    let told: Vec<&str> = events.lines().filter(|line| line.starts_with("data: ")).collect();
    let states: Vec<Value> = told
        .iter()
        .map(|line| serde_json::from_str::<Value>(&line[6..]).unwrap()["delivery"]["state"].clone())
        .collect();
    assert_eq!(states, ["sent", "delivered"], "{events}");
}

#[test]
fn without_an_address_of_ours_nothing_is_asked_for() {
    let more: String = PRESETS.iter().map(service).collect();
    let environment = vec![("SECRET", SECRET.to_owned())];
    let world = World::with(Options { more, environment, ..Options::default() });
    world.upstream.behave(Behaviour::status(202, "0: Accepted for delivery"));
    let payer = world.payer_at("POST", "/kannel");
    payer.redeems(&payer.buys(&order(TO)), &order(TO)).has_status(200);
    assert!(!world.upstream.last().line.contains("dlr"), "{:?}", world.upstream.last().line);
    for (bad, said) in [
        ("reports = true,", "`reports` needs `public_url` in [listen]"),
        ("reports = \"nowhere\",", "`reports` should be how your backend reaches Farebox"),
        ("reports_for = \"90d\", reports = \"http://10.0.0.1:9402\",", "`reports_for` should be"),
    ] {
        let with = format!("backend = {{ {bad} preset = \"kannel\"");
        world.write_config("bad.toml", &[("backend = { preset = \"kannel\"", &with)]);
        let (_, output) = world.farebox("check --config bad.toml");
        assert!(output.contains(said) && output.contains("bad.toml:"), "{bad}: {output}");
    }
    let with = "backend = { reports = \"http://10.0.0.1:9402\", preset = \"kannel\"";
    world.write_config("farebox.toml", &[("backend = { preset = \"kannel\"", with)]);
    world.reloads();
    payer.redeems(&payer.buys(&order(TO)), &order(TO)).has_status(200);
    let line = world.upstream.last().line;
    assert!(
        line.contains("dlr-url=http%3A%2F%2F10.0.0.1%3A9402%2Fl402%2Freport%2Fkannel%2F"),
        "{line}"
    );
    assert!(line.contains("dlr-mask=31"), "{line}");
    let (_, said) = world.farebox("check --config farebox.toml");
    assert!(said.contains("service kannel: what its backend reports is counted"), "{said}");
    world.write_config("new.toml", &[("state_dir = \"state\"", "state_dir = \"new\"")]);
    let (status, said) = world.farebox("inbound --config new.toml");
    assert!(!status.success() && said.contains("the first start of `serve` makes"), "{said}");
    let (_, said) = world.farebox("inbound --config farebox.toml");
    assert!(said.contains("kannel http://10.0.0.1:9402/l402/inbound/kannel/"), "{said}");
}
