//! An answer that came compressed although nobody asked for that: unpacked, so that it can be
//! judged, and read by its payer.

use std::io::Read;

use bytes::Bytes;
use flate2::read::{MultiGzDecoder, ZlibDecoder};
use hyper::header::{CONTENT_ENCODING, HeaderMap};

/// What became of an encoding.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Decoded {
    /// There was none.
    Plain,
    /// It was taken off.
    Unpacked(Bytes),
    /// It is one that can't be read here, or what it holds is broken or too long.
    Unreadable,
}

/// Takes off the encoding that an answer's head names (RFC 9110 section 8.4.1), if the text below
/// has at most `limit` bytes.
pub(super) fn decode(headers: &HeaderMap, body: &[u8], limit: usize) -> Decoded {
    let values: Vec<&[u8]> =
        headers.get_all(CONTENT_ENCODING).iter().map(|value| value.as_bytes()).collect();
    let codings = values.iter().flat_map(|value| value.split(|byte| *byte == b','));
    let codings: Vec<String> = codings
        .map(|coding| String::from_utf8_lossy(coding.trim_ascii()).to_ascii_lowercase())
        .filter(|coding| !matches!(coding.as_str(), "" | "identity"))
        .collect();
    match codings.as_slice() {
        [] => Decoded::Plain,
        _ if body.is_empty() => Decoded::Plain,
        [coding] if matches!(coding.as_str(), "gzip" | "x-gzip") => {
            unpack(MultiGzDecoder::new(body), limit)
        }
        [coding] if coding == "deflate" => unpack(ZlibDecoder::new(body), limit),
        _ => Decoded::Unreadable,
    }
}

fn unpack(packed: impl Read, limit: usize) -> Decoded {
    let mut text = Vec::new();
    match packed.take(limit as u64 + 1).read_to_end(&mut text) {
        Ok(length) if length <= limit => Decoded::Unpacked(text.into()),
        Ok(_) | Err(_) => Decoded::Unreadable,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::{GzEncoder, ZlibEncoder};

    use super::*;

    fn of(coding: &'static str, body: &[u8]) -> Decoded {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_ENCODING, coding.parse().unwrap());
        decode(&headers, body, 100)
    }

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut packer = GzEncoder::new(Vec::new(), Compression::default());
        packer.write_all(text).unwrap();
        packer.finish().unwrap()
    }

    #[test]
    fn what_is_packed_is_unpacked_within_bounds() {
        let unpacked = Decoded::Unpacked("{}".into());
        assert_eq!(of("gzip", &gzip(b"{}")), unpacked);
        assert_eq!(of("X-GZip, identity", &gzip(b"{}")), unpacked);
        let mut packer = ZlibEncoder::new(Vec::new(), Compression::default());
        packer.write_all(b"{}").unwrap();
        assert_eq!(of("deflate", &packer.finish().unwrap()), unpacked);
        assert_eq!(of("identity", b"{}"), Decoded::Plain);
        assert_eq!(decode(&HeaderMap::new(), b"{}", 100), Decoded::Plain);
        assert_eq!(of("br", b"{}"), Decoded::Unreadable);
        assert_eq!(of("gzip, gzip", &gzip(&gzip(b"{}"))), Decoded::Unreadable);
        assert_eq!(of("gzip", b"{}"), Decoded::Unreadable);
        assert_eq!(of("gzip", &gzip(&[b' '; 101])), Decoded::Unreadable, "a bomb");
    }
}
