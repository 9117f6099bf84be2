//! Encoding and segments of a text (3GPP TS 23.040 section 9.2.3.24.1): what it costs to send.

use serde::Serialize;

use super::gsm7;

/// Most septets of a message in one segment, and in each of several (whose headers take seven).
const SEPTETS_ALONE: usize = 160;
const SEPTETS_EACH: usize = 153;

/// The same in UTF-16 units.
const UNITS_ALONE: usize = 70;
const UNITS_EACH: usize = 67;

/// How a text is sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// The GSM 7-bit default alphabet with its extension table.
    Gsm7,
    /// UTF-16, as networks take what they call UCS-2.
    Ucs2,
}

impl Encoding {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Gsm7, Self::Ucs2];
}

/// What a text is to the network.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Measure {
    /// How it is sent.
    pub encoding: Encoding,
    /// Unicode scalar values.
    pub characters: usize,
    /// Messages that its receiver's phone joins; operators pay for each.
    pub segments: usize,
}

impl Measure {
    /// Of a whole text, as it is sent.
    pub fn of(text: &str) -> Self {
        let characters = text.chars().count();
        let septets: Option<Vec<usize>> = text.chars().map(gsm7::septets).collect();
        let (encoding, segments) = match septets {
            Some(septets) => (Encoding::Gsm7, split(septets, SEPTETS_ALONE, SEPTETS_EACH)),
            None => {
                let units = text.chars().map(char::len_utf16);
                (Encoding::Ucs2, split(units, UNITS_ALONE, UNITS_EACH))
            }
        };
        Self { encoding, characters, segments }
    }
}

/// How many segments hold characters of these lengths, none of which is cut in two.
fn split(lengths: impl IntoIterator<Item = usize>, alone: usize, each: usize) -> usize {
    let (mut total, mut segments, mut filled) = (0, 1, 0);
    for length in lengths {
        total += length;
        if filled + length > each {
            segments += 1;
            filled = 0;
        }
        filled += length;
    }
    if total <= alone { 1 } else { segments }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(text: &str) -> (Encoding, usize, usize) {
        let Measure { encoding, characters, segments } = Measure::of(text);
        (encoding, characters, segments)
    }

    #[test]
    fn hard_cases() {
        use Encoding::{Gsm7, Ucs2};
        let repeat = |text: &str, times: usize| text.repeat(times);
        for (text, expected) in [
            (String::new(), (Gsm7, 0, 1)),
            (repeat("a", 160), (Gsm7, 160, 1)),
            (repeat("a", 161), (Gsm7, 161, 2)),
            (repeat("a", 306), (Gsm7, 306, 2)),
            (repeat("a", 307), (Gsm7, 307, 3)),
            (repeat("€", 80), (Gsm7, 80, 1)),
            (repeat("€", 81), (Gsm7, 81, 2)),
            // 152 septets in the first, since the pair doesn't fit behind them.
            (repeat("a", 152) + "€" + &repeat("a", 151), (Gsm7, 304, 2)),
            (repeat("a", 152) + "€" + &repeat("a", 152), (Gsm7, 305, 3)),
            (repeat("a", 151) + "€" + &repeat("a", 153), (Gsm7, 305, 2)),
            ("a`".to_owned(), (Ucs2, 2, 1)),
            (repeat("é", 160), (Gsm7, 160, 1)),
            (repeat("Ж", 70), (Ucs2, 70, 1)),
            (repeat("Ж", 71), (Ucs2, 71, 2)),
            (repeat("Ж", 134), (Ucs2, 134, 2)),
            (repeat("Ж", 135), (Ucs2, 135, 3)),
            (repeat("😀", 35), (Ucs2, 35, 1)),
            (repeat("😀", 36), (Ucs2, 36, 2)),
            // 66 units each: the 67th would be half a character.
            (repeat("😀", 66), (Ucs2, 66, 2)),
            (repeat("😀", 67), (Ucs2, 67, 3)),
            (repeat("😀", 160), (Ucs2, 160, 5)),
            // A family of four: seven scalar values, eleven units.
            ("👨‍👩‍👧‍👦".to_owned(), (Ucs2, 7, 1)),
            (repeat("👨‍👩‍👧‍👦", 7), (Ucs2, 49, 2)),
        ] {
            assert_eq!(of(&text), expected, "{text}");
        }
    }

    /// Segment by segment, by trying at each how many characters fit.
    fn slowly(text: &str) -> usize {
        let characters: Vec<char> = text.chars().collect();
        let is_gsm7 = characters.iter().all(|character| gsm7::septets(*character).is_some());
        let length = |part: &[char]| -> usize {
            let one = |character: &char| match is_gsm7 {
                true => gsm7::septets(*character).unwrap(),
                false => character.len_utf16(),
            };
            part.iter().map(one).sum()
        };
        let (alone, each) = if is_gsm7 { (160, 153) } else { (70, 67) };
        if length(&characters) <= alone {
            return 1;
        }
        let (mut left, mut segments) = (&characters[..], 0);
        while !left.is_empty() {
            let fits = (1..=left.len()).take_while(|n| length(&left[..*n]) <= each).count();
            (left, segments) = (&left[fits..], segments + 1);
        }
        segments
    }

    proptest! {
        #[test]
        fn segments_are_those_of_a_slow_count(text in "[a€é\\[😀Ж`]{0,400}") {
            prop_assert_eq!(Measure::of(&text).segments, slowly(&text));
        }

        #[test]
        fn any_text_has_a_measure(text in any::<String>()) {
            prop_assert_eq!(Measure::of(&text).segments, slowly(&text));
        }
    }
}
