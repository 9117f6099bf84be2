//! What a bitcoin costs in the currency that prices are in: asked of a source that the operator
//! names, again and again. Past its time it isn't known, and nothing is priced by it.

mod settings;
mod source;

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::{info, warn};

pub use self::settings::RateSettings;
use self::source::Source;
use crate::price::rate::Rate;
use crate::time::UnixTime;
use crate::tls;

/// How soon the source is asked again after it gave no rate, at the least.
const RETRY_MIN: Duration = Duration::from_secs(5);

/// The rate, as far as it is known.
pub struct CurrentRate {
    settings: RateSettings,
    known: Mutex<Known>,
}

#[derive(Clone, Default)]
struct Known {
    last: Option<Heard>,
    /// Why the last question had no answer.
    trouble: Option<String>,
}

/// By both clocks: the steady one stands still while the machine sleeps, the other may be set back.
#[derive(Clone, Copy)]
struct Heard {
    rate: Rate,
    steady: Instant,
    wall: UnixTime,
}

impl Heard {
    fn age(&self) -> Duration {
        UnixTime::now().since(self.wall).unwrap_or_default().max(self.steady.elapsed())
    }
}

impl CurrentRate {
    /// Not known yet.
    pub fn new(settings: RateSettings) -> Self {
        Self { settings, known: Mutex::default() }
    }

    /// Of which currency it is.
    pub fn currency(&self) -> &str {
        &self.settings.currency
    }

    /// Takes over what another one of the same source knows.
    pub fn take_over(&self, other: &Self) {
        if self.settings == other.settings {
            let known = other.known().clone();
            *self.known() = known;
        }
    }

    /// The rate; `None` before the first answer, and past its time.
    pub fn now(&self) -> Option<Rate> {
        let last = self.known().last?;
        (last.age() <= self.settings.age_max).then_some(last.rate)
    }

    /// Why nothing is priced by it, if nothing is.
    pub fn trouble(&self) -> Option<String> {
        if self.now().is_some() {
            return None;
        }
        let why = self.known().trouble.clone();
        let why = why.unwrap_or_else(|| "not asked yet".to_owned());
        Some(format!("the price of a bitcoin in {} is not known: {why}", self.currency()))
    }

    /// Asks the source once.
    pub async fn ask(&self) -> Result<Rate, String> {
        let source =
            Source::new(&self.settings, &tls::provider()).map_err(|why| why.to_string())?;
        self.ask_of(&source).await
    }

    /// Asks again and again, for as long as it is polled.
    pub async fn follow(&self) {
        let source = match Source::new(&self.settings, &tls::provider()) {
            Ok(source) => source,
            Err(error) => return self.note(Err(error.to_string())),
        };
        let age = self.known().last.map(|heard| heard.age());
        let mut pause =
            age.map_or(Duration::ZERO, |age| self.settings.interval.saturating_sub(age));
        loop {
            tokio::time::sleep(pause).await;
            pause = match self.ask_of(&source).await {
                Ok(_) => self.settings.interval,
                Err(_) => RETRY_MIN.min(self.settings.interval),
            };
        }
    }

    async fn ask_of(&self, source: &Source) -> Result<Rate, String> {
        let answer = source.ask().await.and_then(|rate| self.believed(rate));
        self.note(answer.clone());
        answer
    }

    /// A source that is out of order would sell for next to nothing: a rate far from the last one
    /// that was heard isn't believed before a restart.
    fn believed(&self, rate: Rate) -> Result<Rate, String> {
        match self.known().last {
            Some(last) if rate.is_far_from(last.rate) => Err(format!(
                "the price went from {} to {}, which is not believed: a restart believes it",
                last.rate.price(),
                rate.price()
            )),
            _ => Ok(rate),
        }
    }

    fn note(&self, answer: Result<Rate, String>) {
        let mut known = self.known();
        let currency = self.currency();
        match answer {
            Ok(rate) => {
                if known.trouble.take().is_some() {
                    info!(currency, "[rate]: the price of a bitcoin is known again");
                }
                known.last = Some(Heard { rate, steady: Instant::now(), wall: UnixTime::now() });
            }
            Err(why) => {
                if known.trouble.as_ref() != Some(&why) {
                    warn!(currency, "[rate]: {why}");
                }
                known.trouble = Some(why);
            }
        }
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use hyper::Uri;

    use super::*;

    fn rate(age_max: Duration) -> CurrentRate {
        CurrentRate::new(RateSettings {
            currency: "USD".to_owned(),
            url: Uri::from_static("http://127.0.0.1:1/"),
            pointer: "/price".to_owned(),
            interval: Duration::from_secs(60),
            age_max,
        })
    }

    #[test]
    fn past_its_time_it_is_not_known() {
        let known = rate(Duration::from_secs(600));
        assert!(known.now().is_none() && known.trouble().unwrap().contains("not asked yet"));
        known.note(Ok(Rate::read("100000").unwrap()));
        assert!(known.now().is_some() && known.trouble().is_none());
        known.note(Err("no answer".to_owned()));
        assert!(known.now().is_some(), "the last one holds for a while");
        let mut heard = known.known().last.unwrap();
        heard.wall = heard.wall.minus(Duration::from_secs(601));
        known.known().last = Some(heard);
        assert!(known.now().is_none() && known.trouble().unwrap().contains("no answer"));
    }

    #[test]
    fn a_price_that_leaps_is_not_believed() {
        let known = rate(Duration::from_secs(600));
        let of = |text: &str| Rate::read(text).unwrap();
        assert_eq!(known.believed(of("1")), Ok(of("1")), "the first one");
        known.note(Ok(of("100000")));
        assert_eq!(known.believed(of("150000")), Ok(of("150000")));
        assert!(known.believed(of("1000000")).is_err_and(|why| why.contains("100000 to 1000000")));
        assert!(known.believed(of("1")).is_err());
    }

    #[test]
    fn only_of_the_same_source_it_is_taken_over() {
        let known = rate(Duration::from_secs(600));
        known.note(Ok(Rate::read("100000").unwrap()));
        let (same, other) = (rate(Duration::from_secs(600)), rate(Duration::from_secs(60)));
        same.take_over(&known);
        other.take_over(&known);
        assert!(same.now().is_some() && other.now().is_none());
    }
}
