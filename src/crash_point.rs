//! Places at which a test can have the process die, or stand still, as if killed or frozen: each
//! gap between claim and answer is hit on purpose. A release build has none.

/// Dies here if the environment variable `FAREBOX_CRASH_AT` names this place; stands still, until
/// it is told to go on, if `FAREBOX_STOP_AT` does.
pub(crate) fn crash_point(place: &str) {
    if !cfg!(debug_assertions) {
        return;
    }
    let is_named = |variable: &str| std::env::var(variable).is_ok_and(|wanted| wanted == place);
    if is_named("FAREBOX_CRASH_AT") {
        std::process::abort();
    }
    if is_named("FAREBOX_STOP_AT") {
        let _ =
            rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::STOP);
        // The signal goes to the process, and this thread would run on until another has taken it.
        std::thread::sleep(std::time::Duration::from_secs(1));
    }
}
