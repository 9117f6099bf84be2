//! The ledger's file, opened by another process than the gate.
//!
//! No request makes the states that are made here: another node, a copy put back or a disk that
//! says no leaves them behind. And the index by which a stream of payments is resumed is told
//! nowhere outside.

use rusqlite::Connection;

use super::World;

fn open(world: &World) -> Connection {
    Connection::open(world.folder.path().join("state/ledger.db")).unwrap()
}

/// As if the payments that were seen so far were another node's.
pub fn set_settle_index(world: &World, value: i64) {
    let changed = open(world)
        .execute("UPDATE marks SET value = ?1 WHERE name LIKE 'settle-index %'", [value])
        .unwrap();
    assert_eq!((changed, settle_index(world)), (1, Some(value)));
}

pub fn settle_index(world: &World) -> Option<i64> {
    let sql = "SELECT value FROM marks WHERE name LIKE 'settle-index %'";
    open(world).query_row(sql, [], |row| row.get(0)).ok()
}

/// As if every invoice had been seen to run out.
pub fn close_all_challenges(world: &World) {
    let changed = open(world).execute("UPDATE challenges SET state = 3", []).unwrap();
    assert!(changed > 0);
}

/// Nobody else may write as long as this is held.
pub fn hold(world: &World) -> Connection {
    let rival = open(world);
    rival.execute_batch("BEGIN EXCLUSIVE").unwrap();
    rival
}
