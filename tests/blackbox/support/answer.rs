//! What an answer has to be. On failure the answer is shown, cut short.

use std::fmt::Display;

use super::http::Response;
use super::payer::Challenge;

impl Response {
    /// Names the case that this answer belongs to, where a test goes through several.
    pub fn in_case(mut self, case: impl Display) -> Self {
        self.case = format!("{case}: ");
        self
    }

    /// The gate's own answer: this status and this `code`, and no challenge beside it. For the one
    /// that bears a challenge there is `asks_to_pay`.
    #[track_caller]
    pub fn is(&self, status: u16, code: &str) -> &Self {
        self.has(status, code);
        self.bears_no_challenge()
    }

    /// A 402 with this `code`, and what it offers.
    #[track_caller]
    pub fn asks_to_pay(&self, code: &str) -> Challenge {
        self.has(402, code);
        assert!(self.header("www-authenticate").is_some(), "no challenge: {}", self.shown());
        Challenge::from(self.clone())
    }

    /// The upstream's own answer to this very request.
    #[track_caller]
    pub fn is_delivered(&self, body: &str) -> &Self {
        self.is_passed_on(body, None)
    }

    /// The answer that was kept of an earlier delivery.
    #[track_caller]
    pub fn is_replayed(&self, body: &str) -> &Self {
        self.is_passed_on(body, Some("true"))
    }

    /// This status, whoever the answer is of.
    #[track_caller]
    pub fn has_status(&self, status: u16) -> &Self {
        assert_eq!(self.status, status, "{}", self.shown());
        self
    }

    /// Whether the stored answer of an earlier delivery was given.
    pub fn was_replayed(&self) -> bool {
        self.header("idempotent-replayed") == Some("true")
    }

    #[track_caller]
    pub fn bears_no_challenge(&self) -> &Self {
        assert!(self.header("www-authenticate").is_none(), "a challenge: {}", self.shown());
        self
    }

    #[track_caller]
    pub fn charges_nothing(&self) -> &Self {
        assert_eq!(self.json()["charged"], false, "{}", self.shown());
        self
    }

    #[track_caller]
    pub fn has_charged(&self) -> &Self {
        assert_eq!(self.json()["charged"], true, "{}", self.shown());
        self
    }

    /// What its `retry` advises: `same-ticket`, `new-ticket` or `never`.
    #[track_caller]
    pub fn advises(&self, retry: &str) -> &Self {
        assert_eq!(self.json()["retry"], retry, "{}", self.shown());
        self
    }

    #[track_caller]
    fn is_passed_on(&self, body: &str, replayed: Option<&str>) -> &Self {
        let found = (self.status, self.text(), self.header("idempotent-replayed"));
        assert!(
            found == (200, body.to_owned(), replayed),
            "expected 200 with {body:.100?}, replayed: {replayed:?}; got {}",
            self.shown()
        );
        self.bears_no_challenge()
    }

    #[track_caller]
    fn has(&self, status: u16, code: &str) {
        assert_eq!((self.status, &*self.code()), (status, code), "{}", self.shown());
    }

    fn shown(&self) -> String {
        format!("{:.600}", format!("{self:?}"))
    }
}
