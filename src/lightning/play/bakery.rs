//! The play node's macaroons, in LND's form: version 3, then a protobuf `MacaroonId` with the permissions in it.

use prost::Message as _;
use tonic::Status;

use super::book::random;
use crate::l402::macaroon;

/// LND's location.
const LOCATION: &str = "lnd";

/// First byte of an identifier of the macaroon bakery's version 3.
const VERSION: u8 = 3;

#[derive(Clone, PartialEq, prost::Message)]
struct MacaroonId {
    #[prost(bytes = "vec", tag = "1")]
    nonce: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    storage_id: Vec<u8>,
    #[prost(message, repeated, tag = "3")]
    ops: Vec<Op>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Op {
    #[prost(string, tag = "1")]
    entity: String,
    #[prost(string, repeated, tag = "2")]
    actions: Vec<String>,
}

/// What a method asks for: an entity and an action; or its own URI, which a narrow macaroon may name instead.
struct Needed {
    uri: &'static str,
    entity: &'static str,
    action: &'static str,
}

const NEEDED: [Needed; 3] = [
    Needed { uri: "/lnrpc.Lightning/AddInvoice", entity: "invoices", action: "write" },
    Needed { uri: "/lnrpc.Lightning/LookupInvoice", entity: "invoices", action: "read" },
    Needed { uri: "/lnrpc.Lightning/GetInfo", entity: "info", action: "read" },
];

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
        let mut identifier = vec![VERSION];
        identifier.extend(id.encode_to_vec());
        macaroon::create(&self.root_key, Some(LOCATION), &identifier, &[]).ok_or_else(|| "the macaroon can't be written".to_owned())
    }

    /// Whether the macaroon handed in as hex may call the method; `Err` in LND's words.
    pub(super) fn allow(&self, handed_in: &[&[u8]], method: &str) -> Result<(), Status> {
        let &[text] = handed_in else {
            return Err(Status::unknown(format!("expected 1 macaroon, got {}", handed_in.len())));
        };
        let bytes = hex::decode(text).map_err(|error| Status::unknown(format!("encoding/hex: {error}")))?;
        let unverified = macaroon::read_any(&bytes).ok_or_else(|| Status::unknown("unmarshal v2: cannot get a field of the macaroon"))?;
        let forged = || Status::unknown("verification failed: signature mismatch after caveat verification");
        if !unverified.caveats.is_empty() || !unverified.is_signed_by(&self.root_key) {
            return Err(forged());
        }
        let id = match unverified.identifier.split_first() {
            Some((&VERSION, id)) => MacaroonId::decode(id).map_err(|_| forged())?,
            _ => return Err(forged()),
        };
        let may =
            |entity: &str, action: &str| id.ops.iter().any(|op| op.entity == entity && op.actions.iter().any(|allowed| allowed == action));
        let known = NEEDED.iter().find(|needed| needed.uri == method);
        if known.is_some_and(|needed| may(needed.entity, needed.action) || may("uri", needed.uri)) {
            Ok(())
        } else {
            Err(Status::unknown("permission denied"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(bakery: &Bakery, handed_in: &[&[u8]], method: &str) -> String {
        bakery.allow(handed_in, method).map_or_else(|status| status.message().to_owned(), |()| "yes".to_owned())
    }

    #[test]
    fn permissions_are_those_of_the_identifier() {
        let bakery = Bakery::new([1; 32]);
        let narrow = hex::encode(bakery.bake(&[("uri", &["/lnrpc.Lightning/AddInvoice"])]).unwrap());
        assert_eq!(says(&bakery, &[narrow.as_bytes()], "/lnrpc.Lightning/AddInvoice"), "yes");
        assert_eq!(says(&bakery, &[narrow.as_bytes()], "/lnrpc.Lightning/LookupInvoice"), "permission denied");
        let wide = hex::encode(bakery.bake(&[("invoices", &["read", "write"])]).unwrap());
        assert_eq!(says(&bakery, &[wide.as_bytes()], "/lnrpc.Lightning/LookupInvoice"), "yes");
        assert_eq!(says(&bakery, &[wide.as_bytes()], "/lnrpc.Lightning/GetInfo"), "permission denied");
    }

    #[test]
    fn what_is_not_its_own_is_refused_in_lnd_s_words() {
        let bakery = Bakery::new([1; 32]);
        let foreign = hex::encode(Bakery::new([2; 32]).bake(&[("invoices", &["write"])]).unwrap());
        let method = "/lnrpc.Lightning/AddInvoice";
        assert_eq!(says(&bakery, &[foreign.as_bytes()], method), "verification failed: signature mismatch after caveat verification");
        assert_eq!(says(&bakery, &[], method), "expected 1 macaroon, got 0");
        assert!(says(&bakery, &[b"0200"], method).starts_with("unmarshal v2: "));
    }
}
