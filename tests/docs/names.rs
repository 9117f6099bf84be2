//! Files and tests that the documents name are there.

use std::collections::BTreeSet;
use std::path::Path;

const DOCUMENTS: [&str; 4] =
    ["ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "tests/README.md"];

/// What stands between back quotes.
fn quoted(document: &str) -> impl Iterator<Item = &str> {
    document
        .lines()
        .filter(|line| !line.starts_with("    "))
        .flat_map(|line| line.split('`').skip(1).step_by(2))
}

#[test]
fn every_file_that_is_named_is_there() {
    for document in DOCUMENTS {
        let text = super::read(document);
        let folders = ["src/", "tests/", "docs/", "bench/", "benches/", "proto/", ".ci/"];
        let is_path = |word: &&str| folders.iter().any(|folder| word.starts_with(folder));
        let is_one = |word: &&str| !word.contains(['*', ' ', '<', '{', 'N']);
        for path in quoted(&text).filter(is_path).filter(is_one) {
            assert!(super::root().join(path).exists(), "{document} names {path}");
        }
    }
}

/// A test is named `suite::module::test`, by its last part.
#[test]
fn every_test_that_is_named_is_there() {
    let mut functions = BTreeSet::new();
    for folder in ["src", "tests"] {
        collect(&super::root().join(folder), &mut functions);
    }
    for document in DOCUMENTS {
        let text = super::read(document);
        let is_test = |word: &&str| word.starts_with("blackbox::") || word.starts_with("lib::");
        let named: Vec<_> = quoted(&text).filter(is_test).collect();
        for test in named {
            let name = test.rsplit("::").next().unwrap();
            assert!(functions.contains(name), "{document} names the test {test}");
        }
    }
}

fn collect(folder: &Path, functions: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, functions);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let names = text.lines().filter_map(|line| {
                let line = line.trim_start();
                let rest = ["fn ", "async fn ", "pub(super) fn "]
                    .iter()
                    .find_map(|start| line.strip_prefix(start))?;
                rest.split(['(', '<']).next().map(ToOwned::to_owned)
            });
            functions.extend(names);
            // The names under which the conformance suite runs its tests.
            functions.extend(text.lines().filter_map(|line| {
                let (_, name) = line.trim().strip_suffix(',')?.rsplit_once(" as ")?;
                Some(name.to_owned())
            }));
        }
    }
}

/// Every room has its line, and none is named that isn't there.
#[test]
fn every_room_is_explained() {
    let architecture = super::read("ARCHITECTURE.md");
    for entry in std::fs::read_dir(super::root().join("src")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            let room = path.file_name().unwrap().to_str().unwrap().to_owned();
            let row = format!("| `{room}/`");
            let has_row = architecture.lines().any(|line| line.starts_with(&row));
            assert!(has_row, "ARCHITECTURE.md has no row for {room}/");
        }
    }
}

/// The numbers in a module's head: `//! Promise 4: ..`, `//! Promises 2 and 3: ..`.
fn promises(module: &str) -> Vec<u32> {
    let head = module.lines().next().unwrap_or_default();
    let Some((numbers, _)) = head.strip_prefix("//! Promise").and_then(|rest| rest.split_once(':'))
    else {
        return Vec::new();
    };
    numbers.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse().ok()).collect()
}

#[test]
fn every_module_of_the_black_box_tests_names_its_promises() {
    let mut modules = std::collections::BTreeMap::<u32, Vec<String>>::new();
    let folder = super::root().join("tests/blackbox");
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() || name == "main" {
            continue;
        }
        let numbers = promises(&std::fs::read_to_string(&path).unwrap());
        assert!(!numbers.is_empty(), "{}: which promise does it guard?", path.display());
        for number in numbers {
            modules.entry(number).or_default().push(format!("`{name}`"));
        }
    }
    modules.values_mut().for_each(|names| names.sort());
    let rows = modules.iter().map(|(number, names)| format!("| {number} | {} |", names.join(", ")));
    let said = super::read("tests/README.md");
    let rows: Vec<_> = rows.collect();
    let missing = rows.iter().any(|row| !said.lines().any(|line| line == row));
    assert!(!missing, "tests/README.md should have these rows:\n{}\n", rows.join("\n"));
}
