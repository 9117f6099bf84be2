//! The `WWW-Authenticate` line of a 402, in the one form that every client tried accepts.

/// Scheme in upper case, `macaroon` first and `invoice` second, comma and space, double quotes;
/// then the names of the newest specification text. Clients match it with patterns as narrow as
/// that, so none of it is a matter of taste. `token` is the macaroon in base64.
pub fn www_authenticate(token: &str, invoice: &str) -> String {
    format!("L402 macaroon=\"{token}\", invoice=\"{invoice}\", version=\"0\", token=\"{token}\"")
}
