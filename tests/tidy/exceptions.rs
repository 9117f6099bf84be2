//! What breaks a rule, by name and with its reason.

pub const ARROWS: &[&str] = &[];
pub const CIRCLES: &[&[&str]] = &[];
pub const LINES: &[&str] = &[];
pub const FILES: &[&str] = &[];
pub const FUNCTIONS: &[(&str, &str)] = &[
    // Chain, miner, three nodes and their channels, each of which needs the one before.
    ("tests/lnd/regtest.rs", "start"),
    // The life of an invoice, told to two nodes in the same order.
    ("tests/lnd/same_answers.rs", "a_life"),
    ("tests/lnd/same_answers.rs", "the_play_node_answers_as_the_real_one_does"),
];
