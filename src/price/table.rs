//! Prices by the first digits of a telephone number: the longest prefix that is listed counts.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use csv::{ReaderBuilder, StringRecord, Trim};

use super::decimal::Decimal;
use crate::listed::{ListFault, Listed};
use crate::number_prefix::Prefix;

/// Most prefixes: ten times as many as there are networks to tell apart.
const PREFIXES_MAX: usize = 200_000;

/// What numbers of one prefix cost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PrefixPrice {
    /// The prefix.
    pub prefix: Prefix,
    /// What the payer is asked for, in the table's currency.
    pub price: Decimal,
    /// What the operator pays for it, if the table says so.
    pub cost: Option<Decimal>,
}

/// A price list, never empty.
#[derive(PartialEq, Eq, Debug)]
pub struct PriceTable {
    by_prefix: HashMap<Prefix, PrefixPrice>,
    cheapest: PrefixPrice,
    dearest: PrefixPrice,
}

impl Listed for PriceTable {
    const KEY: &'static str = "price.table";

    /// Reads a list: CSV (RFC 4180) with a header line `prefix,price` or `prefix,price,cost`.
    fn read(text: &str) -> Result<Self, ListFault> {
        // A spreadsheet's mark at the beginning.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        // A remark would end at the one kind of line end alone, and a record at each.
        let text = &text.replace("\r\n", "\n").replace('\r', "\n");
        // One that is cut within a number would sell for a part of it.
        if !text.is_empty() && !text.ends_with('\n') {
            let what = "the last line has no end: is the file whole? Then put a line break there";
            let line = Some(text.lines().count() as u64);
            return Err(ListFault { line, what: what.to_owned() });
        }
        let mut reader = ReaderBuilder::new();
        let reader = reader.trim(Trim::All).comment(Some(b'#'));
        let mut reader = reader.from_reader(text.as_bytes());
        let header = reader.headers().map_err(|error| fault_of(text, &error))?;
        let header: Vec<&str> = header.iter().collect();
        if !matches!(header.as_slice(), ["prefix", "price"] | ["prefix", "price", "cost"]) {
            let what =
                "the first line should be `prefix,price` or `prefix,price,cost`, with commas";
            let line = line_of(text, Some(&csv::Position::new()));
            return Err(ListFault { line: line.or(Some(1)), what: what.to_owned() });
        }
        let (mut by_prefix, mut ends) = (HashMap::new(), None);
        for record in reader.records() {
            let record = record.map_err(|error| fault_of(text, &error))?;
            let fault = |what: String| ListFault { line: line_of(text, record.position()), what };
            let row = row(&record).map_err(fault)?;
            match by_prefix.entry(row.prefix) {
                Entry::Occupied(_) => return Err(fault(format!("{} stands twice", row.prefix))),
                Entry::Vacant(place) => place.insert(row),
            };
            if by_prefix.len() > PREFIXES_MAX {
                return Err(fault(format!("there are more than {PREFIXES_MAX} prefixes")));
            }
            let (cheapest, dearest) = ends.unwrap_or((row, row));
            ends = Some((
                if row.price < cheapest.price { row } else { cheapest },
                if row.price > dearest.price { row } else { dearest },
            ));
        }
        let Some((cheapest, dearest)) = ends else {
            let what = "it lists no prefix, so that nothing would be sold".to_owned();
            return Err(ListFault { line: None, what });
        };
        Ok(Self { by_prefix, cheapest, dearest })
    }

    fn count(&self) -> usize {
        self.by_prefix.len()
    }
}

impl PriceTable {
    /// What a number costs, which is in E.164 form; `None` where nothing is sold.
    pub fn find(&self, number: &str) -> Option<&PrefixPrice> {
        Prefix::read(number)?.shorter().find_map(|prefix| self.by_prefix.get(&prefix))
    }

    /// One of those that cost least.
    pub fn cheapest(&self) -> &PrefixPrice {
        &self.cheapest
    }

    /// One of those that cost most.
    pub fn dearest(&self) -> &PrefixPrice {
        &self.dearest
    }

    /// All that it lists, in no order.
    pub fn rows(&self) -> impl Iterator<Item = &PrefixPrice> {
        self.by_prefix.values()
    }
}

fn row(record: &StringRecord) -> Result<PrefixPrice, String> {
    let field = |index| record.get(index).unwrap_or_default();
    let (prefix, price, cost) = (field(0), field(1), field(2));
    let prefix = Prefix::read(prefix).ok_or_else(|| {
        format!("`{prefix}` is no prefix: `+` and 1 to 15 digits, such as +49 or +12025")
    })?;
    let amount = |name: &str, text: &str| {
        text.parse::<Decimal>().map_err(|error| format!("`{name}` of {prefix} {error}"))
    };
    let price = amount("price", price)?;
    if price.is_zero() {
        return Err(format!(
            "`price` of {prefix} is 0: leave the line out to sell nothing there, since what isn't \
             listed isn't sold"
        ));
    }
    let cost = if cost.is_empty() { None } else { Some(amount("cost", cost)?) };
    Ok(PrefixPrice { prefix, price, cost })
}

fn fault_of(text: &str, error: &csv::Error) -> ListFault {
    let what = match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => format!(
            "it has {len} value(s), and the first line names {expected_len}: they are separated by \
             commas, and a number has a point and no comma in it"
        ),
        _ => error.to_string(),
    };
    ListFault { line: line_of(text, error.position()), what }
}

/// The line, from 1, of the record that is read from `at` on: blank lines and remarks may come
/// before it, and the reader counts not all line ends.
fn line_of(text: &str, at: Option<&csv::Position>) -> Option<u64> {
    let mut at = usize::try_from(at?.byte()).ok()?;
    while let Some(rest) = text.get(at..).filter(|rest| rest.starts_with(['\n', '#'])) {
        at += 1 + rest.find('\n')?;
    }
    Some(text.get(..at)?.matches('\n').count() as u64 + 1)
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use proptest::prelude::*;

    use super::*;

    fn fault(text: &str) -> (Option<u64>, String) {
        let fault = PriceTable::read(text).unwrap_err();
        (fault.line, fault.what)
    }

    #[test]
    fn the_longest_prefix_counts_and_nothing_else_is_sold() {
        let table = PriceTable::read(
            "prefix,price,cost\n+1,10,4\n+1809, 300 ,250\n+18095551234,999,\n\"+49\",20,12\n",
        );
        let table = table.unwrap();
        let price = |number: &str| table.find(number).map(|row| row.price.to_string());
        let said = |text: &str| Some(text.to_owned());
        assert_eq!(price("+12025550123"), said("10"));
        assert_eq!(price("+18095550000"), said("300"));
        assert_eq!(price("+18095551234"), said("999"));
        assert_eq!(price("+491701234567"), said("20"));
        assert_eq!(
            (price("+441234567890"), price("+4"), price("491701234567")),
            (None, None, None)
        );
        assert_eq!((price("+1 2025550123"), price("+1,+2"), price("+")), (None, None, None));
        let ends = (table.cheapest().prefix.to_string(), table.dearest().prefix.to_string());
        assert_eq!((ends.0.as_str(), ends.1.as_str(), table.count()), ("+1", "+18095551234", 4));
        assert_eq!(table.find("+18095551234").unwrap().cost, None);
    }

    #[test]
    fn a_fault_names_its_line() {
        let line = |text: &str| fault(text).0;
        assert_eq!(line("+1,10\n"), Some(1), "no header");
        assert_eq!(line("prefix,price\n+1,10\n+1809,30"), Some(3), "cut");
        assert_eq!(line("prefix;price\n+1;10\n"), Some(1));
        assert_eq!(line("prefix,price\n\n+1,10\n1,10\n"), Some(4), "no plus");
        assert_eq!(line("prefix,price\n+1,10\n+01,10\n"), Some(3));
        assert_eq!(line("prefix,price\n+1,10,3\n"), Some(2), "a field too many");
        assert_eq!(line("# mine\r\n\r\nprefix;price\r\n+1;10\r\n"), Some(3));
        for end in ["\n", "\r\n", "\r"] {
            let table = ["prefix,price", "", "# dear", "+1,10", "", "", "49,20", "+33,1,5", ""];
            for (fault, kept) in [(7, 9), (8, 6)] {
                let mut table = table;
                if kept == 6 {
                    table[6] = "+49,20";
                }
                assert_eq!(line(&table.join(end)), Some(fault), "{end:?}");
            }
        }
        assert_eq!(line("prefix,price\n+1,10\n+49,1.5e3\n"), Some(3));
        assert_eq!(line("prefix,price\n+1,-10\n"), Some(2));
        assert_eq!(fault("prefix,price\n+1,10\n+1,20\n"), (Some(3), "+1 stands twice".to_owned()));
        assert!(fault("prefix,price\n+1,0\n").1.contains("leave the line out"));
        assert!(fault("prefix,price\n").1.contains("nothing would be sold"));
        assert!(fault("").1.contains("first line"));
        let mixed = "prefix,price\n+44,20\n# premium\r+4487,900\n";
        assert_eq!(PriceTable::read(mixed).map(|table| table.count()), Ok(2));
        let marked = PriceTable::read("\u{feff}prefix,price\r\n+1,10\r\n");
        assert_eq!(marked.map(|table| table.count()), Ok(1), "as a spreadsheet writes it");
    }

    proptest! {
        /// Against the obvious way: all rows that a number begins with, and the longest of them.
        #[test]
        fn it_finds_what_a_search_through_all_finds(
            prefixes in proptest::collection::hash_set("[1-9][0-9]{0,5}", 1..60),
            number in "[1-9][0-9]{6,14}",
        ) {
            let mut text = "prefix,price\n".to_owned();
            for (index, prefix) in prefixes.iter().enumerate() {
                writeln!(text, "+{prefix},{}", index + 1).unwrap();
            }
            let table = PriceTable::read(&text).unwrap();
            let found = table.find(&format!("+{number}")).map(|row| row.prefix.to_string());
            let matching = prefixes.iter().filter(|prefix| number.starts_with(prefix.as_str()));
            let longest = matching.max_by_key(|prefix| prefix.len()).map(|one| format!("+{one}"));
            prop_assert_eq!(found, longest);
        }
    }
}
