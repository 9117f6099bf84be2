//! The floor plan of the code, checked: rooms whose arrows point down, no circle of files, short
//! lines, functions and files, every config key in the example.
//!
//! Where something breaks a rule it stands in `exceptions.rs`. What stands there and is mended has
//! to leave it, so that the lists can only shrink.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub
)]

mod arrows;
mod exceptions;
mod source;

use std::collections::BTreeSet;
use std::path::Path;

use self::arrows::Arrow;
use self::source::{Source, lines_of, sources};

/// Most columns of a line, which is rustfmt's default.
const COLUMNS_MAX: usize = 100;

/// Most lines of a function, from its signature to its closing brace.
const FUNCTION_LINES_MAX: usize = 60;

/// Most lines of a file.
const FILE_LINES_MAX: usize = 400;

/// The rooms, from the highest to the lowest. A room may import what stands below its line, and no
/// room imports another one on its own line. Files directly below `src` are the ground.
const LEVELS: &[&[&str]] = &[
    &["cli"],
    &["app"],
    &["listen", "ops"],
    &["gate"],
    &["status", "pages", "sale", "redeem", "reports"],
    &["ticket", "payment"],
    &["config"],
    &["service"],
    &["answer"],
    &["record"],
    &["ledger", "lightning", "rate", "upstream"],
    &["l402", "order", "price", "sms"],
    &["ground"],
];

/// Who may read the config: what it says is carried from there.
const CONFIG_READERS: &[&str] = &["cli", "app"];

/// Rooms that have no clock, no randomness and no sockets: all of that comes in as arguments.
const PURE: &[&str] = &["l402", "order", "price", "sms"];

#[test]
fn arrows_between_rooms_point_down() {
    let sources = sources();
    let found = arrows::all(&sources).into_iter().filter(|arrow| !is_allowed(arrow));
    let found = found.map(|arrow| format!("{} -> {}", arrow.from, arrow.to)).collect();
    compare("an arrow between rooms that doesn't point down", found, exceptions::ARROWS);
}

fn is_allowed(Arrow { from, to }: &Arrow) -> bool {
    let level = |room: &str| {
        let found = LEVELS.iter().position(|rooms| rooms.contains(&room));
        found.unwrap_or_else(|| panic!("{room}: give this room a level in tests/tidy/main.rs"))
    };
    // The library's and the program's own file declare the rooms.
    let (from, to) = match (room(from), room(to)) {
        _ if matches!(from.as_str(), "lib.rs" | "main.rs") => return true,
        (from, to) if from == to => return true,
        rooms => rooms,
    };
    level(from) < level(to) && (to != "config" || CONFIG_READERS.contains(&from))
}

#[test]
fn every_level_is_of_a_room_that_is_there() {
    let sources = sources();
    for room in LEVELS.iter().copied().flatten() {
        let is_there = sources.iter().any(|source| self::room(&source.path) == *room);
        assert!(is_there, "there is no room {room}");
    }
}

fn room(file: &str) -> &str {
    file.split_once('/').map_or("ground", |(room, _)| room)
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let found = arrows::circles(&arrows::all(&sources())).into_iter();
    let excepted: Vec<String> = exceptions::CIRCLES.iter().map(|files| files.join(" ")).collect();
    let excepted: Vec<&str> = excepted.iter().map(String::as_str).collect();
    compare("a circle of files", found.map(|files| files.join(" ")).collect(), &excepted);
}

#[test]
fn pure_rooms_have_no_clock_no_randomness_and_no_sockets() {
    for source in sources().iter().filter(|source| PURE.contains(&room(&source.path))) {
        for crate_name in source.foreign_crates() {
            let impure = ["tokio", "hyper", "getrandom"].contains(&crate_name.as_str());
            assert!(!impure, "{} uses {crate_name}", source.path);
        }
    }
}

#[test]
fn lines_are_short() {
    let found = lines_of(&["rs", "sql", "proto"]);
    let found = found.into_iter().filter(|(_, text)| longest(text) > COLUMNS_MAX);
    compare("a file with long lines", found.map(|(file, _)| file).collect(), exceptions::LINES);
}

fn longest(text: &str) -> usize {
    text.lines().map(|line| line.chars().count()).max().unwrap_or(0)
}

#[test]
fn files_are_short() {
    let found = lines_of(&["rs", "sql"]);
    let found = found.into_iter().filter(|(_, text)| text.lines().count() > FILE_LINES_MAX);
    compare("a long file", found.map(|(file, _)| file).collect(), exceptions::FILES);
}

#[test]
fn functions_are_short() {
    let found = lines_of(&["rs"]).into_iter().flat_map(|(file, text)| {
        let functions = source::functions(&text).into_iter();
        let long = functions.filter(|function| function.lines > FUNCTION_LINES_MAX);
        long.map(|function| format!("{file}: {}", function.name)).collect::<Vec<_>>()
    });
    let excepted: Vec<String> =
        exceptions::FUNCTIONS.iter().map(|(file, name)| format!("{file}: {name}")).collect();
    let excepted: Vec<&str> = excepted.iter().map(String::as_str).collect();
    compare("a long function", found.collect(), &excepted);
}

#[test]
fn every_config_key_stands_in_the_example() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let example = std::fs::read_to_string(root.join("config.example.toml")).unwrap();
    let config = lines_of(&["rs"]).into_iter().filter(|(file, _)| file.contains("src/config/"));
    let keys: Vec<String> =
        config.flat_map(|(_, text)| source::fields(&text)).filter(|key| key != "service").collect();
    assert!(keys.len() > 50, "the keys were not found: {keys:?}");
    let is_there = |key: &str| {
        let stands = |before: &str, after: &str| example.contains(&format!("{before}{key}{after}"));
        stands("\n", " = ")
            || stands("\n# ", " = ")
            || stands("{ ", " = ")
            || stands(", ", " = ")
            || stands("[", "]")
            || stands("[service.", "]")
    };
    let missing: Vec<_> = keys.iter().filter(|key| !is_there(key)).collect();
    assert!(missing.is_empty(), "config.example.toml does not explain {missing:?}");
}

/// Both ways: nothing new, and nothing that is mended.
fn compare(what: &str, found: BTreeSet<String>, excepted: &[&str]) {
    let excepted: BTreeSet<String> = excepted.iter().map(|&one| one.to_owned()).collect();
    let new: Vec<_> = found.difference(&excepted).collect();
    assert!(new.is_empty(), "{what}, new:\n{new:#?}");
    let mended: Vec<_> = excepted.difference(&found).collect();
    assert!(mended.is_empty(), "{what}, mended: take it out of exceptions.rs:\n{mended:#?}");
}

/// The check itself finds what it is there for.
#[test]
fn a_breach_of_each_rule_is_seen() {
    let source = |path: &str, text: &str| Source::read(path, text);
    let sources = [
        source("gate/mod.rs", "pub mod a; pub use a::A; use self::b::B; mod b;"),
        source("gate/a.rs", "use super::b::B; pub struct A;"),
        source("gate/b.rs", "pub struct B; fn f() { crate::gate::A; }"),
        source("l402/mod.rs", "use crate::{gate::{b, A}, time}; #[cfg(test)] use crate::cli::X;"),
        source("time.rs", "mod inner { use super::super::l402::Y; }"),
        source("cli/mod.rs", "pub struct X;"),
    ];
    let all = arrows::all(&sources);
    let upward = all.iter().filter(|arrow| !is_allowed(arrow));
    let upward: Vec<_> = upward.map(|arrow| (arrow.from.as_str(), arrow.to.as_str())).collect();
    let expected =
        [("l402/mod.rs", "gate/a.rs"), ("l402/mod.rs", "gate/b.rs"), ("time.rs", "l402/mod.rs")];
    assert_eq!(upward, expected);
    let circles = arrows::circles(&all);
    assert_eq!(circles, [vec!["gate/a.rs", "gate/b.rs"], vec!["l402/mod.rs", "time.rs"]]);
    let function = &source::functions("impl A {\n fn f() {\n\n }\n}")[0];
    assert_eq!((function.name.as_str(), function.lines), ("f", 3));
    assert_eq!(
        source::fields("#[derive(Deserialize)] struct A { b: u8, c: D } struct E { f: u8 }"),
        ["b", "c"]
    );
}
