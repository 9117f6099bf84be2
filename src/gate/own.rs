//! What is answered at our own paths, and where no path of anybody is.

use std::sync::Arc;

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::HeaderValue;
use hyper::{Method, Request};

use super::body::{self, Asking, Whole};
use super::navigation::is_read;
use super::own_paths::OwnPath;
use super::{Gate, route};
use crate::answer::problem::Problem;
use crate::answer::{self, Answer, problems};
use crate::client::Client;
use crate::order::Takes;
use crate::pages;
use crate::record::request_log::RequestLog;
use crate::reports::NotHeard;
use crate::send_end::SendEnd;
use crate::service::Service;
use crate::service::base_url::Reached;
use crate::service::reports::News;
use crate::service::request::PaidRequest;

impl Gate {
    /// Answers at our own path.
    pub(super) async fn own<'a>(
        &'a self,
        own: OwnPath,
        client: &Client,
        send_end: &SendEnd,
        request: Request<Incoming>,
        log: &mut RequestLog<'a>,
    ) -> Result<Answer, Problem> {
        let limits = &self.catalogue.limits;
        log.path(own.path());
        let is_off = own == OwnPath::Status && self.status.is_none();
        if !is_off && !own.takes(request.method()) {
            send_end.let_go();
            let (methods, allow) = (own.methods(), own.allowed());
            body::discard(request, limits).await;
            return Err(problems::method_not_allowed(methods, allow));
        }
        match own {
            OwnPath::Status => {
                let status = self.status.as_ref().ok_or_else(problems::no_status_here)?;
                status.answer(&self.catalogue, &request, client, send_end, log).await
            }
            OwnPath::Page(page) => {
                send_end.let_go();
                let base = Reached::by(&request, client);
                let base = base.base_url(self.catalogue.public_url.as_deref());
                let host = route::host(&request).map_err(problems::bad_request)?;
                let (path, headers) = (request.uri().path(), request.headers());
                let host = host.as_deref();
                let answer =
                    self.pages.answer(&page, &pages::Asking { path, host, base: &base, headers });
                body::discard(request, limits).await;
                answer
            }
            OwnPath::Report(_) | OwnPath::Inbound(_) => {
                self.news(&own, client, send_end, request, log).await
            }
            OwnPath::Quote(_) | OwnPath::QuoteDescribed | OwnPath::Qr => {
                let taken = match own {
                    OwnPath::Qr => self.sale.take_picture(client),
                    _ => self.sale.take_quote(client),
                };
                if let Err(problem) = taken {
                    send_end.let_go();
                    body::discard(request, limits).await;
                    return Err(problem);
                }
                let reading = &self.reading;
                let asking = Asking { client, send_end, reading, forward_headers: &[] };
                let whole = body::whole(request, limits, asking).await?;
                self.question(&own, client, whole).await
            }
        }
    }

    /// Answers a backend that has news of messages. Of others nothing is read.
    async fn news<'a>(
        &'a self,
        own: &OwnPath,
        client: &Client,
        send_end: &SendEnd,
        request: Request<Incoming>,
        log: &mut RequestLog<'a>,
    ) -> Result<Answer, Problem> {
        let (limits, catalogue) = (&self.catalogue.limits, &self.catalogue);
        let at = own.news_address();
        let service = at.and_then(|at| self.reports.expects(catalogue, at).ok());
        let Some((at, service)) = at.zip(service) else {
            send_end.let_go();
            body::discard(request, limits).await;
            return Err(problems::no_such_service());
        };
        log.service(&service.metrics, own.path());
        let asking = Asking { client, send_end, reading: &self.reading, forward_headers: &[] };
        let Whole { head, body } = body::whole(request, limits, asking).await?;
        let news = News::new(head.uri.query().unwrap_or_default(), &body);
        match self.reports.hear(catalogue, at, &news).await {
            Ok(text) => Ok(answer::heard(text)),
            Err(NotHeard::NoSuchAddress) => Err(problems::no_such_service()),
            Err(NotHeard::LedgerDown) => Err(problems::report_not_taken()),
        }
    }

    /// Answers what costs nothing and is read whole.
    async fn question(
        &self,
        own: &OwnPath,
        client: &Client,
        whole: Whole,
    ) -> Result<Answer, Problem> {
        let Whole { head, body } = whole;
        let asked = Request::from_parts(head, ());
        let host = route::host(&asked).map_err(problems::bad_request)?;
        let host = host.map(|host| host.into_owned());
        let host = host.as_deref();
        match own {
            OwnPath::Qr => {
                let invoice = std::str::from_utf8(&body).unwrap_or_default();
                self.pages.qr(invoice.trim())
            }
            OwnPath::QuoteDescribed => {
                self.sale.quote_described(&self.catalogue, &body, host).await
            }
            OwnPath::Quote(name) => {
                let found = self.catalogue.for_sale_by(name, host);
                let (service, offer) = found.ok_or_else(problems::nothing_to_quote)?;
                // A body is never part of the question by GET, and of a query always.
                if asked.method() != Method::POST && !offer.rules.content_type().is_empty() {
                    let allow = HeaderValue::from_static("POST, OPTIONS");
                    return Err(problems::method_not_allowed("POST", allow));
                }
                let (head, ()) = asked.into_parts();
                let request = PaidRequest {
                    catalogue: &self.catalogue,
                    service,
                    offer,
                    head,
                    body,
                    is_for_sale_here: true,
                    client,
                    accepts_page: false,
                };
                self.sale.quote(&request).await
            }
            OwnPath::Status | OwnPath::Page(_) | OwnPath::Report(_) | OwnPath::Inbound(_) => {
                Err(problems::no_such_service())
            }
        }
    }

    /// Shows the price of a service to who looks whether it lives, by a method that it doesn't
    /// take.
    pub(super) async fn probe<'a>(
        &'a self,
        service: &'a Arc<Service>,
        client: &Client,
        send_end: &SendEnd,
        request: Request<Incoming>,
        log: &mut RequestLog<'a>,
    ) -> Result<Answer, Problem> {
        log.service(&service.metrics, &service.path);
        let offer = service.offer.as_ref().ok_or_else(problems::no_such_service)?;
        let asking = Asking { client, send_end, reading: &self.reading, forward_headers: &[] };
        let Whole { head, .. } = body::whole(request, &self.catalogue.limits, asking).await?;
        let asked = PaidRequest {
            catalogue: &self.catalogue,
            service,
            offer,
            head,
            body: Bytes::new(),
            is_for_sale_here: true,
            client,
            accepts_page: false,
        };
        self.sale.probe(&asked, log).await
    }

    /// Answers where no service and no path of ours is.
    pub(super) async fn elsewhere(
        &self,
        client: &Client,
        request: Request<Incoming>,
    ) -> Result<Answer, Problem> {
        let (path, headers) = (request.uri().path(), request.headers());
        let base = Reached::by(&request, client).base_url(self.catalogue.public_url.as_deref());
        let asking = pages::Asking { path, host: None, base: &base, headers };
        let file =
            if is_read(request.method()) { self.pages.static_file(&asking).await } else { None };
        body::discard(request, &self.catalogue.limits).await;
        file.ok_or_else(problems::no_such_service)
    }

    /// Whether a request at a paid service asks for nothing, where that gets a challenge.
    pub(super) fn is_probe(request: &PaidRequest<'_>) -> bool {
        request.service.answers_probes
            && request.is_for_sale_here
            && request.body.is_empty()
            && request.head.uri.query().is_none()
            && matches!(request.offer.rules.takes, Takes::Json(..))
            && !crate::ticket::may_be_handed_in(&request.head.headers)
    }
}
