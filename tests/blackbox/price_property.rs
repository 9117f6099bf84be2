//! Promises 1, 4, 5, 8 and 9, for any list of prices, number, text and suffix: a price is the same
//! in quote, challenge, invoice, page and books, and what is sent is one message to the number that
//! was priced, in no more segments than were.

mod kinds;
mod orders;
mod shop;

use std::cell::RefCell;

use proptest::test_runner::{Config, TestRunner};

use self::kinds::KINDS;
use self::orders::{Case, Order, cases, expected};
use self::shop::{Bought, Shop};
use crate::support::wait_until;

fn holds(shop: &mut Shop, case: &Case) {
    let [prices, later] = &case.prices;
    shop.changes(prices, &case.suffixes[0]);
    let before = KINDS.each_ref().map(|kind| shop.sold(kind));
    let mut sold = [0; KINDS.len()];
    let mut all = Vec::new();
    for (order, instead) in &case.orders {
        let expected = expected(order, prices, &case.suffixes[0]);
        let ticket = shop.buys(order, expected.as_ref());
        let Some((expected, ticket)) = expected.zip(ticket) else { continue };
        sold[order.kind] += expected.msat;
        if KINDS[order.kind].method == "GET" {
            shop.shows(&KINDS[order.kind], &order.as_sold(), expected.msat);
            sold[order.kind] += expected.msat;
        }
        all.push(Bought { order, instead, expected, ticket });
    }
    for ((kind, before), sold) in KINDS.iter().zip(before).zip(sold) {
        let after = before.map(|msat| msat + sold as f64);
        wait_until("the books to say the same", || shop.sold(kind) == after);
    }
    shop.changes(later, &case.suffixes[1]);
    for bought in &all {
        match bought.instead {
            Some((to, text)) if (to, text) != (&bought.order.to, &bought.order.text) => {
                let other = Order { kind: bought.order.kind, to: to.clone(), text: text.clone() };
                shop.changes_order(bought, &other, expected(&other, later, &case.suffixes[1]));
            }
            _ => shop.sends(bought.order, &bought.expected, &bought.ticket),
        }
        let row = shop.world.row_of(&bought.ticket.payment_hash());
        assert_eq!(row["priceMsat"], bought.expected.msat);
    }
}

#[test]
fn a_price_is_one_from_quote_to_books_and_no_more_is_sent_than_was_priced() {
    let shop = RefCell::new(Shop::new());
    let config = Config {
        cases: 20,
        max_shrink_time: 20_000,
        failure_persistence: None,
        ..Config::default()
    };
    TestRunner::new(config)
        .run(&cases(), |case| {
            holds(&mut shop.borrow_mut(), &case);
            Ok(())
        })
        .unwrap_or_else(|fault| panic!("{fault}"));
}
