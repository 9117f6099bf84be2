//! Places at which a test can have the process die, as if killed: each gap between claim and answer is hit on purpose.
//! A release build has none.

/// Dies here if the environment variable `FAREBOX_CRASH_AT` names this place.
pub(crate) fn crash_point(place: &str) {
    if cfg!(debug_assertions) && std::env::var("FAREBOX_CRASH_AT").is_ok_and(|wanted| wanted == place) {
        std::process::abort();
    }
}
