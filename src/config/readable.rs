//! Files with secrets that every user of the machine may read.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use toml::Value;

/// Those that a config names: `{ file = ".." }` wherever it stands, the private key, the macaroon.
pub(super) fn readable_by_all(text: &str, folder: &Path, state_dir: &Path) -> Vec<PathBuf> {
    let Ok(config) = text.parse::<toml::Table>() else { return Vec::new() };
    let mut named = Vec::new();
    for (section, value) in &config {
        let base = if section == "tickets" { state_dir } else { folder };
        secret_files(value, base, &mut named);
    }
    if config.get("tickets").is_none_or(|tickets| tickets.get("master_secret").is_none()) {
        named.push(state_dir.join("master.secret"));
    }
    for (section, key) in [("listen", "key"), ("lnd", "macaroon")] {
        let path = config.get(section).and_then(|section| section.get(key)).and_then(Value::as_str);
        named.extend(path.map(|path| folder.join(path)));
    }
    named.retain(|path| is_readable_by_all(path));
    named.sort();
    named.dedup();
    named
}

/// Whether everybody may read it, and come to it.
fn is_readable_by_all(path: &Path) -> bool {
    let allows = |path: &Path, bit: u32| {
        std::fs::metadata(path).is_ok_and(|found| found.permissions().mode() & bit != 0)
    };
    let Ok(whole) = path.canonicalize() else { return false };
    allows(&whole, 0o004) && whole.ancestors().skip(1).all(|folder| allows(folder, 0o001))
}

fn secret_files(value: &Value, base: &Path, named: &mut Vec<PathBuf>) {
    match value {
        Value::Table(table) => {
            if let (1, Some(Value::String(path))) = (table.len(), table.get("file")) {
                named.push(base.join(path));
            }
            table.values().for_each(|value| secret_files(value, base, named));
        }
        Value::Array(values) => values.iter().for_each(|value| secret_files(value, base, named)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};

    use super::*;

    #[test]
    fn secrets_that_all_may_read_are_found_wherever_they_are_named() {
        let (folder, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for open in [&folder, &state] {
            fs::set_permissions(open.path(), Permissions::from_mode(0o755)).unwrap();
        }
        let make = |base: &Path, name: &str, mode| {
            let path = base.join(name);
            fs::write(&path, "secret").unwrap();
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            path
        };
        let (folder, state) = (folder.path(), state.path());
        let mut open = vec![
            make(folder, "token", 0o644),
            make(folder, "tls.key", 0o604),
            make(folder, "macaroon", 0o444),
            make(folder, "backend", 0o664),
            make(state, "master.secret", 0o644),
        ];
        make(folder, "closed", 0o640);
        let text = r#"
            [listen]
            key = "tls.key"
            [ops]
            token = { file = "token" }
            [lnd]
            macaroon = "macaroon"
            [tickets]
            master_secret = { file = "master.secret" }
            [[service]]
            upstream_headers = { A = { file = "backend" }, B = { file = "closed" }, C = "file" }
            upstream_query = { D = { file = "isn't there" }, E = { env = "E" } }
        "#;
        open.sort();
        assert_eq!(readable_by_all(text, folder, state), open);
        fs::set_permissions(folder, Permissions::from_mode(0o700)).unwrap();
        let found = readable_by_all(text, folder, state);
        assert_eq!(found, [state.join("master.secret")], "nobody comes to the others");
    }
}
