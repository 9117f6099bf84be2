//! The program `farebox`: see `cli` for what each subcommand does.

fn main() -> std::process::ExitCode {
    farebox::cli::run()
}
