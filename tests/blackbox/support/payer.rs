//! A payer and its words: it asks, pays, redeems, and asks for the status.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use farebox::l402::credential::{decode_base64, encode_base64};

use super::http::{self, Connection, Response};
use super::wait_until;

/// A client of one service of a gate. A payer finds its gate again after a restart.
#[derive(Clone)]
pub struct Payer {
    pub(super) gate: Arc<Mutex<SocketAddr>>,
    pub(super) wallet: Option<SocketAddr>,
    pub(super) method: &'static str,
    pub(super) path: String,
}

/// A request is its JSON body, or the query of a `GET`.
impl Payer {
    /// Sends a request without a ticket, where it is sold.
    #[track_caller]
    pub fn asks(&self, request: &str) -> Challenge {
        Challenge::from(self.tries_to_buy(request))
    }

    /// Sends a request without a ticket, where it may not be sold.
    #[track_caller]
    pub fn tries_to_buy(&self, request: &str) -> Response {
        self.sends(&[], request)
    }

    #[track_caller]
    pub fn pays(&self, challenge: &Challenge) -> Ticket {
        let wallet = self.wallet.expect("a payer with a wallet");
        let answer = http::send(wallet, "POST", "/pay", &[], challenge.invoice.as_bytes());
        assert_eq!(answer.status, 200, "{answer:?}");
        challenge.with_preimage(answer.text().trim())
    }

    /// Asks and pays.
    #[track_caller]
    pub fn buys(&self, request: &str) -> Ticket {
        self.pays(&self.asks(request))
    }

    #[track_caller]
    pub fn redeems(&self, ticket: &Ticket, request: &str) -> Response {
        self.hands_in(&ticket.authorization(), request)
    }

    /// Hands the ticket in until it is taken.
    pub fn redeems_in_the_end(&self, ticket: &Ticket, request: &str) {
        wait_until("the ticket to be redeemed", || self.redeems(ticket, request).status == 200);
    }

    /// Hands the ticket in where the gate may be dead: `None` if there is no answer.
    pub fn tries_to_redeem(&self, ticket: &Ticket, request: &str) -> Option<Response> {
        let authorization = ticket.authorization();
        let (target, headers, body) = self.request(&[("Authorization", &authorization)], request);
        http::try_send(self.address(), self.method, &target, &headers, body)
    }

    /// Sends the request, and leaves its answer to be read or not.
    pub fn starts_to_redeem(&self, ticket: &Ticket, request: &str) -> Connection {
        let authorization = ticket.authorization();
        let (target, headers, body) = self.request(&[("Authorization", &authorization)], request);
        let mut connection = Connection::open(self.address());
        connection.write(&http::request(self.method, &target, &headers, body));
        connection
    }

    /// Sends a request with the macaroon of a challenge and no preimage: `L402 <macaroon>:`.
    #[track_caller]
    pub fn sends_macaroon_alone(&self, challenge: &Challenge, request: &str) -> Response {
        self.hands_in(&challenge.authorization(), request)
    }

    /// Sends a request with an `Authorization` of exactly these words.
    #[track_caller]
    pub fn hands_in(&self, authorization: &str, request: &str) -> Response {
        self.sends(&[("Authorization", authorization)], request)
    }

    /// Sends a request with these headers.
    #[track_caller]
    pub fn sends(&self, headers: &[(&str, &str)], request: &str) -> Response {
        let (target, headers, body) = self.request(headers, request);
        http::send(self.address(), self.method, &target, &headers, body)
    }

    /// What `/l402/status` answers to the holder of a challenge or of a ticket.
    #[track_caller]
    pub fn asks_for_status(&self, holder: &impl Holder) -> Response {
        self.asks_for_status_by(holder, "")
    }

    /// The same with a query, such as `?wait=1`.
    #[track_caller]
    pub fn asks_for_status_by(&self, holder: &impl Holder, query: &str) -> Response {
        let headers = [("Authorization", &*holder.authorization())];
        http::send(self.address(), "GET", &format!("{STATUS}{query}"), &headers, b"")
    }

    /// The `state` that the status tells.
    #[track_caller]
    pub fn state_of(&self, holder: &impl Holder) -> String {
        let answer = self.asks_for_status(holder);
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["state"].as_str().unwrap().to_owned()
    }

    /// Waits for this state.
    pub fn waits_until(&self, holder: &impl Holder, state: &str) {
        wait_until(state, || self.state_of(holder) == state);
    }

    fn address(&self) -> SocketAddr {
        *self.gate.lock().unwrap()
    }

    fn request<'a>(
        &self,
        headers: &[(&'a str, &'a str)],
        request: &'a str,
    ) -> (String, Vec<(&'a str, &'a str)>, &'a [u8]) {
        if self.method == "GET" {
            return (format!("{}{request}", self.path), headers.to_vec(), b"");
        }
        let mut all = vec![("Content-Type", "application/json")];
        all.extend(headers);
        (self.path.clone(), all, request.as_bytes())
    }
}

pub const STATUS: &str = "/l402/status";

/// What names a ticket to the gate, paid or not.
pub trait Holder {
    fn authorization(&self) -> String;
}

/// What a 402 said.
#[derive(Clone, Debug)]
pub struct Challenge {
    pub macaroon: String,
    pub invoice: String,
    pub response: Response,
}

impl Challenge {
    #[track_caller]
    pub fn from(response: Response) -> Self {
        assert_eq!(response.status, 402, "{response:?}");
        let body = response.json();
        let text = |name: &str| body[name].as_str().unwrap().to_owned();
        Self { macaroon: text("macaroon"), invoice: text("invoice"), response }
    }

    /// What these words in the preimage's place make of it, right or wrong.
    pub fn with_preimage(&self, preimage: &str) -> Ticket {
        Ticket { macaroon: self.macaroon.clone(), preimage: preimage.to_owned() }
    }

    /// By which operators name the ticket.
    pub fn payment_hash(&self) -> String {
        self.response.json()["paymentHash"].as_str().unwrap().to_owned()
    }

    /// One invoice, one macaroon.
    #[track_caller]
    pub fn is_again(&self, earlier: &Self) {
        assert_eq!((&self.invoice, &self.macaroon), (&earlier.invoice, &earlier.macaroon));
    }

    #[track_caller]
    pub fn is_not(&self, earlier: &Self) {
        assert_ne!(self.invoice, earlier.invoice);
    }
}

impl Holder for Challenge {
    /// The macaroon alone.
    fn authorization(&self) -> String {
        format!("L402 {}:", self.macaroon)
    }
}

/// What opens a request: a macaroon with the preimage of its payment.
#[derive(Clone, Debug)]
pub struct Ticket {
    pub macaroon: String,
    pub preimage: String,
}

impl Ticket {
    pub fn authorization(&self) -> String {
        format!("L402 {}:{}", self.macaroon, self.preimage)
    }

    /// The same with another signature than ours.
    pub fn forged(&self) -> Self {
        let mut bytes = decode_base64(self.macaroon.as_bytes()).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        Self { macaroon: encode_base64(&bytes), preimage: self.preimage.clone() }
    }

    /// The same with a caveat of its holder's.
    pub fn with_caveat(&self, caveat: &str) -> Self {
        let bytes = decode_base64(self.macaroon.as_bytes()).unwrap();
        let macaroon = encode_base64(&with_caveat(&bytes, caveat.as_bytes()));
        Self { macaroon, preimage: self.preimage.clone() }
    }

    /// By which operators name it.
    pub fn payment_hash(&self) -> String {
        use sha2::{Digest as _, Sha256};
        hex::encode(Sha256::digest(hex::decode(&self.preimage).unwrap()))
    }
}

impl Holder for Ticket {
    fn authorization(&self) -> String {
        self.authorization()
    }
}

/// Appends a caveat as any holder can: the old signature is the key of the new one.
pub fn with_caveat(macaroon: &[u8], caveat: &[u8]) -> Vec<u8> {
    let (body, signature) = macaroon.split_at(macaroon.len() - 35);
    let signature = farebox::hmac::hmac_sha256(signature[3..].try_into().unwrap(), &[caveat]);
    assert!(caveat.len() < 128);
    [body, &[2, caveat.len() as u8], caveat, &[0, 0, 6, 32], &signature].concat()
}
