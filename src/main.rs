//! The program `farebox`: see `cli` for what each subcommand does.

/// A redemption takes some dozen pieces of memory of all sizes; glibc's allocator spent a tenth of
/// it on joining and splitting them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    farebox::cli::run()
}
