//! How often one client may ask for something that costs little, in a while.

use std::hash::{BuildHasher as _, Hash, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::client::Client;

/// How many counts there are: clients whose names fall on one share it, for a while.
const COUNTS: usize = 8192;

/// How many clients' worth a site has: an IPv6 /48, of which somebody may have every address.
const CLIENTS_PER_SITE: u32 = 4;

/// Counts what clients ask for. Takes the same memory however many they are.
pub struct RateLimit {
    most: u32,
    window: Duration,
    names: RandomState,
    counted: Mutex<Counted>,
}

struct Counted {
    since: Instant,
    counts: Vec<u32>,
}

impl RateLimit {
    /// At most so often in each window, per client.
    pub fn new(most: u32, window: Duration) -> Self {
        let counted = Counted { since: Instant::now(), counts: vec![0; COUNTS] };
        Self { most, window, names: RandomState::new(), counted: Mutex::new(counted) }
    }

    /// Counts once more; `Err` says when it may be asked again.
    pub fn take(&self, client: &Client, now: Instant) -> Result<(), Duration> {
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_duration_since(counted.since) >= self.window {
            counted.since = now;
            counted.counts.fill(0);
        }
        let of_client = (self.place(&client.key()), self.most);
        let of_site = client
            .site()
            .map(|site| (self.place(&site), self.most.saturating_mul(CLIENTS_PER_SITE)));
        let pause = self.window.saturating_sub(now.saturating_duration_since(counted.since));
        for (place, most) in [Some(of_client), of_site].into_iter().flatten() {
            let Some(count) = counted.counts.get_mut(place) else { continue };
            if *count >= most {
                return Err(pause);
            }
            *count += 1;
        }
        Ok(())
    }

    fn place(&self, name: &impl Hash) -> usize {
        // COUNTS is small: what is cut off is not needed.
        self.names.hash_one(name) as usize % COUNTS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(address: &str) -> Client {
        Client::of(address.parse().unwrap(), false)
    }

    #[test]
    fn each_client_may_ask_so_often_in_a_window() {
        let limit = RateLimit::new(3, Duration::from_secs(10));
        let (now, one) = (Instant::now(), client("192.0.2.1"));
        assert!((0..3).all(|_| limit.take(&one, now).is_ok()));
        let pause = limit.take(&one, now + Duration::from_secs(4)).unwrap_err();
        assert!(pause <= Duration::from_secs(6), "{pause:?}");
        assert!(limit.take(&client("192.0.2.2"), now).is_ok());
        assert!(limit.take(&one, now + Duration::from_secs(11)).is_ok());
    }

    #[test]
    fn a_48_has_no_more_than_a_few_clients() {
        let limit = RateLimit::new(2, Duration::from_secs(10));
        let now = Instant::now();
        let asked = (0..20).map(|n| client(&format!("2001:db8:1:{n:x}::1")));
        let taken = asked.filter(|client| limit.take(client, now).is_ok()).count();
        assert!(taken <= 8, "{taken}");
        assert!(limit.take(&client("2001:db8:2::1"), now).is_ok(), "another /48");
    }
}
