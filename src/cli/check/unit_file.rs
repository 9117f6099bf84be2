//! The `[Service]` section of a unit, as `systemctl cat` prints its files (systemd.service(5)).

use std::path::{Path, PathBuf};

/// Settings about when and how something is started and ended, beside all that begin with `Exec`.
const ABOUT_STARTING: [&str; 20] = [
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
    "RuntimeMaxSec",
    "TTYPath",
    "StandardInput",
    "StandardOutput",
    "StandardError",
];

/// Settings by which a unit is handed credentials.
const OF_CREDENTIALS: [&str; 4] =
    ["LoadCredential", "LoadCredentialEncrypted", "SetCredential", "SetCredentialEncrypted"];

/// The settings, in the order in which they stand; a line that goes on is one.
pub(super) struct ServiceSection(Vec<(String, String)>);

impl ServiceSection {
    pub(super) fn of(files: &str) -> Self {
        let (mut settings, mut is_service, mut begun) = (Vec::new(), false, String::new());
        // Remarks are no part of a line that goes on, and don't go on themselves.
        let is_remark = |line: &&str| line.starts_with(['#', ';']);
        for line in files.lines().map(str::trim).filter(|line| !is_remark(line)) {
            if let Some(more) = line.strip_suffix('\\') {
                begun = begun + more + " ";
                continue;
            }
            let whole = std::mem::take(&mut begun) + line;
            if whole.starts_with('[') {
                is_service = whole == "[Service]";
            } else if let (true, Some((name, value))) = (is_service, whole.split_once('=')) {
                settings.push((name.trim().to_owned(), value.trim().to_owned()));
            }
        }
        Self(settings)
    }

    /// The same for a unit of this name: its name stands in the place of what stands for it
    /// (systemd.unit(5), "Specifiers"), since the check runs under another one.
    pub(super) fn named(self, unit: &str) -> Self {
        let whole = unit.rsplit_once('.').map_or(unit, |(whole, _)| whole);
        let (prefix, instance) = whole.split_once('@').unwrap_or((whole, ""));
        let fill = |value: String| {
            // Two of them are one that stands for itself.
            let parts = value.split("%%").map(|part| {
                part.replace("%n", unit)
                    .replace("%N", whole)
                    .replace("%p", prefix)
                    .replace("%i", instance)
            });
            parts.collect::<Vec<_>>().join("%%")
        };
        Self(self.0.into_iter().map(|(name, value)| (name, fill(value))).collect())
    }

    /// All settings but for those about starting and ending, as the section of another unit.
    pub(super) fn settings(&self) -> String {
        let is_taken = |name: &str| !name.starts_with("Exec") && !ABOUT_STARTING.contains(&name);
        let taken = self.0.iter().filter(|(name, _)| is_taken(name));
        let lines = taken.map(|(name, value)| format!("{name}={value}\n"));
        // What lies there is the other unit's, which may run.
        "[Service]\n".to_owned() + &lines.collect::<String>() + "RuntimeDirectoryPreserve=yes\n"
    }

    /// Whether its user is made for it, and named after the unit.
    pub(super) fn needs_user_name(&self) -> bool {
        let last = |key: &str| self.0.iter().rev().find(|(name, _)| name == key);
        let is_dynamic = last("DynamicUser")
            .is_some_and(|(_, value)| ["yes", "true", "on", "1"].contains(&value.as_str()));
        is_dynamic && last("User").is_none_or(|(_, value)| value.is_empty())
    }

    /// Whether it is handed any.
    pub(super) fn has_credentials(&self) -> bool {
        self.0.iter().any(|(name, _)| OF_CREDENTIALS.contains(&name.as_str()))
    }

    /// The config that is named where it is started.
    pub(super) fn config(&self) -> Option<PathBuf> {
        let last = |key: &str| {
            let found = self.0.iter().rev().find(|(name, _)| name == key);
            found.map(|(_, value)| value.as_str())
        };
        let mut words = last("ExecStart")?.split_whitespace();
        let folder = last("WorkingDirectory").map_or("/", |folder| folder.trim_start_matches('-'));
        let named = words.find_map(|word| match word.strip_prefix("--config")? {
            "" => Some(None),
            rest => rest.strip_prefix('=').map(Some),
        })?;
        let path = named.or_else(|| words.next())?;
        Some(Path::new(folder).join(path.trim_matches(['"', '\''])))
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
        let expected = "[Service]\nUser=farebox\nReadWritePaths=/a  /b\nLoadCredential=old:\
                        /etc/old\nLoadCredential=\nLoadCredential=ops.token:/etc/token\n\
                        RuntimeDirectoryPreserve=yes\n";
        assert_eq!(section.settings(), expected);
        assert!(section.has_credentials());
        assert!(!ServiceSection::of("[Service]\nUser=a\n").has_credentials());
    }

    #[test]
    fn remarks_end_with_their_line_and_end_no_other() {
        let files = "\
[Service]
# ReadWritePaths=/srv \\
User=a
ReadWritePaths=/a \\
# b \\
; c
    /d
Type=x
";
        let section = ServiceSection::of(files);
        let expected = [("User", "a"), ("ReadWritePaths", "/a  /d"), ("Type", "x")];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(section.0, expected);
    }

    #[test]
    fn the_name_of_the_unit_stands_where_it_is_meant() {
        let files = "[Service]\nExecStart=/a serve --config /etc/%p/%i.toml\nStateDirectory=%N\n\
                     Environment=A=%%n_%n\n";
        let section = ServiceSection::of(files).named("farebox@a.service");
        let expected = "StateDirectory=farebox@a\nEnvironment=A=%%n_farebox@a.service\n";
        assert!(section.settings().contains(expected), "{}", section.settings());
        let config = section.config().unwrap();
        assert_eq!(config, Path::new("/etc/farebox/a.toml"));
    }

    #[test]
    fn a_user_that_is_made_for_a_unit_has_its_name() {
        let needs =
            |lines: &str| ServiceSection::of(&format!("[Service]\n{lines}")).needs_user_name();
        assert!(needs("DynamicUser=yes\n"));
        assert!(!needs("DynamicUser=yes\nUser=farebox\n") && !needs("DynamicUser=no\n"));
    }

    #[test]
    fn the_config_is_the_one_that_the_unit_serves() {
        let of = |lines: &str| {
            let section = ServiceSection::of(&format!("{FILES}[Service]\n{lines}\n"));
            section.config().map(|path| path.display().to_string())
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
