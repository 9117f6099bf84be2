//! From the config to what is served, with the parts that outlive a reload.

use std::sync::Arc;
use std::time::Duration;

use hyper::header::HeaderValue;
use rustls::crypto::CryptoProvider;

use super::error::StartError;
use crate::config::Config;
use crate::keys::KeyRing;
use crate::record::metrics::Metrics;
use crate::service::times::TicketTimes;
use crate::service::{Catalogue, RequestLimits, Service, ServiceSpec};
use crate::upstream::Upstream;

/// Longest time for reading a request body.
const BODY_TIME_MAX: Duration = Duration::from_secs(20);

/// What all catalogues of a process are made with.
pub(super) struct CatalogueMaker {
    pub(super) metrics: Arc<Metrics>,
    pub(super) provider: Arc<CryptoProvider>,
    pub(super) ring: Arc<KeyRing>,
}

impl CatalogueMaker {
    /// What a config has for sale. Backends that are reached as in `before` are the same ones.
    pub(super) fn make(
        &self,
        config: Config,
        before: Option<&Catalogue>,
    ) -> Result<Catalogue, StartError> {
        let times = TicketTimes {
            invoice_expiry: config.invoice_expiry,
            lifetime: config.tickets.lifetime,
            longest_life: config.longest_life(),
            replay: config.tickets.replay,
            wait: config.tickets.wait,
        };
        if let (Some(rate), Some(known)) =
            (&config.rate, before.and_then(|before| before.rate.as_ref()))
        {
            rate.take_over(known);
        }
        let connections_max = config.limits.redemptions;
        let upstreams = config.services.iter().map(|spec| {
            let same = before.and_then(|before| same_upstream(before, spec));
            same.map_or_else(|| self.upstream(spec, connections_max), Ok)
        });
        // All that can fail comes before counters are made, which stay.
        let upstreams = upstreams.collect::<Result<Vec<_>, _>>()?;
        let services = config.services.into_iter().zip(upstreams).enumerate();
        let services = services.map(|(index, (spec, upstream))| {
            let metrics = self.metrics.service(&spec.name);
            let service = Service::new(index, spec, upstream, &self.ring, metrics);
            Arc::new(service)
        });
        Ok(Catalogue {
            services: services.collect(),
            hsts: config.listen.hsts.and_then(hsts),
            public_url: config.listen.public_url,
            limits: RequestLimits {
                body: config.limits.body,
                body_time: BODY_TIME_MAX,
                stored_answer: config.limits.stored_answer,
                trusted_proxies: config.limits.trusted_proxies,
            },
            times,
            pages: config.pages,
            network: config.lnd.network,
            detects_payments: config.detects_payments,
            rate: config.rate,
        })
    }

    fn upstream(
        &self,
        spec: &ServiceSpec,
        connections_max: usize,
    ) -> Result<Arc<Upstream>, StartError> {
        let made = Upstream::new(&spec.backend, &spec.name, &self.provider, connections_max);
        made.map(Arc::new).map_err(|source| {
            let service = Arc::clone(&spec.name);
            StartError::Upstream { service, source }
        })
    }
}

/// RFC 6797 section 6.1.
fn hsts(time: Duration) -> Option<HeaderValue> {
    HeaderValue::from_str(&format!("max-age={}", time.as_secs())).ok()
}

/// The backend that a service of one of these names had before, if it is reached in the same way
/// now.
fn same_upstream(before: &Catalogue, spec: &ServiceSpec) -> Option<Arc<Upstream>> {
    let mut names = std::iter::once(&spec.name).chain(&spec.formerly);
    let service =
        names.find_map(|name| before.services.iter().find(|service| service.name == *name))?;
    service.upstream.is_of(&spec.backend).then(|| Arc::clone(&service.upstream))
}
