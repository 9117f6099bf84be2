//! The country codes of telephone numbers.

use std::ops::RangeInclusive;

/// Country codes of two digits (ITU-T E.164, list of assigned country codes); `1` and `7` have one,
/// all others three.
const OF_TWO_DIGITS: [RangeInclusive<u8>; 13] = [
    20..=20,
    27..=27,
    30..=34,
    36..=36,
    39..=41,
    43..=49,
    51..=58,
    60..=66,
    81..=82,
    84..=84,
    86..=86,
    90..=95,
    98..=98,
];

/// The country code of a number in E.164 form, with its plus: at most a thousand of them, whatever
/// the numbers are.
pub fn country_code(number: &str) -> &str {
    let digits = number.strip_prefix('+').unwrap_or_default().as_bytes();
    let length = match digits {
        [b'1' | b'7', ..] => 1,
        [tens @ b'0'..=b'9', ones @ b'0'..=b'9', ..] => {
            let code = (tens - b'0') * 10 + (ones - b'0');
            if OF_TWO_DIGITS.iter().any(|codes| codes.contains(&code)) { 2 } else { 3 }
        }
        _ => 0,
    };
    number.get(..=length).unwrap_or("+")
}

#[cfg(test)]
mod tests {
    use rlibphonenumber::PHONE_NUMBER_UTIL;

    use super::*;

    #[test]
    fn codes_are_those_of_the_list() {
        for (number, code) in [
            ("+12025550123", "+1"),
            ("+79161234567", "+7"),
            ("+447700900123", "+44"),
            ("+420601123456", "+420"),
            ("+2348012345678", "+234"),
            ("+390612345678", "+39"),
            ("+999123456789", "+999"),
            ("", "+"),
            ("+", "+"),
            ("+4", "+"),
        ] {
            assert_eq!(country_code(number), code, "{number}");
        }
    }

    #[test]
    fn they_agree_with_the_numbering_plans() {
        for code in 1..1000_u32 {
            let number = format!("+{code}2025550123");
            if let Ok(parsed) = PHONE_NUMBER_UTIL.parse(&number, None) {
                assert_eq!(country_code(&number), format!("+{}", parsed.country_code), "{number}");
            }
        }
    }
}
