//! How many files the system lets this process open, and what fits into that.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::warn;

use crate::config::Limits;

/// Files beside connections: the ledger's, LND's and PostgreSQL's connections, the operators'
/// listener, look-ups, health checks, libraries.
const OTHER_FILES: usize = 128;

/// Fewest connections of payers, and to each backend, with which a start makes sense.
const CONNECTIONS_MIN: usize = 16;

/// So many clients at least it takes to have all connections, where they are fewer than configured.
const CLIENTS_MIN: usize = 4;

/// Raises the limit as far as the system lets it, and gives it; `None` if there is none.
pub fn raise_limit() -> Option<usize> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let now = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    now.map(|files| usize::try_from(files).unwrap_or(usize::MAX))
}

/// The limit, where there is one.
pub fn limit() -> Option<usize> {
    let now = getrlimit(Resource::Nofile).current;
    now.map(|files| usize::try_from(files).unwrap_or(usize::MAX))
}

/// Limits that fit into so many files, with `services` backends: two thirds are for payers'
/// connections, and what is left for redemptions and other requests to backends.
pub fn fit(limits: &mut Limits, files: usize, services: usize) {
    let (payers, each_backend) = shares(limits, files, services);
    if payers == limits.connections && each_backend == limits.redemptions {
        return;
    }
    warn!(
        files,
        connections = payers,
        redemptions = each_backend,
        "the system lets this process open so many files only, so that `limits.connections` and \
         `limits.redemptions` are lower than configured: raise the limit (LimitNOFILE= in a \
         systemd unit, `ulimit -n` in a shell), or lower these; one client gets a quarter at most"
    );
    (limits.connections, limits.redemptions) = (payers, each_backend);
    // One client may not have them all.
    let one_client = (payers / CLIENTS_MIN).max(1);
    limits.connections_per_client = limits.connections_per_client.min(one_client);
}

/// Connections of payers, and to each backend.
fn shares(limits: &Limits, files: usize, services: usize) -> (usize, usize) {
    let files = files.saturating_sub(OTHER_FILES);
    let services = services.max(1);
    let wanted = limits.redemptions.saturating_mul(services);
    if limits.connections.saturating_add(wanted) <= files {
        return (limits.connections, limits.redemptions);
    }
    // What one side doesn't want the other may have.
    let backends = wanted.min((files / 3).max(files.saturating_sub(limits.connections)));
    let payers = limits.connections.min(files.saturating_sub(backends));
    let each = (backends / services).min(limits.redemptions);
    (payers.max(CONNECTIONS_MIN), each.max(CONNECTIONS_MIN.min(limits.redemptions)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(connections: usize, redemptions: usize, files: usize, services: usize) -> (usize, usize) {
        let limits = Limits { connections, redemptions, ..Limits::default() };
        shares(&limits, files, services)
    }

    #[test]
    fn limits_fit_into_the_files_that_there_are() {
        assert_eq!(of(10_000, 1024, 1_048_576, 3), (10_000, 1024), "as configured");
        assert_eq!(of(10_000, 1024, 1024, 1), (598, 298));
        assert_eq!(of(10_000, 1024, 1024, 4), (598, 74));
        assert_eq!(of(100, 1024, 1024, 1), (100, 796), "few payers leave more for backends");
        assert_eq!(of(10_000, 10, 1024, 2), (876, 10));
        assert_eq!(of(10_000, 1024, 100, 1), (CONNECTIONS_MIN, CONNECTIONS_MIN));
        for files in [200, 1024, 4096, 20_000] {
            for services in [1, 3, 20] {
                let (payers, each) = of(10_000, 1024, files, services);
                let used = payers + each * services + OTHER_FILES;
                assert!(used <= files || each == CONNECTIONS_MIN, "{files} {services} {used}");
            }
        }
    }
}
