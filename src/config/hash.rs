//! A number by which it is seen whether instances sell the same.

use sha2::{Digest as _, Sha256};
use toml::{Table, Value};

/// Sections that all instances have in common, and that a reload brings into force whole.
const COMMON: [&str; 4] = ["limits", "pages", "rate", "service"];

/// Of a config's text, without remarks and the order of keys, and without what lies in files that
/// it names; 0 for one that can't be read.
pub(super) fn of(text: &str) -> u64 {
    let Ok(mut table) = toml::from_str::<Table>(text) else { return 0 };
    table.retain(|key, _| COMMON.contains(&key));
    let mut hash = Sha256::new();
    add(&mut hash, &Value::Table(table));
    let digest: [u8; 32] = hash.finalize().into();
    digest.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// Each part with its length, and tables in the order of their keys.
fn add(hash: &mut Sha256, value: &Value) {
    let mut bytes = |kind: u8, text: &str| {
        hash.update([kind]);
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text);
    };
    match value {
        Value::Table(table) => {
            bytes(0, &table.len().to_string());
            let mut keys: Vec<&String> = table.keys().collect();
            keys.sort();
            for key in keys {
                add(hash, &Value::String(key.clone()));
                if let Some(value) = table.get(key) {
                    add(hash, value);
                }
            }
        }
        Value::Array(values) => {
            bytes(1, &values.len().to_string());
            values.iter().for_each(|value| add(hash, value));
        }
        Value::String(text) => bytes(2, text),
        Value::Integer(number) => bytes(3, &number.to_string()),
        Value::Float(number) => bytes(4, &number.to_string()),
        Value::Boolean(is) => bytes(5, &is.to_string()),
        Value::Datetime(time) => bytes(6, &time.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sold_counts_and_nothing_else() {
        let one =
            "state_dir = 'a'\n[listen]\naddress = 'a'\n[[service]]\nname = 'a'\nprice_sat = 1";
        let same = "[[service]]\nprice_sat = 1 # cheap\nname = 'a'\n[ops]\naddress = \"b\"";
        assert_eq!(of(one), of(same));
        assert_ne!(of(one), of(&one.replace("price_sat = 1", "price_sat = 2")));
        assert_ne!(of(one), of(&one.replace("name", "nome")));
        assert_eq!(of("= rubbish"), 0);
    }
}
