//! Text messages as the network counts them: characters, encoding, segments. Pure.

pub mod country;
pub mod deny;
pub mod gsm7;
pub mod measure;
pub mod number;
pub mod rules;
pub mod stop_words;
