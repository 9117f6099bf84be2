//! A gate that sells by lists of prices, and what has to hold of each thing that it sells.

use std::cell::Cell;
use std::collections::BTreeMap;

use farebox::l402::credential::decode_base64;
use lightning_invoice::Bolt11Invoice;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::kinds::{KINDS, Kind, Prices, RATE_CENTS, SERVICE};
use super::orders::{Expected, Order, segments};
use crate::support::http::{self, Response};
use crate::support::payer::{Challenge, Payer, Ticket};
use crate::support::upstream::{Request, Upstream};
use crate::support::world::Options;
use crate::support::{Behaviour, World, wait_until};

pub struct Shop {
    folder: TempDir,
    pub world: World,
    suffix: String,
    quotes: Cell<u32>,
    _rate: Upstream,
}

impl Shop {
    pub fn new() -> Self {
        let (folder, rate) = (tempfile::tempdir().unwrap(), Upstream::start());
        let amount = format!("{}.{:02}", RATE_CENTS / 100, RATE_CENTS % 100);
        rate.behave(Behaviour::status(200, &format!(r#"{{"a":"{amount}"}}"#)));
        let shop = folder.path().to_owned();
        write_lists(&folder, &Prices::from([("1".to_owned(), 1)]));
        let services = KINDS.iter().map(|kind| {
            let table = shop.join(kind.name).display().to_string();
            SERVICE
                .replace("SECTION", &kind.section.replace("TABLE", &table))
                .replace("METHOD", kind.method)
                .replace("NAME", kind.name)
        });
        let source = format!(
            "[rate]\ncurrency = \"USD\"\nurl = \"http://{}/\"\njson = \"/a\"\n",
            rate.address
        );
        let world = World::with(Options {
            more: source + &services.collect::<String>(),
            limits: "unpaid_per_client = 10000".to_owned(),
            environment: vec![("SECRET", "secret".to_owned())],
            ..Options::default()
        });
        let shop =
            Self { folder, world, suffix: "SUFFIX".to_owned(), quotes: Cell::new(0), _rate: rate };
        shop.world.upstream.behave(accepts());
        wait_until("the rate", || shop.world.ready()["upstreams"]["in-dollars"]["status"] == "ok");
        shop
    }

    /// From now on it sells and sends by these.
    pub fn changes(&mut self, prices: &Prices, suffix: &str) {
        write_lists(&self.folder, prices);
        let config = self.world.config();
        let quoted = |suffix: &str| format!("suffix = \"{suffix}\"");
        let changed = config.replace(&quoted(&self.suffix), &quoted(suffix));
        std::fs::write(self.world.folder.path().join("farebox.toml"), changed).unwrap();
        self.suffix = suffix.to_owned();
        self.world.reloads();
    }

    pub fn payer(&self, kind: &Kind) -> Payer {
        self.world.payer_at(kind.method, &format!("/{}", kind.name))
    }

    pub fn quote(&self, kind: &Kind, request: &str) -> Response {
        let path = format!("/l402/quote/{}", kind.name);
        // Of another client each time, because each may ask so often.
        let turn = self.quotes.get();
        self.quotes.set(turn + 1);
        let client = format!("10.{}.{}.{}", turn >> 16, turn >> 8 & 255, turn & 255);
        let headers = [("X-Forwarded-For", &*client), ("Content-Type", "application/json")];
        match kind.method {
            "GET" => http::send(self.world.address, "GET", &(path + request), &headers[..1], b""),
            _ => http::send(self.world.address, "POST", &path, &headers, request.as_bytes()),
        }
    }

    /// What all challenges of a service were for, in msat: as counted, and as in the books.
    pub fn sold(&self, kind: &Kind) -> [f64; 2] {
        let name = kind.name;
        let stats = http::get(self.world.ops, "/tickets/stats?days=2").json();
        let days = stats.as_array().unwrap().iter().filter(|day| day["service"] == name);
        let counted = format!("farebox_challenged_msat_total{{service=\"{name}\"}}");
        let in_books = days.map(|day| day["mintedMsat"].as_f64().unwrap()).sum();
        [self.world.metric(&counted), in_books]
    }

    /// Buys what is to be sold, and sees that each says the same price.
    pub fn buys(&self, order: &Order, expected: Option<&Expected>) -> Option<Ticket> {
        let (kind, request) = (&KINDS[order.kind], order.as_sold());
        let payer = self.payer(kind);
        let (quote, answer) = (self.quote(kind, &request), payer.tries_to_buy(&request));
        let Some(Expected { msat, segments }) = expected else {
            answer.is(400, "invalid-input").bears_no_challenge();
            assert_eq!((quote.status, quote.json()), (400, answer.json()));
            return None;
        };
        let quoted = quote.json();
        let priced = [&quoted["price_msat"], &quoted["price_sat"], &quoted["segments"]];
        assert_eq!(json!(priced), json!([msat, msat.div_ceil(1000), segments]), "{quoted}");
        let challenge = Challenge::from(answer);
        assert_eq!(challenge.response.json()["priceSats"], msat.div_ceil(1000));
        let invoice: Bolt11Invoice = challenge.invoice.parse().unwrap();
        assert_eq!(invoice.amount_milli_satoshis(), Some(*msat));
        let macaroon = decode_base64(challenge.macaroon.as_bytes()).unwrap();
        let caveat = format!("{}_price_msat={msat}\0", kind.name);
        assert!(String::from_utf8_lossy(&macaroon).contains(&caveat), "{caveat}");
        Some(payer.pays(&challenge))
    }

    /// What a browser is shown in the place of a challenge says the same price, too.
    pub fn shows(&self, kind: &Kind, request: &str, msat: u64) {
        let page = self.payer(kind).sends(&[("Accept", "text/html")], request);
        let written = match msat % 1000 {
            0 => format!("This costs {} sat.", msat / 1000),
            _ => format!("This costs {msat} msat."),
        };
        let page = page.has_status(402).text();
        assert!(page.contains(&written), "{written}: {page}");
        let invoice = page.split_once("lightning:").unwrap().1.split_once('"').unwrap().0;
        let invoice: Bolt11Invoice = invoice.parse().unwrap();
        assert_eq!(invoice.amount_milli_satoshis(), Some(msat));
    }

    /// Sends what was bought: one message, no longer than was priced.
    pub fn sends(&self, order: &Order, bought: &Expected, ticket: &Ticket) {
        let kind = &KINDS[order.kind];
        let before = self.world.upstream.count();
        let answer = self.payer(kind).redeems(ticket, &order.as_sold());
        assert!(matches!(answer.status, 200 | 202), "{answer:?}");
        assert_eq!(self.world.upstream.count(), before + 1);
        let sent = sent(&self.world.upstream.last());
        assert_eq!(sent["to"], order.to);
        let text = &sent["text"];
        let behind = text.strip_prefix(&order.text).unwrap();
        assert!(behind.is_empty() || behind == self.suffix, "{text}");
        assert!(segments(text) <= bought.segments, "{text}");
    }

    /// The backend refuses what was bought for good, and another order takes its place if it costs
    /// no more.
    pub fn changes_order(&self, bought: &Bought<'_>, other: &Order, expected: Option<Expected>) {
        let Bought { order, expected: paid, ticket, .. } = bought;
        let kind = &KINDS[order.kind];
        let said = Behaviour::status(403, "Not routable. Do not try again.");
        self.world.upstream.behave(said);
        self.payer(kind).redeems(ticket, &order.as_sold()).is(422, "order-refused");
        self.world.upstream.behave(accepts());
        for what in ["open".to_owned(), format!("numbers/{}/allow", order.to)] {
            self.world.operator_posts(&format!("/services/{}/{what}", kind.name)).has_status(200);
        }
        match expected.filter(|expected| expected.msat <= paid.msat) {
            Some(expected) => self.sends(other, &expected, ticket),
            None => {
                let before = self.world.upstream.count();
                self.payer(kind).redeems(ticket, &other.as_sold()).bears_no_challenge();
                assert_eq!(self.world.upstream.count(), before);
            }
        }
    }
}

pub fn accepts() -> Behaviour {
    Behaviour::status(202, "0: Accepted for delivery")
}

pub fn write_lists(folder: &TempDir, prices: &Prices) {
    for kind in &KINDS {
        let row =
            |(prefix, price): (&String, &u64)| format!("+{prefix},{}\n", (kind.listed)(*price));
        let rows: String = prices.iter().map(row).collect();
        std::fs::write(folder.path().join(kind.name), format!("prefix,price\n{rows}")).unwrap();
    }
}

/// The members of what the backend was told, in its body or in the query; each once.
pub fn sent(request: &Request) -> BTreeMap<String, String> {
    if let Ok(Value::Object(members)) = serde_json::from_slice(&request.body) {
        let text = |value: Value| value.as_str().unwrap().to_owned();
        return members.into_iter().map(|(name, value)| (name, text(value))).collect();
    }
    let (_, query) = request.line.trim_end_matches(" HTTP/1.1").split_once('?').unwrap();
    let mut members = BTreeMap::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()).into_owned() {
        assert_eq!(members.insert(name, value), None, "{query}");
    }
    members
}

pub struct Bought<'a> {
    pub order: &'a Order,
    pub instead: &'a Option<(String, String)>,
    pub expected: Expected,
    pub ticket: Ticket,
}
