//! `farebox check --unit`: the same check as a systemd unit would meet it: as its user, in its
//! sandbox, with its environment. What root can read and write says nothing of that.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use super::send::Sending;
use crate::cli::failure::Failure;

/// What decides what the unit can reach; as `systemctl show` prints them, `systemd-run` takes them.
const TAKEN_OVER: [&str; 15] = [
    "User",
    "Group",
    "SupplementaryGroups",
    "AmbientCapabilities",
    "ProtectSystem",
    "ProtectHome",
    "PrivateTmp",
    "PrivateDevices",
    "ReadWritePaths",
    "ReadOnlyPaths",
    "InaccessiblePaths",
    "StateDirectory",
    "StateDirectoryMode",
    "WorkingDirectory",
    "Environment",
];

/// Of which the names differ.
const ENVIRONMENT_FILES: &str = "EnvironmentFiles";

/// What `systemctl show` doesn't print, but `systemctl cat` does.
const CREDENTIALS: [&str; 3] = ["LoadCredential", "LoadCredentialEncrypted", "SetCredential"];

/// Where a unit finds its credentials.
const CREDENTIALS_FOLDER: &str = "/run/credentials";

/// What is checked so.
pub(crate) struct UnitCheck {
    /// The unit.
    pub(crate) unit: String,
    /// The config, where it isn't the unit's own.
    pub(crate) config: Option<PathBuf>,
    /// As without a unit.
    pub(crate) macaroon: Option<PathBuf>,
    pub(crate) sending: Option<Sending>,
}

/// Runs the check and ends as it does.
pub(crate) fn run(check: UnitCheck) -> Result<ExitCode, Failure> {
    let is_whole = check.unit.contains('.');
    let unit = format!("{}{}", check.unit, if is_whole { "" } else { ".service" });
    let shown = show(&unit)?;
    let written = systemctl(&["cat", "--", &unit])?;
    let own = format!("farebox-check-{}.service", std::process::id());
    let mut command = Command::new("systemd-run");
    command.args(["--pipe", "--wait", "--collect", "--quiet", "--unit", &own]);
    for (name, value) in properties(&shown).into_iter().chain(credentials(&written, &unit, &own)) {
        command.arg(format!("--property={name}={value}"));
    }
    command.arg("--").arg(std::env::current_exe()?).args(arguments(check, &shown)?);
    let ended = command.status().map_err(|error| missing("systemd-run", &error))?;
    let code = ended.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}

/// What systemd knows of the unit, a line each.
fn show(unit: &str) -> Result<String, Failure> {
    let names = format!("{},{ENVIRONMENT_FILES},LoadState,ExecStart", TAKEN_OVER.join(","));
    let shown = systemctl(&["show", "--property", &names, "--", unit])?;
    match shown.lines().any(|line| line == "LoadState=loaded") {
        true => Ok(shown),
        false => Err(format!("`--unit {unit}`: systemd has no such unit").into()),
    }
}

fn systemctl(arguments: &[&str]) -> Result<String, Failure> {
    let output = Command::new("systemctl").args(arguments).output();
    let output = output.map_err(|error| missing("systemctl", &error))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(String::from_utf8_lossy(&output.stderr).trim().into()),
    }
}

fn missing(program: &str, error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => format!("{program} is not there: `--unit` is for systemd's units"),
        _ => format!("{program}: {error}"),
    }
}

/// Those that are set.
fn properties(shown: &str) -> Vec<(&str, String)> {
    let lines = shown.lines().filter_map(|line| line.split_once('='));
    lines
        .filter_map(|(name, value)| match name {
            _ if value.is_empty() || value == "[not set]" => None,
            ENVIRONMENT_FILES => Some(("EnvironmentFile", environment_file(value))),
            _ => TAKEN_OVER.contains(&name).then(|| (name, value.to_owned())),
        })
        .collect()
}

/// Those that the files of the unit, as they are `written`, hand to it; at the place where its
/// config names them, though the check runs as a unit of its own.
fn credentials(written: &str, unit: &str, own: &str) -> Vec<(&'static str, String)> {
    let mut all: Vec<(&str, String)> = Vec::new();
    for (name, value) in written.lines().filter_map(|line| line.trim().split_once('=')) {
        match (CREDENTIALS.into_iter().find(|known| *known == name), value) {
            (None, _) => {}
            (Some(name), "") => all.retain(|(given, _)| *given != name),
            (Some(name), value) => all.push((name, value.to_owned())),
        }
    }
    if !all.is_empty() {
        let bound = format!("{CREDENTIALS_FOLDER}/{own}:{CREDENTIALS_FOLDER}/{unit}");
        all.push(("BindReadOnlyPaths", bound));
    }
    all
}

/// From `/etc/x (ignore_errors=yes)` to `-/etc/x`.
fn environment_file(shown: &str) -> String {
    match shown.rsplit_once(" (ignore_errors=") {
        Some((path, "yes)")) => format!("-{path}"),
        Some((path, _)) => path.to_owned(),
        None => shown.to_owned(),
    }
}

/// The config that the unit serves.
fn served_config(shown: &str) -> Option<PathBuf> {
    let start = shown.lines().find_map(|line| line.strip_prefix("ExecStart="))?;
    let mut words = start.split_whitespace().skip_while(|word| *word != "--config");
    words.nth(1).map(PathBuf::from)
}

fn arguments(check: UnitCheck, shown: &str) -> Result<Vec<OsString>, Failure> {
    let mut arguments: Vec<OsString> = vec!["check".into()];
    // The unit works in another folder.
    let mut names = |option: &str, path: Option<PathBuf>| -> Result<(), Failure> {
        if let Some(path) = path {
            arguments.extend([option.into(), std::path::absolute(path)?.into()]);
        }
        Ok(())
    };
    names("--config", check.config.or_else(|| served_config(shown)))?;
    names("--macaroon", check.macaroon)?;
    if let Some(Sending { file, service }) = check.sending {
        names("--send", Some(file))?;
        arguments.extend(service.into_iter().flat_map(|name| ["--service".into(), name.into()]));
    }
    Ok(arguments)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As systemd 252 prints them.
    const SHOWN: &str = "\
ExecStart={ path=/usr/bin/farebox ; argv[]=/usr/bin/farebox serve --config \
/etc/farebox/farebox.toml ; ignore_errors=no ; start_time=[n/a] ; pid=0 ; status=0/0 }
EnvironmentFiles=/etc/farebox/environment (ignore_errors=yes)
EnvironmentFiles=/etc/farebox/must (ignore_errors=no)
Environment=A=b \"C=d e\"
AmbientCapabilities=cap_net_bind_service
User=farebox
SupplementaryGroups=
ReadWritePaths=
ProtectHome=yes
LoadState=loaded
";

    #[test]
    fn what_systemd_shows_of_a_unit_is_given_to_another() {
        let expected = [
            ("EnvironmentFile", "-/etc/farebox/environment"),
            ("EnvironmentFile", "/etc/farebox/must"),
            ("Environment", "A=b \"C=d e\""),
            ("AmbientCapabilities", "cap_net_bind_service"),
            ("User", "farebox"),
            ("ProtectHome", "yes"),
        ];
        assert_eq!(properties(SHOWN), expected.map(|(name, value)| (name, value.to_owned())));
    }

    #[test]
    fn credentials_are_where_the_config_names_them() {
        let written = "\
# /usr/lib/systemd/system/farebox.service
[Service]
#   LoadCredential=remark:/etc/x
LoadCredential=old:/etc/old
# /etc/systemd/system/farebox.service.d/override.conf
LoadCredential=
LoadCredential=ops.token:/etc/token
SetCredential=a:b=c
";
        let bound = "/run/credentials/check.service:/run/credentials/farebox.service";
        let expected = [
            ("LoadCredential", "ops.token:/etc/token"),
            ("SetCredential", "a:b=c"),
            ("BindReadOnlyPaths", bound),
        ];
        let given = credentials(written, "farebox.service", "check.service");
        assert_eq!(given, expected.map(|(name, value)| (name, value.to_owned())));
        assert!(credentials("[Service]\n", "farebox.service", "check.service").is_empty());
    }

    #[test]
    fn the_config_is_the_units_unless_another_is_named() {
        let unit = "farebox.service".to_owned();
        let check =
            |config, sending| UnitCheck { unit: unit.clone(), config, macaroon: None, sending };
        let given = arguments(check(None, None), SHOWN).unwrap();
        assert_eq!(given, ["check", "--config", "/etc/farebox/farebox.toml"]);
        let sending = Sending { file: "/a.json".into(), service: Some("sms".to_owned()) };
        let given = arguments(check(Some("/b.toml".into()), Some(sending)), SHOWN).unwrap();
        let sends = ["--send", "/a.json", "--service", "sms"];
        assert_eq!(given, [&["check", "--config", "/b.toml"], &sends[..]].concat());
    }
}
