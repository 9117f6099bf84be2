//! What people answer who want no more messages, or want them again (the words that networks in the
//! United States demand, and that gateways obey).

const STOP: [&str; 8] =
    ["stop", "stopall", "stop all", "unsubscribe", "cancel", "end", "quit", "optout"];
const START: [&str; 3] = ["start", "unstop", "optin"];

/// What a message from a phone asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wish {
    /// No more messages.
    Stop,
    /// Messages again.
    Start,
}

impl Wish {
    /// What a text asks for that says nothing else.
    pub fn of(text: &str) -> Option<Self> {
        // In UTF-16, read byte by byte, as some hand it on, each letter has a zero beside it.
        let text: String = text.chars().filter(|letter| *letter != '\0').collect();
        let word =
            text.trim_matches(|c: char| c.is_whitespace() || "\"'.!".contains(c)).to_lowercase();
        match word.as_str() {
            word if STOP.contains(&word) => Some(Self::Stop),
            word if START.contains(&word) => Some(Self::Start),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_word_itself_is_a_wish() {
        for stop in [
            "STOP",
            "stop",
            " Stop. ",
            "\"STOP\"",
            "Unsubscribe",
            "STOP ALL",
            "quit!",
            "\0S\0t\0o\0p",
        ] {
            assert_eq!(Wish::of(stop), Some(Wish::Stop), "{stop}");
        }
        assert_eq!(Wish::of("Start"), Some(Wish::Start));
        for other in ["", "please don't stop", "stop it", "stopp", "YES", "\u{0}"] {
            assert_eq!(Wish::of(other), None, "{other}");
        }
    }
}
