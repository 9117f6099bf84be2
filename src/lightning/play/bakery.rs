//! The play node's macaroons, in LND's form.

use tonic::Status;

use super::book::random;
use crate::l402::macaroon;
use crate::lightning::lnd::macaroon_id::{METHODS, MacaroonId, Op};

/// LND's location.
const LOCATION: &str = "lnd";

/// Bakes and verifies.
pub(super) struct Bakery {
    root_key: [u8; 32],
}

impl Bakery {
    pub(super) fn new(root_key: [u8; 32]) -> Self {
        Self { root_key }
    }

    /// A macaroon for these entities and actions.
    pub(super) fn bake(&self, permissions: &[(&str, &[&str])]) -> Result<Vec<u8>, String> {
        let ops = permissions
            .iter()
            .map(|(entity, actions)| Op {
                entity: (*entity).to_owned(),
                actions: actions.iter().map(|action| (*action).to_owned()).collect(),
            })
            .collect();
        let id = MacaroonId { nonce: random()?.to_vec(), storage_id: b"0".to_vec(), ops };
        Ok(macaroon::create(&self.root_key, Some(LOCATION), &id.write(), &[]))
    }

    /// Whether the macaroon handed in as hex may call the method; `Err` in LND's words.
    pub(super) fn allow(&self, handed_in: &[&[u8]], method: &str) -> Result<(), Status> {
        let &[text] = handed_in else {
            return Err(Status::unknown(format!("expected 1 macaroon, got {}", handed_in.len())));
        };
        let bytes = decode_hex(text)?;
        let unverified = macaroon::read_any(&bytes)
            .ok_or_else(|| Status::unknown(format!("unmarshal v2: {}", fault(&bytes))))?;
        let forged =
            || Status::unknown("verification failed: signature mismatch after caveat verification");
        if !unverified.caveats.is_empty() || !unverified.is_signed_by(&self.root_key) {
            return Err(forged());
        }
        let id = MacaroonId::read(&unverified.identifier).ok_or_else(forged)?;
        if METHODS.iter().any(|known| known.uri == method && id.may_call(known)) {
            Ok(())
        } else {
            Err(Status::unknown("permission denied"))
        }
    }
}

/// Hex, or what Go's `encoding/hex` says.
pub(super) fn decode_hex(text: &[u8]) -> Result<Vec<u8>, Status> {
    hex::decode(text).map_err(|error| {
        Status::unknown(match error {
            hex::FromHexError::InvalidHexCharacter { c, .. } => {
                format!("encoding/hex: invalid byte: U+{:04X} '{c}'", u32::from(c))
            }
            _ => "encoding/hex: odd length hex string".to_owned(),
        })
    })
}

/// What go-macaroon says of bytes that are no macaroon: where a field of version 2 goes past the
/// end.
fn fault(bytes: &[u8]) -> &'static str {
    let mut rest = bytes.get(1..).unwrap_or_default();
    loop {
        let Some((&kind, after)) = rest.split_first() else {
            return "varint value extends past end of buffer";
        };
        rest = after;
        if kind == 0 {
            continue;
        }
        let Some((&length, after)) = rest.split_first() else {
            return "varint value extends past end of buffer";
        };
        // A longer varint than of one byte is longer than what is left here, too.
        let Some(after) = after.get(usize::from(length)..) else {
            return "field data extends past end of buffer";
        };
        rest = after;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(bakery: &Bakery, handed_in: &[&[u8]], method: &str) -> String {
        bakery
            .allow(handed_in, method)
            .map_or_else(|status| status.message().to_owned(), |()| "yes".to_owned())
    }

    #[test]
    fn permissions_are_those_of_the_identifier() {
        let bakery = Bakery::new([1; 32]);
        let narrow =
            hex::encode(bakery.bake(&[("uri", &["/lnrpc.Lightning/AddInvoice"])]).unwrap());
        assert_eq!(says(&bakery, &[narrow.as_bytes()], "/lnrpc.Lightning/AddInvoice"), "yes");
        assert_eq!(
            says(&bakery, &[narrow.as_bytes()], "/lnrpc.Lightning/LookupInvoice"),
            "permission denied"
        );
        let wide = hex::encode(bakery.bake(&[("invoices", &["read", "write"])]).unwrap());
        assert_eq!(says(&bakery, &[wide.as_bytes()], "/lnrpc.Lightning/LookupInvoice"), "yes");
        assert_eq!(
            says(&bakery, &[wide.as_bytes()], "/lnrpc.Lightning/GetInfo"),
            "permission denied"
        );
    }

    #[test]
    fn what_is_not_its_own_is_refused_in_lnd_s_words() {
        let bakery = Bakery::new([1; 32]);
        let foreign = hex::encode(Bakery::new([2; 32]).bake(&[("invoices", &["write"])]).unwrap());
        let method = "/lnrpc.Lightning/AddInvoice";
        assert_eq!(
            says(&bakery, &[foreign.as_bytes()], method),
            "verification failed: signature mismatch after caveat verification"
        );
        assert_eq!(says(&bakery, &[], method), "expected 1 macaroon, got 0");
        assert!(says(&bakery, &[b"0200"], method).starts_with("unmarshal v2: "));
    }
}
