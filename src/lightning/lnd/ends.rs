//! When the operator's files for LND end.

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::l402::macaroon;
use crate::lightning::AccessEnds;

/// What begins the caveat by which a macaroon of LND's ends.
const TIME_BEFORE: &str = "time-before ";

/// Reads it from the files' texts.
pub(super) fn read(certificate: &[u8], macaroon: &[u8]) -> AccessEnds {
    AccessEnds { certificate: certificate_ends(certificate), macaroon: macaroon_ends(macaroon) }
}

fn certificate_ends(pem: &[u8]) -> Option<i64> {
    let der = CertificateDer::from_pem_slice(pem).ok()?;
    let (_, certificate) = x509_parser::parse_x509_certificate(&der).ok()?;
    Some(certificate.validity().not_after.timestamp())
}

/// The first of its ends, where it has several.
fn macaroon_ends(bytes: &[u8]) -> Option<i64> {
    let read = macaroon::read_any(bytes)?;
    let ends = read.caveats.iter().filter_map(|caveat| {
        let time = std::str::from_utf8(caveat).ok()?.strip_prefix(TIME_BEFORE)?;
        Some(OffsetDateTime::parse(time, &Rfc3339).ok()?.unix_timestamp())
    });
    ends.min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_macaroon_ends_by_its_first_caveat_of_time() {
        let baked = |caveats: &[&str]| {
            let caveats: Vec<String> = caveats.iter().map(|text| (*text).to_owned()).collect();
            macaroon::create(&[1; 32], Some("lnd"), b"id", &caveats)
        };
        let (late, early) =
            ("time-before 2027-01-01T00:00:00Z", "time-before 2026-12-01T01:00:00+01:00");
        assert_eq!(macaroon_ends(&baked(&[late, early])), Some(1_796_083_200));
        assert_eq!(macaroon_ends(&baked(&["ipaddr 127.0.0.1", "time-before soon"])), None);
        assert_eq!(macaroon_ends(b"rubbish"), None);
    }

    #[test]
    fn a_certificate_has_its_end() {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(2027, 1, 2);
        let pem = params.self_signed(&key).unwrap().pem();
        assert_eq!(certificate_ends(pem.as_bytes()), Some(1_798_848_000));
        assert_eq!(certificate_ends(b"rubbish"), None);
    }
}
