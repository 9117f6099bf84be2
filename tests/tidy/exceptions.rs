//! What breaks a rule today, by name.

pub const ARROWS: &[&str] = &[];
pub const CIRCLES: &[&[&str]] = &[];
pub const LINES: &[&str] = &[];
pub const FILES: &[&str] = &["bench/measure/cases.rs", "tests/blackbox/payments.rs"];
pub const FUNCTIONS: &[(&str, &str)] = &[
    ("bench/measure/cases.rs", "beside_buyers"),
    ("bench/measure/cases.rs", "gate"),
    ("bench/measure/cases.rs", "in_the_clear"),
    ("src/record/metrics.rs", "new"),
    ("tests/blackbox/money.rs", "what_a_service_would_refuse_gets_no_invoice"),
    ("tests/blackbox/node.rs", "check_reads_the_macaroon_and_names_the_right_one"),
    (
        "tests/blackbox/payments.rs",
        "an_unpaid_macaroon_alone_is_asked_to_pay_the_same_invoice_and_strangers_hear_nothing",
    ),
    ("tests/blackbox/secrets.rs", "nothing_secret_gets_out"),
    ("tests/blackbox/support/upstream.rs", "connection"),
    ("tests/blackbox/support/world.rs", "config"),
    ("tests/lnd/regtest.rs", "start"),
    ("tests/lnd/same_answers.rs", "a_life"),
    ("tests/lnd/same_answers.rs", "the_play_node_answers_as_the_real_one_does"),
];
