//! Numbers to which nothing is sold.

use std::collections::HashSet;

use crate::listed::{ListFault, Listed};
use crate::number_prefix::Prefix;

/// Most numbers and prefixes.
const ENTRIES_MAX: usize = 1_000_000;

/// Numbers, and prefixes of numbers.
#[derive(PartialEq, Eq, Debug, Default)]
pub struct DenyList(HashSet<Prefix>);

impl DenyList {
    /// Whether a number, in E.164 form, or a prefix of it is listed.
    pub fn has(&self, number: &str) -> bool {
        let prefixes = Prefix::read(number).into_iter().flat_map(Prefix::shorter);
        prefixes.into_iter().any(|prefix| self.0.contains(&prefix))
    }
}

impl Listed for DenyList {
    const KEY: &'static str = "sms.deny";

    /// A number or a prefix on each line, with `#` for remarks.
    fn read(text: &str) -> Result<Self, ListFault> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut all = HashSet::new();
        for (index, line) in text.lines().enumerate() {
            let entry = line.split('#').next().unwrap_or_default().trim();
            if entry.is_empty() {
                continue;
            }
            let fault = |what: String| ListFault { line: Some(index as u64 + 1), what };
            let prefix = Prefix::read(entry).ok_or_else(|| {
                fault(format!(
                    "`{entry}` is no number and no prefix: `+` and 1 to 15 digits, one a line"
                ))
            })?;
            all.insert(prefix);
            if all.len() > ENTRIES_MAX {
                return Err(fault(format!("there are more than {ENTRIES_MAX} entries")));
            }
        }
        Ok(Self(all))
    }

    fn count(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_prefixes_are_denied_and_nothing_else() {
        let list = DenyList::read("# victims\n+491701234567\n\n  +882  # satellites\r\n").unwrap();
        assert!(list.has("+491701234567") && list.has("+8821234567890"));
        assert!(!list.has("+491701234568") && !list.has("+49170123456") && !list.has("+88112345"));
        assert_eq!((list.count(), DenyList::read("").unwrap().count()), (2, 0));
        let fault = DenyList::read("+49\n49\n").unwrap_err();
        assert_eq!(fault.line, Some(2));
    }
}
