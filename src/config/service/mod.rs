//! `[[service]]`: what is sold, and what is free.

mod address;
mod all;
mod answer_words;
mod answers;
mod backend;
mod check;
mod credentials;
mod former;
mod input;
mod mapping;
mod mapping_words;
#[cfg(test)]
mod mistakes;
mod naming;
mod numbers;
mod offer;
mod pages;
mod placeholders;
mod preset;
mod price;
mod report_words;
mod reports;
mod shared;
mod slot_words;
mod sms;
mod upstream;
mod written;

pub(super) use self::all::check_all;
pub(super) use self::shared::Shared;
pub(super) use self::written::Written;
