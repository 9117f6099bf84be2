//! Telephone numbers by the numbering plans (libphonenumber's data): whether one exists, and which
//! one is written.

use rlibphonenumber::{PHONE_NUMBER_UTIL, PhoneNumberFormat};

/// Whether a number in E.164 form is one by its country's plan. Nothing is rewritten: one that is
/// understood as another isn't valid.
pub fn is_valid(number: &str) -> bool {
    PHONE_NUMBER_UTIL.parse(number, None).is_ok_and(|parsed| {
        parsed.is_valid() && parsed.format_as(PhoneNumberFormat::E164) == number
    })
}

/// Whether a number is another way to write one that exists: with the zero that is dialled inside
/// its country, say. A backend that understands it would send to that one, which was priced and
/// counted as another.
pub fn is_another_spelling(number: &str) -> bool {
    PHONE_NUMBER_UTIL.parse(number, None).is_ok_and(|parsed| {
        parsed.is_valid() && parsed.format_as(PhoneNumberFormat::E164) != number
    })
}

/// The number of a phone, in E.164 form, as far as its backend writes one that has its country
/// code: with a plus, with the 00 that is dialled abroad, or bare, if `is_bare` says that it writes
/// them so. Others are nobody's: in its country's own form a number may be that of somebody else in
/// another one.
pub fn of_phone(written: &str, is_bare: bool) -> Option<String> {
    let is_between = |sign: char| sign.is_whitespace() || "-./".contains(sign);
    let written: String = written.chars().filter(|sign| !is_between(*sign)).collect();
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|one| one.is_ascii_digit());
    let abroad = match written.strip_prefix("00") {
        Some(rest) => format!("+{rest}"),
        None if is_digits(&written) && !is_bare => return None,
        None if is_digits(&written) => format!("+{written}"),
        // Put before one that has it already, where a backend writes it of some alone.
        None => written.replacen("++", "+", 1),
    };
    if abroad.strip_prefix('+').is_some_and(is_digits) && !is_another_spelling(&abroad) {
        return Some(abroad);
    }
    let parsed = PHONE_NUMBER_UTIL.parse(&abroad, None).ok()?;
    let is_phone = parsed.is_valid() && parsed.extension.is_none();
    is_phone.then(|| parsed.format_as(PhoneNumberFormat::E164).into_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_numbers_of_a_plan_are_valid() {
        for good in ["+12025550123", "+491701234567", "+18095550000", "+390612345678"] {
            assert!(is_valid(good), "{good}");
        }
        for bad in ["+1234567890", "+999123456789", "+4912", "+12025550123;ext=5", "+1 2025550123"]
        {
            assert!(!is_valid(bad), "{bad}");
        }
    }

    #[test]
    fn a_zero_of_the_country_s_own_is_another_spelling() {
        for other in ["+4407700900111", "+4901701234567", "+33061234567"] {
            assert!(is_another_spelling(other) || !is_valid(other), "{other}");
        }
        assert!(is_another_spelling("+4901701234567"));
        for own in ["+491701234567", "+1234567890", "+390612345678", "+12025550123", "+79161234567"]
        {
            assert!(!is_another_spelling(own), "{own}");
        }
    }

    #[test]
    fn a_phone_is_known_by_its_country_code() {
        let phone = Some("+447911123456".to_owned());
        for same in [
            "+447911123456",
            "+44.7911/123456",
            "++447911123456",
            "00447911123456",
            "+44 7911-123 456",
            "+44\u{202f}7911\u{202f}123456\n",
            "+44 (0)7911 123456",
            "+4407911123456",
            "00 44 (0) 7911 123456",
            "\u{ff0b}\u{ff14}\u{ff14}7911123456",
        ] {
            assert_eq!(of_phone(same, false), phone, "{same}");
            assert_eq!(of_phone(same, true), phone, "{same}");
        }
        for (bare, whole) in [
            ("447911123456", "+447911123456"),
            (" 44 7911 123456\n", "+447911123456"),
            ("4407911123456", "+447911123456"),
            ("5215512345678", "+5215512345678"),
            ("447700900123", "+447700900123"),
        ] {
            assert_eq!(of_phone(bare, true).as_deref(), Some(whole), "{bare}");
            assert_eq!(of_phone(bare, false), None, "{bare}");
        }
        for same in ["+1234567890", "001234567890", "+1 234-567-890"] {
            assert_eq!(of_phone(same, false).as_deref(), Some("+1234567890"), "as it is sold to");
        }
        for nobody in [
            "",
            "+",
            "00",
            "4795551234",
            "2035551234",
            "(479) 555-1234",
            "+447911123456;ext=1",
            "+44 7911 123456 x1",
            "ACME",
            "+12-abc",
            "44791112345\u{ff16}",
        ] {
            assert_eq!(of_phone(nobody, false), None, "{nobody}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_written_it_is_a_number_or_nobody_s(
            written in "[+0 ]{0,3}.{0,16}",
            is_bare: bool,
        ) {
            if let Some(number) = of_phone(&written, is_bare) {
                let digits = number.strip_prefix('+').unwrap();
                let is_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
                prop_assert!(is_digits && !digits.is_empty());
                prop_assert!(!is_another_spelling(&number));
            }
        }

        #[test]
        fn whatever_is_asked_it_answers(number in "\\+[1-9][0-9]{6,14}") {
            let _ = is_valid(&number);
        }
    }
}
