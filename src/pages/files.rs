//! The operator's own files, served as they are.

use std::path::{Component, Path};

use super::respond::File;

/// Longest file that is served, in bytes: proofs of ownership, pictures, a page or two. Each answer
/// that is under way holds one.
const FILE_MAX_BYTES: u64 = 256 * 1024;

/// The file at a path; `None` if there is none, or none that may be read. Read anew each time, so
/// that a proof can be put there while Farebox runs.
pub(super) async fn read(folder: &Path, path: &str) -> Option<File> {
    let relative = plain(path)?.to_owned();
    let folder = folder.to_owned();
    let reading = tokio::task::spawn_blocking(move || {
        let file = folder.join(&relative).canonicalize().ok()?;
        // A link may not lead out of it.
        let is_inside = file.starts_with(&folder);
        let is_short =
            file.metadata().is_ok_and(|meta| meta.is_file() && meta.len() <= FILE_MAX_BYTES);
        let bytes = (is_inside && is_short).then(|| std::fs::read(&file).ok())??;
        Some(File::new(content_type(&relative), bytes))
    });
    reading.await.ok()?
}

/// The part of a path below the folder, where it names one file in one way: no escapes, nothing
/// hidden but `.well-known`.
fn plain(path: &str) -> Option<&str> {
    let relative = path.strip_prefix('/')?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte);
    let is_hidden = |part: &str| part.starts_with('.') && part != ".well-known";
    let parts_are_good = Path::new(relative).components().all(|part| match part {
        Component::Normal(name) => name.to_str().is_some_and(|name| !is_hidden(name)),
        _ => false,
    });
    let is_one = !relative.is_empty() && !relative.ends_with('/') && !relative.contains("//");
    (relative.bytes().all(is_plain) && parts_are_good && is_one).then_some(relative)
}

fn content_type(path: &str) -> &'static str {
    let name = path.rsplit('/').next().unwrap_or_default();
    match name.rsplit_once('.').map_or("", |(_, ending)| ending) {
        "html" | "htm" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "json" => "application/json",
        "xml" => "application/xml",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "ico" => "image/x-icon",
        "pdf" => "application/pdf",
        "woff2" => "font/woff2",
        // Proofs of ownership often have no ending, and are texts.
        "txt" | "" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_one_file_below_the_folder() {
        for good in ["/a.txt", "/.well-known/402index-verify.txt", "/a/b-c/d_e.html"] {
            assert!(plain(good).is_some(), "{good}");
        }
        for bad in [
            "/",
            "",
            "a",
            "/a/",
            "//a",
            "/a//b",
            "/../a",
            "/a/../b",
            "/./a",
            "/.env",
            "/a/.git/x",
            "/%2e%2e/a",
            "/a%00",
            "/a b",
            "/a\\b",
            "/.well-known/.x",
        ] {
            assert!(plain(bad).is_none(), "{bad}");
        }
    }
}
