//! The identifier of LND's own macaroons: version 3 of the macaroon bakery's, then a protobuf
//! message with the permissions in it.

use prost::Message as _;

/// First byte of an identifier.
const VERSION: u8 = 3;

/// What a macaroon of LND's says of itself. Its own signature covers it, so that it can be read
/// without asking LND.
#[derive(Clone, PartialEq, prost::Message)]
pub struct MacaroonId {
    /// Random.
    #[prost(bytes = "vec", tag = "1")]
    pub nonce: Vec<u8>,
    /// Number of LND's root key that signs it, as text.
    #[prost(bytes = "vec", tag = "2")]
    pub storage_id: Vec<u8>,
    /// What it may do.
    #[prost(message, repeated, tag = "3")]
    pub ops: Vec<Op>,
}

/// Something that a macaroon may do.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Op {
    /// `invoices`, `info`, ..; or `uri` for single methods.
    #[prost(string, tag = "1")]
    pub entity: String,
    /// `read`, `write`; or methods such as `/lnrpc.Lightning/AddInvoice`.
    #[prost(string, repeated, tag = "2")]
    pub actions: Vec<String>,
}

impl MacaroonId {
    /// From an identifier; `None` if it isn't one of LND's.
    pub fn read(identifier: &[u8]) -> Option<Self> {
        match identifier.split_first() {
            Some((&VERSION, id)) => Self::decode(id).ok(),
            _ => None,
        }
    }

    /// The identifier.
    pub fn write(&self) -> Vec<u8> {
        let mut identifier = vec![VERSION];
        identifier.extend(self.encode_to_vec());
        identifier
    }

    /// Whether it names an action on an entity.
    pub fn may(&self, entity: &str, action: &str) -> bool {
        self.ops
            .iter()
            .any(|op| op.entity == entity && op.actions.iter().any(|allowed| allowed == action))
    }

    /// Whether it may call a method that asks for an action on an entity.
    pub fn may_call(&self, method: &Method) -> bool {
        self.may("uri", method.uri) || self.may(method.entity, method.action)
    }
}

/// A method of LND's, and what it asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Method {
    /// As gRPC names it.
    pub uri: &'static str,
    /// The entity that it is about.
    pub entity: &'static str,
    /// What it does to it.
    pub action: &'static str,
}

const fn method(uri: &'static str, entity: &'static str, action: &'static str) -> Method {
    Method { uri, entity, action }
}

/// Makes invoices.
pub const ADD_INVOICE: Method = method("/lnrpc.Lightning/AddInvoice", "invoices", "write");
/// Reads one, with its preimage.
pub const LOOKUP_INVOICE: Method = method("/lnrpc.Lightning/LookupInvoice", "invoices", "read");
/// Reads all as they change, with their preimages.
pub const SUBSCRIBE_INVOICES: Method =
    method("/lnrpc.Lightning/SubscribeInvoices", "invoices", "read");
/// Says who the node is.
pub const GET_INFO: Method = method("/lnrpc.Lightning/GetInfo", "info", "read");
/// Says what channels it has.
pub const LIST_CHANNELS: Method = method("/lnrpc.Lightning/ListChannels", "offchain", "read");

/// Every method that Farebox or its play node knows.
pub const METHODS: [Method; 9] = [
    ADD_INVOICE,
    LOOKUP_INVOICE,
    SUBSCRIBE_INVOICES,
    GET_INFO,
    LIST_CHANNELS,
    method("/invoicesrpc.Invoices/SubscribeSingleInvoice", "invoices", "read"),
    method("/invoicesrpc.Invoices/AddHoldInvoice", "invoices", "write"),
    method("/invoicesrpc.Invoices/SettleInvoice", "invoices", "write"),
    method("/invoicesrpc.Invoices/CancelInvoice", "invoices", "write"),
];
