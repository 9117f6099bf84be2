//! Over plain HTTP, each case in each round.

use super::nginx::Nginx;
use super::{CONNECTIONS, ROUNDS, SECONDS, TICKETS, stock};
use crate::bench::{Bench, Gate, GateSettings, at, measured};
use crate::load::{Sender, Target, ours, wrk};
use crate::processes::{Process, port, until_it_listens};
use crate::requests::{SMS, get_pass, no_call, post, times};
use crate::table::{Round, Table};

/// What is asked.
struct Clear {
    gate: Gate,
    stocked: Gate,
    target: Target,
    /// A forwarder that does the least that could be called the same, and a seller.
    bare: (Process, String),
    seller: (Process, Target),
    pass: String,
    spent: String,
}

pub async fn run(
    bench: &Bench<'_>,
    nginx: &Nginx<'_>,
    table: &mut Table,
    wanted: &dyn Fn(&str) -> bool,
) {
    let cases = ["free", "bare", "pass", "single-use", "replay", "challenge", "challenge, stock"];
    if !cases.iter().any(|case| wanted(case)) {
        return;
    }
    let clear = Clear::start(bench).await;
    table.notes.push(format!("memory: {} KiB after the start", clear.gate.process.resident()));
    for _ in 0..ROUNDS {
        table.add("nginx", "-", nginx.plain().await);
        if wanted("free") || wanted("bare") {
            table.add("bare hyper", "nginx", clear.bare().await);
        }
        if wanted("free") {
            table.add("free", "nginx", clear.again("/free", &[], None).await);
        }
        if wanted("pass") {
            let headers = [("Authorization", clear.pass.as_str())];
            table.add("pass", "nginx", clear.again("/pass", &headers, None).await);
        }
        if wanted("single-use") {
            table.add("single-use", "nginx", clear.single_use(bench).await);
        }
        if wanted("replay") {
            let headers =
                [("Authorization", clear.spent.as_str()), ("Content-Type", "application/json")];
            table.add("replay", "nginx", clear.again("/sms", &headers, Some(SMS)).await);
        }
        if wanted("challenge") {
            clear.challenge(table).await;
        }
        if wanted("challenge, stock") {
            stock::round(bench, &clear.gate, &clear.stocked, table).await;
        }
    }
    if wanted("single-use") {
        table.notes.push(format!(
            "memory: {} KiB at the most, with {} tickets redeemed",
            clear.gate.process.peak(),
            ROUNDS * TICKETS
        ));
    }
}

impl Clear {
    async fn start(bench: &Bench<'_>) -> Self {
        let gate = bench.gate(&GateSettings { name: "plain", ..GateSettings::default() }).await;
        let stocked = GateSettings { name: "stocked", mint_ahead: 2000, ..GateSettings::default() };
        let stocked = bench.gate(&stocked).await;
        let (floor, shop) = (at(port()), at(port()));
        let bare = bench.floor("bare", &[&floor.to_string(), &at(bench.upstream).to_string()]);
        let (shop_at, grpc) = (shop.to_string(), at(bench.grpc).to_string());
        let node = bench.folder.join("lnd");
        let seller = bench.floor("seller", &[&shop_at, &grpc, &node.to_string_lossy()]);
        until_it_listens(floor.port()).await;
        until_it_listens(shop.port()).await;
        let target = bench.target(&gate, false, false);
        let pass = bench.buy(&gate, false, 1, get_pass).await.remove(0);
        let spent = bench.buy(&gate, false, 1, post).await.remove(0);
        let mut sender = Sender::connect(&target).await;
        assert_eq!(sender.send(post(Some(&spent))).await.0, 200);
        let bare = (bare, format!("http://{floor}/free"));
        let seller = (seller, Target { address: shop, ..target.clone() });
        Self { gate, stocked, target, bare, seller, pass, spent }
    }

    async fn bare(&self) -> Round {
        let (process, url) = &self.bare;
        measured(process, wrk(url, CONNECTIONS, SECONDS, &[], None)).await
    }

    /// One request again and again.
    async fn again(&self, path: &str, headers: &[(&str, &str)], body: Option<&str>) -> Round {
        let url = format!("http://{}{path}", self.gate.address);
        measured(&self.gate.process, wrk(&url, CONNECTIONS, SECONDS, headers, body)).await
    }

    async fn single_use(&self, bench: &Bench<'_>) -> Round {
        let tickets = bench.buy(&self.gate, false, TICKETS, post).await;
        let next = times(TICKETS, move |n| post(Some(&tickets[n])));
        measured(&self.gate.process, ours(&self.target, 128, &[200], None, next)).await
    }

    async fn challenge(&self, table: &mut Table) {
        let (seller, shop) = &self.seller;
        let load = ours(shop, 16, &[402], None, times(TICKETS, |_| post(None)));
        let sold = measured(seller, load).await;
        table.add("bare seller", "nginx", sold);
        let load = ours(shop, 16, &[402], None, times(TICKETS, |_| no_call()));
        let call = sold.cpu - measured(seller, load).await.cpu;
        let load = ours(&self.target, 16, &[402], None, times(TICKETS, |_| post(None)));
        let challenge = measured(&self.gate.process, load).await;
        table.add("challenge", "nginx", challenge);
        let without = Round { cpu: challenge.cpu - call, ..challenge };
        table.add("challenge, without the call", "nginx", without);
    }
}
