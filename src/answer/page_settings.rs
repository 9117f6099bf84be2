//! What the operator says to people who come by browser.

use std::path::PathBuf;

use bytes::Bytes;

/// The operator's own words, colour and picture.
#[derive(Clone, Default)]
pub struct PageSettings {
    /// Whether there are pages at all.
    pub is_enabled: bool,
    /// The operator's name.
    pub title: Option<String>,
    /// What is sold here, in a sentence or two.
    pub about: Option<String>,
    /// Whom to ask: a `mailto:` or web address.
    pub contact: Option<String>,
    /// Terms of use, a web address.
    pub terms: Option<String>,
    /// The colour of buttons.
    pub accent: Option<Accent>,
    /// Shown beside the name.
    pub logo: Option<Logo>,
    /// A web page that can pay an invoice.
    pub wallet: Option<WalletLink>,
    /// Files that are served as they are.
    pub static_dir: Option<PathBuf>,
}

impl PageSettings {
    /// The operator's name, or ours.
    pub fn title(&self) -> &str {
        self.title.as_deref().unwrap_or("Farebox")
    }
}

/// A colour: red, green, blue.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Accent(pub [u8; 3]);

impl Accent {
    /// Whether black can be read on it better than white: by relative luminance (WCAG 2.2), where
    /// both have the same contrast at 0.179.
    pub fn takes_black(self) -> bool {
        let linear = |channel: u8| {
            let value = f64::from(channel) / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        let [red, green, blue] = self.0.map(linear);
        0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.179
    }
}

/// A picture.
#[derive(Clone)]
pub struct Logo {
    /// What it is.
    pub media_type: &'static str,
    /// The file.
    pub bytes: Bytes,
}

/// A web page that can pay an invoice, such as a hosted wallet.
#[derive(Clone)]
pub struct WalletLink {
    /// What the link says.
    pub title: String,
    /// Where it leads; `{invoice}` stands for the invoice.
    pub url: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_on_the_accent_can_be_read() {
        for (rgb, takes_black) in [
            ([0xff, 0xff, 0xff], true),
            ([0xff, 0xd0, 0x00], true),
            ([0x00, 0xaa, 0x77], true),
            ([0x00, 0x00, 0x00], false),
            ([0x1a, 0x4f, 0xd0], false),
        ] {
            assert_eq!(Accent(rgb).takes_black(), takes_black, "{rgb:?}");
        }
    }
}
