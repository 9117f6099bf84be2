//! Kannel, a real SMS gateway, with its fake SMS centre, which prints every message that it gets:
//! the oracle for "sent exactly once".

use std::fs::File;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::ports::free_port;
use super::{install_if_missing, send_signal, wait_until};

pub struct Kannel {
    folder: TempDir,
    bearerbox: Child,
    centre: Child,
    smsbox: Child,
    pub sendsms: SocketAddr,
}

const FAKE_CENTRE: &str = "/usr/lib/kannel/test/fakesmsc";

impl Kannel {
    pub fn start() -> Self {
        install_if_missing(FAKE_CENTRE, "kannel kannel-extras");
        assert!(
            Path::new(FAKE_CENTRE).exists(),
            "Kannel is needed: install Debian's packages kannel and kannel-extras"
        );
        let folder = tempfile::tempdir().unwrap();
        let [admin, boxes, centre_port, sendsms] = [(); 4].map(|()| free_port());
        std::fs::write(
            folder.path().join("kannel.conf"),
            config(admin, boxes, centre_port, sendsms),
        )
        .unwrap();
        let bearerbox =
            run(folder.path(), "/usr/sbin/bearerbox", &["kannel.conf"], "bearerbox.log");
        wait_until("bearerbox", || TcpStream::connect(("127.0.0.1", boxes)).is_ok());
        let port = centre_port.to_string();
        wait_until("the centre's port", || TcpStream::connect(("127.0.0.1", centre_port)).is_ok());
        let centre = run(
            folder.path(),
            FAKE_CENTRE,
            &["-H", "127.0.0.1", "-r", &port, "-i", "1", "-m", "0", "1 2 text x"],
            "centre.log",
        );
        let smsbox = run(folder.path(), "/usr/sbin/smsbox", &["kannel.conf"], "smsbox.log");
        let kannel = Self {
            folder,
            bearerbox,
            centre,
            smsbox,
            sendsms: SocketAddr::from(([127, 0, 0, 1], sendsms)),
        };
        kannel.wait_for_smsbox();
        kannel
    }

    fn wait_for_smsbox(&self) {
        wait_until("smsbox", || TcpStream::connect(self.sendsms).is_ok());
    }

    /// What the SMS centre got, a line each.
    pub fn sent(&self) -> Vec<String> {
        let log = std::fs::read_to_string(self.folder.path().join("centre.log")).unwrap();
        log.lines().filter(|line| line.contains("Got message")).map(str::to_owned).collect()
    }

    pub fn signal_bearerbox(&self, name: &str) {
        send_signal(name, &[self.bearerbox.id()]);
    }

    pub fn kill_smsbox(&mut self) {
        let _ = self.smsbox.kill();
        let _ = self.smsbox.wait();
    }

    pub fn start_smsbox(&mut self) {
        self.smsbox = run(self.folder.path(), "/usr/sbin/smsbox", &["kannel.conf"], "smsbox.log");
        self.wait_for_smsbox();
    }
}

impl Drop for Kannel {
    fn drop(&mut self) {
        for child in [&mut self.smsbox, &mut self.centre, &mut self.bearerbox] {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn run(folder: &Path, program: &str, arguments: &[&str], log: &str) -> Child {
    let log = File::create(folder.join(log)).unwrap();
    let errors = log.try_clone().unwrap();
    Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        .spawn()
        .unwrap()
}

fn config(admin: u16, boxes: u16, centre: u16, sendsms: u16) -> String {
    format!(
        r#"group = core
admin-port = {admin}
admin-password = x
status-password = x
smsbox-port = {boxes}
box-allow-ip = "127.0.0.1"

group = smsc
smsc = fake
smsc-id = FAKE
port = {centre}
connect-allow-ip = 127.0.0.1

group = smsbox
bearerbox-host = 127.0.0.1
sendsms-port = {sendsms}
global-sender = 13013

group = sendsms-user
username = tester
password = foobar-of-kannel
max-messages = 10
concatenation = true
black-list-regex = "4930"

group = sms-service
keyword = default
text = "no"
"#
    )
}
