//! Names of files and variables in the config. A secret that was written in such a place by mistake
//! would be repeated by whatever says that there is no such file; so it is refused here, unsaid.

use std::path::{Path, PathBuf};

use serde::Deserialize;

/// Fewest characters of what is taken for a secret: 16 bytes in hexadecimal.
const SECRET_MIN: usize = 32;

/// A path as written: relative to the config's folder, if it isn't absolute.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct FilePath(PathBuf);

impl TryFrom<String> for FilePath {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if is_secret(&text) {
            return Err(
                "the name of a file belongs here, and this looks like what is in one: write \
                 it into a file, and name that here (a name that looks so begins with ./)",
            );
        }
        if text.is_empty() {
            return Err("the name of a file belongs here, and this is empty");
        }
        Ok(Self(text.into()))
    }
}

impl AsRef<Path> for FilePath {
    fn as_ref(&self) -> &Path {
        &self.0
    }
}

impl From<FilePath> for PathBuf {
    fn from(path: FilePath) -> Self {
        path.0
    }
}

/// The name of an environment variable (POSIX.1-2017 section 8.1, with lower case).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct VariableName(String);

impl TryFrom<String> for VariableName {
    type Error = &'static str;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        let is_name = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        // A key has no words in it.
        if !is_name || (is_secret(&name) && !name.contains('_')) {
            return Err(
                "the name of an environment variable belongs here (letters, digits and _), \
                        not what is in it",
            );
        }
        Ok(Self(name))
    }
}

impl From<VariableName> for String {
    fn from(name: VariableName) -> Self {
        name.0
    }
}

/// Whether a text looks like a secret itself: PEM, a URL (of a database, with its password), the
/// value of `Authorization`, or long and in hexadecimal, base64, or as a JWT. No name that begins
/// with `/` or `./` does, but for PEM's.
fn is_secret(text: &str) -> bool {
    if text.contains('\n') || text.starts_with("-----BEGIN") {
        return true;
    }
    if text.starts_with('/') || text.starts_with("./") {
        return false;
    }
    text.contains("://")
        || is_authorization(text)
        || (text.len() >= SECRET_MIN && (is_hex(text) || is_base64(text)))
        || (text.len() >= 2 * SECRET_MIN && is_mixed(text, b"._-"))
}

fn is_authorization(text: &str) -> bool {
    let scheme = text.split_once(' ').map(|(scheme, _)| scheme.to_ascii_lowercase());
    matches!(scheme.as_deref(), Some("bearer" | "basic" | "token"))
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// A slash alone may be one of a path's.
fn is_base64(text: &str) -> bool {
    is_mixed(text, b"+/-_=") && (!text.contains('/') || text.contains(['+', '=']))
}

/// Of digits, letters of both cases, and some of the `others`.
fn is_mixed(text: &str, others: &[u8]) -> bool {
    let has = |kind: fn(&u8) -> bool| text.bytes().any(|byte| kind(&byte));
    has(u8::is_ascii_digit)
        && has(u8::is_ascii_uppercase)
        && has(u8::is_ascii_lowercase)
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || others.contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_no_paths() {
        let jwt =
            format!("{}.{}", "eyJhbGciOiJIUzI1NiJ9".repeat(2), "eyJzdWIiOiIxMjM0In0".repeat(2));
        let pem = "-----BEGIN CERTIFICATE-----\nMIIB\n";
        let hex = "0201036c6e640258030a10";
        for secret in [
            pem,
            &hex.repeat(2),
            "AgEDbG5kAlgDChBXQJzMAz+6eWJkBnRlc3Q=",
            "postgres://farebox:pw@db/farebox",
            "Bearer abc",
            &jwt,
        ] {
            assert!(FilePath::try_from(secret.to_owned()).is_err(), "{secret}");
        }
        for path in [
            "/root/.lnd/data/chain/bitcoin/mainnet/invoice.macaroon",
            "/run/secrets/0b1c2d3e4f5a60718293a4b5c6d7e8f9",
            "lnd-credentials-of-the-second-node/invoice",
            "credentials/LND-Node1/invoice-macaroon",
            "./AgEDbG5kAlgDChBXQJzMAz6eWJkBnRlc3Q",
            "Farebox-Production-Node1.invoice.macaroon",
            "tls.cert",
            "beef",
        ] {
            assert_eq!(FilePath::try_from(path.to_owned()).unwrap().as_ref(), Path::new(path));
        }
        assert!(FilePath::try_from(String::new()).is_err());
    }

    #[test]
    fn secrets_are_no_variables() {
        let long = "deadbeef".repeat(4);
        for secret in
            ["Bearer abc", "hunter-2", "", "2FA", &long, "AC01234567890123456789aBcDeF012345"]
        {
            assert!(VariableName::try_from(secret.to_owned()).is_err(), "{secret}");
        }
        for name in ["SMS_BACKEND_TOKEN", "_x", "FAREBOX_TOKEN_OF_THE_SECOND_BACKEND_2"] {
            assert_eq!(String::from(VariableName::try_from(name.to_owned()).unwrap()), name);
        }
    }
}
