//! The `WWW-Authenticate` line of a 402, in the one form that every client tried accepts.

use super::credential::encode_base64;

/// Scheme in upper case, `macaroon` first and `invoice` second, comma and space, double quotes; then the names of the newest
/// specification text. Clients match it with patterns as narrow as that, so none of it is a matter of taste.
pub fn www_authenticate(macaroon: &[u8], invoice: &str) -> String {
    let token = encode_base64(macaroon);
    format!("L402 macaroon=\"{token}\", invoice=\"{invoice}\", version=\"0\", token=\"{token}\"")
}
