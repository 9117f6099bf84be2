use super::*;
use crate::lightning::network::{Network, read_prefix};

fn book(key: u8) -> Book {
    Book::new(SecretKey::from_slice(&[key; 32]).unwrap())
}

#[tokio::test]
async fn an_invoice_is_real_bolt_11_and_paying_reveals_its_preimage_once() {
    let book = book(1);
    let (hash, entry) = book.add("PLAY", 100_000, 600).unwrap();
    let read = Bolt11Invoice::from_str(&entry.bolt11).unwrap();
    assert_eq!(read.amount_milli_satoshis(), Some(100_000));
    assert_eq!(read.expiry_time(), Duration::from_secs(600));
    let features = read.features().unwrap();
    assert!(
        features.requires_variable_length_onion()
            && features.requires_payment_secret()
            && features.supports_basic_mpp()
    );
    assert_eq!(read_prefix(&entry.bolt11), Some((Network::Regtest, 100_000)));
    let preimage = book.pay(&entry.bolt11, None).await.ok().unwrap();
    assert_eq!(preimage.payment_hash(), hash);
    assert!(matches!(
        book.look_up(&hash).unwrap().state,
        StoredState::Settled { index: 1, paid_msat: 100_000, .. }
    ));
    assert_eq!(book.pay(&entry.bolt11, None).await.err(), Some(PayError::AlreadyPaid));
}

#[tokio::test]
async fn a_stranger_s_or_an_expired_invoice_and_wrong_details_are_not_paid() {
    let (ours, theirs) = (book(1), book(2));
    let (_, foreign) = theirs.add("", 1000, 600).unwrap();
    assert_eq!(ours.pay(&foreign.bolt11, None).await.err(), Some(PayError::NoRoute));
    assert_eq!(ours.pay("lnbc1nonsense", None).await.err(), Some(PayError::NotAnInvoice));
    let (hash, entry) = ours.add("", 1000, 600).unwrap();
    assert_eq!(ours.receive_htlc(&hash, &[0; 32], 1000).err(), Some(PayError::IncorrectDetails));
    assert_eq!(ours.pay(&entry.bolt11, Some(999)).await.err(), Some(PayError::IncorrectDetails));
    assert_eq!(ours.pay(&entry.bolt11, Some(2001)).await.err(), Some(PayError::IncorrectDetails));
    ours.entries.lock().unwrap().by_hash.get_mut(&hash).unwrap().created -= 600;
    assert_eq!(ours.pay(&entry.bolt11, None).await.err(), Some(PayError::Expired));
    assert_eq!(ours.look_up(&hash).unwrap().state, StoredState::Canceled);
}

#[tokio::test]
async fn a_stream_starts_after_its_indices_and_zero_means_no_backlog() {
    let book = book(1);
    let mut paid = Vec::new();
    for _ in 0..3 {
        let (hash, entry) = book.add("", 1000, 600).unwrap();
        assert!(book.pay(&entry.bolt11, None).await.is_ok());
        paid.push(hash);
    }
    let mut from_now = book.cursor(0, 0);
    assert!(book.next(&mut from_now).is_none());
    let mut later = book.cursor(0, 1);
    let all: Vec<_> = std::iter::from_fn(|| book.next(&mut later)).map(|(hash, _)| hash).collect();
    assert_eq!(all, paid[1..], "strictly after the index");
    let (hash, _) = book.add("", 1000, 600).unwrap();
    let (added, entry) = book.next(&mut from_now).unwrap();
    assert_eq!((added, entry.state), (hash, StoredState::Open));
    // An index ahead of the node hides what comes until it is passed.
    let mut ahead = book.cursor(0, 100);
    assert!(book.next(&mut ahead).is_none());
}

#[tokio::test]
async fn a_hold_invoice_holds_until_it_is_settled_or_cancelled() {
    let book = std::sync::Arc::new(book(1));
    for settles in [true, false] {
        let preimage = Preimage::from_bytes([u8::from(settles) + 5; 32]);
        let hash = preimage.payment_hash();
        let entry = book.add_hold(hash, "", 1000, 600).unwrap();
        assert!(book.add_hold(hash, "", 1000, 600).is_err(), "one invoice, one hash");
        assert_eq!(book.settle_hold(preimage), Err(HoldError::StillOpen));
        let (paying, mut changes) = (std::sync::Arc::clone(&book), book.changes());
        let payer = tokio::spawn(async move {
            paying.pay(&entry.bolt11, None).await.map(|preimage| *preimage.as_bytes())
        });
        while !matches!(book.look_up(&hash).unwrap().state, StoredState::Accepted { .. }) {
            changes.changed().await.unwrap();
        }
        assert!(book.look_up(&hash).unwrap().preimage.is_none());
        if settles {
            assert_eq!(book.settle_hold(preimage), Ok(()));
            assert_eq!(payer.await.unwrap(), Ok([6; 32]));
            assert_eq!(book.cancel(&hash), Err(HoldError::AlreadySettled));
        } else {
            assert_eq!(book.cancel(&hash), Ok(()));
            assert_eq!(payer.await.unwrap(), Err(PayError::IncorrectDetails));
            assert_eq!(book.settle_hold(preimage), Err(HoldError::AlreadyCanceled));
        }
    }
}
