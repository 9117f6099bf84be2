//! A node whose only channel is private: who isn't at the other end of it finds a way only if the
//! invoice names one.

use crate::regtest::{Lnd, network};
use crate::support::process::Process;
use crate::support::world::Options;
use crate::support::{SMS, World, wait_for};
use crate::{open, selling};

fn at_hidden(node: &Lnd, private: bool) -> World {
    let options = selling(node);
    open(Options { lnd: format!("private = {private}"), ..options })
}

fn check(world: &World, node: &Lnd) -> (bool, String) {
    let readonly = node.macaroon("readonly");
    let arguments = ["check", "--config", "farebox.toml", "--macaroon", readonly.to_str().unwrap()];
    let (status, said) = Process::run(&arguments, world.folder.path());
    (status.success(), said)
}

#[test]
fn a_stranger_pays_where_the_invoice_names_a_private_channel_and_check_says_when_it_should() {
    let network = network();
    let hidden = network.start_hidden();
    let hints = |invoice: &str| {
        network.seller.cli(&["decodepayreq", invoice])["route_hints"].as_array().map_or(0, Vec::len)
    };

    let world = at_hidden(&hidden, false);
    let (well, said) = check(&world, &hidden);
    assert!(
        !well
            && said.contains(
                "FAILED   channels: all 1 are private, and payers find no way \
                                    to them; set `private = true`"
            ),
        "{said}"
    );
    let unreachable = world.payer().asks(SMS);
    assert_eq!(hints(&unreachable.invoice), 0);
    let refused = network.seller.pay(&unreachable.invoice).unwrap_err();
    assert!(refused.contains("NO_ROUTE"), "{refused}");

    let world = at_hidden(&hidden, true);
    let (well, said) = check(&world, &hidden);
    assert!(well && said.contains("ok       channels: 1 active, which can receive 9"), "{said}");
    // LND names the channel once its other end is known to be public, which the graph tells it.
    let challenge = wait_for("an invoice that names the channel", || {
        Some(world.payer().asks(SMS)).filter(|asked| hints(&asked.invoice) == 1)
    });
    let preimage =
        wait_for("a payment to get through", || network.seller.pay(&challenge.invoice).ok());
    let ticket = challenge.with_preimage(&preimage);
    world.payer().redeems(&ticket, SMS).is_delivered("Okay");
    assert_eq!(world.upstream.count(), 1);
}
