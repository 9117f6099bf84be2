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
                        it into a file, and name that here",
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
        if !is_name || is_secret(&name) {
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

/// Whether a text looks like a secret itself: PEM, or long and in hexadecimal or base64.
fn is_secret(text: &str) -> bool {
    let has = |kind: fn(&u8) -> bool| text.bytes().any(|byte| kind(&byte));
    let all = |kind: fn(&u8) -> bool| text.bytes().all(|byte| kind(&byte));
    let is_hex = all(u8::is_ascii_hexdigit);
    let is_base64 = !text.starts_with('/')
        && all(|byte| byte.is_ascii_alphanumeric() || b"+/-_=".contains(byte))
        && has(u8::is_ascii_digit)
        && has(u8::is_ascii_uppercase)
        && has(u8::is_ascii_lowercase);
    text.contains('\n')
        || text.starts_with("-----BEGIN")
        || (text.len() >= SECRET_MIN && (is_hex || is_base64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_no_paths() {
        let pem = "-----BEGIN CERTIFICATE-----\nMIIB\n";
        let hex = "0201036c6e640258030a10";
        for secret in [pem, &hex.repeat(2), "AgEDbG5kAlgDChBXQJzMAz+6eWJkBnRlc3Q="] {
            assert!(FilePath::try_from(secret.to_owned()).is_err(), "{secret}");
        }
        for path in [
            "/root/.lnd/data/chain/bitcoin/mainnet/invoice.macaroon",
            "/run/secrets/0b1c2d3e4f5a60718293a4b5c6d7e8f9",
            "lnd-credentials-of-the-second-node/invoice",
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
