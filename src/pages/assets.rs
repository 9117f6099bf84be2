//! Styles, scripts and pictures: files of the tree, compiled in, and the operator's own.

use super::respond::File;
use crate::answer::page_settings::{Accent, PageSettings};

/// What is compiled in.
const COMPILED_IN: &[(&str, &str, &str)] = &[
    ("page.css", "text/css; charset=utf-8", include_str!("assets/page.css")),
    ("api.js", SCRIPT, include_str!("assets/api.js")),
    ("buy.js", SCRIPT, include_str!("assets/buy.js")),
    ("elements.js", SCRIPT, include_str!("assets/elements.js")),
    ("my-tickets.js", SCRIPT, include_str!("assets/my-tickets.js")),
    ("order-form.js", SCRIPT, include_str!("assets/order-form.js")),
    ("payment.js", SCRIPT, include_str!("assets/payment.js")),
    ("receipt.js", SCRIPT, include_str!("assets/receipt.js")),
    ("store.js", SCRIPT, include_str!("assets/store.js")),
];

const SCRIPT: &str = "text/javascript; charset=utf-8";

const FAVICON: &str = include_str!("assets/favicon.svg");

/// All of them, with their tags.
pub(super) struct Assets {
    files: Vec<(&'static str, File)>,
    favicon: File,
}

impl Assets {
    pub(super) fn new(settings: &PageSettings) -> Self {
        let compiled_in = COMPILED_IN.iter();
        let mut files: Vec<_> = compiled_in
            .map(|(name, content_type, text)| {
                (*name, File::new(*content_type, *text).and_compressed())
            })
            .collect();
        let theme = settings.accent.map(theme).unwrap_or_default();
        files.push(("theme.css", File::new("text/css; charset=utf-8", theme)));
        let logo = settings.logo.as_ref();
        let logo = logo.map(|logo| File::new(logo.media_type, logo.bytes.clone()));
        files.extend(logo.clone().map(|logo| ("logo", logo)));
        Self { files, favicon: logo.unwrap_or_else(|| File::svg(FAVICON)) }
    }

    pub(super) fn get(&self, name: &str) -> Option<File> {
        self.files.iter().find(|(own, _)| *own == name).map(|(_, file)| file.clone())
    }

    pub(super) fn favicon(&self) -> File {
        self.favicon.clone()
    }
}

/// The operator's colour, and what can be read on it.
fn theme(accent: Accent) -> String {
    let Accent([red, green, blue]) = accent;
    let text = if accent.takes_black() { "#000" } else { "#fff" };
    format!(":root{{--accent:#{red:02x}{green:02x}{blue:02x};--on-accent:{text}}}\n")
}
