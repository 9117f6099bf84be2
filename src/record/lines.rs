//! Access lines, gathered and written by a thread of their own: a request waits for neither the
//! file nor the other requests' lines.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long lines are gathered. A crash loses no more than these.
const GATHER_TIME: Duration = Duration::from_millis(20);

/// Most bytes that wait for a reader that is slow; what comes on top is dropped, and said to be.
const WAITING_MAX_BYTES: usize = 1024 * 1024;

/// Where lines go in.
pub struct Lines(Arc<Buffer>);

#[derive(Default)]
struct Buffer {
    waiting: Mutex<Waiting>,
    some: Condvar,
    /// One writes at a time, so that lines stay in their order. It holds the text that was written
    /// last, to be filled again.
    writing: Mutex<Vec<u8>>,
}

#[derive(Default)]
struct Waiting {
    text: Vec<u8>,
    dropped: u64,
}

impl Lines {
    /// Starts the thread. It ends with the process.
    pub fn start() -> io::Result<Self> {
        let shared = Arc::new(Buffer::default());
        let of_thread = Arc::clone(&shared);
        std::thread::Builder::new().name("access-log".to_owned()).spawn(move || of_thread.run())?;
        Ok(Self(shared))
    }

    /// Adds one line, which `write` puts behind those that wait.
    pub fn add(&self, write: impl FnOnce(&mut Vec<u8>)) {
        let mut waiting = self.0.waiting();
        if waiting.text.len() > WAITING_MAX_BYTES {
            waiting.dropped += 1;
            return;
        }
        let is_first = waiting.text.is_empty();
        write(&mut waiting.text);
        drop(waiting);
        if is_first {
            self.0.some.notify_one();
        }
    }

    /// Writes what waits.
    pub fn flush(&self) {
        self.0.write();
    }
}

impl Buffer {
    fn run(&self) {
        loop {
            {
                let waiting = self.waiting();
                drop(
                    self.some
                        .wait_while(waiting, |waiting| waiting.text.is_empty())
                        .unwrap_or_else(PoisonError::into_inner),
                );
            }
            std::thread::sleep(GATHER_TIME);
            self.write();
        }
    }

    fn write(&self) {
        let mut text = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        text.clear();
        let dropped = {
            let mut waiting = self.waiting();
            std::mem::swap(&mut waiting.text, &mut text);
            std::mem::take(&mut waiting.dropped)
        };
        if dropped > 0 {
            let _ = writeln!(
                *text,
                "{dropped} access lines were dropped: standard error takes them too slowly"
            );
        }
        // There is nobody to tell.
        let _ = io::stderr().write_all(&text);
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
