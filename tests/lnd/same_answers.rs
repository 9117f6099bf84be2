//! One list of client calls, made to a real node and to the play node: the answers have to be the
//! same, errors included.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use farebox::lightning::lnd::proto::invoicesrpc::invoices_client::InvoicesClient;
use farebox::lightning::lnd::proto::invoicesrpc::{
    AddHoldInvoiceRequest, CancelInvoiceMsg, SettleInvoiceMsg, SubscribeSingleInvoiceRequest,
};
use farebox::lightning::lnd::proto::lnrpc::lightning_client::LightningClient;
use farebox::lightning::lnd::proto::lnrpc::state_client::StateClient;
use farebox::lightning::lnd::proto::lnrpc::{
    GetStateRequest, Invoice, InvoiceSubscription, PaymentHash,
};
use farebox::lightning::lnd::{Lnd, LndSettings};
use farebox::lightning::network::Network;
use tokio::time::timeout;
use tonic::metadata::AsciiMetadataValue;
use tonic::transport::Channel;
use tonic::{Request, Response, Status};

use crate::regtest::network;
use crate::support::world::Play;

/// A connection as Farebox makes it. The macaroon is shown by the call.
pub fn channel(grpc: SocketAddr, folder: &Path) -> Channel {
    let any = folder.join("tls.cert");
    let settings = LndSettings {
        address: grpc.to_string(),
        certificate: any.clone(),
        macaroon: any,
        network: Network::Regtest,
        timeout: Duration::from_secs(10),
        private: false,
    };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    Lnd::new(settings, provider, Box::new(|_, _| {})).channel().unwrap()
}

/// What was asked, and what was said.
type Said = BTreeMap<String, String>;

struct Client {
    channel: Channel,
    admin: String,
    narrow: String,
    said: Said,
}

fn with<T>(macaroon: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    if !macaroon.is_empty() {
        request.metadata_mut().insert("macaroon", AsciiMetadataValue::try_from(macaroon).unwrap());
    }
    request
}

impl Client {
    fn new(grpc: SocketAddr, folder: &Path) -> Self {
        let macaroons = folder.join("data/chain/bitcoin/regtest");
        let read = |name: &str| {
            hex::encode(std::fs::read(macaroons.join(format!("{name}.macaroon"))).unwrap())
        };
        Self {
            channel: channel(grpc, folder),
            admin: read("admin"),
            narrow: read("farebox"),
            said: Said::new(),
        }
    }

    /// Notes an answer by what is the same for every node: `ok`, or code and words.
    fn note<T>(&mut self, what: &str, answer: &Result<T, Status>) {
        let said = match answer {
            Ok(_) => "ok".to_owned(),
            Err(status) => format!("{:?}: {}", status.code(), status.message()),
        };
        self.said.insert(what.to_owned(), said);
    }

    fn tell(&mut self, what: &str, said: impl Into<String>) {
        self.said.insert(what.to_owned(), said.into());
    }

    async fn add(
        &mut self,
        what: &str,
        macaroon: &str,
        invoice: Invoice,
    ) -> Option<farebox::lightning::lnd::proto::lnrpc::AddInvoiceResponse> {
        let answer = LightningClient::new(self.channel.clone())
            .add_invoice(with(macaroon, invoice))
            .await
            .map(Response::into_inner);
        self.note(what, &answer);
        answer.ok()
    }

    async fn look_up(&mut self, what: &str, macaroon: &str, hash: PaymentHash) -> Option<Invoice> {
        let answer = LightningClient::new(self.channel.clone())
            .lookup_invoice(with(macaroon, hash))
            .await
            .map(Response::into_inner);
        self.note(what, &answer);
        answer.ok()
    }

    async fn calls_without_payment(&mut self) {
        let (admin, narrow) = (self.admin.clone(), self.narrow.clone());
        let state = StateClient::new(self.channel.clone())
            .get_state(GetStateRequest {})
            .await
            .unwrap()
            .into_inner()
            .state();
        self.tell("state, without a macaroon", format!("{state:?}"));
        let good = || Invoice { memo: "list".into(), value: 5, expiry: 600, ..Default::default() };
        for (what, macaroon) in [
            ("no macaroon", ""),
            ("garbage for a macaroon", "0201"),
            ("no hex", "zz"),
            ("the narrow one", &narrow),
        ] {
            self.add(&format!("add with {what}"), macaroon, good()).await;
        }
        let foreign = "0201036c6e6402f801030a1000000000000000000000000000000000120130";
        self.add("add with a truncated macaroon", foreign, good()).await;
        for (what, invoice) in [
            ("both amounts", Invoice { value_msat: 5000, ..good() }),
            ("a negative amount", Invoice { value: -1, ..good() }),
            ("a negative expiry", Invoice { expiry: -1, ..good() }),
            ("a memo that just fits", Invoice { memo: "m".repeat(639), ..good() }),
            ("a memo that doesn't", Invoice { memo: "m".repeat(640), ..good() }),
            ("no amount", Invoice { value: 0, ..good() }),
            ("an odd msat amount", Invoice { value: 0, value_msat: 1501, ..good() }),
        ] {
            self.add(&format!("add with {what}"), &admin, invoice).await;
        }
        let hash = |bytes: Vec<u8>| PaymentHash { r_hash: bytes, ..Default::default() };
        self.look_up("look up one that isn't there", &admin, hash(vec![7; 32])).await;
        self.look_up("look up a short hash", &admin, hash(vec![7; 31])).await;
        self.look_up("look up no hash", &admin, hash(vec![])).await;
        self.look_up("look up with the narrow macaroon", &narrow, hash(vec![7; 32])).await;
        let mut invoices = InvoicesClient::new(self.channel.clone());
        let cancelled = invoices
            .cancel_invoice(with(&admin, CancelInvoiceMsg { payment_hash: vec![7; 32] }))
            .await;
        self.note("cancel one that isn't there", &cancelled);
        let settled =
            invoices.settle_invoice(with(&admin, SettleInvoiceMsg { preimage: vec![7; 32] })).await;
        self.note("settle one that isn't there", &settled);
        let settled =
            invoices.settle_invoice(with(&admin, SettleInvoiceMsg { preimage: vec![7; 3] })).await;
        self.note("settle with a short preimage", &settled);
        let cancelled = invoices
            .cancel_invoice(with(&admin, CancelInvoiceMsg { payment_hash: vec![7; 3] }))
            .await;
        self.note("cancel a short hash", &cancelled);
    }

    /// An invoice's life, as it is told by look-ups and by the stream. `pay` pays.
    async fn a_life(&mut self, pay: impl AsyncFn(String) -> Option<String>) {
        let admin = self.admin.clone();
        let mut lightning = LightningClient::new(self.channel.clone());
        // LND answers with the first message only: the call is under way before there is any.
        let mut subscribed = lightning.clone();
        let asking = with(&admin, InvoiceSubscription { add_index: 0, settle_index: 0 });
        let opening = tokio::spawn(async move { subscribed.subscribe_invoices(asking).await });
        tokio::time::sleep(Duration::from_secs(1)).await;
        let made = self
            .add("add", &admin, Invoice { value_msat: 5000, expiry: 600, ..Default::default() })
            .await
            .unwrap();
        let hash = || PaymentHash { r_hash: made.r_hash.clone(), ..Default::default() };
        let open = self.look_up("look up", &admin, hash()).await.unwrap();
        self.tell("an open one", shown(&open));
        let mut stream =
            timeout(Duration::from_secs(10), opening).await.unwrap().unwrap().unwrap().into_inner();
        let first =
            timeout(Duration::from_secs(10), stream.message()).await.unwrap().unwrap().unwrap();
        self.tell("first in the stream", shown(&first));
        let preimage = pay(made.payment_request.clone()).await.unwrap();
        assert_eq!(
            hex::encode(&open.r_preimage),
            preimage,
            "it can be read while the invoice is open"
        );
        let second =
            timeout(Duration::from_secs(10), stream.message()).await.unwrap().unwrap().unwrap();
        self.tell("second in the stream", shown(&second));
        let settled = self.look_up("look up again", &admin, hash()).await.unwrap();
        self.tell("a settled one", shown(&settled));
        assert!(pay(made.payment_request.clone()).await.is_none(), "paid twice");
        let mut invoices = InvoicesClient::new(self.channel.clone());
        let cancelled = invoices
            .cancel_invoice(with(&admin, CancelInvoiceMsg { payment_hash: made.r_hash.clone() }))
            .await;
        self.note("cancel a settled one", &cancelled);
        // Strictly after the index.
        let after = InvoiceSubscription { add_index: 0, settle_index: settled.settle_index - 1 };
        let mut replayed =
            timeout(Duration::from_secs(10), lightning.subscribe_invoices(with(&admin, after)))
                .await;
        let told = match &mut replayed {
            Ok(Ok(stream)) => shown(
                &timeout(Duration::from_secs(10), stream.get_mut().message())
                    .await
                    .unwrap()
                    .unwrap()
                    .unwrap(),
            ),
            other => format!("{}", other.is_ok()),
        };
        let expected =
            if settled.settle_index == 1 { "index 1 can't be replayed".to_owned() } else { told };
        self.tell("replayed from the index before", expected);
        let cancelled = self
            .add("add one more", &admin, Invoice { value: 5, ..Default::default() })
            .await
            .unwrap();
        for n in 1..=2 {
            let done = invoices
                .cancel_invoice(with(
                    &admin,
                    CancelInvoiceMsg { payment_hash: cancelled.r_hash.clone() },
                ))
                .await;
            self.note(&format!("cancel, time {n}"), &done);
        }
        let hash = PaymentHash { r_hash: cancelled.r_hash, ..Default::default() };
        let seen = self.look_up("look up the cancelled one", &admin, hash).await.unwrap();
        self.tell("a cancelled one", shown(&seen));
        assert!(pay(cancelled.payment_request).await.is_none());
    }

    async fn a_hold(&mut self, pay: impl AsyncFn(String) -> Option<String>, preimage: [u8; 32]) {
        use sha2::Digest as _;
        let admin = self.admin.clone();
        let hash = sha2::Sha256::digest(preimage).to_vec();
        let mut invoices = InvoicesClient::new(self.channel.clone());
        let asked = || AddHoldInvoiceRequest {
            hash: hash.clone(),
            value: 7,
            expiry: 600,
            ..Default::default()
        };
        let held = invoices.add_hold_invoice(with(&admin, asked())).await.map(Response::into_inner);
        self.note("add a hold invoice", &held);
        let again = invoices.add_hold_invoice(with(&admin, asked())).await;
        self.note("add it again", &again);
        let early = invoices
            .settle_invoice(with(&admin, SettleInvoiceMsg { preimage: preimage.to_vec() }))
            .await;
        self.note("settle it unpaid", &early);
        let single = SubscribeSingleInvoiceRequest { r_hash: hash.clone() };
        let mut stream =
            invoices.subscribe_single_invoice(with(&admin, single)).await.unwrap().into_inner();
        let mut told = Vec::new();
        let first =
            timeout(Duration::from_secs(10), stream.message()).await.unwrap().unwrap().unwrap();
        told.push(format!("{:?}", first.state()));
        let mut settling = invoices.clone();
        let request = with(&admin, SettleInvoiceMsg { preimage: preimage.to_vec() });
        let (got, ()) = tokio::join!(pay(held.unwrap().payment_request), async {
            while let Some(invoice) =
                timeout(Duration::from_secs(20), stream.message()).await.unwrap().unwrap()
            {
                told.push(format!("{:?}", invoice.state()));
                if told.last().is_some_and(|state| state == "Accepted") {
                    settling
                        .settle_invoice(tonic::Request::from_parts(
                            request.metadata().clone(),
                            Default::default(),
                            request.get_ref().clone(),
                        ))
                        .await
                        .unwrap();
                }
            }
        });
        assert_eq!(got, Some(hex::encode(preimage)));
        self.tell("the states of a hold invoice, then a clean end", told.join(", "));
        let late = invoices
            .settle_invoice(with(&admin, SettleInvoiceMsg { preimage: preimage.to_vec() }))
            .await;
        self.note("settle it again", &late);
        let cancelled =
            invoices.cancel_invoice(with(&admin, CancelInvoiceMsg { payment_hash: hash })).await;
        self.note("cancel it settled", &cancelled);
    }
}

/// Of an invoice, what is the same at every node.
fn shown(invoice: &Invoice) -> String {
    format!(
        "{:?}, {} sat, {} msat, paid {} msat, expiry {}, preimage {}, settle date {}, settle \
         index {}, {}",
        invoice.state(),
        invoice.value,
        invoice.value_msat,
        invoice.amt_paid_msat,
        invoice.expiry,
        invoice.r_preimage.len(),
        if invoice.settle_date > 0 { "there" } else { "none" },
        if invoice.settle_index > 0 { "there" } else { "none" },
        invoice.payment_request.get(..6).unwrap_or_default(),
    )
}

#[test]
fn the_play_node_answers_as_the_real_one_does() {
    let network = network();
    network.seller.bake("farebox", &[crate::ADD_INVOICE]);
    let lnd = tempfile::tempdir().unwrap();
    let play = Play::start(lnd.path());
    play.order(&format!("bake farebox {}", crate::ADD_INVOICE));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (mut real, mut played) =
        (runtime.block_on(async { Client::new(network.seller.grpc, &network.seller.folder) }), {
            let _inside = runtime.enter();
            Client::new(play.grpc, &play.folder)
        });
    // Both have been paid before, so that the payments of the list have indices that can be
    // replayed.
    let (seller, payer) = (&network.seller, &network.payer);
    let earlier =
        seller.cli(&["addinvoice", "--amt=5"])["payment_request"].as_str().unwrap().to_owned();
    payer.pay(&earlier).unwrap();
    let pay_real = async |invoice: String| {
        let mut command = payer.command(&["payinvoice", "--force", "--json", &invoice]);
        let done = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let paid: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap_or_default();
        (paid["status"] == "SUCCEEDED")
            .then(|| paid["payment_preimage"].as_str().unwrap().to_owned())
    };
    let wallet = play.wallet;
    let pay_play = async |invoice: String| {
        let paid = tokio::task::spawn_blocking(move || {
            crate::support::http::send(wallet, "POST", "/pay", &[], invoice.as_bytes())
        });
        let answer = paid.await.unwrap();
        (answer.status == 200).then(|| answer.text().trim().to_owned())
    };
    let preimage = {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).unwrap();
        bytes
    };
    runtime.block_on(async {
        let admin = played.admin.clone();
        let first = played
            .add("warm up", &admin, Invoice { value: 5, ..Default::default() })
            .await
            .unwrap();
        pay_play(first.payment_request).await.unwrap();
        played.said.clear();
        real.calls_without_payment().await;
        played.calls_without_payment().await;
        real.a_life(&pay_real).await;
        played.a_life(&pay_play).await;
        real.a_hold(&pay_real, preimage).await;
        played.a_hold(&pay_play, preimage).await;
    });
    let differing: Vec<_> =
        real.said.iter().filter(|(what, said)| played.said.get(*what) != Some(said)).collect();
    let report: Vec<String> = differing
        .iter()
        .map(|(what, said)| format!("{what}\n  LND:  {said}\n  play: {:?}", played.said.get(*what)))
        .collect();
    assert!(report.is_empty(), "{}", report.join("\n"));
    assert!(real.said.len() > 30, "{}", real.said.len());
}
