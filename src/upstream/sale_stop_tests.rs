use hyper::header::{HeaderMap, LOCATION};

use super::*;
use crate::client::Client;
use crate::upstream::stopped::PAUSE_FIRST;

fn ticket(n: u8) -> PaymentHash {
    PaymentHash::from_bytes([n; 32])
}

fn client(n: u8) -> ClientKey {
    Client::of([192, 0, 2, n].into(), false).key()
}

fn refuse(stop: &SaleStop, n: u8, now: Instant) {
    stop.failed(ticket(n), StatusCode::FORBIDDEN, Trouble::Refuses, now);
}

/// Whether a client may buy, and does.
fn buys(stop: &SaleStop, n: u8, now: Instant) -> bool {
    stop.take_challenge(client(n), now).map(|permit| permit.sold(now)).is_ok()
}

#[test]
fn several_tickets_without_a_success_between_stop_the_sales() {
    let (stop, now) = (SaleStop::new("s"), Instant::now());
    (0..9).for_each(|_| refuse(&stop, 1, now));
    refuse(&stop, 2, now);
    assert!(buys(&stop, 1, now), "one buyer may be at fault itself");
    stop.worked();
    refuse(&stop, 3, now);
    refuse(&stop, 4, now);
    assert!(buys(&stop, 1, now) && stop.why().is_none());
    refuse(&stop, 5, now + REMEMBERED_FOR);
    assert!(buys(&stop, 1, now + REMEMBERED_FOR), "the others were long ago");
    refuse(&stop, 6, now + REMEMBERED_FOR);
    refuse(&stop, 7, now + REMEMBERED_FOR);
    assert_eq!(stop.may_sell(now + REMEMBERED_FOR), Err(PAUSE_FIRST));
    assert!(stop.why().unwrap().contains("403"));
}

#[test]
fn orders_that_are_refused_one_after_the_other_stop_them_too() {
    let (stop, now) = (SaleStop::new("s"), Instant::now());
    let refuse = |n, now| {
        stop.failed(ticket(n), StatusCode::BAD_REQUEST, Trouble::RefusesOrders, now);
    };
    (0..9).for_each(|_| refuse(0, now));
    (0..4).for_each(|n| refuse(n, now));
    assert!(buys(&stop, 1, now) && !stop.refuses_everybody(), "some buyers are at fault");
    stop.worked();
    (0..4).for_each(|n| refuse(n, now));
    assert!(buys(&stop, 1, now));
    refuse(4, now);
    assert_eq!(stop.may_sell(now), Err(PAUSE_FIRST));
    assert!(stop.refuses_everybody() && stop.why().unwrap().contains("400"));
    assert!(!buys(&stop, 1, now));
    let later = now + PAUSE_FIRST;
    assert!(buys(&stop, 1, later));
    refuse(5, later);
    assert_eq!(stop.may_sell(later), Err(2 * PAUSE_FIRST));
    stop.worked();
    assert!(buys(&stop, 1, later) && !stop.refuses_everybody());
}

/// Buyers may bring such a stop about: those who take its trials and don't pay keep nobody out.
#[test]
fn a_stop_by_orders_is_none_for_whoever_comes() {
    let (stop, mut now) = (SaleStop::new("s"), Instant::now());
    let refuse = |n, now| {
        stop.failed(ticket(n), StatusCode::BAD_REQUEST, Trouble::RefusesOrders, now);
    };
    (0..5).for_each(|n| refuse(n, now));
    for n in 0..9 {
        now += PAUSE_FIRST;
        for taker in 100..110 {
            buys(&stop, taker, now);
        }
        assert!(buys(&stop, n, now), "{n}");
        assert!(!buys(&stop, n, now), "one for each at a time");
    }
}

/// What stops sales by parking leaves a refusal of everybody one.
#[test]
fn who_refuses_everybody_does_so_whatever_else_it_does() {
    let (stop, now) = (SaleStop::new("s"), Instant::now());
    let refuse = |n| stop.failed(ticket(n), StatusCode::BAD_REQUEST, Trouble::RefusesOrders, now);
    (20..23).for_each(|n| stop.parked(ticket(n), None, now));
    (0..4).for_each(refuse);
    assert!(!stop.refuses_everybody() && !stop.takes_back_refusal(&ticket(0)));
    refuse(4);
    assert!(stop.refuses_everybody());
    (30..33).for_each(|n| stop.parked(ticket(n), None, now));
    assert!(stop.refuses_everybody() && stop.takes_back_refusal(&ticket(0)));
    assert!(!stop.takes_back_refusal(&ticket(0)), "once");
    assert!(stop.open());
    stop.worked();
    assert!(stop.takes_back_refusal(&ticket(1)), "whenever its payer comes");
    assert!(!stop.refuses_everybody());
}

#[test]
fn it_opens_half_after_growing_pauses_and_wholly_by_a_success() {
    let (stop, mut now) = (SaleStop::new("s"), Instant::now());
    (0..3).for_each(|n| refuse(&stop, n, now));
    for pause in [5, 10, 20, 40, 60, 60] {
        assert_eq!(stop.may_sell(now), Err(Duration::from_secs(pause)));
        now += Duration::from_secs(pause);
        assert!((0..3).all(|n| buys(&stop, n, now)));
    }
    now += PAUSE_MAX;
    refuse(&stop, 1, now);
    assert!(buys(&stop, 1, now), "a ticket that counted before lengthens no pause");
    refuse(&stop, 9, now);
    assert_eq!(stop.may_sell(now), Err(PAUSE_MAX), "another was refused again");
    stop.worked();
    assert!(stop.why().is_none() && (0..9).all(|n| buys(&stop, n, now)));
}

#[test]
fn tickets_that_are_parked_one_after_the_other_stop_them_for_longer() {
    let (stop, mut now) = (SaleStop::new("s"), Instant::now());
    let park = |n, now| stop.parked(ticket(n), Some(StatusCode::ACCEPTED), now);
    (0..9).for_each(|_| park(1, now));
    park(2, now);
    assert!(buys(&stop, 1, now), "one buyer may be at fault itself");
    stop.worked();
    (3..5).for_each(|n| park(n, now));
    assert!(buys(&stop, 1, now) && stop.why().is_none());
    park(5, now);
    assert!(stop.why().unwrap().contains("202"));
    // Those that were sold before come in.
    (6..20).for_each(|n| park(n, now));
    assert_eq!(stop.may_sell(now), Err(Duration::from_secs(60)));
    for (n, pause) in (20..).zip([60, 120, 240, 480, 600, 600]) {
        assert_eq!(stop.may_sell(now), Err(Duration::from_secs(pause)), "{n}");
        now += Duration::from_secs(pause);
        assert!(buys(&stop, 1, now));
        park(n, now);
    }
    stop.worked();
    assert!(stop.why().is_none() && (0..9).all(|n| buys(&stop, n, now)));
}

fn stopped_by_parking(now: Instant) -> SaleStop {
    let stop = SaleStop::new("s");
    (0..3).for_each(|n| stop.parked(ticket(n), None, now));
    assert!(stop.may_sell(now).is_err());
    stop
}

#[test]
fn challenges_that_nobody_pays_keep_it_closed_no_longer() {
    let mut now = Instant::now();
    let stop = stopped_by_parking(now);
    for _ in 0..9 {
        now += Duration::from_secs(60);
        for n in 0..9 {
            assert!(stop.take_challenge(client(n), now).is_ok(), "given back each time");
        }
        assert!((0..3).all(|n| buys(&stop, n, now)) && !buys(&stop, 3, now));
        assert_eq!(stop.may_sell(now), Err(Duration::from_secs(60)));
    }
}

#[test]
fn one_client_that_did_not_pay_is_asked_again() {
    let mut now = Instant::now();
    let stop = stopped_by_parking(now);
    for _ in 0..9 {
        now += Duration::from_secs(60);
        assert!(buys(&stop, 1, now) && !buys(&stop, 1, now), "all buyers of a proxy's, say");
    }
}

#[test]
fn what_is_found_out_of_a_parked_ticket_counts() {
    let mut now = Instant::now();
    let stop = stopped_by_parking(now);
    stop.settled(ticket(200), true);
    assert!(stop.may_sell(now).is_err(), "one that was parked long before");
    (0..3).for_each(|n| stop.settled(ticket(n), false));
    assert!(stop.may_sell(now).is_err(), "they weren't delivered");
    for pause in [60, 120, 240] {
        now += Duration::from_secs(pause);
        stop.parked(ticket(u8::try_from(pause).unwrap()), None, now);
        assert_eq!(stop.may_sell(now), Err(Duration::from_secs(2 * pause)), "and it goes on");
    }
    let stop = stopped_by_parking(now);
    stop.settled(ticket(1), true);
    assert!(stop.may_sell(now).is_ok() && stop.why().is_none());
    // A backend that takes requests and does them later, as a look-up finds.
    for n in 3..99 {
        stop.parked(ticket(n), None, now);
        stop.settled(ticket(n), true);
        assert!(buys(&stop, 1, now));
    }
}

#[test]
fn refusals_that_turn_into_parking_stop_it_as_parking_does() {
    let now = Instant::now();
    let stop = SaleStop::new("s");
    (0..3).for_each(|n| refuse(&stop, n, now));
    (3..6).for_each(|n| stop.parked(ticket(n), None, now));
    assert_eq!(stop.may_sell(now), Err(Duration::from_secs(60)));
    assert!(stop.why().unwrap().contains("3 tickets"));
}

#[test]
fn one_buyer_or_what_is_not_sold_uses_no_trial_up() {
    let (stop, mut now) = (SaleStop::new("s"), Instant::now());
    (0..3).for_each(|n| refuse(&stop, n, now));
    now += PAUSE_FIRST;
    assert!(buys(&stop, 1, now));
    assert!((0..9).all(|_| !buys(&stop, 1, now)), "it had one");
    for n in 2..99 {
        assert!(stop.take_challenge(client(n), now).is_ok(), "given back each time");
    }
    assert!(buys(&stop, 2, now));
}

#[test]
fn a_limit_of_the_upstreams_is_waited_for() {
    let (stop, now) = (SaleStop::new("s"), Instant::now());
    let wait = Duration::from_secs(7);
    let limit = |n, wait, now| {
        stop.failed(ticket(n), StatusCode::TOO_MANY_REQUESTS, Trouble::Limits(wait), now);
    };
    limit(1, wait, now);
    assert_eq!(stop.may_sell(now), Err(wait));
    assert!(stop.is_limited(now) && stop.why().is_none());
    refuse(&stop, 5, now);
    assert_eq!(stop.may_sell(now), Err(wait), "a refusal doesn't open it");
    assert!(buys(&stop, 1, now + wait));
    limit(1, wait, now + wait);
    assert!(buys(&stop, 1, now + wait), "the same ticket stops nobody twice");
    let long = RETRY_AFTER_MAX * 9;
    limit(2, long, now + wait);
    assert_eq!(stop.may_sell(now + wait), Err(PAUSE_MAX), "one ticket doesn't for long");
    limit(3, long, now + wait);
    assert_eq!(stop.may_sell(now + wait), Err(RETRY_AFTER_MAX), "several do");
}

#[test]
fn a_redirect_stops_them_at_once_until_the_operator_opens_them() {
    let (stop, now) = (SaleStop::new("s"), Instant::now());
    let mut headers = HeaderMap::new();
    headers.insert(LOCATION, "https://u:p@sms.example.com/v2/send?key=k".parse().unwrap());
    let status = StatusCode::TEMPORARY_REDIRECT;
    let trouble = Trouble::of(status, &headers, "http://sms.example.com").unwrap();
    stop.failed(ticket(1), status, trouble, now);
    let why = stop.why().unwrap();
    assert!(why.contains("write `upstream = \"https://sms.example.com/v2/send\"`"), "{why}");
    stop.worked();
    assert!(stop.may_sell(now + PAUSE_MAX * 9).is_err());
    assert!(stop.open() && !stop.open());
    assert!(buys(&stop, 1, now));
}
