//! A service that only watches: everything passes as it comes, unpaid, and what would have been
//! sold, refused or redeemed is counted.

use std::sync::Arc;

use bytes::Bytes;
use hyper::Request;
use hyper::body::{Body as _, Incoming};
use hyper::header::CONTENT_ENCODING;

use super::{Gate, free};
use crate::answer::Answer;
use crate::answer::problem::Problem;
use crate::client::Client;
use crate::record::metrics::ShadowOutcome;
use crate::record::request_log::RequestLog;
use crate::service::request::PaidRequest;
use crate::service::{Offer, Service};
use crate::ticket::Presented;
use crate::upstream::request_body::BodyCopy;

impl Gate {
    /// Passes a request on and its answer back, and counts what would have become of it.
    pub(super) async fn pass_in_shadow(
        &self,
        service: &Arc<Service>,
        offer: &Offer,
        client: &Client,
        request: Request<Incoming>,
        log: &mut RequestLog<'_>,
    ) -> Result<Answer, Problem> {
        let limits = &self.catalogue.limits;
        let has_body = !request.body().is_end_stream();
        let (head, body) = request.into_parts();
        let (copy, judged) = (BodyCopy::default(), head.clone());
        let request = Request::from_parts(head, body);
        let answer = free::pass(service, limits, client, request, Some(&copy), log).await;
        // Of a body that wasn't read to its end, because the upstream answered before or because it
        // is too long, nothing could have been sold.
        let body = if has_body { copy.whole() } else { Some(Bytes::new()) };
        let would = body.map(|body| PaidRequest {
            catalogue: &self.catalogue,
            service,
            offer,
            head: judged,
            body,
            is_for_sale_here: true,
            client,
            accepts_page: false,
        });
        let would = would.map_or(ShadowOutcome::Refused, |request| self.would(&request));
        service.metrics.shadow(would);
        answer
    }

    /// What would have become of a request.
    fn would(&self, request: &PaidRequest<'_>) -> ShadowOutcome {
        let mut codings = request.head.headers.get_all(CONTENT_ENCODING).iter();
        let is_plain = codings.all(|value| value.as_bytes().eq_ignore_ascii_case(b"identity"));
        let is_redeemed = |presented: &Presented| match presented {
            Presented::Ticket(ticket) => ticket.order().is_some(),
            Presented::Pass(_) => request.judged().is_ok(),
            Presented::Nothing(_) => false,
        };
        if self.tickets.present(request).iter().any(is_redeemed) {
            ShadowOutcome::Redeemed
        } else if is_plain && request.judged().is_ok() {
            ShadowOutcome::Sold
        } else {
            ShadowOutcome::Refused
        }
    }
}
