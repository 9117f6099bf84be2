//! The `[Service]` section of a unit, as `systemctl cat` prints its files (systemd.service(5)).

use std::path::{Path, PathBuf};

/// Settings about when and how something is started and ended, beside all that begin with `Exec`.
const ABOUT_STARTING: [&str; 18] = [
    "Type",
    "NotifyAccess",
    "Restart",
    "RestartSec",
    "RestartPreventExitStatus",
    "RestartForceExitStatus",
    "SuccessExitStatus",
    "RemainAfterExit",
    "PIDFile",
    "BusName",
    "Sockets",
    "WatchdogSec",
    "TimeoutSec",
    "TimeoutStartSec",
    "TimeoutStopSec",
    "StandardInput",
    "StandardOutput",
    "StandardError",
];

/// Settings by which a unit is handed credentials.
const OF_CREDENTIALS: [&str; 4] =
    ["LoadCredential", "LoadCredentialEncrypted", "SetCredential", "SetCredentialEncrypted"];

/// The settings, in the order in which they stand; a line that goes on is one.
pub(super) struct ServiceSection(Vec<(String, String)>);

/// What a unit starts.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Exec {
    /// The config that it is started with, if it is named.
    pub(super) config: Option<PathBuf>,
}

impl ServiceSection {
    pub(super) fn of(files: &str) -> Self {
        let (mut settings, mut is_service) = (Vec::new(), false);
        for line in files.replace("\\\n", " ").lines().map(str::trim) {
            if line.starts_with(['#', ';']) {
                continue;
            }
            if line.starts_with('[') {
                is_service = line == "[Service]";
            } else if let (true, Some((name, value))) = (is_service, line.split_once('=')) {
                settings.push((name.trim().to_owned(), value.trim().to_owned()));
            }
        }
        Self(settings)
    }

    /// All settings but for those about starting and ending, as the section of another unit.
    pub(super) fn settings(&self) -> String {
        let is_taken = |name: &str| !name.starts_with("Exec") && !ABOUT_STARTING.contains(&name);
        let taken = self.0.iter().filter(|(name, _)| is_taken(name));
        let lines = taken.map(|(name, value)| format!("{name}={value}\n"));
        "[Service]\n".to_owned() + &lines.collect::<String>()
    }

    /// Whether it is handed any.
    pub(super) fn has_credentials(&self) -> bool {
        self.0.iter().any(|(name, _)| OF_CREDENTIALS.contains(&name.as_str()))
    }

    /// What is started; `None` where nothing is.
    pub(super) fn exec(&self) -> Option<Exec> {
        let last = |key: &str| {
            let found = self.0.iter().rev().find(|(name, _)| name == key);
            found.map(|(_, value)| value.as_str())
        };
        let mut words = last("ExecStart")?.split_whitespace();
        let folder = last("WorkingDirectory").map_or("/", |folder| folder.trim_start_matches('-'));
        let config = words.find_map(|word| match word.strip_prefix("--config")? {
            "" => Some(None),
            rest => rest.strip_prefix('=').map(Some),
        });
        let config = config.and_then(|named| named.or_else(|| words.next()));
        let config = config.map(|path| Path::new(folder).join(path.trim_matches(['"', '\''])));
        Some(Exec { config })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILES: &str = "\
# /usr/lib/systemd/system/farebox.service
[Unit]
Description=Farebox
[Service]
#   LoadCredential=remark:/etc/x
Type=notify
ExecStart=/usr/bin/farebox serve --config /etc/farebox/farebox.toml
ExecReload=/bin/kill
Restart=on-failure
User=farebox
ReadWritePaths=/a \\
    /b
LoadCredential=old:/etc/old
# /etc/systemd/system/farebox.service.d/override.conf
[Service]
LoadCredential=
LoadCredential=ops.token:/etc/token
[Install]
WantedBy=multi-user.target
";

    #[test]
    fn all_is_taken_over_but_what_is_started() {
        let section = ServiceSection::of(FILES);
        let expected = "[Service]\nUser=farebox\nReadWritePaths=/a      /b\nLoadCredential=old:\
                        /etc/old\nLoadCredential=\nLoadCredential=ops.token:/etc/token\n";
        assert_eq!(section.settings(), expected);
        assert!(section.has_credentials());
        assert!(!ServiceSection::of("[Service]\nUser=a\n").has_credentials());
    }

    #[test]
    fn the_config_is_the_one_that_the_unit_serves() {
        let of = |lines: &str| {
            let exec = ServiceSection::of(&format!("{FILES}[Service]\n{lines}\n")).exec();
            exec.unwrap().config.map(|path| path.display().to_string())
        };
        assert_eq!(of("").as_deref(), Some("/etc/farebox/farebox.toml"));
        let cases = [
            ("ExecStart=\nExecStart=/a serve --config=/etc/b.toml", Some("/etc/b.toml")),
            ("WorkingDirectory=/srv\nExecStart=/a serve --config b.toml", Some("/srv/b.toml")),
            ("ExecStart=/a serve --config \"/etc/b.toml\"", Some("/etc/b.toml")),
            ("ExecStart=/a serve", None),
        ];
        for (lines, expected) in cases {
            assert_eq!(of(lines).as_deref(), expected, "{lines}");
        }
    }
}
