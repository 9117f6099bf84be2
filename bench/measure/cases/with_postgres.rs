//! Redemptions with the ledger in PostgreSQL.

use super::nginx::Nginx;
use super::{ROUNDS, TICKETS};
use crate::bench::{Bench, GateSettings, measured};
use crate::load::ours;
use crate::postgres;
use crate::processes::{port, until_it_listens};
use crate::requests::{post, times};
use crate::table::Table;

pub async fn run(
    bench: &Bench<'_>,
    nginx: &Nginx<'_>,
    table: &mut Table,
    wanted: &dyn Fn(&str) -> bool,
) {
    if !wanted("postgres") {
        return;
    }
    let database = port();
    let Some((_server, url)) = postgres::start(bench.folder, database) else {
        table.notes.push("postgres: not measured, its programs are not here".to_owned());
        return;
    };
    until_it_listens(database).await;
    let gate = bench
        .gate(&GateSettings { name: "postgres", postgres: Some(&url), ..GateSettings::default() })
        .await;
    for _ in 0..ROUNDS {
        table.add("nginx, beside postgres", "-", nginx.plain().await);
        let tickets = bench.buy(&gate, false, TICKETS / 4, post).await;
        let target = bench.target(&gate, false, false);
        let load =
            ours(&target, 128, &[200], None, times(TICKETS / 4, move |n| post(Some(&tickets[n]))));
        table.add(
            "postgres, single-use",
            "nginx, beside postgres",
            measured(&gate.process, load).await,
        );
    }
}
