//! Jasmin, a real SMS gateway, before an SMS centre that speaks SMPP: what was priced is what is
//! sent, its reports are heard, and so is who answers STOP.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::pypi;
use crate::support::payer::{Payer, Ticket};
use crate::support::ports::free_port;
use crate::support::world::{Options, Play};
use crate::support::{World, install_if_missing, wait_for, wait_until};

/// The last one that sends reports.
const PACKAGE: &str = "jasmin==0.11.0";

/// Jasmin runs once on a machine, by a lock at one place, and stays locked out by one that was
/// killed.
const WITH_OWN_LOCK: &str = "
import lockfile, runpy, sys
lock = lockfile.FileLock
lockfile.FileLock = lambda place: lock('jasmind')
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name='__main__')
";

const NUMBER: &str = "+491701234567";
const PASSWORD: &str = "pw-of-jasmin";

/// A program with all that it starts.
struct Program(Child);

impl Program {
    fn start(folder: &Path, name: &str, command: &mut Command) -> Self {
        let log = std::fs::File::create(folder.join(format!("{name}.log"))).unwrap();
        command.current_dir(folder).stdin(Stdio::null()).stderr(log.try_clone().unwrap());
        Self(command.stdout(log).process_group(0).spawn().unwrap())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let group = format!("-{}", self.0.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
        let _ = self.0.wait();
    }
}

/// The SMS centre, and what it got.
struct Centre {
    process: Child,
    phones: ChildStdin,
    lines: Arc<Mutex<Vec<Value>>>,
}

impl Centre {
    fn start(port: u16) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ops/smsc.py");
        let mut command = Command::new(pypi::environment(&[PACKAGE]).join("bin/python3"));
        command.arg(script).arg(port.to_string()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (got, output) = (Arc::clone(&lines), process.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                got.lock().unwrap().push(serde_json::from_str(&line).unwrap());
            }
        });
        let phones = process.stdin.take().unwrap();
        let centre = Self { process, phones, lines };
        wait_until("the centre", || centre.has("listens"));
        centre
    }

    fn has(&self, word: &str) -> bool {
        self.lines.lock().unwrap().iter().any(|line| line.get(word).is_some())
    }

    fn messages(&self) -> Vec<Value> {
        let lines = self.lines.lock().unwrap();
        lines.iter().filter(|line| line.get("text").is_some()).cloned().collect()
    }
}

impl Drop for Centre {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Jasmin with what it needs. In the order in which they end.
struct Jasmin {
    http: u16,
    commands: u16,
    centre: Centre,
    _parts: Vec<Program>,
    _folder: TempDir,
}

impl Jasmin {
    fn start() -> Self {
        install_if_missing("/usr/bin/redis-server", "redis-server");
        install_if_missing("/usr/sbin/rabbitmq-server", "rabbitmq-server");
        let home = tempfile::tempdir().unwrap();
        let folder = home.path();
        let [redis, broker, smpp, http, commands] = [(); 5].map(|()| free_port());
        let mut parts = vec![Program::start(
            folder,
            "redis",
            Command::new("redis-server")
                .args(["--bind", "127.0.0.1", "--save", ""])
                .args(["--port", &redis.to_string()]),
        )];
        parts.extend(rabbit(folder, broker));
        let centre = Centre::start(smpp);
        wait_until("RabbitMQ", || is_open(broker));
        wait_until("Redis", || is_open(redis));
        let environment = pypi::environment(&[PACKAGE]);
        let config = config(&environment, folder, redis, broker, http, commands);
        std::fs::write(folder.join("jasmin.cfg"), config).unwrap();
        let python = environment.join("bin/python3");
        let mut jasmin = Command::new(python);
        jasmin
            .args(["-c", WITH_OWN_LOCK])
            .arg(environment.join("bin/jasmind.py"))
            .args(["-c", "jasmin.cfg", "-u", "jcliadmin", "-p", "jclipwd"])
            .args(["--enable-dlr-lookup", "--enable-dlr-thrower"])
            .env("ROOT_PATH", folder)
            .env("CONFIG_PATH", folder)
            .env("LOG_PATH", folder);
        parts.push(Program::start(folder, "jasmin", &mut jasmin));
        wait_until("Jasmin", || is_open(http) && is_open(commands));
        let jasmin = Self { http, commands, centre, _parts: parts, _folder: home };
        jasmin.commands(&format!(
            "smppccm -a\ncid centre\nhost 127.0.0.1\nport {smpp}\nusername u\npassword p\nok\n\
             smppccm -1 centre\ngroup -a\ngid g\nok\n\
             user -a\nusername farebox\npassword {PASSWORD}\ngid g\nuid farebox\n\
             mt_messaging_cred quota http_throughput 1000\nok\n\
             mtrouter -a\ntype DefaultRoute\nconnector smppc(centre)\nrate 0.0\nok"
        ));
        wait_until("Jasmin at the centre", || jasmin.centre.has("bound"));
        jasmin
    }

    /// By its console: a line each, and the prompt after it.
    fn commands(&self, lines: &str) {
        let mut console = TcpStream::connect(("127.0.0.1", self.commands)).unwrap();
        console.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let until_prompt = |console: &mut TcpStream| {
            let mut said = Vec::new();
            loop {
                let mut more = [0; 4096];
                let read = console.read(&mut more).expect("a prompt");
                said.extend_from_slice(&more[..read]);
                let text = String::from_utf8_lossy(&said).trim_end().to_owned();
                let ends = ["jcli :", ">", "required.", "Password:"];
                if read == 0 || ends.iter().any(|end| text.ends_with(end)) {
                    return text;
                }
            }
        };
        until_prompt(&mut console);
        for line in ["jcliadmin", "jclipwd"].into_iter().chain(lines.lines()) {
            console.write_all(format!("{line}\r\n").as_bytes()).unwrap();
            let said = until_prompt(&mut console);
            let is_fault = ["Error", "Unknown", "Incorrect", "must", "Failed"];
            assert!(!is_fault.iter().any(|word| said.contains(word)), "{line}: {said}");
        }
    }
}

fn is_open(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}

/// The broker, with a register of Erlang's names of its own, which it would leave behind else.
fn rabbit(folder: &Path, port: u16) -> [Program; 2] {
    let [names, distribution] = [(); 2].map(|()| free_port());
    let mut register = Command::new("epmd");
    register.args(["-address", "127.0.0.1", "-port", &names.to_string()]);
    let register = Program::start(folder, "epmd", &mut register);
    wait_until("epmd", || is_open(names));
    let mut server = Command::new("bash");
    let script = "exec /usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmq-server";
    server
        .args(["-c", script])
        .env("HOME", folder)
        .env("ERL_EPMD_PORT", names.to_string())
        .env("ERL_EPMD_ADDRESS", "127.0.0.1")
        .env("RABBITMQ_NODENAME", "farebox-test@localhost")
        .env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1")
        .env("RABBITMQ_NODE_PORT", port.to_string())
        .env("RABBITMQ_DIST_PORT", distribution.to_string())
        .env("RABBITMQ_MNESIA_BASE", folder.join("mnesia"))
        .env("RABBITMQ_LOG_BASE", folder.join("rabbit"))
        .env("RABBITMQ_ENABLED_PLUGINS_FILE", folder.join("plugins"))
        .env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "-kernel inet_dist_use_interface {127,0,0,1}");
    [Program::start(folder, "rabbitmq", &mut server), register]
}

fn config(
    environment: &Path,
    folder: &Path,
    redis: u16,
    broker: u16,
    http: u16,
    commands: u16,
) -> String {
    let libraries = std::fs::read_dir(environment.join("lib")).unwrap();
    let spec = libraries
        .map(|one| one.unwrap().path().join("site-packages/txamqp/specs/standard"))
        .map(|folder| folder.join("amqp0-9-1.stripped.xml"))
        .find(|file: &PathBuf| file.exists())
        .unwrap();
    let [smpp_server, smpp_pb, clients, router, dlr, mo] = [(); 6].map(|()| free_port());
    let (spec, folder) = (spec.display(), folder.display());
    format!(
        "[smpp-server]\nport = {smpp_server}\nbind = 127.0.0.1\n\
         [smpp-server-pb]\nport = {smpp_pb}\nbind = 127.0.0.1\n\
         [smpp-server-pb-client]\nport = {smpp_pb}\n\
         [client-management]\nport = {clients}\nbind = 127.0.0.1\nstore_path = {folder}\n\
         [router]\nport = {router}\nbind = 127.0.0.1\nstore_path = {folder}\n\
         [jcli]\nport = {commands}\nbind = 127.0.0.1\n\
         [http-api]\nport = {http}\nbind = 127.0.0.1\n\
         [dlrlookupd]\nport = {dlr}\n[deliversm-thrower]\nport = {mo}\n\
         [amqp-broker]\nhost = 127.0.0.1\nport = {broker}\nspec = {spec}\n\
         [redis-client]\nhost = 127.0.0.1\nport = {redis}\n"
    )
}

fn world(jasmin: &Jasmin, play: &Play) -> World {
    let more = format!(
        r#"
[[service]]
name = "jasmin"
method = "POST"
path = "/sms"
ticket = "single-use"
price_sat = 7
upstream = "http://127.0.0.1:{}"
sms = {{ to = "number", text = "words", max_segments = 3, refused_for = "1d" }}
backend = {{ preset = "jasmin", username = "farebox", password = {{ env = "SECRET" }} }}
"#,
        jasmin.http
    );
    let mut options = Options { more, ..play.watched() };
    options.environment.push(("SECRET", PASSWORD.to_owned()));
    let world = World::with(options);
    let with = format!("backend = {{ reports = \"http://{}\", preset", world.ops);
    world.write_config("farebox.toml", &[("backend = { preset", &with)]);
    world.reloads();
    world.wait_until_payments_are_detected();
    world.wait_until_upstream_is("jasmin", "ok");
    world
}

fn order(to: &str, text: &str) -> String {
    json!({ "number": to, "words": text }).to_string()
}

fn delivery(payer: &Payer, ticket: &Ticket) -> Value {
    payer.asks_for_status(ticket).json()["delivery"]["state"].clone()
}

#[test]
fn jasmin_sends_what_was_priced_reports_it_and_hands_on_stop() {
    let mut jasmin = Jasmin::start();
    let play = Play::new();
    let world = world(&jasmin, &play);
    let payer = world.payer_at("POST", "/sms");
    let (_, said) = world.farebox("check --config farebox.toml");
    assert!(said.contains("service jasmin: its backend knows the credentials"), "{said}");
    for (text, parts) in [
        ("Grüße: 5 € [Ñ]".to_owned(), 1),
        ("x".repeat(160), 1),
        ("y".repeat(161), 2),
        ("Привет 😀".to_owned(), 1),
        ("ж".repeat(71), 2),
    ] {
        let order = order(NUMBER, &text);
        let ticket = play.pays(&payer.asks(&order));
        let before = jasmin.centre.messages().len();
        let answered = payer.redeems(&ticket, &order).has_status(200).json();
        assert_eq!(
            (&answered["status"], &answered["segments"]),
            (&json!("accepted"), &json!(parts))
        );
        wait_until("all parts", || jasmin.centre.messages().len() >= before + parts);
        wait_until("Jasmin's report", || delivery(&payer, &ticket) == "delivered");
        let sent = jasmin.centre.messages().split_off(before);
        assert_eq!(sent.len(), parts, "{text}");
        let joined: String = sent.iter().map(|part| part["text"].as_str().unwrap()).collect();
        assert_eq!(joined, text);
        assert!(sent.iter().all(|part| part["to"] == NUMBER), "{sent:?}");
    }
    let (_, addresses) = world.farebox("inbound --config farebox.toml");
    let address = wait_for("the address", || {
        let line = addresses.lines().find(|line| line.starts_with("jasmin "))?;
        line.split_whitespace().nth(1).map(str::to_owned)
    });
    jasmin.commands(&format!(
        "httpccm -a\ncid farebox\nurl {address}\nmethod POST\nok\n\
         morouter -a\ntype DefaultRoute\nconnector http(farebox)\nok"
    ));
    let sold = || payer.tries_to_buy(&order(NUMBER, "x")).status;
    assert_eq!(sold(), 402);
    writeln!(jasmin.centre.phones, "491701234567 1500 STOP").unwrap();
    wait_until("nothing to be sold", || sold() == 400);
}
