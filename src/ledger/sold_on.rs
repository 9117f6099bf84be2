//! On which of Bitcoin's networks a ledger's tickets were sold. Keys are derived for a network, so
//! that those of another one are strangers' there, and their sums are of other money.

/// Its mark is this and the network's name; its number says nothing.
const MARK: &str = "network:";

/// The mark of a network.
pub(super) fn mark(network: &str) -> String {
    format!("{MARK}{network}")
}

/// The network of a mark.
pub(super) fn of_mark(mark: &str) -> &str {
    mark.strip_prefix(MARK).unwrap_or(mark)
}

/// How an SQLite ledger is put aside.
pub const FILE_ASIDE: &str =
    "move its file and those whose names begin with that (-wal, -shm) away";
/// How one in PostgreSQL is.
pub const SCHEMA_ASIDE: &str = "ALTER SCHEMA farebox RENAME TO another name";

/// Why a ledger is not sold on with, where `found` is the network of what it holds; `aside` says
/// how it is put aside.
pub fn refusal(found: &str, now: &str, aside: &str) -> String {
    format!(
        "it holds what was offered or sold on {found}, and `lnd.network` says {now}, where nothing \
         of that can be redeemed: set `lnd.network` back to \"{found}\", or begin an empty ledger: \
         stop Farebox, {aside}, leave the master secret where it is, and run `farebox ledger \
         --config FILE new`"
    )
}
