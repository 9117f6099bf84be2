//! A farebox process: what it prints is kept, and it dies with the test.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use super::{send_signal, wait_for, wait_until};

/// The environment variable that says how many files a process may open.
pub const FILES: &str = "FILES_OF_TEST";

/// The exit code where the same again would fail again.
pub const CONFIG_FAULT: i32 = 78;

pub struct Process {
    child: Child,
    output: Arc<Mutex<String>>,
    readers: Vec<JoinHandle<()>>,
    is_read: Arc<AtomicBool>,
}

impl Process {
    pub fn start(arguments: &[&str], folder: &Path) -> Self {
        Self::start_with(arguments, folder, &[])
    }

    pub fn start_with(arguments: &[&str], folder: &Path, environment: &[(&str, &str)]) -> Self {
        let mut command = match environment.iter().find(|(name, _)| *name == FILES) {
            None => Command::new(env!("CARGO_BIN_EXE_farebox")),
            Some((_, files)) => {
                let mut shell = Command::new("sh");
                let script = "ulimit -n \"$1\"; shift; exec \"$@\"";
                shell.args(["-c", script, "sh", files, env!("CARGO_BIN_EXE_farebox")]);
                shell
            }
        };
        command.args(arguments).envs(environment.iter().copied()).stdin(Stdio::null());
        Self::spawn(command, folder)
    }

    /// With a socket that listens already, as systemd passes one (`sd_listen_fds(3)`).
    pub fn start_at_socket(
        arguments: &[&str],
        folder: &Path,
        environment: &[(&str, &str)],
        socket: &TcpListener,
    ) -> Self {
        let mut command = Command::new("sh");
        let script = "exec 3<&0 0</dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec \"$@\"";
        let socket = OwnedFd::from(socket.try_clone().unwrap());
        command
            .args(["-c", script, "sh", env!("CARGO_BIN_EXE_farebox")])
            .args(arguments)
            .envs(environment.iter().copied())
            .stdin(socket);
        Self::spawn(command, folder)
    }

    /// For what no test owns: it ends, and its folder goes, when this process does, however that
    /// ends.
    pub fn start_until_we_end(arguments: &[&str], folder: &Path) -> Self {
        let mut command = Command::new("sh");
        let script = "\"$@\" & child=$!; read -r _; kill $child; wait $child; rm -rf \"$PWD\"";
        command
            .args(["-c", script, "sh", env!("CARGO_BIN_EXE_farebox")])
            .args(arguments)
            .stdin(Stdio::piped());
        Self::spawn(command, folder)
    }

    fn spawn(mut command: Command, folder: &Path) -> Self {
        command.current_dir(folder).env("SMS_BACKEND_TOKEN", "Bearer backend-token-hunter2");
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let output = Arc::new(Mutex::new(String::new()));
        let is_read = Arc::new(AtomicBool::new(true));
        let readers = vec![
            collect(child.stdout.take().unwrap(), &output, &is_read),
            collect(child.stderr.take().unwrap(), &output, &is_read),
        ];
        Self { child, output, readers, is_read }
    }

    /// Runs to the end.
    pub fn run(arguments: &[&str], folder: &Path) -> (ExitStatus, String) {
        Self::run_with(arguments, folder, &[])
    }

    pub fn run_with(
        arguments: &[&str],
        folder: &Path,
        environment: &[(&str, &str)],
    ) -> (ExitStatus, String) {
        let mut process = Self::start_with(arguments, folder, environment);
        let status = process.wait();
        (status, process.output_to_its_end())
    }

    /// All that it has printed, once it has ended.
    pub fn output_to_its_end(&mut self) -> String {
        // The readers end with the process, but may be a moment behind.
        self.readers.drain(..).for_each(|reader| reader.join().unwrap());
        self.output()
    }

    /// From now on nobody reads what it prints, though somebody could.
    pub fn stop_reading(&self) {
        self.is_read.store(false, Ordering::SeqCst);
    }

    pub fn output(&self) -> String {
        self.output.lock().unwrap().clone()
    }

    /// What it logs reaches us a moment after what it answers.
    pub fn wait_until_it_says(&self, words: &str) {
        wait_until(&format!("`{words}` in its output"), || self.output().contains(words));
    }

    /// The first word after `marker` in the output.
    pub fn word_after(&self, marker: &str) -> String {
        wait_for(&format!("`{marker}` in:\n{}", self.output()), || {
            // JSON lines read like the human ones.
            let output = self.output().replace("\":\"", "=").replace(['"', ','], " ");
            let (_, rest) = output.split_once(marker)?;
            rest.contains(char::is_whitespace)
                .then(|| rest.split_whitespace().next().unwrap_or_default().to_owned())
        })
    }

    pub fn signal(&self, name: &str) {
        send_signal(name, &[self.child.id()]);
    }

    /// Whether it stands still, by SIGSTOP.
    pub fn is_stopped(&self) -> bool {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        status.lines().any(|line| line.starts_with("State:") && line.contains('T'))
    }

    pub fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    pub fn wait(&mut self) -> ExitStatus {
        wait_for("the end of the process", || self.child.try_wait().unwrap())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            println!("--- its output:\n{}", self.output());
        }
    }
}

fn collect(
    stream: impl Read + Send + 'static,
    output: &Arc<Mutex<String>>,
    is_read: &Arc<AtomicBool>,
) -> JoinHandle<()> {
    let (output, is_read) = (Arc::clone(output), Arc::clone(is_read));
    std::thread::spawn(move || {
        let mut lines = BufReader::new(stream);
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            output.lock().unwrap().push_str(&String::from_utf8_lossy(&line));
            line.clear();
            while !is_read.load(Ordering::SeqCst) {
                std::thread::park();
            }
        }
    })
}
