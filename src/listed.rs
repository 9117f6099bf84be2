//! What an operator lists in a file of its own.

/// What is wrong with a list.
#[derive(PartialEq, Eq, Debug, thiserror::Error)]
#[error("{what}")]
pub struct ListFault {
    /// In which line, if it is in one; from 1.
    pub line: Option<u64>,
    /// What, and what to do.
    pub what: String,
}

/// Something that is read from such a file.
pub trait Listed: Sized {
    /// The config's key that names the file.
    const KEY: &'static str;

    /// Reads it whole.
    fn read(text: &str) -> Result<Self, ListFault>;

    /// How many entries it has.
    fn count(&self) -> usize;
}
