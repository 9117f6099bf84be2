//! `farebox check --unit`: the same check as a systemd unit would meet it: as its user, in its
//! sandbox, with its environment and credentials. What root can read and write says nothing of
//! that. It runs as a unit of its own, which has all settings of the other but for what is started.

use std::ffi::OsString;
use std::fs;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use tokio::signal::unix::SignalKind;

use super::send::Sending;
use super::unit_file::ServiceSection;
use crate::cli::failure::Failure;
use crate::cli::print::complain;

/// Where settings of units lie that are gone after a restart of the machine.
const RUNTIME_UNITS: &str = "/run/systemd/system";

/// Where a unit finds its credentials.
const CREDENTIALS: &str = "/run/credentials";

/// From here on an exit status is systemd's own: the unit could not be set up (systemd.exec(5)).
const SETUP_FAILED: i32 = 200;

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
    // Heard and not obeyed: whoever hits Ctrl-C ends what is run below, and what it left goes.
    let _heard = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()]
        .map(tokio::signal::unix::signal);
    let is_whole = check.unit.contains('.');
    let unit = format!("{}{}", check.unit, if is_whole { "" } else { ".service" });
    let section = ServiceSection::of(&systemctl(&["cat", "--", &unit])?).named(&unit);
    let own = format!("farebox-check-{}.service", std::process::id());
    let mut settings = section.settings();
    if section.has_credentials() {
        // At the place where its config names them.
        let bound = format!("{CREDENTIALS}/{own}:{CREDENTIALS}/{unit}");
        settings.push_str(&format!("BindReadOnlyPaths={bound}\n"));
    }
    if section.needs_user_name() {
        settings.push_str(&format!("User={}\n", unit.trim_end_matches(".service")));
    }
    let mut given = Given { own: &own, settings: &mut settings, arguments: vec!["check".into()] };
    given.config(check.config, section.config())?;
    given.file("--macaroon", "macaroon", check.macaroon)?;
    if let Some(Sending { file, service }) = check.sending {
        given.file("--send", "send", Some(file))?;
        let service = service.into_iter().flat_map(|name| ["--service".into(), name.into()]);
        given.arguments.extend(service);
    }
    let arguments = given.arguments;
    // In a file: whoever looks at processes sees arguments.
    let _drop_in = DropIn::write(&own, &settings)?;
    let mut command = Command::new("systemd-run");
    command.args(["--pipe", "--wait", "--collect", "--quiet", "--unit", &own, "--"]);
    command.arg(std::env::current_exe()?).args(arguments);
    let ended = command.status().map_err(|error| missing("systemd-run", &error))?;
    if ended.code().is_none() {
        let _ = systemctl(&["stop", "--", &own]);
    }
    if let Some(status) = ended.code().filter(|code| *code >= SETUP_FAILED) {
        complain!(
            "farebox: systemd can't set up such a unit (exit status {status}, systemd.exec(5)), \
             and so {unit} neither: `journalctl -u {own}` says why"
        );
    }
    let code = ended.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}

/// What the check is told.
struct Given<'a> {
    own: &'a str,
    settings: &'a mut String,
    arguments: Vec<OsString>,
}

impl Given<'_> {
    /// The config: one that was named, else the unit's own.
    fn config(&mut self, named: Option<PathBuf>, own: Option<PathBuf>) -> Result<(), Failure> {
        let named = named.map(std::path::absolute).transpose()?;
        let path = named.or(own).ok_or(
            "the unit's ExecStart= names no `--config`: name the one that it serves, by --config",
        )?;
        self.arguments.extend(["--config".into(), path.into()]);
        Ok(())
    }

    /// A file of root's, which the unit needn't be able to read: it is handed one as a credential.
    fn file(&mut self, option: &str, name: &str, path: Option<PathBuf>) -> Result<(), Failure> {
        // A name that no credential of the unit's has.
        let name = format!("farebox-check-{name}");
        let Some(path) = path else { return Ok(()) };
        let path = std::path::absolute(path)?;
        fs::metadata(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let escaped = path.display().to_string().replace('%', "%%");
        self.settings.push_str(&format!("LoadCredential={name}:{escaped}\n"));
        let there = Path::new(CREDENTIALS).join(self.own).join(name);
        self.arguments.extend([option.into(), there.into()]);
        Ok(())
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

/// Settings of a unit, in a folder that is removed at the end.
struct DropIn(PathBuf);

impl DropIn {
    fn write(unit: &str, settings: &str) -> Result<Self, Failure> {
        let folder = Path::new(RUNTIME_UNITS).join(format!("{unit}.d"));
        let fault = |error: std::io::Error| format!("{}: {error}; are you root?", folder.display());
        fs::create_dir_all(&folder).map_err(fault)?;
        let drop_in = Self(folder.clone());
        let file = folder.join("as-the-unit.conf");
        let mut options = fs::OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let written = options.open(file).and_then(|mut file| file.write_all(settings.as_bytes()));
        written.map_err(fault)?;
        Ok(drop_in)
    }
}

impl Drop for DropIn {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
