//! docs/quick-start.md, word by word, in a clean Debian.

use crate::debian::Debian;
use crate::package::Package;

/// A block of the document that has to be run, and what has to be in what it says, if anything.
struct Step {
    commands: String,
    says: Option<String>,
}

/// Blocks that are fenced as `sh` are run; one of `text` after it tells what they say.
fn steps() -> Vec<Step> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/quick-start.md");
    let text = std::fs::read_to_string(path).unwrap();
    let mut steps: Vec<Step> = Vec::new();
    for block in text.split("\n```").skip(1).step_by(2) {
        let (kind, body) = block.split_once('\n').unwrap();
        match kind {
            "sh" => steps.push(Step { commands: body.to_owned(), says: None }),
            "text" => steps.last_mut().unwrap().says = Some(body.trim().to_owned()),
            other => panic!("a block of {other}"),
        }
    }
    steps
}

#[test]
fn the_quick_start_leads_to_a_sale_as_it_stands() {
    let (debian, package) = (Debian::boot(), Package::build());
    package.is_installed_in(&debian);
    let steps = steps();
    assert!(steps.len() > 8 && steps.iter().any(|step| step.says.is_some()));
    for Step { commands, says } in steps {
        std::fs::write(debian.file("/root/step.sh"), script(&commands)).unwrap();
        let said = debian.runs(&["bash", "/root/step.sh"]);
        println!("{commands}\n{said}");
        assert!(says.is_none_or(|expected| said.contains(&expected)), "see above");
    }
}

/// All steps are one shell to the reader: its variables live on.
fn script(commands: &str) -> String {
    let variables = "CHALLENGE PREIMAGE MACAROON";
    format!(
        "set -eo pipefail\nexport HOME=/root\n[ ! -e /root/variables ] || . /root/variables\n\
         {commands}\ndeclare -p {variables} >/root/variables 2>/dev/null || true\n"
    )
}
