//! The wallet's page: pays with play money by one click, so that a purchase can be seen in a
//! browser.

use std::str::FromStr as _;

use askama::Template;
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, REFERRER_POLICY};
use hyper::{Response, StatusCode};
use lightning_invoice::Bolt11Invoice;

use super::PlayNode;
use super::book::PayError;
use crate::price::Msat;

/// Its style stands in it, and its form leads to itself.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri \
                      'none'; frame-ancestors 'none'; form-action 'self'";

/// What the page shows.
enum WalletState {
    Empty,
    Asked { invoice: String, amount: String, memo: String },
    Paid { preimage: String },
    Failed { why: String },
}

#[derive(Template)]
#[template(path = "play-wallet.html")]
struct Page {
    state: WalletState,
}

/// Shows an invoice, which the query may name, and a button that pays it.
pub(super) fn show(query: Option<&str>) -> Response<Full<Bytes>> {
    page(match invoice_in(query.unwrap_or_default().as_bytes()) {
        None => WalletState::Empty,
        Some(invoice) => asked(invoice),
    })
}

/// Pays the invoice that a form names.
pub(super) async fn pay(node: &PlayNode, form: &str) -> Response<Full<Bytes>> {
    let invoice = invoice_in(form.as_bytes()).unwrap_or_default();
    page(match node.book.pay(&invoice, None).await {
        Ok(preimage) => WalletState::Paid { preimage: hex::encode(preimage.as_bytes()) },
        Err(error) => WalletState::Failed { why: error.to_string() },
    })
}

fn invoice_in(form: &[u8]) -> Option<String> {
    let (_, invoice) = form_urlencoded::parse(form).find(|(name, _)| name == "invoice")?;
    let invoice = invoice.trim().to_ascii_lowercase();
    let invoice = invoice.strip_prefix("lightning:").unwrap_or(&invoice);
    (!invoice.is_empty()).then(|| invoice.to_owned())
}

fn asked(invoice: String) -> WalletState {
    match Bolt11Invoice::from_str(&invoice) {
        Ok(read) => WalletState::Asked {
            amount: read
                .amount_milli_satoshis()
                .and_then(Msat::new)
                .map_or_else(|| "any amount".to_owned(), |amount| amount.to_string()),
            memo: read.description().to_string(),
            invoice,
        },
        Err(_) => WalletState::Failed { why: PayError::NotAnInvoice.to_string() },
    }
}

fn page(state: WalletState) -> Response<Full<Bytes>> {
    let is_failed = matches!(state, WalletState::Failed { .. });
    let html = Page { state }.render().unwrap_or_default();
    let mut response = Response::new(Full::from(html));
    if is_failed {
        *response.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
    }
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}
