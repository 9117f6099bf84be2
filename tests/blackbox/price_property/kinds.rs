//! Services, and how their lists of prices are to be read.

use std::collections::BTreeMap;

/// A prefix without its plus, and a price in thousandths of a sat.
pub type Prices = BTreeMap<String, u64>;

/// What a bitcoin costs in the third service's currency, in cents.
pub const RATE_CENTS: u128 = 9_712_345;

pub const MOST_SEGMENTS: usize = 4;

/// A service, and how its list is to be read.
pub struct Kind {
    pub name: &'static str,
    pub method: &'static str,
    /// How a price of its list is written.
    pub listed: fn(u64) -> String,
    /// What so many of a listed price's smallest units are, in msat, rounded up; of another
    /// currency, to whole sat.
    pub msat: fn(u128) -> u128,
    pub per_segment: bool,
    /// In msat.
    pub bounds: (u128, u128),
    pub section: &'static str,
}

pub const KINDS: [Kind; 4] = [
    Kind {
        name: "in-sat",
        method: "POST",
        listed: |price| format!("{}.{:03}", price / 1000, price % 1000),
        msat: |price| price,
        per_segment: true,
        bounds: (1000, u128::MAX),
        section: "price = { table = \"TABLE\", per = \"segment\" }",
    },
    Kind {
        name: "in-msat",
        method: "POST",
        listed: |price| price.to_string(),
        msat: |price| price,
        per_segment: false,
        bounds: (2000, 900_000),
        section: r#"
price = { table = "TABLE", currency = "msat", per = "message", minimum_sat = 2, maximum_sat = 900 }
backend = { preset = "kannel", username = "u", password = { env = "SECRET" } }"#,
    },
    Kind {
        name: "in-dollars",
        method: "POST",
        listed: |price| format!("{}.{:06}", price / 1_000_000, price % 1_000_000),
        // Millionths of a dollar: 10^8 sat cost as many dollars as the rate says.
        msat: |price| (price * 100 * 100).div_ceil(RATE_CENTS) * 1000,
        per_segment: true,
        bounds: (1000, u128::MAX),
        section: "price = { table = \"TABLE\", currency = \"USD\", per = \"segment\" }",
    },
    Kind {
        name: "by-query",
        method: "GET",
        listed: |price| format!("{}.{:03}", price / 1000, price % 1000),
        msat: |price| price,
        per_segment: true,
        bounds: (1000, 1_500_000),
        section: "price = { table = \"TABLE\", per = \"segment\", maximum_sat = 1500 }",
    },
];

pub const SERVICE: &str = r#"
[[service]]
name = "NAME"
method = "METHOD"
path = "/NAME"
ticket = "single-use"
upstream = "http://UPSTREAM/"
refused = { status = [403] }
SECTION
sms = { to = "to", text = "text", suffix = "SUFFIX", max_segments = 4 }

[service.input]
type = "object"
required = ["to", "text"]
additionalProperties = false
properties = { to = { type = "string" }, text = { type = "string" } }
"#;
