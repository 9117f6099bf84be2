//! Orders of any kind, and what they should cost by a count of our own.

use std::collections::BTreeMap;

use proptest::collection::{btree_map, vec};
use proptest::option::weighted;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::json;

use super::kinds::{KINDS, MOST_SEGMENTS, Prices};

/// What happens in one case: orders are bought by these prices, which change before they are sent.
#[derive(Debug, Clone)]
pub struct Case {
    pub prices: [Prices; 2],
    pub suffixes: [String; 2],
    /// Each with the number and the text of another one that takes its place, once the backend has
    /// refused it.
    pub orders: Vec<(Order, Option<(String, String)>)>,
}

#[derive(Debug, Clone)]
pub struct Order {
    pub kind: usize,
    pub to: String,
    pub text: String,
}

/// What an order should cost.
#[derive(Debug, PartialEq)]
pub struct Expected {
    pub msat: u64,
    pub segments: usize,
}

fn prices() -> impl Strategy<Value = Prices> {
    btree_map("4|4[49][23]{0,3}", 1_u64..1_000_000, 4..12)
}

/// Some with nothing before them in the list, and some that are no number.
fn numbers() -> impl Strategy<Value = String> {
    let good = "\\+4[49][23]{1,3}[0-9]{6,8}";
    let forms =
        vec!["N,N", "N N", " N", "N ", "N%2B12025550123", "N&to=N", "N\u{ff11}", "+N", "N;"];
    let bad = (good, select(forms)).prop_map(|(number, form)| form.replace('N', &number));
    prop_oneof![8 => good, 1 => bad]
}

fn texts() -> impl Strategy<Value = String> {
    prop_oneof!["[a€é\\[]{1,320}", "[aЖ😀`]{1,140}", "[a-z &+=%]{1,60}", "[aé]{140,170}"]
}

fn orders() -> impl Strategy<Value = Order> {
    (0..KINDS.len(), numbers(), texts()).prop_map(|(kind, to, text)| Order { kind, to, text })
}

pub fn cases() -> impl Strategy<Value = Case> {
    let instead = weighted(0.5, (numbers(), texts()));
    let suffixes = || prop_oneof![" [a€Ж]{1,40}", " by a[.]example"];
    ([prices(), prices()], [suffixes(), suffixes()], vec((orders(), instead), 1..16))
        .prop_map(|(prices, suffixes, orders)| Case { prices, suffixes, orders })
}

/// By counting as the network does, of the alphabet that the texts are made of.
pub fn segments(text: &str) -> usize {
    let is_gsm7 = !text.contains(['Ж', '😀', '`']);
    let size = |character: char| match character {
        '€' | '[' if is_gsm7 => 2,
        _ if is_gsm7 => 1,
        _ => character.len_utf16(),
    };
    let (alone, each) = if is_gsm7 { (160, 153) } else { (70, 67) };
    if text.chars().map(size).sum::<usize>() <= alone {
        return 1;
    }
    let (mut segments, mut filled) = (1, 0);
    for character in text.chars() {
        if filled + size(character) > each {
            (segments, filled) = (segments + 1, 0);
        }
        filled += size(character);
    }
    segments
}

/// `None` if it isn't to be sold.
pub fn expected(order: &Order, prices: &Prices, suffix: &str) -> Option<Expected> {
    let kind = &KINDS[order.kind];
    let digits = order.to.strip_prefix('+')?;
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let listed = prices.iter().filter(|(prefix, _)| digits.starts_with(*prefix));
    let (_, price) = listed.max_by_key(|(prefix, _)| prefix.len())?;
    let segments = segments(&format!("{}{suffix}", order.text));
    let times = if kind.per_segment { segments } else { 1 };
    let (least, most) = kind.bounds;
    let msat = (kind.msat)(u128::from(*price) * times as u128).max(least);
    let is_sold = segments <= MOST_SEGMENTS && msat <= most;
    is_sold.then(|| Expected { msat: u64::try_from(msat).unwrap(), segments })
}

impl Order {
    /// As it is sent to its service.
    pub fn as_sold(&self) -> String {
        let members = [("to", &self.to), ("text", &self.text)];
        match KINDS[self.kind].method {
            "GET" => {
                let query = form_urlencoded::Serializer::new(String::new());
                format!("?{}", { query }.extend_pairs(members).finish())
            }
            _ => json!(BTreeMap::from(members)).to_string(),
        }
    }
}
