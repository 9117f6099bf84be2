//! What grows: memory with tickets, challenges and connections, and the time of a claim with the
//! number of spent tickets.

use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::bench::{Bench, Gate, GateSettings, measured};
use crate::cases::{ROUNDS, TICKETS};
use crate::load::{Target, ours};
use crate::requests::{get_pass, post, times};
use crate::table::Table;

/// Challenges for many addresses: what each of them takes. The gate has no limits.
pub async fn challenges(bench: &Bench<'_>, gate: &Gate, table: &mut Table, at_the_start: u64) {
    const CHALLENGES: usize = 50_000;
    let before = gate.process.resident();
    let each = CHALLENGES / 50;
    for n in 0..50_u8 {
        let from = Target {
            from: Some(IpAddr::V4(Ipv4Addr::new(127, 1, n, 1))),
            ..bench.target(gate, false, false)
        };
        ours(&from, 16, &[402], None, times(each, |_| post(None))).await;
    }
    let after = gate.process.resident();
    table.notes.push(format!(
        "memory: {at_the_start} KiB, {before} KiB after the rounds, {after} KiB after \
         {CHALLENGES} challenges: {:.0} B each",
        (after.saturating_sub(before)) as f64 * 1024.0 / CHALLENGES as f64
    ));
    let idle = {
        let mut connections = Vec::new();
        for _ in 0..1000 {
            connections.push(tokio::net::TcpStream::connect(gate.address).await.unwrap());
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        gate.process.resident()
    };
    table.notes.push(format!(
        "memory: {:.1} KiB for each idle connection",
        idle.saturating_sub(after) as f64 / 1000.0
    ));
}

/// What a ticket takes that is remembered: a pass that was verified, and a single-use ticket with
/// its answer.
pub async fn cached(bench: &Bench<'_>, table: &mut Table) {
    let gate = bench.gate(&GateSettings { name: "cached", ..GateSettings::default() }).await;
    for (what, make) in [("pass", get_pass as fn(Option<&str>) -> _), ("delivered ticket", post)] {
        let tickets: Rc<[String]> = bench.buy(&gate, false, TICKETS, make).await.into();
        let target = bench.target(&gate, false, false);
        let load = |from: usize, count: usize| {
            let tickets = Rc::clone(&tickets);
            ours(&target, 16, &[200], None, times(count, move |n| make(Some(&tickets[from + n]))))
        };
        // The first ones warm it up.
        let warm = TICKETS / 5;
        load(0, warm).await;
        let before = gate.process.resident();
        load(warm, TICKETS - warm).await;
        let grown = gate.process.resident().saturating_sub(before);
        let each = grown as f64 * 1024.0 / (TICKETS - warm) as f64;
        table.notes.push(format!("memory: {each:.0} B for each {what} that is remembered"));
    }
}

/// Paid requests while strangers from many addresses ask for challenges, as fast as 32 connections
/// can, until no more may be open.
pub async fn flood(bench: &Bench<'_>, table: &mut Table) {
    const PAID: usize = 300;
    let gate = bench
        .gate(&GateSettings { name: "flooded", open: 20_000, ..GateSettings::default() })
        .await;
    let target = bench.target(&gate, false, false);
    let mut bought = bench.buy(&gate, false, 2 * ROUNDS * PAID, post).await;
    let mut peak = Vec::new();
    for _ in 0..ROUNDS {
        for condition in ["quiet", "in a flood"] {
            let tickets = bought.split_off(bought.len() - PAID);
            let stop = Rc::new(std::cell::Cell::new(condition == "quiet"));
            let flooding = async {
                let floods = (0..32_u8).map(|n| {
                    let stopped = Rc::clone(&stop);
                    let address = IpAddr::V4(Ipv4Addr::new(127, 2, n, 1));
                    let target = Target { from: Some(address), ..target.clone() };
                    async move {
                        ours(&target, 1, &[402, 429, 503], None, move || {
                            (!stopped.get()).then(|| post(None))
                        })
                        .await
                    }
                });
                let floods: Vec<_> = floods.map(Box::pin).collect();
                let mut asked = 0;
                for flood in futures(floods).await {
                    asked += flood.requests;
                }
                asked
            };
            let paid = async {
                let pace = Some(Duration::from_millis(4));
                let paid = measured(
                    &gate.process,
                    ours(&target, 16, &[200], pace, times(PAID, move |n| post(Some(&tickets[n])))),
                )
                .await;
                stop.set(true);
                paid
            };
            let (paid, asked) = tokio::join!(paid, flooding);
            table.add(&format!("paid, {condition}"), "paid, quiet", paid);
            if asked > 0 {
                peak.push(format!("{asked} asked, {} KiB", gate.process.resident()));
            }
        }
    }
    table.notes.push(format!("flood: {}", peak.join("; ")));
}

/// All of them at once, on this thread.
async fn futures<T>(mut all: Vec<std::pin::Pin<Box<impl Future<Output = T>>>>) -> Vec<T> {
    let mut done = Vec::new();
    std::future::poll_fn(|cx| {
        all.retain_mut(|one| match one.as_mut().poll(cx) {
            std::task::Poll::Ready(value) => {
                done.push(value);
                false
            }
            std::task::Poll::Pending => true,
        });
        if all.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    done
}

/// Claims beside ten million spent tickets, against an empty ledger: one payer after the other, and
/// many at once.
pub async fn ten_million(bench: &Bench<'_>, table: &mut Table) {
    const SPENT: u32 = 10_000_000;
    let empty = bench.gate(&GateSettings { name: "empty", ..GateSettings::default() }).await;
    drop(bench.gate(&GateSettings { name: "full", ..GateSettings::default() }).await);
    let path = bench.folder.join("state-full").join("ledger.db");
    let began = Instant::now();
    let database = rusqlite::Connection::open(&path).unwrap();
    let fill = format!(
        "PRAGMA synchronous = OFF; PRAGMA cache_size = -4000000;
         INSERT INTO tickets (hash, service, request, valid_until, price_msat, state, claim,
             attempts, doubtful, changed)
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {SPENT})
         SELECT randomblob(32), 'sms', randomblob(32), 4000000000 + i, 100000, 3, randomblob(16), 0,
             0, 1800000000000 + i FROM n;
         PRAGMA wal_checkpoint(TRUNCATE);"
    );
    database.execute_batch(&fill).unwrap();
    drop(database);
    let size = std::fs::metadata(&path).unwrap().len();
    table.notes.push(format!(
        "ten million: {:.0} MB, filled in {:.0} s",
        size as f64 / 1e6,
        began.elapsed().as_secs_f64()
    ));
    let began = Instant::now();
    let full = bench.gate(&GateSettings { name: "full", ..GateSettings::default() }).await;
    table
        .notes
        .push(format!("ten million: sells after {:.0} ms", began.elapsed().as_secs_f64() * 1000.0));
    for _ in 0..ROUNDS {
        for (name, gate) in [("empty", &empty), ("ten million spent", &full)] {
            let target = bench.target(gate, false, false);
            for (connections, count) in [(1, 200), (128, TICKETS / 2)] {
                let tickets = bench.buy(gate, false, count, post).await;
                let load = ours(
                    &target,
                    connections,
                    &[200],
                    None,
                    times(count, move |n| post(Some(&tickets[n]))),
                );
                let case = |name: &str| format!("single-use x {connections}, {name}");
                table.add(&case(name), &case("empty"), measured(&gate.process, load).await);
            }
        }
    }
}
