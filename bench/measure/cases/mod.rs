//! What is measured: one case after the other in each round, so that all have the same machine.

mod beside_buyers;
mod in_the_clear;
mod nginx;
mod over_tls;
mod stock;
mod texts;
mod with_postgres;

use std::fs;
use std::process::Command;

use self::nginx::Nginx;
use crate::bench::{Bench, at, certificate};
use crate::growth;
use crate::processes::{Folder, Process, port, proxy, until_it_listens, upstream};
use crate::table::Table;

pub const ROUNDS: usize = 5;

/// Seconds of each load by wrk.
const SECONDS: f64 = 2.0;

/// Tickets in each round of a case that uses them up.
pub const TICKETS: usize = 10_000;

const CONNECTIONS: u32 = 64;

/// Measures the cases whose names have one of the words, or all.
pub async fn run(farebox: &str, words: &[String]) {
    let wanted =
        |case: &str| words.is_empty() || words.iter().any(|word| case.contains(word.as_str()));
    let folder = Folder::new();
    let roots = certificate(&folder.0);
    let (up, plain, tls, grpc, wallet) = (port(), port(), port(), port(), port());
    let _upstream = upstream(&folder.0, up);
    let nginx = proxy(&folder.0, plain, tls, up);
    until_it_listens(up).await;
    until_it_listens(tls).await;
    let mut play = Command::new(farebox);
    play.args(["play", "--dir"]).arg(folder.0.join("lnd"));
    play.args(["--grpc", &at(grpc).to_string(), "--wallet", &at(wallet).to_string()]);
    let _play = Process::start(play, &folder.0.join("play.log"));
    until_it_listens(wallet).await;
    let bench = Bench { farebox, folder: &folder.0, upstream: up, grpc, wallet: at(wallet), roots };
    let mut table = Table::default();
    let size = fs::metadata(farebox).unwrap().len();
    println!("binary: {:.1} MB", size as f64 / 1e6);
    let nginx_at = Nginx { process: &nginx, plain, tls };
    in_the_clear::run(&bench, &nginx_at, &mut table, &wanted).await;
    over_tls::run(&bench, &nginx_at, &mut table, &wanted).await;
    beside_buyers::run(&bench, &mut table, &wanted).await;
    with_postgres::run(&bench, &nginx_at, &mut table, &wanted).await;
    texts::run(&bench, &nginx_at, &mut table, &wanted).await;
    if wanted("flood") {
        growth::flood(&bench, &mut table).await;
    }
    if wanted("cached") {
        growth::cached(&bench, &mut table).await;
    }
    if wanted("million") {
        growth::ten_million(&bench, &mut table).await;
    }
    table.notes.push(format!("nginx: peak {} KiB", nginx.peak()));
    table.print();
}
