//! The yardstick.

use super::{CONNECTIONS, SECONDS};
use crate::bench::measured;
use crate::load::wrk;
use crate::processes::Process;
use crate::table::Round;

pub struct Nginx<'a> {
    pub process: &'a Process,
    pub plain: u16,
    pub tls: u16,
}

impl Nginx<'_> {
    pub async fn plain(&self) -> Round {
        measured(
            self.process,
            wrk(&format!("http://127.0.0.1:{}/free", self.plain), CONNECTIONS, SECONDS, &[], None),
        )
        .await
    }
}
