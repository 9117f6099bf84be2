//! What is made for Prometheus and Grafana names metrics that there are, and alerts that have a
//! page.

use std::collections::BTreeSet;

use crate::{read, rows};

const FILES: [&str; 6] = [
    "deploy/prometheus/recording.yml",
    "deploy/prometheus/alerts.yml",
    "deploy/prometheus/alerts_test.yml",
    "deploy/grafana/farebox.json",
    "docs/runbook.md",
    "README.md",
];

/// Words that begin with `prefix` and go on as names of metrics do.
fn words<'a>(text: &'a str, prefix: &str) -> BTreeSet<&'a str> {
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let found = text.match_indices(prefix).map(|(at, _)| {
        let rest = &text[at..];
        &rest[..rest.find(|c| !is_of_name(c)).unwrap_or(rest.len())]
    });
    found.collect()
}

#[test]
fn every_metric_that_is_asked_for_is_there() {
    let document = read("docs/metrics.md");
    let known: BTreeSet<String> =
        rows(&document).iter().map(|row| row.split('`').nth(1).unwrap().to_owned()).collect();
    for file in FILES {
        let text = read(file);
        for word in words(&text, "farebox_").into_iter().chain(words(&text, "process_")) {
            let family =
                ["_bucket", "_sum", "_count"].iter().find_map(|end| word.strip_suffix(end));
            let is_known = known.contains(word) || family.is_some_and(|name| known.contains(name));
            assert!(is_known, "{file} asks for {word}, which Farebox doesn't have");
        }
    }
}

#[test]
fn every_recorded_series_that_is_asked_for_is_recorded() {
    let recording = read("deploy/prometheus/recording.yml");
    let line = |text: &str| text.trim().strip_prefix("- record: ").map(ToOwned::to_owned);
    let recorded: BTreeSet<String> = recording.lines().filter_map(line).collect();
    for file in FILES {
        // Two colons are Rust's.
        for word in words(&read(file), "farebox:").into_iter().filter(|word| !word.contains("::")) {
            assert!(recorded.contains(word), "{file} asks for {word}, which is not recorded");
        }
    }
}

#[test]
fn every_alert_has_its_page_and_its_test() {
    let (alerts, tests) =
        (read("deploy/prometheus/alerts.yml"), read("deploy/prometheus/alerts_test.yml"));
    let (runbook, mut names) = (read("docs/runbook.md"), BTreeSet::new());
    for name in alerts.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")) {
        let anchor = format!("runbook: docs/runbook.md#{}", name.to_lowercase());
        assert!(alerts.contains(&anchor), "{name} has no link to its page");
        assert!(tests.contains(&format!("- name: {name}\n")), "{name} has no test");
        let page = runbook.split(&format!("## {name}\n")).nth(1);
        let page = page.unwrap_or_else(|| panic!("docs/runbook.md has no page for {name}"));
        let page = page.split("\n## ").next().unwrap();
        for part in ["**Means.**", "**Look.**", "**Do.**"] {
            assert!(page.contains(part), "{name}: {part}");
        }
        names.insert(name);
    }
    let pages = runbook.lines().filter_map(|line| line.strip_prefix("## "));
    assert_eq!(pages.collect::<BTreeSet<_>>(), names);
}
