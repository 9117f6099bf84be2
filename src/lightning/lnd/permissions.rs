//! What a macaroon of LND's may do, read from the macaroon itself: no call is made for it.

use crate::l402::macaroon;
use crate::lightning::lnd::macaroon_id::{MacaroonId, Method};

/// A macaroon's permissions beside those that are needed.
#[derive(Debug, PartialEq, Eq)]
pub struct Permissions {
    /// Methods that are needed and not allowed.
    pub missing: Vec<&'static str>,
    /// What is allowed and not needed, as `entity:action`.
    pub wider: Vec<String>,
    /// Whether its holder could read the preimages of unpaid invoices, and so forge tickets.
    pub reads_invoices: bool,
    /// Whether its holder could spend.
    pub spends: bool,
    /// What it is restricted by, such as `time-before <RFC 3339>`.
    pub restrictions: Vec<String>,
}

/// Parts of the names of methods by which money goes away, or by which one comes to such a method.
const SPENDING: [&str; 9] = [
    "/Send",
    "OpenChannel",
    "CloseChannel",
    "BakeMacaroon",
    "Psbt",
    "/PublishTransaction",
    "/SubmitPackage",
    "/Bump",
    "/signrpc.Signer/",
];

/// Why a macaroon doesn't tell what it may do.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum UnreadableMacaroon {
    /// The bytes are no macaroon.
    #[error("it is no macaroon in LND's form (binary, version 2)")]
    NotAMacaroon,
    /// It has another identifier than LND's.
    #[error("it is a macaroon, but not one that LND has baked")]
    NotOfLnd,
}

/// Compares what a macaroon of LND's may do with what is needed.
pub fn compare(bytes: &[u8], needed: &[Method]) -> Result<Permissions, UnreadableMacaroon> {
    let read = macaroon::read_any(bytes).ok_or(UnreadableMacaroon::NotAMacaroon)?;
    let id = MacaroonId::read(&read.identifier).ok_or(UnreadableMacaroon::NotOfLnd)?;
    let missing =
        needed.iter().filter(|method| !id.may_call(method)).map(|method| method.uri).collect();
    let is_needed = |entity: &str, action: &str| {
        entity == "uri" && needed.iter().any(|method| method.uri == action)
    };
    let wider = id
        .ops
        .iter()
        .flat_map(|op| op.actions.iter().map(|action| (op.entity.as_str(), action.as_str())))
        .filter(|(entity, action)| !is_needed(entity, action))
        .map(|(entity, action)| format!("{entity}:{action}"))
        .collect();
    let uri = |method: &str| id.may("uri", method);
    let reads_invoices = id.may("invoices", "read")
        || ["LookupInvoice", "SubscribeInvoices", "ListInvoices"]
            .iter()
            .any(|name| uri(&format!("/lnrpc.Lightning/{name}")))
        || uri("/invoicesrpc.Invoices/SubscribeSingleInvoice")
        || uri("/invoicesrpc.Invoices/LookupInvoiceV2");
    let spending_uri = |action: &str| SPENDING.iter().any(|part| action.contains(part));
    let spends = ["offchain", "onchain", "macaroon"].iter().any(|entity| id.may(entity, "write"))
        || ["macaroon", "signer"].iter().any(|entity| id.may(entity, "generate"))
        || id
            .ops
            .iter()
            .any(|op| op.entity == "uri" && op.actions.iter().any(|action| spending_uri(action)));
    let restrictions =
        read.caveats.iter().map(|caveat| String::from_utf8_lossy(caveat).into_owned()).collect();
    Ok(Permissions { missing, wider, reads_invoices, spends, restrictions })
}

/// The command that bakes a macaroon for exactly these methods.
pub fn bake_command(needed: &[Method]) -> String {
    let uris: Vec<String> = needed.iter().map(|method| format!("uri:{}", method.uri)).collect();
    format!("lncli bakemacaroon --save_to=farebox.macaroon --root_key_id=402 {}", uris.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lightning::lnd::macaroon_id::{ADD_INVOICE, LOOKUP_INVOICE, Op, SUBSCRIBE_INVOICES};

    fn baked(ops: &[(&str, &[&str])]) -> Vec<u8> {
        let ops = ops.iter().map(|(entity, actions)| Op {
            entity: (*entity).to_owned(),
            actions: actions.iter().map(|action| (*action).to_owned()).collect(),
        });
        let id = MacaroonId { nonce: vec![7; 16], storage_id: b"402".to_vec(), ops: ops.collect() };
        macaroon::create(
            &[1; 32],
            Some("lnd"),
            &id.write(),
            &["time-before 2027-01-01T00:00:00Z".to_owned()],
        )
    }

    #[test]
    fn exactly_what_is_needed() {
        let exact =
            compare(&baked(&[("uri", &["/lnrpc.Lightning/AddInvoice"])]), &[ADD_INVOICE]).unwrap();
        assert_eq!(
            exact,
            Permissions {
                missing: vec![],
                wider: vec![],
                reads_invoices: false,
                spends: false,
                restrictions: vec!["time-before 2027-01-01T00:00:00Z".to_owned()]
            }
        );
        assert_eq!(
            bake_command(&[ADD_INVOICE, SUBSCRIBE_INVOICES]),
            "lncli bakemacaroon --save_to=farebox.macaroon --root_key_id=402 \
             uri:/lnrpc.Lightning/AddInvoice uri:/lnrpc.Lightning/SubscribeInvoices"
        );
    }

    #[test]
    fn what_is_missing_and_what_is_too_wide() {
        let narrow = compare(
            &baked(&[("uri", &["/lnrpc.Lightning/AddInvoice"])]),
            &[ADD_INVOICE, LOOKUP_INVOICE],
        )
        .unwrap();
        assert_eq!(narrow.missing, ["/lnrpc.Lightning/LookupInvoice"]);
        let invoice = compare(
            &baked(&[("invoices", &["read", "write"]), ("onchain", &["read"])]),
            &[ADD_INVOICE],
        )
        .unwrap();
        assert_eq!(invoice.wider, ["invoices:read", "invoices:write", "onchain:read"]);
        assert!(invoice.missing.is_empty() && invoice.reads_invoices && !invoice.spends);
        assert!(compare(&baked(&[("offchain", &["write"])]), &[]).unwrap().spends);
        assert!(compare(&baked(&[("signer", &["generate"])]), &[]).unwrap().spends);
        for method in [
            "/routerrpc.Router/SendPaymentV2",
            "/lnrpc.Lightning/BatchOpenChannel",
            "/walletrpc.WalletKit/FinalizePsbt",
        ] {
            assert!(compare(&baked(&[("uri", &[method])]), &[]).unwrap().spends, "{method}");
        }
        assert!(
            !compare(&baked(&[("uri", &["/lnrpc.Lightning/NewAddress"])]), &[]).unwrap().spends
        );
        assert!(compare(b"garbage", &[]).is_err());
    }
}
