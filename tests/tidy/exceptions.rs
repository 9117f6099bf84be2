//! What breaks a rule today, by name.

pub const ARROWS: &[&str] = &[];
pub const CIRCLES: &[&[&str]] = &[];
pub const LINES: &[&str] = &[];
pub const FILES: &[&str] = &["bench/measure/cases.rs"];
pub const FUNCTIONS: &[(&str, &str)] = &[
    ("bench/measure/cases.rs", "beside_buyers"),
    ("bench/measure/cases.rs", "gate"),
    ("bench/measure/cases.rs", "in_the_clear"),
    ("src/record/metrics.rs", "new"),
    ("tests/lnd/regtest.rs", "start"),
    ("tests/lnd/same_answers.rs", "a_life"),
    ("tests/lnd/same_answers.rs", "the_play_node_answers_as_the_real_one_does"),
];
