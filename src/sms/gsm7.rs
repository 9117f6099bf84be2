//! The GSM 7-bit default alphabet and its extension table (3GPP TS 23.038 section 6.2.1), which
//! every phone shows. National shift tables aren't used: few networks and gateways take them.

/// Its characters by their septets, but for 0x1B, which leads into the extension table.
const BASIC: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?\
                     ¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà";

/// Those of the extension table.
const EXTENSION: &str = "\u{c}^{}\\[~]|€";

/// How many septets a character takes: one, or two by way of the extension table; `None` where it
/// isn't in either.
pub fn septets(character: char) -> Option<usize> {
    if BASIC.contains(character) {
        Some(1)
    } else if EXTENSION.contains(character) {
        Some(2)
    } else {
        None
    }
}

/// The different characters of a text that aren't in the alphabet, in the order in which they come;
/// no more than `most` of them.
pub fn outside(text: &str, most: usize) -> Vec<char> {
    let mut found = Vec::new();
    for character in text.chars().filter(|character| septets(*character).is_none()) {
        if found.len() == most {
            break;
        }
        if !found.contains(&character) {
            found.push(character);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_have_as_many_characters_as_the_specification() {
        assert_eq!((BASIC.chars().count(), EXTENSION.chars().count()), (127, 10));
        let mut all: Vec<char> = BASIC.chars().chain(EXTENSION.chars()).collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 137, "none twice");
    }

    #[test]
    fn look_alikes_are_other_characters() {
        for (character, expected) in [
            ('a', Some(1)),
            ('à', Some(1)),
            ('á', None),
            ('`', None),
            ('’', None),
            ('ç', None),
            ('Ç', Some(1)),
            ('€', Some(2)),
            ('\u{c}', Some(2)),
            ('\t', None),
            ('\u{1b}', None),
            ('А', None),
            ('Ω', Some(1)),
            ('\u{2126}', None),
        ] {
            assert_eq!(septets(character), expected, "{character:?}");
        }
        assert_eq!(outside("a`b’`cж", 9), ['`', '’', 'ж']);
        assert_eq!(outside("a`b’`cж", 2), ['`', '’']);
    }
}
