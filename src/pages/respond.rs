//! A file as a response: its type, and a tag by which it needn't be sent twice.

use std::borrow::Cow;
use std::io::Write as _;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http_body_util::Full;
use hyper::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG,
    HeaderMap, HeaderValue, IF_NONE_MATCH, VARY, X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Response, StatusCode};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::answer::Answer;
use crate::answer::body::Body;
use crate::code::Code;

/// What a picture that somebody opens by itself may do: nothing.
const PICTURE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; sandbox";

/// A file, with its tag (RFC 9110 section 8.8.3).
#[derive(Clone)]
pub(super) struct File {
    content_type: Cow<'static, str>,
    bytes: Bytes,
    tag: HeaderValue,
    /// The same by gzip.
    compressed: Option<Bytes>,
}

impl File {
    pub(super) fn new(content_type: impl Into<Cow<'static, str>>, bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        let digest = hex::encode(Sha256::digest(&bytes));
        // Weak, since the compressed form has the same.
        let tag = format!("W/\"{}\"", digest.get(..16).unwrap_or_default());
        let tag = HeaderValue::from_str(&tag).unwrap_or(HeaderValue::from_static("W/\"\""));
        Self { content_type: content_type.into(), bytes, tag, compressed: None }
    }

    /// How many bytes it has.
    pub(super) fn length(&self) -> usize {
        self.bytes.len()
    }

    /// With a second form for who takes gzip: for what is sent often and made once.
    pub(super) fn and_compressed(mut self) -> Self {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        let compressed = encoder.write_all(&self.bytes).and_then(|()| encoder.finish());
        self.compressed = compressed.ok().map(Bytes::from);
        self
    }

    pub(super) fn json(value: &Value) -> Self {
        Self::new("application/json", format!("{value:#}\n"))
    }

    pub(super) fn text(text: String) -> Self {
        Self::new("text/plain; charset=utf-8", text)
    }

    pub(super) fn svg(text: impl Into<Bytes>) -> Self {
        Self::new("image/svg+xml", text)
    }
}

/// Whether a client takes gzip (RFC 9110 section 12.5.3).
fn takes_gzip(asked: &HeaderMap) -> bool {
    let codings = asked.get_all(ACCEPT_ENCODING).iter().filter_map(|line| line.to_str().ok());
    let mut codings = codings.flat_map(|line| line.split(','));
    codings.any(|coding| {
        let (coding, quality) = coding.split_once(';').unwrap_or((coding, ""));
        let quality = quality.trim().trim_start_matches("q=").trim();
        coding.trim().eq_ignore_ascii_case("gzip") && quality.parse() != Ok(0.0_f32)
    })
}

/// Sends a file, unless the client has it (RFC 9110 section 13.1.2).
pub(super) fn respond(file: File, asked: &HeaderMap) -> Answer {
    let has_it =
        asked.get_all(IF_NONE_MATCH).iter().filter_map(|tags| tags.to_str().ok()).any(|tags| {
            let mut tags = tags.split(',').map(|tag| tag.trim().trim_start_matches("W/"));
            let own = file.tag.to_str().unwrap_or_default().trim_start_matches("W/");
            tags.any(|tag| tag == "*" || tag == own)
        });
    let is_chosen = file.compressed.is_some();
    let compressed = file.compressed.filter(|_| takes_gzip(asked));
    let is_compressed = compressed.is_some();
    let bytes = if has_it { Bytes::new() } else { compressed.unwrap_or(file.bytes) };
    let mut response = Response::new(Body::Whole(Full::from(bytes)));
    let headers = response.headers_mut();
    if is_chosen {
        headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
    }
    if is_compressed {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    headers.insert(ETAG, file.tag);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if file.content_type.starts_with("image/svg") {
        headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(PICTURE_POLICY));
    }
    if has_it {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    } else if let Ok(content_type) = HeaderValue::from_str(&file.content_type) {
        response.headers_mut().insert(CONTENT_TYPE, content_type);
    }
    Answer { response, code: Code::Page }
}
