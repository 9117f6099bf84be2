//! Log lines, gathered and written by a thread of their own: nothing that logs waits for whoever
//! reads standard error, or for other lines.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tracing_subscriber::fmt::MakeWriter;

/// How long lines are gathered. A crash loses no more than these.
const GATHER_TIME: Duration = Duration::from_millis(20);

/// Most bytes that wait for a reader that is slow; what comes on top is dropped, and said to be.
const WAITING_MAX_BYTES: usize = 1024 * 1024;

/// Where lines go in.
#[derive(Clone)]
pub struct Lines(Arc<Buffer>);

#[derive(Default)]
struct Buffer {
    waiting: Mutex<Waiting>,
    /// Something waits, or all of it was written.
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    text: Vec<u8>,
    /// Whether the thread is writing what waited before.
    is_writing: bool,
    /// Lines that were dropped, since that was said and in all.
    dropped_unsaid: u64,
    dropped: u64,
}

impl Lines {
    /// Starts the thread. It ends with the process.
    pub fn start() -> io::Result<Self> {
        let buffer = Arc::new(Buffer::default());
        let of_thread = Arc::clone(&buffer);
        let run = move || of_thread.run(io::stderr());
        std::thread::Builder::new().name("log".to_owned()).spawn(run)?;
        Ok(Self(buffer))
    }

    /// Adds one line, which `write` puts behind those that wait.
    pub fn add(&self, write: impl FnOnce(&mut Vec<u8>)) {
        let mut waiting = self.0.waiting();
        if waiting.text.len() > WAITING_MAX_BYTES {
            waiting.dropped_unsaid += 1;
            waiting.dropped += 1;
            return;
        }
        let is_first = waiting.text.is_empty();
        write(&mut waiting.text);
        drop(waiting);
        if is_first {
            self.0.changed.notify_all();
        }
    }

    /// How many lines were dropped since the start.
    pub fn dropped(&self) -> u64 {
        self.0.waiting().dropped
    }

    /// Waits until what was added is written, but no longer than `limit`: nobody may read it.
    pub fn flush(&self, limit: Duration) {
        let until = Instant::now() + limit;
        let mut waiting = self.0.waiting();
        while waiting.is_writing || !waiting.text.is_empty() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let waited = self.0.changed.wait_timeout(waiting, left);
            waiting = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Buffer {
    fn run(&self, mut out: impl Write) {
        let mut text = Vec::new();
        loop {
            {
                let waiting = self.waiting();
                let is_empty = |waiting: &mut Waiting| waiting.text.is_empty();
                let some = self.changed.wait_while(waiting, is_empty);
                drop(some.unwrap_or_else(PoisonError::into_inner));
            }
            std::thread::sleep(GATHER_TIME);
            let dropped = {
                let mut waiting = self.waiting();
                std::mem::swap(&mut waiting.text, &mut text);
                waiting.is_writing = true;
                std::mem::take(&mut waiting.dropped_unsaid)
            };
            if dropped > 0 {
                let why = "standard error takes them too slowly";
                let _ = writeln!(text, "{dropped} log lines were dropped: {why}");
            }
            // There is nobody to tell.
            let _ = out.write_all(&text);
            text.clear();
            self.waiting().is_writing = false;
            self.changed.notify_all();
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An event of `tracing` comes whole, as one line.
impl<'a> MakeWriter<'a> for Lines {
    type Writer = LineWriter<'a>;

    fn make_writer(&'a self) -> LineWriter<'a> {
        LineWriter(self)
    }
}

/// Adds what is written to it.
pub struct LineWriter<'a>(&'a Lines);

impl Write for LineWriter<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.add(|text| text.extend_from_slice(line));
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reader that has stopped reading.
    struct Stuck;

    impl Write for Stuck {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            loop {
                std::thread::park();
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn nobody_waits_for_a_reader_that_reads_nothing() {
        let lines = Lines(Arc::default());
        let buffer = Arc::clone(&lines.0);
        std::thread::spawn(move || buffer.run(Stuck));
        for _ in 0..2_000_000 / 100 {
            lines.add(|text| text.extend_from_slice(&[b'a'; 100]));
        }
        while lines.dropped() == 0 {
            lines.add(|text| text.extend_from_slice(&[b'a'; 100]));
        }
        lines.flush(Duration::from_millis(50));
        assert!(lines.0.waiting().text.len() <= WAITING_MAX_BYTES + 100);
    }
}
