//! Whether a telephone number exists, as far as the numbering plans tell (libphonenumber's data).

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

    proptest! {
        #[test]
        fn whatever_is_asked_it_answers(number in "\\+[1-9][0-9]{6,14}") {
            let _ = is_valid(&number);
        }
    }
}
