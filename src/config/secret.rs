//! Secrets of the operator's: from a file or the environment, never printed.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use zeroize::Zeroizing;

use super::file_path::{FilePath, VariableName};

/// Where a secret is to be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// A file that holds it; white space at the end doesn't count.
    File(PathBuf),
    /// An environment variable that holds it.
    Env(String),
}

/// Why a secret can't be had. Names the place, not the secret.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// Its file can't be read.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Its environment variable isn't there.
    #[error("the environment variable `{0}` is not set")]
    NotSet(String),
    /// There is nothing in its file.
    #[error("{} is empty, and the secret belongs in there", .0.display())]
    EmptyFile(PathBuf),
    /// There is nothing in its environment variable.
    #[error("the environment variable `{0}` is set, but empty")]
    EmptyVariable(String),
}

/// A text in the config that may be a secret.
#[derive(Clone, PartialEq, Eq)]
pub enum Value {
    /// Written out: no secret.
    Plain(String),
    /// To be read when the config is loaded.
    Secret(SecretSource),
}

impl SecretSource {
    /// Reads it.
    pub fn read(&self, folder: &Path) -> Result<Zeroizing<String>, SecretError> {
        match self {
            Self::File(path) => {
                let path = folder.join(path);
                let text = match std::fs::read_to_string(&path) {
                    Ok(text) => Zeroizing::new(text),
                    Err(source) => return Err(SecretError::File { path, source }),
                };
                match text.trim_end() {
                    "" => Err(SecretError::EmptyFile(path)),
                    secret => Ok(Zeroizing::new(secret.to_owned())),
                }
            }
            Self::Env(name) => match std::env::var(name) {
                Ok(text) if !text.trim().is_empty() => Ok(Zeroizing::new(text)),
                Ok(_) => Err(SecretError::EmptyVariable(name.clone())),
                Err(_) => Err(SecretError::NotSet(name.clone())),
            },
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    file: Option<FilePath>,
    env: Option<VariableName>,
}

impl TryFrom<Fields> for SecretSource {
    type Error = &'static str;

    fn try_from(fields: Fields) -> Result<Self, &'static str> {
        match (fields.file, fields.env) {
            (Some(file), None) => Ok(Self::File(file.into())),
            (None, Some(env)) => Ok(Self::Env(env.into())),
            _ => Err("a secret is { file = \"...\" } or { env = \"NAME\" }"),
        }
    }
}

impl<'de> Deserialize<'de> for SecretSource {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        struct Only;
        impl<'de> Visitor<'de> for Only {
            type Value = SecretSource;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "{ file = \"...\" } or { env = \"NAME\" }; a secret is never written \
                             into the config itself",
                )
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<SecretSource, A::Error> {
                let fields =
                    Fields::deserialize(serde::de::value::MapAccessDeserializer::new(map))?;
                SecretSource::try_from(fields).map_err(A::Error::custom)
            }

            // The value may be the secret itself, so it must not get into the message.
            fn visit_str<E: Error>(self, _: &str) -> Result<SecretSource, E> {
                Err(E::custom(
                    "a secret is { file = \"...\" } or { env = \"NAME\" }, never written into the \
                     config itself",
                ))
            }
        }
        reader.deserialize_any(Only)
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Value;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, { file = \"...\" } or { env = \"NAME\" }")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Value, A::Error> {
                let fields =
                    Fields::deserialize(serde::de::value::MapAccessDeserializer::new(map))?;
                SecretSource::try_from(fields).map(Value::Secret).map_err(A::Error::custom)
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
                Ok(Value::Plain(text.to_owned()))
            }
        }
        reader.deserialize_any(Either)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_secret_is_a_missing_one() {
        let folder = tempfile::tempdir().unwrap();
        let read = |text: &str| {
            std::fs::write(folder.path().join("secret"), text).unwrap();
            SecretSource::File("secret".into()).read(folder.path())
        };
        assert_eq!(&**read("a b\n").unwrap(), "a b");
        for empty in ["", "\n", " \r\n"] {
            let said = read(empty).unwrap_err().to_string();
            assert!(said.contains("secret is empty"), "{said}");
        }
    }
}
