//! Places that all share, of which one stranger, or one ticket, gets a part only.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;

use crate::client::{Client, ClientKey, SiteKey};
use crate::payment_hash::PaymentHash;

/// How many clients of one site count as one client's share: a site is an IPv6 /48, of which
/// somebody may have every address.
const CLIENTS_PER_SITE: usize = 4;

/// Whose share it is.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Holder {
    Client(ClientKey),
    Site(SiteKey),
    Ticket(PaymentHash),
}

/// How many places each holder has. Grows with the places that are taken, and no further.
pub struct Shares {
    per_holder: AtomicUsize,
    taken: DashMap<Holder, usize>,
}

/// A place, until this goes.
pub struct Share {
    shares: Arc<Shares>,
    holder: Holder,
}

/// A client's place, until this goes.
pub struct ClientShare {
    _client: Share,
    _site: Option<Share>,
}

impl Shares {
    /// At most so many places for one client or ticket at once.
    pub fn new(per_holder: usize) -> Arc<Self> {
        Arc::new(Self { per_holder: AtomicUsize::new(per_holder), taken: DashMap::new() })
    }

    /// At most so many for one from here on; those that are taken stay.
    pub fn resize(&self, per_holder: usize) {
        self.per_holder.store(per_holder, Ordering::Relaxed);
    }

    fn per_holder(&self) -> usize {
        self.per_holder.load(Ordering::Relaxed)
    }

    /// A place for a client; `None` if it, or its site, has its share.
    pub fn of_client(self: &Arc<Self>, client: &Client) -> Option<ClientShare> {
        let site = match client.site() {
            Some(site) => {
                let most = self.per_holder().saturating_mul(CLIENTS_PER_SITE);
                Some(self.take(Holder::Site(site), most)?)
            }
            None => None,
        };
        let client = self.take(Holder::Client(client.key()), self.per_holder())?;
        Some(ClientShare { _client: client, _site: site })
    }

    /// A place for a ticket; `None` if it has its share.
    pub fn of_ticket(self: &Arc<Self>, ticket: PaymentHash) -> Option<Share> {
        self.take(Holder::Ticket(ticket), self.per_holder())
    }

    fn take(self: &Arc<Self>, holder: Holder, most: usize) -> Option<Share> {
        let mut taken = self.taken.entry(holder).or_insert(0);
        if *taken >= most {
            return None;
        }
        *taken += 1;
        Some(Share { shares: Arc::clone(self), holder })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if let Entry::Occupied(mut taken) = self.shares.taken.entry(self.holder) {
            *taken.get_mut() -= 1;
            if *taken.get() == 0 {
                taken.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(address: &str) -> Client {
        Client::of(address.parse().unwrap(), false)
    }

    #[test]
    fn each_has_its_share_and_gives_it_back() {
        let shares = Shares::new(2);
        let (one, other) = (client("192.0.2.1"), client("192.0.2.2"));
        let held = [shares.of_client(&one), shares.of_client(&one)];
        assert!(held.iter().all(Option::is_some) && shares.of_client(&one).is_none());
        assert!(shares.of_client(&other).is_some());
        drop(held);
        assert!(shares.of_client(&one).is_some());
        assert!(shares.taken.is_empty());
        let ticket = PaymentHash::from_bytes([1; 32]);
        let held = [shares.of_ticket(ticket), shares.of_ticket(ticket)];
        assert!(held.iter().all(Option::is_some) && shares.of_ticket(ticket).is_none());
    }

    #[test]
    fn a_48_has_no_more_than_a_few_clients() {
        let shares = Shares::new(1);
        let of = |n: u16| shares.of_client(&client(&format!("2001:db8:1:{n:x}::1")));
        let held: Vec<_> = (0..4).map(of).collect();
        assert!(held.iter().all(Option::is_some) && of(5).is_none());
        assert!(shares.of_client(&client("2001:db8:2::1")).is_some(), "another /48");
        drop(held);
        assert!(shares.taken.is_empty());
    }
}
