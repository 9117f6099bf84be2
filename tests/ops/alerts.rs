//! Alerts about what Farebox stands on: its ledger's place, its clock, its access to the node.

use std::process::Command;
use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::prometheus::Prometheus;
use crate::support::fake_clock::Faked;
use crate::support::world::{Options, Play};
use crate::support::{SMS, World, ledger_file, wait_until};

#[test]
fn a_slow_ledger_is_told_of_until_it_is_quick_again() {
    let limits = "unpaid_per_client = 1000".into();
    let world = World::with(Options { limits, ..Options::default() });
    let (prometheus, payer) = (Prometheus::start(&[world.ops]), world.payer());
    wait_until("slow commits to be told of", || {
        let ticket = payer.buys(SMS);
        std::thread::scope(|scope| {
            let rival = ledger_file::hold(&world);
            let redemption = scope.spawn(|| payer.redeems(&ticket, SMS));
            // How slow the disk is: what the test is about.
            std::thread::sleep(Duration::from_millis(600));
            drop(rival);
            redemption.join().unwrap().is_delivered("Okay");
        });
        prometheus.is_firing("FareboxLedgerSlow")
    });
    wait_until("quick ones to count again", || {
        payer.redeems(&payer.buys(SMS), SMS).is_delivered("Okay");
        !prometheus.is_firing("FareboxLedgerSlow")
    });
}

#[test]
fn clocks_that_lie_apart_are_told_of_until_they_agree() {
    let clock = Faked::new("+0d");
    let prometheus = Prometheus::start(&[clock.world.ops]);
    prometheus.fires_and_clears("FareboxClocksApart", || clock.set("+2h"), || clock.set("+0d"));
}

/// The macaroon (version 2) with one more caveat: the field, its end, and the signature by the one
/// before.
fn restricted(macaroon: &[u8], caveat: &[u8]) -> Vec<u8> {
    // What has no caveat ends with the end of caveats, and a signature of 32 bytes as a field.
    let (head, signature) = macaroon.split_at(macaroon.len() - 32);
    let mut mac = Hmac::<Sha256>::new_from_slice(signature).unwrap();
    mac.update(caveat);
    let end = head.strip_suffix(&[0, 6, 32]).unwrap();
    let field = [&[2, u8::try_from(caveat.len()).unwrap()], caveat, &[0, 0, 6, 32]].concat();
    [end, &field, &mac.finalize().into_bytes()].concat()
}

#[test]
fn a_macaroon_that_ends_is_told_of_until_there_is_another() {
    let (play, folder) = (Play::new(), tempfile::tempdir().unwrap());
    let baked = std::fs::read(play.folder.join("data/chain/bitcoin/regtest/invoice.macaroon"));
    let (baked, path) = (baked.unwrap(), folder.path().join("farebox.macaroon"));
    std::fs::write(&path, restricted(&baked, b"time-before 2026-01-01T00:00:00Z")).unwrap();
    let world = World::with(Options { macaroon: Some(path.clone()), ..play.options() });
    let prometheus = Prometheus::start(&[world.ops]);
    prometheus.waits_for("FareboxMacaroonEnds", true);
    std::fs::write(&path, baked).unwrap();
    prometheus.waits_for("FareboxMacaroonEnds", false);
}

/// A disk of its own for the ledger.
struct Disk(std::path::PathBuf);

impl Disk {
    fn mounted_at(folder: &std::path::Path) -> Self {
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=32m", "farebox-test"])
            .arg(folder)
            .status();
        assert!(mounted.unwrap().success(), "this has to be root");
        Self(folder.to_owned())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").args(["--lazy"]).arg(&self.0).status();
    }
}

#[test]
fn a_disk_that_fills_up_is_told_of_until_there_is_room() {
    let mut world = World::new();
    world.stop();
    let (state, kept) = (world.folder.path().join("state"), world.folder.path().join("kept"));
    std::fs::rename(&state, &kept).unwrap();
    std::fs::create_dir(&state).unwrap();
    let disk = Disk::mounted_at(&state);
    for entry in std::fs::read_dir(&kept).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, state.join(path.file_name().unwrap())).unwrap();
    }
    world.restart();
    let prometheus = Prometheus::start(&[world.ops]);
    let large = state.join("something-large");
    prometheus.fires_and_clears(
        "FareboxDiskNearlyFull",
        || std::fs::write(&large, vec![0; 29 << 20]).unwrap(),
        || std::fs::remove_file(&large).unwrap(),
    );
    let payer = world.payer();
    payer.redeems(&payer.buys(SMS), SMS).is_delivered("Okay");
    world.stop();
    drop(disk);
}
