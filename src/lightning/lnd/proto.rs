//! LND's gRPC messages, made from proto/ by build.rs.

/// The messages of its main services.
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic, clippy::restriction)]
pub mod lnrpc {
    tonic::include_proto!("lnrpc");
}

/// The messages of LND's sub-server for hold invoices.
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic, clippy::restriction)]
pub mod invoicesrpc {
    tonic::include_proto!("invoicesrpc");
}
