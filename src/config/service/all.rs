//! All services together: no two of one name or at one address.

use std::collections::BTreeSet;
use std::ops::Range;

use toml::Spanned;

use super::check::check;
use super::shared::Shared;
use super::written::Written;
use crate::config::error::{ConfigError, Reporter};
use crate::service::ServiceSpec;

pub(crate) fn check_all(
    report: &Reporter<'_>,
    shared: &Shared<'_>,
    written: Vec<Spanned<Written>>,
) -> Result<Vec<ServiceSpec>, ConfigError> {
    if written.is_empty() {
        return Err(report.whole("there is no [[service]]: nothing would be served"));
    }
    let mut services = Vec::with_capacity(written.len());
    let (mut names, mut routes) = (BTreeSet::new(), BTreeSet::new());
    for one in &written {
        let span: Range<usize> = one.span();
        let service = check(report, shared, one.get_ref())?;
        if !names.insert(service.name.clone()) {
            return Err(report.at(span, format!("two services are named `{}`", service.name)));
        }
        if !routes.insert((service.method.to_string(), service.host.clone(), service.path.clone()))
        {
            return Err(
                report.at(span, format!("two services match {} {}", service.method, service.path))
            );
        }
        services.push(service);
    }
    check_former(report, &services)?;
    Ok(services)
}

/// A name or an address belongs to one service, now or formerly.
fn check_former(report: &Reporter<'_>, services: &[ServiceSpec]) -> Result<(), ConfigError> {
    let names: BTreeSet<&str> = services.iter().map(|service| &*service.name).collect();
    let mut seen = BTreeSet::new();
    for (index, service) in services.iter().enumerate() {
        let key = ["service", &index.to_string(), "formerly"];
        for name in &service.formerly {
            if names.contains(&**name) || !seen.insert(name.to_string()) {
                return Err(report.at_key(&key, format!(
                    "service `{}`: `formerly` names `{name}`, which is another service's name, or \
                     stands twice",
                    service.name
                )));
            }
        }
        for (method, path) in &service.former_addresses {
            let is_taken = services.iter().any(|other| {
                other.method == *method
                    && other.path == *path
                    && (other.host.is_none() || other.host == service.host)
            });
            if is_taken || !seen.insert(format!("{method} {path} {:?}", service.host)) {
                return Err(report.at_key(
                    &key,
                    format!(
                        "service `{}`: `formerly` has the address {method} {path}, which is a \
                     service's address today, or stands twice",
                        service.name
                    ),
                ));
            }
        }
    }
    Ok(())
}
