//! Promise 5: a burst is sold from the stock, which a call to the node filled before; what is not
//! fresh any more is not handed out.

use std::time::{Duration, Instant};

use crate::support::world::{Options, Play};
use crate::support::{SMS, World, wait_until};

/// A gate at a node that may be slow, and a stock of as many invoices as were just sold.
fn stocked(play: &Play, invoices: usize) -> World {
    let limits = "unpaid_per_client = 1000".into();
    let world = World::with(Options { limits, lnd: "timeout = \"30s\"".into(), ..play.options() });
    world.wait_until_node_is("ok");
    assert_eq!(stock(&world), 0.0, "none when nothing sells");
    (0..invoices).for_each(|_| drop(world.payer().asks(SMS)));
    wait_until("a stock of what was sold", || stock(&world) == invoices as f64);
    world
}

fn stock(world: &World) -> f64 {
    world.metric("farebox_stock{service=\"send-sms\"}")
}

#[test]
fn a_burst_no_larger_than_the_stock_costs_no_call_to_the_node() {
    let play = Play::new();
    let world = stocked(&play, 20);
    let payer = world.payer();
    let hits = || world.metric("farebox_stock_total{result=\"hit\",service=\"send-sms\"}");
    let before = hits();
    // The node takes seconds for an invoice now, and nobody waits for it.
    play.order("slow 5000");
    let started = Instant::now();
    let mut sold = vec![payer.asks(SMS)];
    // A buyer that would have to wait for it is sent away; these needn't.
    world.wait_until_node_is("slow");
    sold.extend((1..20).map(|_| payer.asks(SMS)));
    assert_eq!(hits() - before, 20.0);
    assert!(started.elapsed() < Duration::from_secs(4), "somebody waited for the node");
    play.order("up");
    let mut invoices: Vec<_> = sold.iter().map(|challenge| &challenge.invoice).collect();
    invoices.sort();
    invoices.dedup();
    assert_eq!(invoices.len(), 20, "one invoice, one macaroon");
    payer.redeems(&payer.pays(&sold[0]), SMS).is_delivered("Okay");
}

/// Promise 5: the node is known to be down, so nothing is sold, whatever is in stock.
#[test]
fn nothing_is_sold_from_the_stock_of_a_node_that_is_down() {
    let play = Play::new();
    let world = stocked(&play, 1);
    play.order("locked");
    world.wait_until_node_is("locked");
    world.payer().tries_to_buy(SMS).is(503, "node-down");
    // Other files may mean another node: what is of the old one is left to run out.
    play.order("up");
    world.wait_until_it_sells();
    wait_until("a stock once more", || stock(&world) > 0.0);
    play.order("new-certificate");
    wait_until("the old stock to be gone", || {
        world.metric("farebox_stock_wasted{service=\"send-sms\"}") > 0.0
    });
}
