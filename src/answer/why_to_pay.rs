//! Why a 402 offers a ticket, in words.

use crate::code::Code;

/// The invoice that a 402 offers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WhichInvoice {
    /// That of the ticket which was handed in.
    Own,
    /// A new one.
    New,
}

/// Why a 402 offers a ticket: what is wrong with the one that was handed in, if there was one.
pub fn why_to_pay(code: Code, invoice: WhichInvoice) -> &'static str {
    match code {
        Code::TicketNotPaid if invoice == WhichInvoice::New => {
            "The ticket was handed in without a preimage, and its invoice is not at hand any more. \
             If you have paid it, send its preimage along; else here is a new one to pay."
        }
        Code::TicketUnreadable => {
            "What was handed in is no ticket that can be read. Here is a new one to pay."
        }
        Code::TicketForged => {
            "The ticket that was handed in is not one of this gate's. Here is a new one to pay."
        }
        Code::TicketForAnotherService => {
            "The ticket that was handed in was bought for another service. Here is one for this."
        }
        Code::TicketCaveats => {
            "The ticket that was handed in has restrictions that can't be met here. Here is a new \
             one to pay."
        }
        Code::TicketNotPaid => {
            "The ticket was handed in without a preimage. Pay the invoice, then send the preimage \
             along."
        }
        Code::WrongPreimage => {
            "The preimage is not that of the ticket's own invoice. Look for the right one before \
             you pay again."
        }
        Code::PreimageUnreadable => {
            "What stands behind the colon is no preimage: that is 32 bytes, in hexadecimal digits \
             or base64. Look for it in your wallet before you pay again."
        }
        Code::TicketExpired => {
            "The ticket that was handed in has expired. Here is a new one to pay."
        }
        Code::TicketSpent => "The ticket that was handed in is spent. Here is a new one to pay.",
        Code::TicketUsed => {
            "The ticket that was handed in belongs to another request. Here is one for this."
        }
        Code::TicketRevoked => {
            "The ticket that was handed in was revoked. Here is a new one to pay."
        }
        _ => {
            "Pay the invoice, then send the identical request again with `Authorization: L402 \
             <macaroon>:<preimage>`."
        }
    }
}
