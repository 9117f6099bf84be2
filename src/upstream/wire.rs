//! What passes on one connection to an upstream, looked at on its way: whether an answer came after
//! its request, and what its status line says where the rest of it can't be read.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use hyper::StatusCode;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Most of an answer's beginning that is kept, in bytes: a status line, with interim answers before
/// it.
const BEGINNING_MAX_BYTES: usize = 1024;

/// What is known of the exchange that is under way on a connection.
#[derive(Clone, Default)]
pub(super) struct Traffic {
    state: Arc<Mutex<State>>,
    /// Whether the upstream has ever said something that nobody asked for.
    says_unasked: Arc<AtomicBool>,
}

#[derive(Default)]
struct State {
    unwritten: Unwritten,
    /// Something came before the request was written, whole or at all.
    came_early: bool,
    /// Whether it carries a request, or waits for one.
    is_resting: bool,
    /// The first bytes that came after that.
    beginning: Vec<u8>,
}

/// What of a request wasn't written yet.
enum Unwritten {
    /// All of it, where it is the first on its connection: what comes after its first byte can be
    /// meant for nothing else, such as a refusal that doesn't wait for the body.
    First,
    /// Some of its head, of whose last bytes so many were written (of CR LF CR LF); then its body.
    Head { end_bytes: u8, body_bytes: u64 },
    /// So many bytes of its body.
    Body(u64),
}

impl Default for Unwritten {
    fn default() -> Self {
        Self::Body(0)
    }
}

impl Unwritten {
    fn is_nothing(&self) -> bool {
        matches!(self, Self::Body(0))
    }

    fn wrote(&mut self, bytes: &[u8]) {
        if self.is_all(bytes) || (matches!(self, Self::First) && !bytes.is_empty()) {
            *self = Self::Body(0);
            return;
        }
        let mut bytes = bytes.iter();
        if let Self::Head { end_bytes, body_bytes } = self {
            for byte in bytes.by_ref() {
                *end_bytes = match (*end_bytes, byte) {
                    (0 | 2, b'\r') | (1 | 3, b'\n') => *end_bytes + 1,
                    (_, b'\r') => 1,
                    _ => 0,
                };
                if *end_bytes == 4 {
                    *self = Self::Body(*body_bytes);
                    break;
                }
            }
        }
        if let Self::Body(left) = self {
            *left = left.saturating_sub(bytes.len() as u64);
        }
    }

    /// Whether a whole head and a whole body were written at once, as nearly always.
    fn is_all(&self, bytes: &[u8]) -> bool {
        let Self::Head { end_bytes: 0, body_bytes } = self else { return false };
        let body = usize::try_from(*body_bytes).unwrap_or(usize::MAX);
        let head = bytes.len().checked_sub(body).and_then(|length| bytes.get(..length));
        head.is_some_and(|head| head.ends_with(b"\r\n\r\n"))
    }
}

impl Traffic {
    /// `says_unasked` is set once something comes that nobody asked for.
    fn new(says_unasked: Arc<AtomicBool>) -> Self {
        Self { state: Arc::default(), says_unasked }
    }

    /// Begins with a request whose body has so many bytes; one that is streamed may be answered
    /// before its end, and counts as if it had none.
    pub(super) fn begin(&self, body_bytes: u64) {
        let mut state = self.state();
        state.unwritten = match state.is_resting {
            true => Unwritten::Head { end_bytes: 0, body_bytes },
            false => Unwritten::First,
        };
        state.is_resting = false;
        state.came_early = false;
        state.beginning.clear();
    }

    /// The answer was read to its end.
    pub(super) fn rest(&self) {
        self.state().is_resting = true;
    }

    /// Whether what came is the answer to this request: it came after it, and nothing came before.
    pub(super) fn is_answered(&self) -> bool {
        let state = self.state();
        !state.came_early && !state.beginning.is_empty()
    }

    /// What the status line of the answer says, if so much of it came.
    pub(super) fn status(&self) -> Option<StatusCode> {
        let state = self.state();
        if state.came_early { None } else { status_of(&state.beginning) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn came(&self, bytes: &[u8]) {
        let mut state = self.state();
        if bytes.is_empty() {
            return;
        }
        if state.is_resting || !state.unwritten.is_nothing() {
            state.came_early = true;
            self.says_unasked.store(true, Ordering::Relaxed);
            return;
        }
        let room = BEGINNING_MAX_BYTES - state.beginning.len();
        state.beginning.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
    }
}

/// The status of the first answer that isn't an interim one, as in `HTTP/1.1 200 OK` (RFC 9112
/// section 4). The line has to be there whole, its reason may be missing.
fn status_of(mut answer: &[u8]) -> Option<StatusCode> {
    loop {
        let end = answer.iter().position(|byte| *byte == b'\n')?;
        let line = answer.get(..end)?.trim_ascii_end();
        let version = line.get(..8)?;
        let status = line.get(8..)?.trim_ascii_start();
        let (digits, rest) = status.split_at_checked(3)?;
        if !version.starts_with(b"HTTP/1.") || rest.first().is_some_and(|byte| *byte != b' ') {
            return None;
        }
        let status = StatusCode::from_bytes(digits).ok()?;
        if !status.is_informational() || status == StatusCode::SWITCHING_PROTOCOLS {
            return Some(status);
        }
        answer = after_empty_line(answer)?;
    }
}

fn after_empty_line(answer: &[u8]) -> Option<&[u8]> {
    let mut lines = answer.split_inclusive(|byte| *byte == b'\n');
    let mut length = 0;
    lines.find(|line| {
        length += line.len();
        line.trim_ascii().is_empty()
    })?;
    answer.get(length..)
}

/// A connection that tells an exchange what passes.
pub(super) struct Wire<S> {
    stream: S,
    exchange: Traffic,
}

impl<S> Wire<S> {
    /// Around `stream`.
    pub(super) fn new(stream: S, says_unasked: Arc<AtomicBool>) -> (Self, Traffic) {
        let exchange = Traffic::new(says_unasked);
        (Self { stream, exchange: exchange.clone() }, exchange)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Wire<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = ready!(Pin::new(&mut self.stream).poll_read(cx, buf));
        self.exchange.came(buf.filled().get(before..).unwrap_or_default());
        Poll::Ready(read)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes))?;
        self.exchange.state().unwritten.wrote(bytes.get(..written).unwrap_or_default());
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(answer: &str) -> Option<u16> {
        status_of(answer.as_bytes()).map(|status| status.as_u16())
    }

    #[test]
    fn a_status_line_is_read_for_itself() {
        for (answer, said) in [
            ("HTTP/1.1 200 OK\r\nX-Foo : a\r\n", Some(200)),
            ("HTTP/1.0 403\n", Some(403)),
            ("HTTP/1.1 202 \r\n\0\0", Some(202)),
            ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\n", Some(201)),
            ("HTTP/1.1 103 Early\nLink: a\n\nHTTP/1.1 500 No\n", Some(500)),
            ("HTTP/1.1 100 Continue\r\n\r\n", None),
            ("HTTP/1.1 200 OK", None),
            ("HTTP/1.1 2000 OK\r\n", None),
            ("HTTP/1.1 20\r\n", None),
            ("HTTP/2 200 OK\r\n", None),
            ("SSH-2.0-OpenSSH\r\n", None),
            ("", None),
        ] {
            assert_eq!(status(answer), said, "{answer:?}");
        }
    }

    #[test]
    fn only_what_comes_after_the_whole_request_is_its_answer() {
        let exchange = Traffic::default();
        let write = |bytes: &[u8]| exchange.state().unwritten.wrote(bytes);
        for cut in 1..24 {
            exchange.rest();
            exchange.begin(3);
            let request = b"POST / HTTP/1.1\r\n\r\r\n\r\nabc";
            write(&request[..cut]);
            write(&request[cut..request.len() - 1]);
            assert!(!exchange.state().unwritten.is_nothing());
            write(b"c");
            exchange.came(b"HTTP/1.1 200 OK\r\n");
            assert!(exchange.is_answered(), "{cut}");
            assert_eq!(exchange.status(), Some(StatusCode::OK));
        }
        assert!(!exchange.says_unasked.load(Ordering::Relaxed));
        exchange.rest();
        exchange.begin(1);
        write(b"POST / HTTP/1.1\r\n\r\n");
        exchange.came(b"HTTP/1.1 200 OK\r\n\r\n");
        write(b"a");
        exchange.came(b"HTTP/1.1 403 No\r\n\r\n");
        assert!(!exchange.is_answered() && exchange.says_unasked.load(Ordering::Relaxed));
        assert_eq!(exchange.status(), None);
        exchange.rest();
        exchange.begin(0);
        write(b"GET / HTTP/1.1\r\n\r\n");
        assert!(!exchange.is_answered(), "what was read before answers nothing");
    }

    #[test]
    fn a_first_request_may_be_refused_before_its_end() {
        let exchange = Traffic::default();
        exchange.begin(9);
        exchange.state().unwritten.wrote(b"POST / HTTP/1.1\r\n\r\n");
        exchange.came(b"HTTP/1.1 413 No\r\n\r\n");
        assert!(exchange.is_answered());
        let greeted = Traffic::default();
        greeted.begin(9);
        greeted.came(b"220 smtp\r\n");
        greeted.state().unwritten.wrote(b"POST / HTTP/1.1\r\n\r\n");
        assert!(!greeted.is_answered());
    }
}
