//! An invoice as a QR code (ISO/IEC 18004), for wallets that look at a screen.

use std::fmt::Write as _;

use qrcodegen::{QrCode, QrCodeEcc, QrSegment};

/// Longest text that is drawn, in bytes: more than any BOLT 11 invoice of ours.
pub const TEXT_MAX_BYTES: usize = 2000;

/// White around the code, in modules, that readers need.
const QUIET_ZONE: i32 = 4;

/// An SVG picture of `lightning:` and the invoice; `None` if that doesn't fit.
pub fn svg(invoice: &str) -> Option<String> {
    // BOLT 11: `ln`, then bech32.
    let is_invoice = invoice.get(..2).is_some_and(|start| start.eq_ignore_ascii_case("ln"))
        && invoice.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if !is_invoice || invoice.len() > TEXT_MAX_BYTES {
        return None;
    }
    // Capital letters take less space, and mean the same in bech32 (BIP 173) and in a scheme.
    let text = format!("lightning:{invoice}").to_ascii_uppercase();
    let text = [QrSegment::make_alphanumeric(&text)];
    let code = QrCode::encode_segments(&text, QrCodeEcc::Low).ok()?;
    let mut path = String::new();
    for y in 0..code.size() {
        let mut x = 0;
        while x < code.size() {
            let length = (x..code.size()).take_while(|&x| code.get_module(x, y)).count();
            let length = i32::try_from(length).unwrap_or(0);
            if length > 0 {
                let _ =
                    write!(path, "M{} {}h{length}v1h-{length}z", x + QUIET_ZONE, y + QUIET_ZONE);
            }
            x += length.max(1);
        }
    }
    let side = code.size() + 2 * QUIET_ZONE;
    Some(format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {side} {side}"
 shape-rendering="crispEdges" role="img" aria-label="QR code of the invoice"
><path fill="#fff" d="M0 0h{side}v{side}H0z"/><path d="{path}"/></svg>"##
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invoice_becomes_a_picture_and_other_texts_do_not() {
        let picture = svg("lnbcrt1u1p5m7q0qpp5xyz").unwrap();
        assert!(picture.starts_with("<svg ") && picture.contains("h7v1h-7z"), "{picture}");
        assert!(svg("lnbc<script>").is_none());
        assert!(svg("é").is_none() && svg("").is_none() && svg("https").is_none());
        assert!(svg(&format!("ln{}", "l".repeat(TEXT_MAX_BYTES))).is_none());
        assert!(svg(&format!("ln{}", "l".repeat(TEXT_MAX_BYTES - 2))).is_some());
    }
}
