//! Whether a telephone number exists, as far as the numbering plans tell (libphonenumber's data).

use rlibphonenumber::{PHONE_NUMBER_UTIL, PhoneNumberFormat};

/// Whether a number in E.164 form is one by its country's plan. Nothing is rewritten: one that is
/// understood as another isn't valid.
pub fn is_valid(number: &str) -> bool {
    PHONE_NUMBER_UTIL.parse(number, None).is_ok_and(|parsed| {
        parsed.is_valid() && parsed.format_as(PhoneNumberFormat::E164) == number
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

    proptest! {
        #[test]
        fn whatever_is_asked_it_answers(number in "\\+[1-9][0-9]{6,14}") {
            let _ = is_valid(&number);
        }
    }
}
