//! The server's address, as libpq takes it, as far as it means something here.

use regex::Regex;
use tokio_postgres::Config;
use zeroize::Zeroizing;

use super::error::PostgresError;

/// Parameters of libpq's that mean nothing here, and what does instead.
const OTHERS: [(&str, &str); 7] = [
    ("sslrootcert", "name the roots in `ledger.postgres_ca`"),
    ("sslcert", "client certificates aren't supported: use a password"),
    ("sslkey", "client certificates aren't supported: use a password"),
    ("sslmode=allow", "write `sslmode=require`, or `disable`"),
    ("passfile", "put the password into the address"),
    ("service", "write the address out"),
    ("gssencmode", "leave it out"),
];

/// Reads it. No part of it, which may be the password, is in the error.
pub(super) fn read_url(url: &Zeroizing<String>) -> Result<Config, PostgresError> {
    // The certificate is always verified here, with the name in it.
    let verifying = Regex::new(r"(sslmode\s*=\s*)'?verify-(?:full|ca)'?");
    let verifying = verifying.map_err(|error| PostgresError::Unusable(error.to_string()))?;
    let text = Zeroizing::new(verifying.replace_all(url, "${1}require").into_owned());
    text.parse().map_err(|_| {
        let parameters = text.split(['?', '&', ' ', '\n']);
        let named = |parameter: &str| {
            let is_it = |(name, _): &&(&str, &str)| {
                parameter
                    .strip_prefix(*name)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
            };
            OTHERS.iter().find(is_it)
        };
        PostgresError::Unusable(match parameters.into_iter().find_map(named) {
            Some((name, instead)) => {
                format!("`ledger.postgres`: `{name}` can't be used here: {instead}")
            }
            None => "`ledger.postgres` is no PostgreSQL address, such as \
                     \"postgresql://user@host/database\", or has a parameter that isn't known here"
                .to_owned(),
        })
    })
}

#[cfg(test)]
mod tests {
    use tokio_postgres::config::SslMode;

    use super::*;

    fn read(url: &str) -> Result<Config, String> {
        read_url(&url.to_owned().into()).map_err(|error| error.to_string())
    }

    #[test]
    fn to_verify_is_what_we_do() {
        for url in [
            "postgresql://u:p@h/d?sslmode=verify-full",
            "postgresql://u:p@h/d?application_name=a&sslmode=verify-ca",
            "host=h user=u dbname=d sslmode=verify-full",
            "host = h sslmode = 'verify-full' user = u",
            "postgresql://u:p@h/d?sslmode=require",
        ] {
            assert_eq!(read(url).unwrap().get_ssl_mode(), SslMode::Require, "{url}");
        }
    }

    #[test]
    fn what_means_nothing_here_is_named_and_no_password() {
        for (url, said) in [
            ("postgresql://u:hunter2@h/d?sslrootcert=/a.crt", "`ledger.postgres_ca`"),
            ("postgresql://u:hunter2@h/d?sslmode=allow", "`sslmode=require`"),
            ("host=h password=hunter2 sslcert=/a", "use a password"),
            ("postgresql://u:hunter2@h:port/d", "is no PostgreSQL address"),
            ("hunter2", "is no PostgreSQL address"),
        ] {
            let error = read(url).unwrap_err();
            assert!(error.contains(said) && !error.contains("hunter2"), "{error}");
        }
    }
}
