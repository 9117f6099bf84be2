//! The rounds of each case, and the table of them.

use std::collections::BTreeMap;

use crate::load::Outcome;

/// One round: CPU time per request in microseconds, and the rest.
#[derive(Clone, Copy)]
pub struct Round {
    pub cpu: f64,
    pub outcome: Outcome,
}

/// All rounds by case, in the order in which the cases first came, each with the case that it is
/// compared with.
#[derive(Default)]
pub struct Table {
    order: Vec<(String, String)>,
    rounds: BTreeMap<String, Vec<Round>>,
    pub notes: Vec<String>,
}

impl Table {
    pub fn add(&mut self, case: &str, against: &str, round: Round) {
        if !self.rounds.contains_key(case) {
            self.order.push((case.to_owned(), against.to_owned()));
        }
        self.rounds.entry(case.to_owned()).or_default().push(round);
    }

    pub fn print(&self) {
        println!();
        println!("| case | CPU us/request | of | ratio | spread | requests/s | p50 us | p99 us |");
        println!("|---|---:|---|---:|---|---:|---:|---:|");
        for (case, against) in &self.order {
            let rounds = &self.rounds[case];
            let of = |value: fn(&Round) -> f64| median(rounds.iter().map(value).collect());
            let ratios: Vec<f64> = match self.rounds.get(against) {
                // Round by round, since the machine may slow down between them.
                Some(base) => {
                    rounds.iter().zip(base).map(|(round, base)| round.cpu / base.cpu).collect()
                }
                None => Vec::new(),
            };
            let (least, most) = (
                ratios.iter().copied().fold(f64::MAX, f64::min),
                ratios.iter().copied().fold(0.0, f64::max),
            );
            let ratio = if ratios.is_empty() {
                "-".to_owned()
            } else {
                format!("{:.2}", median(ratios.clone()))
            };
            let spread =
                if ratios.is_empty() { "-".to_owned() } else { format!("{least:.2} to {most:.2}") };
            println!(
                "| {case} | {:.1} | {against} | {ratio} | {spread} | {:.0} | {:.0} | {:.0} |",
                of(|round| round.cpu),
                of(|round| round.outcome.requests as f64 / round.outcome.seconds),
                of(|round| round.outcome.p50),
                of(|round| round.outcome.p99),
            );
        }
        println!();
        for note in &self.notes {
            println!("{note}");
        }
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
