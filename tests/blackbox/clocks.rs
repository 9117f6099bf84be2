//! Promise 8: a machine's clock that jumps ahead, or stands behind: the shop stays open, and no
//! ticket becomes worthless.

use crate::support::fake_clock::Faked;
use crate::support::wait_until;

fn body(n: u8) -> String {
    format!(r#"{{"phone_number":"+12345678{n:02}","message":"Hello"}}"#)
}

#[test]
fn a_clock_that_jumps_ahead_makes_nothing_worthless_and_closes_nothing() {
    let mut faked = Faked::new("+0d");
    let payer = faked.world.payer();
    let [delivered, early, late, last] = [1, 2, 3, 4].map(|n| payer.buys(&body(n)));
    payer.redeems(&delivered, &body(1)).is_delivered("Okay");
    faked.set("+45d");
    faked.wait_until_clocks_are("apart");
    assert!(faked.world.metric("farebox_clocks_apart_seconds") > 40.0 * 86_400.0);
    payer.redeems(&delivered, &body(1)).is_replayed("Okay");
    payer.redeems(&early, &body(2)).is_delivered("Okay");
    let sold_then = payer.buys(&body(5));
    // A start with such a clock follows it by as long as rows outlive their tickets, at most.
    faked.world.crash_and_restart();
    payer.redeems(&late, &body(3)).is_delivered("Okay");
    faked.set("+0d");
    wait_until("the clock to be right", || {
        faked.world.metric("farebox_clocks_apart_seconds") < 8.0 * 86_400.0
    });
    payer.redeems(&last, &body(4)).is_delivered("Okay");
    payer.redeems(&sold_then, &body(5)).is_delivered("Okay");
    let sold_now = payer.buys(&body(6));
    payer.redeems(&sold_now, &body(6)).is_delivered("Okay");
    assert_eq!(faked.world.upstream.count(), 6);
}

#[test]
fn what_was_sold_by_a_clock_that_stood_behind_is_worth_its_price() {
    let faked = Faked::new("-40d");
    let payer = faked.world.payer();
    let [one, two] = [1, 2].map(|n| payer.buys(&body(n)));
    payer.redeems(&one, &body(1)).is_delivered("Okay");
    faked.set("+0d");
    faked.wait_until_clocks_are("apart");
    payer.redeems(&two, &body(2)).is_delivered("Okay");
    let three = payer.buys(&body(3));
    payer.redeems(&three, &body(3)).is_delivered("Okay");
    payer.redeems(&one, &body(1)).is_replayed("Okay");
    assert_eq!(faked.world.upstream.count(), 3);
}
