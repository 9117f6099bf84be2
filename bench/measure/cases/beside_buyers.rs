//! Free and replayed requests while others buy, from many addresses, and while the node says
//! nothing.

use std::cell::Cell;
use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;
use std::time::Duration;

use super::ROUNDS;
use crate::bench::{Bench, Gate, GateSettings, measured};
use crate::growth;
use crate::load::{Sender, Target, ours};
use crate::requests::{get, post, times};
use crate::table::{Round, Table};

/// A rate that leaves the machine air: at its limit everything waits for everything.
const PACE: Option<Duration> = Some(Duration::from_millis(1));

const REQUESTS: usize = 2000;

pub async fn run(bench: &Bench<'_>, table: &mut Table, wanted: &dyn Fn(&str) -> bool) {
    if !wanted("beside") {
        return;
    }
    let gate = bench.gate(&GateSettings { name: "beside", ..GateSettings::default() }).await;
    // What the machine does by itself: the same buyers, that ask another process.
    let elsewhere = GateSettings { name: "elsewhere", ..GateSettings::default() };
    let elsewhere = bench.gate(&elsewhere).await;
    let target = bench.target(&gate, false, false);
    let spent = bench.buy(&gate, false, 1, post).await.remove(0);
    assert_eq!(Sender::connect(&target).await.send(post(Some(&spent))).await.0, 200);
    let before = gate.process.resident();
    for _ in 0..ROUNDS {
        for condition in
            ["quiet", "beside buyers", "buyers at another gate", "beside a silent node"]
        {
            if condition == "beside a silent node" {
                bench.order("silent").await;
            }
            let asked = match condition {
                "quiet" => None,
                "buyers at another gate" => Some(&elsewhere),
                _ => Some(&gate),
            };
            let stop = Rc::new(Cell::new(false));
            let buying = buy(bench, asked, &stop);
            let ((free, replay), ()) =
                tokio::join!(free_and_replay(&gate, &target, &spent, &stop), buying);
            table.add(&format!("free, {condition}"), "free, quiet", free);
            table.add(&format!("replay, {condition}"), "replay, quiet", replay);
            if condition == "beside a silent node" {
                bench.order("up").await;
                bench.until_it_sells(&gate, false).await;
            }
        }
    }
    growth::challenges(bench, &gate, table, before).await;
}

/// Asks a gate for challenges until it is stopped.
async fn buy(bench: &Bench<'_>, asked: Option<&Gate>, stop: &Rc<Cell<bool>>) {
    let Some(asked) = asked else { return };
    let from = Target {
        from: Some(IpAddr::V4(Ipv4Addr::new(127, 0, 3, 7))),
        ..bench.target(asked, false, false)
    };
    let (every, stopped) = (Some(Duration::from_millis(5)), Rc::clone(stop));
    let next = move || (!stopped.get()).then(|| post(None));
    ours(&from, 16, &[402, 429, 503], every, next).await;
}

async fn free_and_replay(
    gate: &Gate,
    target: &Target,
    spent: &str,
    stop: &Cell<bool>,
) -> (Round, Round) {
    let free = ours(target, 8, &[200], PACE, times(REQUESTS, |_| get("/free", None)));
    let free = measured(&gate.process, free).await;
    let ticket = spent.to_owned();
    let replay = ours(target, 8, &[200], PACE, times(REQUESTS, move |_| post(Some(&ticket))));
    let replay = measured(&gate.process, replay).await;
    stop.set(true);
    (free, replay)
}
