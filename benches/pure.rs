//! The pure parts of a request's way, so that a regression shows: `cargo bench`.
#![allow(clippy::unwrap_used, missing_docs)]

use std::hint::black_box;

use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use farebox::era::Era;
use farebox::keys::{KeyRing, MasterSecret};
use farebox::l402::credential::{self, Credential, Handed, Proof, encode_base64};
use farebox::l402::identifier::TokenId;
use farebox::l402::mint::{self, Ticket};
use farebox::l402::verify::{self, Kind, Names};
use farebox::l402::{caveat, macaroon};
use farebox::order::digest::{Bound, digest};
use farebox::order::schema::Schema;
use farebox::order::{Bind, Rules, Takes};
use farebox::payment_hash::Preimage;
use farebox::request_digest::RequestDigest;
use farebox::time::UnixTime;

const SMS: &[u8] = br#"{"phone_number":"+1234567890","message":"Hello, this is a test SMS!"}"#;

fn rules() -> Rules {
    let schema = serde_json::json!({
        "type": "object",
        "required": ["phone_number", "message"],
        "additionalProperties": false,
        "properties": {
            "phone_number": { "type": "string", "format": "e164" },
            "message": { "type": "string", "minLength": 1, "maxLength": 120 }
        }
    });
    Rules {
        takes: Takes::Json("application/json".to_owned(), Bind::Json),
        needs_object: false,
        schema: Some(Schema::compile(schema).unwrap()),
    }
}

fn parts(c: &mut Criterion) {
    let ring = KeyRing::new(&[MasterSecret::new([1; 32])], "regtest").unwrap();
    let preimage = Preimage::from_bytes([2; 32]);
    let terms = Ticket {
        service: "send-sms",
        payment_hash: preimage.payment_hash(),
        token_id: TokenId {
            minted: UnixTime::from_seconds(1_700_000_000),
            era: Era::from_bytes([3; 8]),
            random: [3; 16],
        },
        valid_until: 1_800_000_000,
        price_msat: 100_000,
        segments: None,
        kind: Kind::SingleUse { request: RequestDigest::from_bytes([4; 32]) },
    };
    let bytes = mint::ticket(&ring, &terms);
    let header = format!("L402 {}:{}", encode_base64(&bytes), hex::encode(preimage.as_bytes()));
    let credential = Credential { macaroon: bytes.clone(), proof: Proof::Preimage(preimage) };
    let caveats = macaroon::read_any(&bytes).unwrap().caveats;
    let rules = rules();
    let bound = Bound { service: "send-sms", binding: Bind::Json, query: "", body: SMS };
    let names = Names { now: "send-sms", formerly: &[] };

    c.bench_function("credential: read", |b| {
        b.iter(|| {
            matches!(
                credential::read([black_box(header.as_bytes())].into_iter(), std::iter::empty()),
                Handed::Credentials(_)
            )
        });
    });
    c.bench_function("ticket: mint", |b| b.iter(|| mint::ticket(black_box(&ring), &terms)));
    c.bench_function("ticket: verify", |b| {
        b.iter(|| verify::ticket(&ring, names, false, black_box(&credential)).is_ok())
    });
    c.bench_function("caveats: read", |b| {
        b.iter(|| caveat::read("send-sms", black_box(&caveats)).is_ok())
    });
    c.bench_function("order: check", |b| {
        b.iter(|| {
            rules.check(Some(b"application/json"), None, black_box(Bytes::from_static(SMS))).is_ok()
        });
    });
    c.bench_function("order: digest", |b| b.iter(|| digest(&[5; 32], black_box(&bound))));
}

criterion_group!(benches, parts);
criterion_main!(benches);
