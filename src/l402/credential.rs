//! What a client hands in: `Authorization: L402 <base64 macaroon>:<hex preimage>`, and the
//! spellings that its clients use.

use base64::Engine as _;
use base64::engine::general_purpose::GeneralPurpose;
use base64::engine::{DecodePaddingMode, GeneralPurposeConfig};

use super::authorization;
use super::macaroon::LENGTH_MAX_BYTES;
use crate::payment_hash::Preimage;

/// Most macaroons that one request may hand in; the rest isn't looked at.
pub const CREDENTIALS_MAX: usize = 8;

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(false),
);

/// The proof of payment beside a macaroon.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// Nothing after the colon: not paid yet (or the preimage stands in a caveat).
    None,
    /// Something that isn't 32 bytes in any form that we read.
    Unreadable,
    /// A preimage, right or wrong.
    Preimage(Preimage),
}

/// A macaroon and its proof, as handed in.
pub struct Credential {
    /// Binary macaroon.
    pub macaroon: Vec<u8>,
    /// What was handed in beside it.
    pub proof: Proof,
}

/// All that a request hands in.
pub enum Handed {
    /// No L402 credential; another scheme's is none.
    Nothing,
    /// It said L402, but no macaroon could be read from it.
    Unreadable,
    /// At least one.
    Credentials(Vec<Credential>),
}

/// Reads the values of all `Authorization` lines, and of the `Macaroon` and
/// `Grpc-Metadata-Macaroon` lines (hex, preimage as a caveat).
pub fn read<'a>(
    authorization: impl Iterator<Item = &'a [u8]>,
    macaroon_lines: impl Iterator<Item = &'a [u8]>,
) -> Handed {
    let mut credentials = Vec::new();
    let mut unreadable = false;
    for token in authorization.flat_map(authorization::tokens) {
        // All of it may stand in quotes, or each side of the colon.
        let (macaroons, preimage) = split_at_byte(bare(token), b':');
        let proof = match preimage.map(bare) {
            None | Some([]) => Proof::None,
            Some(text) => read_preimage(text).map_or(Proof::Unreadable, Proof::Preimage),
        };
        for macaroon in macaroons.split(|byte| *byte == b',') {
            match decode_base64(bare(macaroon)) {
                Some(macaroon) if !macaroon.is_empty() => {
                    credentials.push(Credential { macaroon, proof })
                }
                _ => unreadable = true,
            }
            if credentials.len() == CREDENTIALS_MAX {
                return Handed::Credentials(credentials);
            }
        }
    }
    for line in macaroon_lines {
        if let Some(macaroon) = decode_hex(line.trim_ascii()) {
            credentials.push(Credential { macaroon, proof: Proof::None });
        }
        if credentials.len() == CREDENTIALS_MAX {
            break;
        }
    }
    match (credentials.is_empty(), unreadable) {
        (false, _) => Handed::Credentials(credentials),
        (true, true) => Handed::Unreadable,
        (true, false) => Handed::Nothing,
    }
}

/// The forms in which wallets and tools give a preimage: 32 bytes in hex, with `0x` before it or
/// not, or in either base64 alphabet (as LND's REST gives it), in quotes or not.
fn read_preimage(text: &[u8]) -> Option<Preimage> {
    let digits = text.strip_prefix(b"0x").or_else(|| text.strip_prefix(b"0X")).unwrap_or(text);
    Preimage::from_hex(digits).or_else(|| {
        let bytes = decode_base64(text)?;
        Some(Preimage::from_bytes(bytes.try_into().ok()?))
    })
}

/// Without the quotes that `jq` leaves around a text unless it is told not to, and without blanks.
fn bare(text: &[u8]) -> &[u8] {
    let text = text.trim_ascii();
    let inner = text.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
    // Else both sides of a colon stand in quotes of their own.
    let inner = inner.filter(|inner| !inner.contains(&b'"'));
    inner.map_or(text, <[u8]>::trim_ascii)
}

fn split_at_byte(text: &[u8], byte: u8) -> (&[u8], Option<&[u8]>) {
    let mut parts = text.splitn(2, |b| *b == byte);
    (parts.next().unwrap_or_default(), parts.next())
}

/// Either base64 alphabet (RFC 4648 sections 4 and 5), padded or not. `None` over the length limit
/// of a macaroon.
pub fn decode_base64(text: &[u8]) -> Option<Vec<u8>> {
    if text.len() > LENGTH_MAX_BYTES.div_ceil(3) * 4 {
        return None;
    }
    // Nearly all come as they went out.
    if let Ok(bytes) = BASE64.decode(text) {
        return Some(bytes);
    }
    let standard = |byte: &u8| match byte {
        b'-' => b'+',
        b'_' => b'/',
        other => *other,
    };
    BASE64.decode(text.iter().map(standard).collect::<Vec<_>>()).ok()
}

/// Standard alphabet with padding: how macaroons go out.
pub fn encode_base64(bytes: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

fn decode_hex(text: &[u8]) -> Option<Vec<u8>> {
    (!text.is_empty() && text.len() <= 2 * LENGTH_MAX_BYTES)
        .then(|| hex::decode(text).ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(lines: &[&str]) -> Handed {
        read(lines.iter().map(|l| l.as_bytes()), std::iter::empty())
    }

    fn one(lines: &[&str]) -> Credential {
        let Handed::Credentials(mut all) = of(lines) else { panic!("nothing read from {lines:?}") };
        assert_eq!(all.len(), 1, "{lines:?}");
        all.remove(0)
    }

    const HEX: &str = "0a0B0c0d0e0f000102030405060708090a0b0c0d0e0f00010203040506070809";

    #[test]
    fn schemes_alphabets_padding_and_cases() {
        for scheme in ["L402", "l402", "LSAT", "lsat", "Lsat"] {
            for token in ["+/+/+/8=", "-_-_-_8", "-_-_-_8=", "+/+/+/8"] {
                let read = one(&[&format!("{scheme} {token}:{HEX}")]);
                assert_eq!(read.macaroon, hex::decode("fbffbffbff").unwrap().as_slice(), "{token}");
                assert!(read.proof == Proof::Preimage(Preimage::from_hex(HEX.as_bytes()).unwrap()));
            }
        }
    }

    #[test]
    fn another_scheme_is_no_ticket() {
        assert!(matches!(
            of(&["Bearer AAAA:BBBB", "Basic dXNlcjpwYXNz", "L4022 AAAA:"]),
            Handed::Nothing
        ));
        assert!(matches!(of(&[]), Handed::Nothing));
    }

    #[test]
    fn several_lines_and_several_macaroons() {
        let Handed::Credentials(all) =
            of(&["Bearer x", &format!("LSAT AAAA,AQID:{HEX}"), &format!("L402 AAAA:{HEX}")])
        else {
            panic!()
        };
        assert_eq!(all.len(), 3);
        assert_eq!(all[1].macaroon, [1, 2, 3]);
    }

    #[test]
    fn no_preimage_and_a_bad_one() {
        assert!(one(&["L402 AAAA:"]).proof == Proof::None);
        assert!(one(&["L402 AAAA"]).proof == Proof::None);
        assert!(one(&["L402 AAAA:xyz"]).proof == Proof::Unreadable);
    }

    #[test]
    fn preimages_in_the_forms_that_wallets_and_tools_give() {
        let preimage = Preimage::from_hex(HEX.as_bytes()).unwrap();
        let base64 = encode_base64(preimage.as_bytes());
        let url_safe = base64.replace('+', "-").replace('/', "_");
        for text in [
            HEX.to_owned(),
            format!("0x{HEX}"),
            format!("0X{HEX}"),
            format!("\"{HEX}\""),
            format!("  {HEX} "),
            format!("\" {HEX}\""),
            base64.clone(),
            base64.trim_end_matches('=').to_owned(),
            url_safe.clone(),
            url_safe.trim_end_matches('=').to_owned(),
            format!("\"{base64}\""),
        ] {
            for line in [format!("L402 AAAA:{text}"), format!("L402 \"AAAA\": {text}")] {
                assert!(one(&[&line]).proof == Proof::Preimage(preimage), "{line}");
            }
        }
        assert!(one(&[&format!("L402 \"AAAA:{HEX}\"")]).proof == Proof::Preimage(preimage));
        // One byte less, one more, a letter that is none.
        for text in [&HEX[2..], &format!("{HEX}00"), &format!("z{}", &HEX[1..]), "0x", "\"\"x"] {
            assert!(one(&[&format!("L402 AAAA:{text}")]).proof == Proof::Unreadable, "{text}");
        }
    }

    #[test]
    fn a_good_one_counts_wherever_it_stands() {
        let line = format!("Basic x, L402 AAAA:, LSAT AQID:{HEX}, Bearer y");
        let Handed::Credentials(all) = of(&[&line]) else { panic!() };
        let macaroons: Vec<_> = all.iter().map(|one| one.macaroon.clone()).collect();
        assert_eq!(macaroons, [vec![0, 0, 0], vec![1, 2, 3]]);
        assert!(all[0].proof == Proof::None && matches!(all[1].proof, Proof::Preimage(_)));
    }

    #[test]
    fn garbage_is_unreadable() {
        assert!(matches!(of(&["L402"]), Handed::Unreadable));
        assert!(matches!(of(&["L402 :"]), Handed::Unreadable));
        assert!(matches!(of(&["L402 $$$:00"]), Handed::Unreadable));
        assert!(matches!(of(&[&format!("L402 {}:00", "A".repeat(10_000))]), Handed::Unreadable));
    }

    #[test]
    fn hex_lines() {
        let lines: [&[u8]; 2] = [b"zz", b"0102FF"];
        let Handed::Credentials(all) = read(std::iter::empty(), lines.into_iter()) else {
            panic!()
        };
        assert_eq!((all.len(), all[0].macaroon.as_slice()), (1, [1, 2, 255].as_slice()));
    }

    #[test]
    fn a_request_hands_in_a_bounded_number() {
        let line = format!("L402 {}:", ["AAAA"; 100].join(","));
        let Handed::Credentials(all) = of(&[&line]) else { panic!() };
        assert_eq!(all.len(), CREDENTIALS_MAX);
    }
}
