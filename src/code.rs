//! The stable word for what a request came to: the `code` of an error, and the label in metrics and
//! logs; with the status and the advice that belong to it.

use hyper::StatusCode;

/// What a client should do with its ticket: the `retry` of an error.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Retry {
    /// The same request with the same ticket, later.
    SameTicket,
    /// The same request with a new payment, or for the first time.
    NewTicket,
    /// Another request with the same ticket, once.
    ChangedRequest,
    /// Nothing: this request will not do.
    Never,
}

impl Retry {
    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::SameTicket, Self::NewTicket, Self::ChangedRequest, Self::Never];

    /// The word in the body.
    pub const fn word(self) -> &'static str {
        match self {
            Self::SameTicket => "same-ticket",
            Self::NewTicket => "new-ticket",
            Self::ChangedRequest => "changed-request",
            Self::Never => "never",
        }
    }
}

macro_rules! codes {
    ($($(#[doc = $doc:literal])* $name:ident = $word:literal, $status:ident, $retry:ident;)*) => {
        /// What a request came to.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Code { $($(#[doc = $doc])* $name,)* }

        impl Code {
            /// All of them, in their order.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The word.
            pub const fn word(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }

            /// What it means, in a sentence.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc),*).trim_ascii(),)* }
            }

            /// The status that says it. What an upstream delivered has the upstream's own.
            pub const fn status(self) -> StatusCode {
                match self { $(Self::$name => StatusCode::$status,)* }
            }

            /// The advice that goes with it, unless what asked for it knows better.
            pub const fn retry(self) -> Retry {
                match self { $(Self::$name => Retry::$retry,)* }
            }
        }
    };
}

codes! {
    /// A free service's answer.
    Passed = "passed", OK, Never;
    /// The request was delivered now.
    Delivered = "delivered", OK, Never;
    /// The stored answer, given back.
    Replayed = "replayed", OK, Never;
    /// The request was delivered, but its answer was too long to keep or cut short.
    DeliveredAnswerNotKept = "delivered-answer-not-kept", OK, Never;
    /// How a ticket stands.
    Status = "status", OK, Never;
    /// A backend's news of messages.
    Heard = "heard", OK, Never;
    /// One of our own pages, descriptions or files.
    Page = "page", OK, Never;
    /// What a request would cost.
    Quoted = "quoted", OK, Never;
    /// A browser that opened a paid path is sent to the page that sells there.
    SeeOther = "see-other", SEE_OTHER, Never;
    /// The answer to a browser's question beforehand.
    Preflight = "preflight", NO_CONTENT, Never;

    /// No ticket was handed in.
    PaymentRequired = "payment-required", PAYMENT_REQUIRED, NewTicket;
    /// What was handed in is no macaroon of ours.
    TicketUnreadable = "ticket-unreadable", PAYMENT_REQUIRED, NewTicket;
    /// The macaroon was not signed by this gate.
    TicketForged = "ticket-forged", PAYMENT_REQUIRED, NewTicket;
    /// The ticket was bought for another service.
    TicketForAnotherService = "ticket-for-another-service", PAYMENT_REQUIRED, NewTicket;
    /// The macaroon has a caveat that can't be read or widens another, or lacks one.
    TicketCaveats = "ticket-caveats", PAYMENT_REQUIRED, NewTicket;
    /// The macaroon was handed in without a preimage.
    TicketNotPaid = "ticket-not-paid", PAYMENT_REQUIRED, NewTicket;
    /// The preimage is not that of the macaroon's payment.
    WrongPreimage = "wrong-preimage", PAYMENT_REQUIRED, NewTicket;
    /// What stands in the preimage's place can't be read.
    PreimageUnreadable = "preimage-unreadable", PAYMENT_REQUIRED, NewTicket;
    /// The ticket is past its time, and was never handed in before.
    TicketExpired = "ticket-expired", PAYMENT_REQUIRED, NewTicket;
    /// The ticket's request was delivered, and the answer isn't given back any more.
    TicketSpent = "ticket-spent", PAYMENT_REQUIRED, NewTicket;
    /// The ticket was handed in before, for another request.
    TicketUsed = "ticket-used", PAYMENT_REQUIRED, NewTicket;
    /// The operator took the ticket back.
    TicketRevoked = "ticket-revoked", PAYMENT_REQUIRED, NewTicket;

    /// No such service.
    NotFound = "not-found", NOT_FOUND, Never;
    /// An address that a service had before: it sells elsewhere.
    Moved = "moved", NOT_FOUND, Never;
    /// The path is there for other methods.
    MethodNotAllowed = "method-not-allowed", METHOD_NOT_ALLOWED, Never;
    /// The request's head can't be taken; or it came as plain HTTP to a port that takes HTTPS.
    BadRequest = "bad-request", BAD_REQUEST, Never;
    /// A query on a path that takes none.
    UnexpectedQuery = "unexpected-query", BAD_REQUEST, Never;
    /// The body is longer than it may be.
    BodyTooLarge = "body-too-large", PAYLOAD_TOO_LARGE, Never;
    /// The body took longer to arrive than it may.
    BodyTooSlow = "body-too-slow", REQUEST_TIMEOUT, Never;
    /// The body broke off.
    BodyBroken = "body-broken", BAD_REQUEST, Never;
    /// The body is compressed, or of another type than the service takes.
    UnsupportedMediaType = "unsupported-media-type", UNSUPPORTED_MEDIA_TYPE, Never;
    /// The request is not what the service takes: `detail` says where.
    InvalidInput = "invalid-input", BAD_REQUEST, Never;

    /// The ticket is unused, but was bought for another request.
    TicketForAnotherRequest = "ticket-for-another-request", UNPROCESSABLE_ENTITY, SameTicket;
    /// The upstream will never take this request, and nothing was sent: the ticket may be handed in
    /// once more, with another request of its service that costs no more.
    OrderRefused = "order-refused", UNPROCESSABLE_ENTITY, ChangedRequest;
    /// The ticket is a pass, and its service sells single requests by now.
    PassNotTaken = "pass-not-taken", UNPROCESSABLE_ENTITY, Never;
    /// The ticket is paid, by the node's word, and was handed in without its preimage.
    PreimageMissing = "preimage-missing", UNPROCESSABLE_ENTITY, SameTicket;
    /// The ticket is being redeemed at this moment.
    InFlight = "in-flight", CONFLICT, SameTicket;
    /// The ticket was tried again too soon after a try that did nothing.
    RetryLater = "retry-later", TOO_MANY_REQUESTS, SameTicket;
    /// This client, or all together, have too many unpaid challenges.
    TooManyUnpaid = "too-many-unpaid", TOO_MANY_REQUESTS, NewTicket;
    /// So many messages were sent to this number, or in this day: there is room again later.
    MessageLimit = "message-limit", TOO_MANY_REQUESTS, SameTicket;
    /// This client asks for prices, or pictures of invoices, too often.
    TooManyQuestions = "too-many-questions", TOO_MANY_REQUESTS, NewTicket;
    /// More at once than Farebox takes.
    TooBusy = "too-busy", SERVICE_UNAVAILABLE, SameTicket;
    /// The node makes no invoices, or can't say whether one was paid.
    NodeDown = "node-down", SERVICE_UNAVAILABLE, SameTicket;
    /// The ledger can't be read or written, or holds back what a restore left open.
    LedgerDown = "ledger-down", SERVICE_UNAVAILABLE, SameTicket;
    /// What a bitcoin costs in the currency of the prices isn't known now.
    PriceUnknown = "price-unknown", SERVICE_UNAVAILABLE, NewTicket;
    /// The upstream is known to be down.
    UpstreamDown = "upstream-down", SERVICE_UNAVAILABLE, NewTicket;
    /// The upstream refuses, parks or redirects every request: the operator has to set it right.
    UpstreamMisconfigured = "upstream-misconfigured", SERVICE_UNAVAILABLE, NewTicket;
    /// There was no connection to the upstream: nothing was sent.
    UpstreamUnreachable = "upstream-unreachable", SERVICE_UNAVAILABLE, SameTicket;
    /// The upstream refused: nothing was sent.
    UpstreamRefused = "upstream-refused", BAD_GATEWAY, SameTicket;
    /// Nobody knows whether it was sent.
    OutcomeUnknown = "outcome-unknown", GATEWAY_TIMEOUT, SameTicket;
    /// A fault of ours.
    Internal = "internal", INTERNAL_SERVER_ERROR, SameTicket;
}
