//! The stable word for what a request came to: the `code` of an error, and the label in metrics and
//! logs.

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $word:literal,)*) => {
        /// What a request came to.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Code { $($(#[$doc])* $name,)* }

        impl Code {
            /// All of them, in their order.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The word.
            pub const fn word(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }
        }
    };
}

codes! {
    /// A free service's answer.
    Passed = "passed",
    /// Delivered now.
    Delivered = "delivered",
    /// The stored answer, given back.
    Replayed = "replayed",
    /// Delivered, but its answer was too long to keep or cut short.
    DeliveredAnswerNotKept = "delivered-answer-not-kept",
    /// How a ticket stands.
    Status = "status",
    /// The answer to a browser's question beforehand.
    Preflight = "preflight",

    /// No ticket was handed in.
    PaymentRequired = "payment-required",
    /// Handed in: no macaroon of ours.
    TicketUnreadable = "ticket-unreadable",
    /// Handed in: not signed by us.
    TicketForged = "ticket-forged",
    /// Handed in: bought for another service.
    TicketForAnotherService = "ticket-for-another-service",
    /// Handed in: caveats that can't be read, widen, or lack.
    TicketCaveats = "ticket-caveats",
    /// Handed in without a preimage.
    TicketNotPaid = "ticket-not-paid",
    /// Handed in with a preimage of something else.
    WrongPreimage = "wrong-preimage",
    /// Past its time and never handed in before.
    TicketExpired = "ticket-expired",
    /// Delivered, and the answer isn't given back any more.
    TicketSpent = "ticket-spent",
    /// Handed in before, for another request.
    TicketUsed = "ticket-used",
    /// Taken back by the operator.
    TicketRevoked = "ticket-revoked",

    /// No such service.
    NotFound = "not-found",
    /// A service of another method.
    MethodNotAllowed = "method-not-allowed",
    /// The request's head can't be taken.
    BadRequest = "bad-request",
    /// A query where none is taken.
    UnexpectedQuery = "unexpected-query",
    /// Too long.
    BodyTooLarge = "body-too-large",
    /// Too slow.
    BodyTooSlow = "body-too-slow",
    /// It broke off.
    BodyBroken = "body-broken",
    /// Compressed, or of another type.
    UnsupportedMediaType = "unsupported-media-type",
    /// Not what the service takes.
    InvalidInput = "invalid-input",

    /// Unused, but bought for another request.
    TicketForAnotherRequest = "ticket-for-another-request",
    /// Paid, by the node's word, and handed in without its preimage.
    PreimageMissing = "preimage-missing",
    /// Somebody else redeems it at this moment.
    InFlight = "in-flight",
    /// Tried again too soon.
    RetryLater = "retry-later",
    /// Too many unpaid challenges.
    TooManyUnpaid = "too-many-unpaid",
    /// More at once than Farebox takes.
    TooBusy = "too-busy",
    /// The node makes no invoices.
    NodeDown = "node-down",
    /// The ledger can't be written.
    LedgerDown = "ledger-down",
    /// The upstream is known to be down.
    UpstreamDown = "upstream-down",
    /// No connection to the upstream: nothing was sent.
    UpstreamUnreachable = "upstream-unreachable",
    /// The upstream refused: nothing was sent.
    UpstreamRefused = "upstream-refused",
    /// Nobody knows whether it was sent.
    OutcomeUnknown = "outcome-unknown",
    /// A fault of ours.
    Internal = "internal",
}
