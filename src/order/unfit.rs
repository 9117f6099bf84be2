//! Why a request is not for sale, in words that hold nothing of it.

use super::json::JsonError;
use super::schema::Fault;

/// Why a request is not for sale.
#[derive(Debug, thiserror::Error)]
pub enum Unfit {
    /// The body isn't of the type that the service takes.
    #[error("this service takes {expected}; send it with the header `Content-Type: {expected}`")]
    ContentType {
        /// The media type that it takes.
        expected: String,
    },
    /// There is a query where none is taken.
    #[error("this service takes no query; leave out the question mark and what follows it")]
    UnexpectedQuery,
    /// The query can't be read, or names a parameter twice.
    #[error("the query {0}")]
    Query(&'static str),
    /// A text has a character in it at which many backends' texts end, so that less than what was
    /// paid for would be sent.
    #[error("the character U+0000 can't be sent; leave it out")]
    Nul,
    /// There is a body where none is taken.
    #[error("this service takes no body")]
    UnexpectedBody,
    /// The body isn't strict JSON.
    #[error("the body is not the JSON asked for: {0}")]
    Json(#[from] JsonError),
    /// The JSON isn't an object.
    #[error("the body has to be a JSON object")]
    NoObject,
    /// The JSON isn't what the service's schema asks for.
    #[error("{}", .0.first().map_or("", |fault| &fault.sentence))]
    Schema(Vec<Fault>),
    /// What is wanted is said in a form in which this service can't be asked.
    #[error("the request has to be {0}")]
    Form(&'static str),
}
