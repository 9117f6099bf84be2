//! The same over TLS, by both protocols.

use super::nginx::Nginx;
use super::{ROUNDS, TICKETS};
use crate::bench::{Bench, GateSettings, at, measured};
use crate::load::{Target, ours};
use crate::requests::{get, get_pass, post, times};
use crate::table::Table;

pub async fn run(
    bench: &Bench<'_>,
    nginx: &Nginx<'_>,
    table: &mut Table,
    wanted: &dyn Fn(&str) -> bool,
) {
    if !wanted("tls") {
        return;
    }
    const REQUESTS: usize = 20_000;
    let gate =
        bench.gate(&GateSettings { name: "tls", tls: true, ..GateSettings::default() }).await;
    let pass = bench.buy(&gate, true, 1, get_pass).await.remove(0);
    for _ in 0..ROUNDS {
        for http2 in [false, true] {
            let version = if http2 { "tls h2" } else { "tls h1" };
            let (target, connections) = (bench.target(&gate, true, http2), 64);
            let base = Target { address: at(nginx.tls), ..target.clone() };
            let named = |case: &str| format!("{version}, {case}");
            let load =
                ours(&base, connections, &[200], None, times(REQUESTS, |_| get("/free", None)));
            table.add(&named("nginx"), "-", measured(nginx.process, load).await);
            let load =
                ours(&target, connections, &[200], None, times(REQUESTS, |_| get("/free", None)));
            table.add(&named("free"), &named("nginx"), measured(&gate.process, load).await);
            let ticket = pass.clone();
            let load = ours(
                &target,
                connections,
                &[200],
                None,
                times(REQUESTS, move |_| get("/pass", Some(&ticket))),
            );
            table.add(&named("pass"), &named("nginx"), measured(&gate.process, load).await);
            let tickets = bench.buy(&gate, true, TICKETS, post).await;
            let load =
                ours(&target, 128, &[200], None, times(TICKETS, move |n| post(Some(&tickets[n]))));
            table.add(&named("single-use"), &named("nginx"), measured(&gate.process, load).await);
        }
    }
}
