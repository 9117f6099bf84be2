//! Places for connections. A client has its share of them; where they are short, the oldest
//! connection that never sent a whole head goes first.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use ipnet::IpNet;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::client::{Client, ClientKey, SiteKey};
use crate::shares::{ClientShare, Shares};

/// All places.
pub struct Places {
    free: Arc<Semaphore>,
    shares: Arc<Shares>,
    /// These open connections for all their clients, and have no share.
    trusted_proxies: ArcSwap<Vec<IpNet>>,
    /// How many there are, free or taken.
    all: Mutex<usize>,
    /// Connections that are open.
    open: AtomicUsize,
    silent: Mutex<Silent>,
}

/// Connections that have not sent a whole head yet, in the order in which they came.
#[derive(Default)]
struct Silent {
    next: u64,
    connections: BTreeMap<u64, SilentConnection>,
}

struct SilentConnection {
    client: ClientKey,
    site: Option<SiteKey>,
    /// Told if it has to make room.
    told: oneshot::Sender<()>,
    room: Room,
}

/// What a connection takes up.
struct Room {
    _share: Option<ClientShare>,
    permit: OwnedSemaphorePermit,
}

/// One place, until this goes.
pub struct Place {
    places: Arc<Places>,
    number: u64,
    /// Once a whole head came; before, it can be taken away.
    room: Mutex<Option<Room>>,
}

/// Told if a connection has to make room.
pub type MakeRoom = oneshot::Receiver<()>;

impl Places {
    /// So many in all, and for one client.
    pub fn new(all: usize, per_client: usize, trusted_proxies: Vec<IpNet>) -> Arc<Self> {
        Arc::new(Self {
            free: Arc::new(Semaphore::new(all)),
            shares: Shares::new(per_client),
            trusted_proxies: ArcSwap::from_pointee(trusted_proxies),
            all: Mutex::new(all),
            open: AtomicUsize::new(0),
            silent: Mutex::default(),
        })
    }

    /// Other limits, from here on. Where there are too many connections, silent ones go at once,
    /// and each place of the others is gone once it is given back.
    pub fn resize(&self, all: usize, per_client: usize, trusted_proxies: Vec<IpNet>) {
        self.shares.resize(per_client);
        self.trusted_proxies.store(Arc::new(trusted_proxies));
        let mut before = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        self.free.add_permits(all.saturating_sub(*before));
        for _ in all..*before {
            let free = Arc::clone(&self.free);
            match free.try_acquire_owned() {
                Ok(place) => place.forget(),
                Err(_) => match self.make_room(None) {
                    Some(room) => room.permit.forget(),
                    None => drop(tokio::spawn(forget_one(Arc::clone(&self.free)))),
                },
            }
        }
        *before = all;
    }

    /// How many are taken, and how many there are; fewer for a while after a reload that took some
    /// away.
    pub fn taken(&self) -> (usize, usize) {
        let all = *self.all.lock().unwrap_or_else(PoisonError::into_inner);
        (self.open.load(Ordering::Relaxed), all)
    }

    /// A place for a connection that was accepted, as soon as there is one; `None` if its client
    /// has its share, and none of its connections is silent.
    pub async fn take(self: &Arc<Self>, client: &Client) -> Option<(Place, MakeRoom)> {
        let share = match self.share(client) {
            Ok(share) => share,
            Err(()) => {
                drop(self.make_room(Some(client))?);
                self.share(client).ok()?
            }
        };
        let permit = loop {
            if let Ok(permit) = Arc::clone(&self.free).try_acquire_owned() {
                break permit;
            }
            // It goes to whoever has waited longer, such as a reload that takes places away.
            match self.make_room(None) {
                Some(room) => drop(room),
                None => break Arc::clone(&self.free).acquire_owned().await.ok()?,
            }
        };
        let (told, make_room) = oneshot::channel();
        let (key, site, room) = (client.key(), client.site(), Room { _share: share, permit });
        let mut silent = self.silent();
        let number = silent.next;
        silent.next += 1;
        silent.connections.insert(number, SilentConnection { client: key, site, told, room });
        drop(silent);
        self.open.fetch_add(1, Ordering::Relaxed);
        Some((Place { places: Arc::clone(self), number, room: Mutex::default() }, make_room))
    }

    /// Has the oldest silent connection go, of this client (or its site) or of any, and gives what
    /// it took up. `None` if there is none.
    fn make_room(&self, of: Option<&Client>) -> Option<Room> {
        let mut silent = self.silent();
        let is_of = |one: &SilentConnection| {
            of.is_none_or(|of| {
                of.key() == one.client || (one.site.is_some() && of.site() == one.site)
            })
        };
        let mut oldest = silent.connections.iter().filter(|(_, connection)| is_of(connection));
        let number = *oldest.next()?.0;
        let SilentConnection { told, room, .. } = silent.connections.remove(&number)?;
        let _ = told.send(());
        Some(room)
    }

    /// Has the oldest silent connection go: something else than places is short.
    pub fn close_oldest_silent(&self) {
        drop(self.make_room(None));
    }

    fn share(&self, client: &Client) -> Result<Option<ClientShare>, ()> {
        if self.is_trusted(client.address()) {
            return Ok(None);
        }
        self.shares.of_client(client).map(Some).ok_or(())
    }

    fn is_trusted(&self, address: IpAddr) -> bool {
        self.trusted_proxies.load().iter().any(|net| net.contains(&address))
    }

    fn silent(&self) -> MutexGuard<'_, Silent> {
        self.silent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes the next place that is given back.
async fn forget_one(free: Arc<Semaphore>) {
    if let Ok(place) = free.acquire_owned().await {
        place.forget();
    }
}

impl Place {
    /// A whole head came: from now on it stays.
    pub fn heard(&self) {
        if let Some(heard) = self.places.silent().connections.remove(&self.number) {
            *self.room.lock().unwrap_or_else(PoisonError::into_inner) = Some(heard.room);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        drop(self.places.silent().connections.remove(&self.number));
        self.places.open.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(n: u8) -> Client {
        Client::of([192, 0, 2, n].into(), false)
    }

    #[tokio::test]
    async fn a_client_has_its_share_and_its_own_silent_ones_go_first() {
        let places = Places::new(100, 2, vec!["192.0.2.9/32".parse().unwrap()]);
        let (first, mut first_room) = places.take(&client(1)).await.unwrap();
        let (_second, mut second_room) = places.take(&client(1)).await.unwrap();
        let _other = places.take(&client(2)).await.unwrap();
        first.heard();
        let (third, _room) = places.take(&client(1)).await.unwrap();
        assert!(second_room.try_recv().is_ok(), "it makes room for the next");
        assert!(first_room.try_recv().is_err());
        third.heard();
        assert!(places.take(&client(1)).await.is_none(), "none of them is silent");
        drop(third);
        assert!(places.take(&client(1)).await.is_some());
        for _ in 0..9 {
            assert!(places.take(&client(9)).await.is_some(), "a trusted proxy has no share");
        }
    }

    #[tokio::test]
    async fn where_places_are_short_the_oldest_silent_one_goes() {
        let places = Places::new(2, 2, Vec::new());
        let (spoke, mut spoke_room) = places.take(&client(1)).await.unwrap();
        spoke.heard();
        let (_silent, mut room) = places.take(&client(2)).await.unwrap();
        let (third, _) = places.take(&client(3)).await.unwrap();
        assert!(room.try_recv().is_ok() && spoke_room.try_recv().is_err());
        third.heard();
        let client = client(4);
        let mut waiting = std::pin::pin!(places.take(&client));
        assert!(tokio::time::timeout(std::time::Duration::ZERO, &mut waiting).await.is_err());
        drop(spoke);
        assert!(waiting.await.is_some());
    }

    #[tokio::test]
    async fn a_reload_changes_how_many_there_are() {
        let places = Places::new(2, 2, Vec::new());
        let (first, _) = places.take(&client(1)).await.unwrap();
        let (second, _) = places.take(&client(2)).await.unwrap();
        first.heard();
        second.heard();
        places.resize(1, 2, Vec::new());
        drop(first);
        tokio::task::yield_now().await;
        let three = client(3);
        let mut waiting = Box::pin(places.take(&three));
        assert!(tokio::time::timeout(std::time::Duration::ZERO, &mut waiting).await.is_err());
        places.resize(2, 2, vec!["192.0.2.9/32".parse().unwrap()]);
        let (third, _) = waiting.await.unwrap();
        third.heard();
        assert_eq!(places.taken(), (2, 2));
        drop((second, third));
        assert_eq!(places.taken(), (0, 2));
    }

    #[tokio::test]
    async fn fewer_places_count_under_silent_connections_too() {
        let places = Places::new(6, 100, Vec::new());
        let mut taken = Vec::new();
        for _ in 0..6 {
            taken.push(places.take(&client(1)).await.unwrap());
        }
        places.resize(2, 100, Vec::new());
        let told = |taken: &mut Vec<(Place, MakeRoom)>| {
            taken.retain_mut(|(_, room)| room.try_recv().is_err());
            taken.len()
        };
        assert_eq!(told(&mut taken), 2, "the oldest silent ones go at once");
        for _ in 0..5 {
            taken.push(places.take(&client(2)).await.unwrap());
            assert_eq!(told(&mut taken), 2);
        }
        assert_eq!(places.taken(), (2, 2));
    }

    #[tokio::test]
    async fn a_48_makes_room_of_its_own() {
        let places = Places::new(100, 1, Vec::new());
        let of = |n: u16| Client::of(format!("2001:db8:1:{n:x}::1").parse().unwrap(), false);
        let mut taken = Vec::new();
        for n in 0..4 {
            taken.push(places.take(&of(n)).await.unwrap());
        }
        assert!(places.take(&of(5)).await.is_some());
        assert!(taken[0].1.try_recv().is_ok() && taken[1].1.try_recv().is_err());
    }
}
