//! What a service that sells text messages demands of a text, beside its schema.

use regex::Regex;

use super::gsm7;
use super::measure::Measure;

/// Most characters that a refusal names.
const NAMED_MAX: usize = 5;

/// The rules.
pub struct SmsRules {
    /// The member (or parameter) with the receiver's number.
    pub to: String,
    /// Whether only numbers are sold that exist by the plans of their countries.
    pub strict: bool,
    /// The one with the text.
    pub text: String,
    /// What is sent behind each text.
    pub suffix: String,
    /// Most segments, suffix included.
    pub segments_max: usize,
    /// Whether only texts are sold that are sent in the GSM 7-bit alphabet.
    pub gsm7_only: bool,
    /// A text in which one of these is found isn't sold.
    pub refused: Vec<Regex>,
}

/// Why a text isn't sold. Holds nothing of it but single characters.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TextFault {
    /// Which rule.
    pub rule: &'static str,
    /// What would be right, in words.
    pub expected: String,
}

impl SmsRules {
    /// What is sent for a text that was sold with so many segments, as far as that is known. Where
    /// the suffix is another since, and would cost a segment that wasn't sold, the text goes alone.
    pub fn sent(&self, text: &str, sold: Option<u32>) -> String {
        let whole = self.whole(text);
        let sold = sold.and_then(|sold| usize::try_from(sold).ok()).unwrap_or_default();
        let most = sold.max(Measure::of(text).segments);
        if Measure::of(&whole).segments <= most { whole } else { text.to_owned() }
    }

    fn whole(&self, text: &str) -> String {
        format!("{text}{}", self.suffix)
    }

    /// What a text is to the network, with the suffix; or all that keeps it from being sold.
    pub fn judge(&self, text: &str) -> Result<Measure, Vec<TextFault>> {
        let measure = Measure::of(&self.whole(text));
        let faults: Vec<TextFault> =
            [self.alphabet(text), self.length(&measure), self.refusal(text)]
                .into_iter()
                .flatten()
                .collect();
        if faults.is_empty() { Ok(measure) } else { Err(faults) }
    }

    fn alphabet(&self, text: &str) -> Option<TextFault> {
        let outside = if self.gsm7_only { gsm7::outside(text, NAMED_MAX + 1) } else { Vec::new() };
        if outside.is_empty() {
            return None;
        }
        let named: Vec<String> = outside.iter().take(NAMED_MAX).map(|one| shown(*one)).collect();
        let and_others = if outside.len() > NAMED_MAX { " and others" } else { "" };
        let expected = format!(
            "only characters of the GSM 7-bit alphabet, without {}{and_others}",
            named.join(", ")
        );
        Some(TextFault { rule: "encoding", expected })
    }

    fn length(&self, measure: &Measure) -> Option<TextFault> {
        if measure.segments <= self.segments_max {
            return None;
        }
        let suffix = match self.suffix.chars().count() {
            0 => String::new(),
            characters => format!(", the {characters} characters behind it included"),
        };
        let expected = format!(
            "at most {} segment(s){suffix}; this one has {}",
            self.segments_max, measure.segments
        );
        Some(TextFault { rule: "maxSegments", expected })
    }

    fn refusal(&self, text: &str) -> Option<TextFault> {
        self.refused.iter().any(|pattern| pattern.is_match(text)).then(|| TextFault {
            rule: "refuse",
            expected: "a text without what this service doesn't send, such as links".to_owned(),
        })
    }
}

/// A character, where it can be seen, and its number: many can't be told apart.
fn shown(character: char) -> String {
    let number = u32::from(character);
    let is_seen = character.is_alphanumeric()
        || character.is_ascii_punctuation()
        || ('\u{2010}'..='\u{2026}').contains(&character);
    match is_seen {
        true => format!("\u{201c}{character}\u{201d} (U+{number:04X})"),
        false => format!("U+{number:04X}"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sms::measure::Encoding;

    fn rules() -> SmsRules {
        SmsRules {
            to: "to".into(),
            strict: false,
            text: "text".into(),
            suffix: " via example.com".into(),
            segments_max: 1,
            gsm7_only: true,
            refused: vec![Regex::new("https?://").unwrap()],
        }
    }

    fn faults(rules: &SmsRules, text: &str) -> Vec<(&'static str, String)> {
        let faults = rules.judge(text).unwrap_err();
        faults.into_iter().map(|fault| (fault.rule, fault.expected)).collect()
    }

    #[test]
    fn the_suffix_counts() {
        let rules = rules();
        assert_eq!(rules.judge(&"a".repeat(144)).unwrap().characters, 160);
        let said = faults(&rules, &"a".repeat(145));
        assert_eq!(said[0].0, "maxSegments");
        assert!(said[0].1.contains("the 16 characters behind it") && said[0].1.ends_with("has 2"));
        assert_eq!(rules.sent("Hi", Some(1)), "Hi via example.com");
        let sold_before = "a".repeat(150);
        assert_eq!(rules.sent(&sold_before, Some(1)), sold_before, "by another suffix");
        assert_eq!(rules.sent(&sold_before, Some(2)), sold_before.clone() + " via example.com");
        assert_eq!(rules.sent(&sold_before, None), sold_before, "not counted");
        let in_two = "a".repeat(200);
        assert_eq!(
            rules.sent(&in_two, None),
            in_two.clone() + " via example.com",
            "costs none more"
        );
    }

    proptest! {
        #[test]
        fn what_is_sold_is_sent_whole_in_as_many_segments_as_were_judged(
            text in "[a€é\\[]{0,200}", suffix in "[ a€]{0,30}", most in 1_usize..4,
        ) {
            let rules = SmsRules { suffix, segments_max: most, refused: vec![], ..rules() };
            if let Ok(judged) = rules.judge(&text) {
                let sent = rules.sent(&text, u32::try_from(judged.segments).ok());
                prop_assert_eq!(sent.clone(), format!("{text}{}", rules.suffix));
                prop_assert_eq!(Measure::of(&sent), judged);
                prop_assert!(judged.segments <= most);
            }
        }
    }

    #[test]
    fn what_is_in_the_way_is_named_and_all_of_it() {
        let said = faults(&rules(), "see http://x `’…“”\u{a0}");
        let which: Vec<_> = said.iter().map(|(rule, _)| *rule).collect();
        assert_eq!(which, ["encoding", "refuse"]);
        assert!(said[0].1.contains("\u{201c}`\u{201d} (U+0060)"), "{said:?}");
        assert!(said[0].1.ends_with("and others"), "{said:?}");
        let said = faults(&rules(), "a\u{202e}b\u{200b}");
        assert!(said[0].1.ends_with("without U+202E, U+200B"), "not as they are: {said:?}");
        let wide = SmsRules { gsm7_only: false, ..rules() };
        assert_eq!(wide.judge("Привет").unwrap().encoding, Encoding::Ucs2);
        assert_eq!(
            faults(&wide, &"Ж".repeat(60))[0].0,
            "maxSegments",
            "the suffix is in UCS-2 too"
        );
    }
}
