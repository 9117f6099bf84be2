//! The config file as it is written: a mirror of the TOML, in which unknown keys are refused.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::Deserialize;
use toml::Spanned;

use super::secret::{Source, Value};
use super::units::{Size, Span};
use crate::record::access_log::LogFormat;

/// The whole file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) state_dir: Option<PathBuf>,
    pub(super) listen: Listen,
    #[serde(default)]
    pub(super) ops: Ops,
    pub(super) lnd: Lnd,
    #[serde(default)]
    pub(super) ledger: Ledger,
    #[serde(default)]
    pub(super) tickets: Tickets,
    #[serde(default)]
    pub(super) limits: Limits,
    #[serde(default)]
    pub(super) log: Log,
    #[serde(default)]
    pub(super) service: Vec<Spanned<Service>>,
}

/// What of it `tickets` and `ledger` read.
#[derive(Deserialize)]
pub(super) struct LedgerFile {
    pub(super) state_dir: Option<PathBuf>,
    #[serde(default)]
    pub(super) ops: Ops,
    #[serde(default)]
    pub(super) lnd: DetectsPayments,
    #[serde(default)]
    pub(super) ledger: Ledger,
    #[serde(default)]
    pub(super) tickets: Tickets,
}

#[derive(Deserialize, Default)]
pub(super) struct DetectsPayments {
    #[serde(default)]
    pub(super) detect_payments: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Listen {
    pub(super) address: Spanned<String>,
    pub(super) certificate: Option<PathBuf>,
    pub(super) key: Option<PathBuf>,
    #[serde(default)]
    pub(super) plain_http: bool,
    pub(super) public_url: Option<Spanned<String>>,
    pub(super) drain: Option<Span>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct Ops {
    pub(super) address: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Lnd {
    pub(super) address: Spanned<String>,
    pub(super) certificate: PathBuf,
    pub(super) macaroon: PathBuf,
    pub(super) network: Spanned<String>,
    pub(super) invoice_expiry: Option<Spanned<Span>>,
    pub(super) timeout: Option<Span>,
    #[serde(default)]
    pub(super) private: bool,
    #[serde(default)]
    pub(super) detect_payments: bool,
    pub(super) mint_ahead: Option<Spanned<u32>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct Ledger {
    pub(super) sqlite: Option<Spanned<PathBuf>>,
    pub(super) postgres: Option<Source>,
    pub(super) postgres_ca: Option<PathBuf>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct Tickets {
    pub(super) master_secret: Option<Spanned<Source>>,
    pub(super) lifetime: Option<Spanned<Span>>,
    pub(super) replay: Option<Span>,
    pub(super) wait: Option<Span>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct Limits {
    pub(super) unpaid_per_client: Option<u32>,
    pub(super) unpaid_total: Option<u32>,
    pub(super) body: Option<Size>,
    pub(super) stored_answer: Option<Size>,
    pub(super) connections: Option<Spanned<u32>>,
    pub(super) redemptions: Option<Spanned<u32>>,
    #[serde(default)]
    pub(super) trusted_proxies: Vec<Spanned<String>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct Log {
    #[serde(default)]
    pub(super) format: LogFormat,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Service {
    pub(super) name: Spanned<String>,
    pub(super) title: Option<String>,
    pub(super) memo: Option<Spanned<String>>,
    pub(super) method: Spanned<String>,
    pub(super) path: Spanned<String>,
    pub(super) host: Option<Spanned<String>>,
    pub(super) ticket: Ticket,
    pub(super) price_sat: Option<Spanned<u64>>,
    pub(super) price_msat: Option<Spanned<u64>>,
    pub(super) pass_time: Option<Spanned<Span>>,
    pub(super) pass_uses: Option<Spanned<u32>>,
    pub(super) upstream: Spanned<String>,
    #[serde(default)]
    pub(super) upstream_headers: BTreeMap<Spanned<String>, Value>,
    #[serde(default)]
    pub(super) upstream_query: BTreeMap<Spanned<String>, Value>,
    pub(super) upstream_ca: Option<PathBuf>,
    pub(super) timeout: Option<Span>,
    #[serde(default)]
    pub(super) reuse: ReuseWord,
    pub(super) forward_headers: Option<Vec<Spanned<String>>>,
    pub(super) content_type: Option<Spanned<String>>,
    pub(super) bind: Option<BindWord>,
    pub(super) input: Option<Spanned<Input>>,
    pub(super) delivered: Option<Spanned<Predicate>>,
    pub(super) not_sent: Option<Spanned<Predicate>>,
    pub(super) idempotency: Option<Spanned<Idempotency>>,
    pub(super) lookup: Option<Spanned<Lookup>>,
    pub(super) without_preimage: Option<Spanned<bool>>,
    #[serde(default)]
    pub(super) formerly: Vec<Spanned<String>>,
    pub(super) reference: Option<Spanned<Reference>>,
}

/// `{ header = ".." }`, or `false`.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Reference {
    In(ReferenceHeader),
    Off(bool),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReferenceHeader {
    pub(super) header: String,
}

/// How to ask the upstream what became of a request.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Lookup {
    pub(super) path: Spanned<String>,
    pub(super) key: Option<Spanned<Idempotency>>,
    pub(super) found: Option<Spanned<Predicate>>,
    pub(super) not_found: Option<Spanned<Predicate>>,
    pub(super) final_after: Span,
}

/// Conditions on an upstream's answer.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Predicate {
    #[serde(default)]
    pub(super) status: Vec<Spanned<StatusWord>>,
    #[serde(default)]
    pub(super) header: BTreeMap<Spanned<String>, Spanned<String>>,
    #[serde(default)]
    pub(super) json: BTreeMap<Spanned<String>, toml::Value>,
    pub(super) body: Option<Spanned<String>>,
}

/// `200` or `"2xx"`.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum StatusWord {
    Exact(u16),
    Class(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Idempotency {
    pub(super) header: Option<String>,
    pub(super) member: Option<String>,
    pub(super) remembered: Option<Spanned<Span>>,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Ticket {
    SingleUse,
    Pass,
    Free,
}

#[derive(Deserialize, Clone, Copy, Default)]
#[serde(rename_all = "kebab-case")]
pub(super) enum ReuseWord {
    #[default]
    Recent,
    Never,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "kebab-case")]
pub(super) enum BindWord {
    Json,
    Exact,
}

/// A JSON Schema, here or in a file.
pub(super) enum Input {
    File(PathBuf),
    Inline(toml::Table),
}

impl<'de> Deserialize<'de> for Input {
    fn deserialize<D: serde::Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> serde::de::Visitor<'de> for Either {
            type Value = Input;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON Schema as a table, or the name of a file that holds one")
            }

            fn visit_str<E>(self, path: &str) -> Result<Input, E> {
                Ok(Input::File(path.into()))
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<Input, A::Error> {
                toml::Table::deserialize(serde::de::value::MapAccessDeserializer::new(map))
                    .map(Input::Inline)
            }
        }
        reader.deserialize_any(Either)
    }
}
