//! Farebox before a real LND, on a chain of its own on loopback: real payments, and what only a
//! real node shows.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    missing_docs,
    unreachable_pub
)]

#[allow(dead_code, unused_imports)]
#[path = "../blackbox/support/mod.rs"]
mod support;

mod detection;
mod private_channels;
mod purchases;
mod regtest;
mod same_answers;
mod trouble;

use crate::regtest::Lnd;
use crate::support::world::Options;
use crate::support::{World, wait_until};

const ADD_INVOICE: &str = "/lnrpc.Lightning/AddInvoice";
const SUBSCRIBE_INVOICES: &str = "/lnrpc.Lightning/SubscribeInvoices";
const LOOKUP_INVOICE: &str = "/lnrpc.Lightning/LookupInvoice";

/// A gate before a node, with the narrowest macaroon that mints.
fn selling(node: &Lnd) -> Options {
    Options { macaroon: Some(node.bake("farebox", &[ADD_INVOICE])), ..at(node) }
}

/// One that also hears of payments.
fn watching(node: &Lnd) -> Options {
    Options {
        macaroon: Some(node.bake("watching", &[ADD_INVOICE, SUBSCRIBE_INVOICES, LOOKUP_INVOICE])),
        lnd: "detect_payments = true".into(),
        service: "without_preimage = true".into(),
        ..at(node)
    }
}

fn at(node: &Lnd) -> Options {
    Options {
        node: Some((node.grpc, node.folder.clone())),
        limits: "unpaid_per_client = 1000".into(),
        ..Options::default()
    }
}

fn open(options: Options) -> World {
    let detects = options.lnd.contains("detect_payments");
    let world = World::with(options);
    world.wait_until_node_is("ok");
    if detects {
        wait_until_watching(&world);
    }
    world
}

fn wait_until_watching(world: &World) {
    wait_until("payments to be detected", || world.ready()["payments"]["status"] == "ok");
}
