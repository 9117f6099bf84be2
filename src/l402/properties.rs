//! What must hold for any ticket: a caveat that a holder adds keeps it valid or narrows it; a
//! changed byte makes it worthless.

use proptest::prelude::*;

use super::credential::{Credential, Proof};
use super::identifier::{Identifier, TokenId};
use super::mint;
use super::verify::{self, Kind, Names, Paid, Refusal};
use super::{caveat, macaroon};
use crate::keys::{KeyRing, MasterSecret};
use crate::payment_hash::Preimage;
use crate::request_digest::RequestDigest;

const REQUEST: RequestDigest = RequestDigest::from_bytes([8; 32]);
const UNTIL: u64 = 2_000_000_000;
const PRICE_MSAT: u64 = 100_000;

fn named(now: &str) -> Names<'_> {
    Names { now, formerly: &[] }
}

fn ring() -> KeyRing {
    KeyRing::new(&[MasterSecret::new([1; 32])], "regtest").unwrap()
}

fn preimage() -> Preimage {
    Preimage::from_bytes([4; 32])
}

fn ticket() -> Vec<u8> {
    let terms = mint::Ticket {
        service: "sms",
        payment_hash: preimage().payment_hash(),
        token_id: TokenId::TEST,
        valid_until: UNTIL,
        price_msat: PRICE_MSAT,
        segments: None,
        kind: Kind::SingleUse { request: REQUEST },
    };
    mint::ticket(&ring(), &terms)
}

fn verify(macaroon: Vec<u8>) -> Result<Paid, Refusal> {
    verify::ticket(
        &ring(),
        named("sms"),
        false,
        &Credential { macaroon, proof: Proof::Preimage(preimage()) },
    )
}

/// What any holder can do without a secret: append a caveat and sign on with the old signature as
/// the key.
fn with_caveat(macaroon: &[u8], added: &[u8]) -> Vec<u8> {
    let (body, signature) = macaroon.split_at(macaroon.len() - 35);
    let signature = crate::hmac::hmac_sha256(signature[3..].try_into().unwrap(), &[added]);
    let mut out = body.to_vec();
    out.push(2);
    let mut length = added.len();
    while length >= 128 {
        out.push((length & 127 | 128) as u8);
        length >>= 7;
    }
    out.push(length as u8);
    out.extend(added);
    out.extend([0, 0, 6, 32]);
    out.extend(signature);
    out
}

/// Caveats near to what we know, so that the interesting ones come up.
fn caveats() -> impl Strategy<Value = Vec<u8>> {
    let key = prop_oneof![
        Just("services".to_owned()),
        Just("sms_valid_until".to_owned()),
        Just("sms_request".to_owned()),
        Just("sms_price_msat".to_owned()),
        Just("sms_segments".to_owned()),
        Just("preimage".to_owned()),
        "[a-z_]{0,12}",
    ];
    let value = prop_oneof![
        Just("sms:0".to_owned()),
        Just("sms:0,other:0".to_owned()),
        Just(hex::encode(REQUEST.as_bytes())),
        Just(hex::encode(preimage().as_bytes())),
        (UNTIL - 5..UNTIL + 5).prop_map(|n| n.to_string()),
        "[ -~]{0,12}",
    ];
    prop_oneof![
        (key, value).prop_map(|(key, value)| format!("{key}={value}").into_bytes()),
        proptest::collection::vec(any::<u8>(), 0..40),
    ]
}

#[test]
fn a_fresh_ticket_verifies() {
    let paid = verify(ticket()).ok().unwrap();
    assert_eq!(paid.ticket().kind, Kind::SingleUse { request: REQUEST });
    assert_eq!(paid.ticket().valid_until, UNTIL);
    assert_eq!(paid.ticket().payment_hash, preimage().payment_hash());
}

#[test]
fn a_holder_can_append_its_preimage_as_lnget_does() {
    let appended = with_caveat(
        &ticket(),
        format!("preimage={}", hex::encode(preimage().as_bytes())).as_bytes(),
    );
    assert!(verify(appended.clone()).is_ok());
    let alone = Credential { macaroon: appended, proof: Proof::None };
    assert!(verify::ticket(&ring(), named("sms"), false, &alone).is_ok());
}

#[test]
fn the_wrong_preimage_none_and_another_service_are_told_apart() {
    let with = |proof| {
        verify::ticket(&ring(), named("sms"), false, &Credential { macaroon: ticket(), proof })
    };
    assert!(matches!(with(Proof::None), Err(Refusal::NotPaid(_))));
    assert!(matches!(with(Proof::Unreadable), Err(Refusal::UnreadablePreimage(_))));
    assert!(matches!(
        with(Proof::Preimage(Preimage::from_bytes([5; 32]))),
        Err(Refusal::WrongPreimage(_))
    ));
    let elsewhere = Credential { macaroon: ticket(), proof: Proof::Preimage(preimage()) };
    assert!(matches!(
        verify::ticket(&ring(), named("other"), false, &elsewhere),
        Err(Refusal::OtherService)
    ));
}

/// A renamed service redeems what was sold under its former name, and nobody else does.
#[test]
fn a_former_name_still_counts() {
    let credential = Credential { macaroon: ticket(), proof: Proof::Preimage(preimage()) };
    let formerly = ["older".into(), "sms".into()];
    let names = Names { now: "texts", formerly: &formerly };
    let paid = verify::ticket(&ring(), names, false, &credential).ok().unwrap();
    assert_eq!((paid.ticket().name, paid.ticket().price_msat), (2, PRICE_MSAT));
    assert_eq!(
        (paid.ticket().minted, paid.ticket().era),
        (TokenId::TEST.minted, TokenId::TEST.era)
    );
    let another = Names { now: "texts", formerly: &formerly[..1] };
    let refused = verify::ticket(&ring(), another, false, &credential);
    assert!(matches!(refused, Err(Refusal::OtherService)));
}

#[test]
fn a_ticket_of_another_network_or_secret_is_forged_and_of_an_older_secret_is_not() {
    let credential = || Credential { macaroon: ticket(), proof: Proof::Preimage(preimage()) };
    let (old, new) = (MasterSecret::new([1; 32]), MasterSecret::new([9; 32]));
    let mainnet = KeyRing::new(std::slice::from_ref(&old), "mainnet").unwrap();
    let stranger = KeyRing::new(std::slice::from_ref(&new), "regtest").unwrap();
    let rotated = KeyRing::new(&[new, old], "regtest").unwrap();
    assert!(matches!(
        verify::ticket(&mainnet, named("sms"), false, &credential()),
        Err(Refusal::Forged)
    ));
    assert!(matches!(
        verify::ticket(&stranger, named("sms"), false, &credential()),
        Err(Refusal::Forged)
    ));
    let key =
        verify::ticket(&rotated, named("sms"), false, &credential()).ok().unwrap().ticket().key;
    assert_ne!(key.index(), 0, "the minting one");
}

#[test]
fn a_ticket_without_a_caveat_that_the_service_demands_is_refused() {
    let identifier =
        Identifier { payment_hash: preimage().payment_hash(), token_id: TokenId::TEST };
    let all = caveat::single_use("sms", UNTIL, PRICE_MSAT, None, &REQUEST);
    for left_out in 0..all.len() {
        let mut some = all.clone();
        some.remove(left_out);
        let bytes = macaroon::create(
            &ring().minting().root_key(&identifier.to_bytes()),
            None,
            &identifier.to_bytes(),
            &some,
        );
        assert!(
            matches!(
                verify(bytes),
                Err(Refusal::Caveats | Refusal::OtherService | Refusal::PassNotTaken)
            ),
            "without {}",
            all[left_out]
        );
    }
}

fn pass(uses: Option<u32>) -> Vec<u8> {
    let terms = mint::Ticket {
        service: "sms",
        payment_hash: preimage().payment_hash(),
        token_id: TokenId::TEST,
        valid_until: UNTIL,
        price_msat: PRICE_MSAT,
        segments: None,
        kind: Kind::Pass { uses },
    };
    mint::ticket(&ring(), &terms)
}

#[test]
fn a_ticket_s_own_caveats_decide_its_kind() {
    let of = |macaroon, sells_passes| {
        let credential = Credential { macaroon, proof: Proof::Preimage(preimage()) };
        verify::ticket(&ring(), named("sms"), sells_passes, &credential)
            .map(|paid| paid.ticket().kind)
    };
    assert_eq!(of(pass(None), true).ok(), Some(Kind::Pass { uses: None }));
    assert_eq!(of(pass(Some(5)), true).ok(), Some(Kind::Pass { uses: Some(5) }));
    assert_eq!(
        of(with_caveat(&pass(Some(5)), b"sms_uses=2"), true).ok(),
        Some(Kind::Pass { uses: Some(2) })
    );
    assert!(of(with_caveat(&pass(Some(5)), b"sms_uses=6"), true).is_err());
    assert!(
        matches!(of(pass(None), false), Err(Refusal::PassNotTaken)),
        "a service that sells single requests takes no pass"
    );
    assert_eq!(
        of(ticket(), true).ok(),
        Some(Kind::SingleUse { request: REQUEST }),
        "a single request buys no pass"
    );
}

proptest! {
    #[test]
    fn holder_caveats_never_widen(added in proptest::collection::vec(caveats(), 0..4)) {
        let macaroon = added.iter().fold(ticket(), |m, caveat| with_caveat(&m, caveat));
        if let Ok(paid) = verify(macaroon) {
            let ticket = paid.ticket();
            prop_assert!(ticket.valid_until <= UNTIL);
            prop_assert_eq!(ticket.minted_valid_until, UNTIL);
            prop_assert_eq!(ticket.kind, Kind::SingleUse { request: REQUEST });
            prop_assert_eq!(ticket.payment_hash, preimage().payment_hash());
            prop_assert_eq!(ticket.price_msat, PRICE_MSAT);
            prop_assert_eq!(ticket.segments, None);
        }
    }

    #[test]
    fn unknown_holder_caveats_keep_it_valid(
            key in "[a-z]{1,8}_[a-z]{1,8}",
            value in "[ -~]{0,60}",
        ) {
        prop_assume!(!key.starts_with("sms_"));
        let caveat = format!("{key}={value}");
        prop_assert!(verify(with_caveat(&ticket(), caveat.as_bytes())).is_ok());
    }

    #[test]
    fn no_changed_byte_verifies(at in any::<prop::sample::Index>(), flip in 1_u8..) {
        let mut macaroon = ticket();
        let at = at.index(macaroon.len());
        macaroon[at] ^= flip;
        prop_assert!(verify(macaroon).is_err());
    }

    #[test]
    fn nothing_cut_off_or_put_in_verifies(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let whole = ticket();
        let at = at.index(whole.len());
        prop_assert!(verify(whole[..at].to_vec()).is_err());
        let mut longer = whole.clone();
        longer.insert(at, byte);
        prop_assert!(verify(longer).is_err() );
    }

    #[test]
    fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(verify(bytes.clone()).is_err());
        let mut with_version = bytes;
        with_version.insert(0, 2);
        prop_assert!(verify(with_version).is_err());
    }
}
