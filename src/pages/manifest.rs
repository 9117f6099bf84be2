//! `/.well-known/l402.json` and `/.well-known/l402-services`: what directories and clients read.

use serde_json::{Value, json};

use super::description::Description;
use super::openapi::caveats;
use super::pricing;
use crate::price::Msat;
use crate::service::QUOTE_PATH;

/// The manifest of the discovery draft (lnget, pull request 27).
pub(super) fn l402(description: &Description<'_>) -> Value {
    let base = description.base;
    let prefix = description.prefix();
    let services = description.for_sale().map(|sold| {
        let service = sold.service;
        json!({
            "name": &*service.name,
            "description": service.about.as_deref().unwrap_or(&service.title),
            "resources": [{
                "path": format!("{prefix}{}", service.path),
                "method": service.method.as_str(),
                "pricing": pricing::model(sold),
                "constraints": {},
                "quote": format!("{prefix}{}", service.quote_path()),
            }],
        })
    });
    json!({
        "version": "1.0",
        "provider": { "name": description.settings.title(), "uri": base },
        "currencies": ["msat"],
        "macaroon_versions": [0],
        "payment_methods": ["bolt11"],
        "quote_endpoint": format!("{prefix}{QUOTE_PATH}"),
        "openapi": format!("{base}/openapi.json"),
        "services": services.collect::<Vec<_>>(),
        "caveats": caveats(description),
    })
}

/// The list that 402index reads.
pub(super) fn services(description: &Description<'_>) -> Value {
    let services = description.for_sale().map(|sold| {
        let service = sold.service;
        json!({
            "name": &*service.name,
            "title": service.title,
            "description": service.about,
            "url": sold.url(),
            "method": service.method.as_str(),
            "price_sats": sold.offer.pricing.fixed().map(Msat::sat),
            "pricing": if sold.offer.pricing.fixed().is_some() { "fixed" } else { "dynamic" },
            "input": sold.schema(),
            "docs": format!("{}/llms.txt", description.base),
            "quote": sold.quote_url(),
        })
    });
    json!({ "services": services.collect::<Vec<_>>() })
}
