//! Challenges from the stock.

use std::time::Duration;

use crate::bench::{Bench, Gate, measured, metric};
use crate::load::ours;
use crate::requests::{get, post, times};
use crate::table::Table;

/// A burst at a fixed rate that is no larger than the stock, against free requests at the same
/// rate.
pub async fn round(bench: &Bench<'_>, gate: &Gate, stocked: &Gate, table: &mut Table) {
    const BURST: usize = 1000;
    let pace = Some(Duration::from_millis(1));
    let there = || metric(stocked.ops, "farebox_stock{service=\"sms\"}");
    // What was sold once is in stock for the next time.
    if there().await < BURST as f64 {
        ours(&bench.target(stocked, false, false), 16, &[402], None, times(BURST, |_| post(None)))
            .await;
        while there().await < BURST as f64 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    let (plain, from_stock) =
        (bench.target(gate, false, false), bench.target(stocked, false, false));
    let free = ours(&plain, 16, &[200], pace, times(BURST, |_| get("/free", None)));
    table.add("free, 1000/s", "-", measured(&gate.process, free).await);
    let burst = ours(&from_stock, 16, &[402], pace, times(BURST, |_| post(None)));
    // The stock is filled again meanwhile: that is part of it.
    table.add("challenge, stock, 1000/s", "free, 1000/s", measured(&stocked.process, burst).await);
    while there().await < BURST as f64 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
