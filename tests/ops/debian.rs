//! A clean Debian 12 below a folder, with its own systemd in namespaces of its own. It shares the
//! network, so that what runs in it is reached from here.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use tempfile::TempDir;

use crate::support::{install_if_missing, wait_for, wait_until};

/// What `unshare` starts: the mounts that systemd wants, then systemd itself.
const BOOT: &str = r#"
set -e
root="$1"
mount --make-rprivate /
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"
# When a unit ends, its user's shared memory goes (RemoveIPC): not that of a namesake outside.
mount -t tmpfs tmpfs "$root/dev/shm"
mount -t tmpfs tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/tmp"
# Of a namespace that systemd makes for a unit, the rest hears: so are credentials handed over.
mount --make-rshared /
exec chroot "$root" /usr/bin/env -i container=other /lib/systemd/systemd --log-target=console
"#;

pub struct Debian {
    folder: TempDir,
    booted: Child,
}

impl Debian {
    /// As debootstrap leaves it, booted.
    pub fn boot() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        std::fs::create_dir(&root).unwrap();
        let unpacked =
            Command::new("tar").arg("xf").arg(clean_root()).arg("-C").arg(&root).status();
        assert!(unpacked.unwrap().success());
        std::fs::copy("/etc/resolv.conf", root.join("etc/resolv.conf")).unwrap();
        let boot = folder.path().join("boot.sh");
        std::fs::write(&boot, BOOT).unwrap();
        let log = std::fs::File::create(folder.path().join("console")).unwrap();
        // Ends with this process, however that ends.
        let booted = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "unshare"])
            .args(["--fork", "--kill-child", "--pid", "--mount", "--uts", "--ipc", "sh"])
            .arg(&boot)
            .arg(&root)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("setpriv and unshare, of util-linux");
        let debian = Self { folder, booted };
        wait_until("systemd to boot in the clean root", || {
            let (_, state) = debian.tries(&["systemctl", "is-system-running"]);
            matches!(state.trim(), "running" | "degraded")
        });
        debian
    }

    /// A file in it.
    pub fn file(&self, path: &str) -> PathBuf {
        self.folder.path().join("root").join(path.trim_start_matches('/'))
    }

    /// Runs a program in it, as root: whether it ended well, and what it said.
    pub fn tries(&self, command: &[&str]) -> (bool, String) {
        let Some(first) = self.first_process() else { return (false, "not booted".to_owned()) };
        let ended = Command::new("nsenter")
            .args(["--target", &first, "--mount", "--pid", "--uts", "--ipc", "--root", "--wd"])
            .args(["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"])
            .args(["DEBIAN_FRONTEND=noninteractive", "timeout", "--kill-after=10", "600"])
            .args(command)
            .stdin(Stdio::null())
            .output()
            .expect("nsenter, of util-linux");
        let said = [ended.stdout, ended.stderr].concat();
        (ended.status.success(), String::from_utf8_lossy(&said).into_owned())
    }

    /// The same, of what has to end well.
    #[track_caller]
    pub fn runs(&self, command: &[&str]) -> String {
        let (is_well, said) = self.tries(command);
        assert!(is_well, "{command:?}: {said}\n{}", self.journal());
        said
    }

    /// What the unit has said.
    pub fn journal(&self) -> String {
        self.tries(&["journalctl", "--no-pager", "-n", "30", "-u", "farebox"]).1
    }

    /// A property of the unit.
    pub fn property(&self, name: &str) -> String {
        let said = self.runs(&["systemctl", "show", "farebox", "--value", "--property", name]);
        said.trim().to_owned()
    }

    /// The process that is its first, seen from here.
    fn first_process(&self) -> Option<String> {
        let parent = self.booted.id();
        let children = std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children"));
        children.ok()?.split_whitespace().next().map(str::to_owned)
    }
}

impl Drop for Debian {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("{}", self.journal());
            println!("{}", std::fs::read_to_string(self.folder.path().join("console")).unwrap());
        }
        let first = self.first_process();
        // What it started ends with it.
        let _ = self.booted.kill();
        let _ = self.booted.wait();
        if let Some(first) = first {
            let process = Path::new("/proc").join(first);
            wait_for("its processes to end", || (!process.exists()).then_some(()));
        }
    }
}

/// What debootstrap makes, as an archive in the cache; made once, by whichever test is first.
fn clean_root() -> PathBuf {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    MADE.get_or_init(make_clean_root).clone()
}

fn make_clean_root() -> PathBuf {
    let cache = PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache/farebox");
    let archive = cache.join("debian-bookworm-1.tar");
    if archive.exists() {
        return archive;
    }
    install_if_missing("/usr/sbin/debootstrap", "debootstrap");
    std::fs::create_dir_all(&cache).unwrap();
    let folder = tempfile::tempdir_in(&cache).unwrap();
    let (root, new) = (folder.path().join("root"), folder.path().join("new.tar"));
    let made = Command::new("debootstrap")
        .args(["--variant=minbase", "--include=systemd,adduser,ca-certificates,dbus", "bookworm"])
        .arg(&root)
        .status();
    assert!(made.unwrap().success(), "debootstrap: it needs to be root, and Debian's packages");
    let packed =
        Command::new("tar").arg("cf").arg(&new).arg("-C").arg(&root).arg(".").status().unwrap();
    assert!(packed.success());
    std::fs::rename(new, &archive).unwrap();
    archive
}
