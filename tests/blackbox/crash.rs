//! Promises 2 and 3: `kill -9` at each step and at any moment: at the end the upstream's own count
//! says that no ticket was served twice, and every payer has an answer, a valid ticket, or a parked
//! one.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::support::postgres::Postgres;
use crate::support::world::Options;
use crate::support::{Behaviour, Payer, SMS, Ticket, World, wait_for};

/// What the gate does after it died at a place between claim and answer.
struct Gap {
    place: &'static str,
    /// How often the upstream was asked until then.
    asked: usize,
    /// What the ticket gets after the restart, and how often the upstream was asked in the end.
    then_status: u16,
    then_asked: usize,
}

impl Gap {
    /// The claim was not written: the ticket is free.
    const fn free(place: &'static str) -> Self {
        Self { place, asked: 0, then_status: 200, then_asked: 1 }
    }

    /// Nobody knows, though the upstream was asked so often.
    const fn parked(place: &'static str, asked: usize) -> Self {
        Self { place, asked, then_status: 504, then_asked: asked }
    }

    /// The answer was kept.
    const fn settled(place: &'static str) -> Self {
        Self { place, asked: 1, then_status: 200, then_asked: 1 }
    }

    /// A ticket of a gate that died over it and was started again.
    fn died(&self, world: &mut World) -> Ticket {
        let place = self.place;
        let payer = world.payer();
        let ticket = payer.buys(SMS);
        world.gate.kill();
        world.restart_with(&[("FAREBOX_CRASH_AT", place)]);
        let died = payer.tries_to_redeem(&ticket, SMS);
        assert!(died.is_none(), "{place}: {died:?}");
        assert!(!world.gate.wait().success(), "{place}");
        assert_eq!(world.upstream.count(), self.asked, "{place}");
        world.restart();
        ticket
    }

    fn is_safe_for(&self, world: &World, ticket: &Ticket) {
        for _ in 0..2 {
            world.payer().redeems(ticket, SMS).in_case(self.place).has_status(self.then_status);
            assert_eq!(world.upstream.count(), self.then_asked, "{}", self.place);
        }
    }
}

#[test]
fn each_gap_between_claim_and_answer_is_safe() {
    for gap in [
        Gap::free("before-claim"),
        Gap::free("before-commit"),
        Gap::parked("after-commit", 0),
        Gap::parked("after-claim", 0),
        Gap::parked("after-send", 1),
        Gap::parked("before-settle-commit", 1),
        Gap::settled("after-settle"),
    ] {
        let mut world = World::new();
        let ticket = gap.died(&mut world);
        gap.is_safe_for(&world, &ticket);
    }
}

/// The same with PostgreSQL, where another process has to find out that the first is dead: by its
/// lease.
#[test]
fn each_gap_is_safe_with_postgres() {
    let postgres = Postgres::start();
    std::thread::scope(|scope| {
        for gap in [
            Gap::free("before-claim"),
            Gap::parked("after-claim", 0),
            Gap::parked("after-send", 1),
            Gap::settled("after-settle"),
        ] {
            let service = "timeout = \"500ms\"".to_owned();
            let options = Options { service, ..Options::postgres(&postgres.url()) };
            scope.spawn(move || {
                let mut world = World::with(options);
                let (payer, ticket) = (world.payer(), gap.died(&mut world));
                let end = wait_for("the lease to run out", || {
                    Some(payer.redeems(&ticket, SMS)).filter(|answer| answer.status != 409)
                });
                end.in_case(gap.place).has_status(gap.then_status);
                gap.is_safe_for(&world, &ticket);
            });
        }
    });
}

/// How often the gate is killed in the tests below.
const KILLS: usize = 200;

#[test]
fn hundreds_of_kills_under_load_serve_nobody_twice_and_lose_nothing() {
    kill_under_load(Options::default());
}

/// The same with PostgreSQL: what a dead instance held is parked once its lease has run out.
#[test]
fn hundreds_of_kills_with_postgres_serve_nobody_twice_and_lose_nothing() {
    let postgres = Postgres::start();
    kill_under_load(Options::postgres(&postgres.url()));
}

fn body(n: usize) -> String {
    format!(r#"{{"message":"number {n}","phone_number":"+1234567890"}}"#)
}

/// What a payer that retries gets in the end; `None` while an instance that may be dead still holds
/// the ticket.
fn end_of(payer: &Payer, ticket: &Ticket, n: usize) -> Option<u16> {
    let mut busy = 0;
    loop {
        match payer.tries_to_redeem(ticket, &body(n)) {
            Some(answer) if [200, 504].contains(&answer.status) => return Some(answer.status),
            Some(answer) if answer.status == 409 && busy == 5 => return None,
            Some(answer) => {
                assert!([409, 429, 502, 503].contains(&answer.status), "{answer:?}");
                answer.advises("same-ticket");
                busy += usize::from(answer.status == 409);
            }
            None => {}
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn kill_under_load(options: Options) {
    let mut world = World::with(Options {
        limits: "unpaid_per_client = 100000\nunpaid_total = 100000".into(),
        service: "timeout = \"2s\"".into(),
        tickets: "wait = \"100ms\"".into(),
        ..options
    });
    world.pin_port();
    world.upstream.behave(Behaviour::Moody);
    let payer = world.payer();
    let tickets: Vec<Ticket> = (0..KILLS * 8).map(|n| payer.buys(&body(n))).collect();
    let (next, delivered, stop) =
        (AtomicUsize::new(0), AtomicUsize::new(0), AtomicBool::new(false));
    let (ends, later) = (Mutex::new(HashMap::new()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                while !stop.load(Ordering::SeqCst) {
                    let n = next.fetch_add(1, Ordering::SeqCst);
                    let Some(ticket) = tickets.get(n) else { return };
                    match end_of(&payer, ticket, n) {
                        Some(end) => {
                            delivered.fetch_add(usize::from(end == 200), Ordering::SeqCst);
                            ends.lock().unwrap().insert(n, end);
                        }
                        None => later.lock().unwrap().push(n),
                    }
                }
            });
        }
        let mut seed = 1_u64;
        for _ in 0..KILLS {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            // Counted in deliveries first, so that a slow machine gives the same mix of ends as a
            // quick one.
            let enough = delivered.load(Ordering::SeqCst) + (seed >> 33) as usize % 4;
            let started = Instant::now();
            while delivered.load(Ordering::SeqCst) < enough
                && started.elapsed() < Duration::from_secs(1)
            {
                std::thread::sleep(Duration::from_millis(1));
            }
            std::thread::sleep(Duration::from_millis((seed >> 40) % 15));
            world.gate.kill();
            world.start_again();
        }
        stop.store(true, Ordering::SeqCst);
    });
    let mut ends = ends.into_inner().unwrap();
    for n in later.into_inner().unwrap() {
        ends.insert(n, wait_for("the lease to run out", || end_of(&payer, &tickets[n], n)));
    }
    check(&world, &ends);
}

/// The upstream's own count against what the payers were told.
fn check(world: &World, ends: &HashMap<usize, u16>) {
    let mut taken: HashMap<Vec<u8>, usize> = HashMap::new();
    for request in world.upstream.requests() {
        *taken.entry(request.body.clone()).or_default() +=
            usize::from(request.header("x-refused").is_none());
    }
    assert!(ends.len() > KILLS, "{} tickets were used", ends.len());
    let (mut delivered, mut parked) = (0, 0);
    for (n, end) in ends {
        let count = taken.get(body(*n).as_bytes()).copied().unwrap_or(0);
        match end {
            200 => {
                assert_eq!(count, 1, "ticket {n} was answered");
                delivered += 1;
            }
            _ => {
                assert!(count <= 1, "ticket {n} was taken {count} times");
                parked += 1;
            }
        }
    }
    println!("{KILLS} kills: {delivered} delivered, {parked} parked");
    // Both ends were reached often, or the test shows nothing.
    assert!(delivered > KILLS / 2 && parked > KILLS / 10, "{delivered} delivered, {parked} parked");
}
