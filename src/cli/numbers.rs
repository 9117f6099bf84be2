//! `farebox numbers`: says that nothing is sold to a number, or that messages are sold to it again.

use std::path::Path;
use std::process::ExitCode;

use clap::Subcommand;
use hyper::StatusCode;
use serde_json::Value;

use super::failure::Failure;
use super::ops_client::ask;
use crate::cli::print::say;
use crate::config::LedgerConfig;

/// What is said of a number.
#[derive(Subcommand)]
pub(super) enum NumbersCommand {
    /// Sell nothing to it, as if it had asked for that.
    Refuse {
        /// The service.
        service: String,
        /// The number, such as +491701234567.
        #[arg(value_parser = number)]
        number: String,
    },
    /// Sell to it again, whatever its phone or the backend said.
    Allow {
        /// The service.
        service: String,
        /// The number, such as +491701234567.
        #[arg(value_parser = number)]
        number: String,
    },
}

fn number(text: &str) -> Result<String, String> {
    let is_number = crate::order::phone_number::is_e164(text);
    is_number.then(|| text.to_owned()).ok_or_else(|| {
        "a number has a plus and 7 to 15 digits, with its country code, such as +491701234567"
            .to_owned()
    })
}

pub(super) async fn run(path: &Path, command: NumbersCommand) -> Result<ExitCode, Failure> {
    let config = LedgerConfig::read(path)?;
    let (service, number, verb) = match &command {
        NumbersCommand::Refuse { service, number } => (service, number, "refuse"),
        NumbersCommand::Allow { service, number } => (service, number, "allow"),
    };
    let target = format!("/services/{service}/numbers/{number}/{verb}");
    let token = config.ops.token.as_ref().map(|token| token.as_str());
    let (status, answer) = ask(config.ops.address, token, "POST", &target).await?;
    if status != StatusCode::OK {
        let why = answer.get("error").and_then(Value::as_str).unwrap_or("it was not done");
        return Err(why.to_owned().into());
    }
    match (verb, answer.get("wasRefused").and_then(Value::as_bool)) {
        ("refuse", _) => say!("nothing is sold to this number by {service} for now"),
        (_, Some(false)) => say!("this number was not refused by {service}"),
        _ => say!("messages to this number are sold by {service} again"),
    }
    Ok(ExitCode::SUCCESS)
}
