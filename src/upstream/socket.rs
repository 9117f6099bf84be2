//! A TCP connection that can be asked whether it is silent while hyper has it.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};

use rustix::net::{RecvFlags, recv};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

/// One end of it.
#[derive(Clone)]
pub(super) struct Socket(Arc<TcpStream>);

impl Socket {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self(Arc::new(stream))
    }

    /// To look at it for as long as hyper has it.
    pub(super) fn watch(&self) -> SocketWatch {
        SocketWatch(Arc::downgrade(&self.0))
    }

    fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
        let (room, mut read) = (buf.len(), 0);
        let tried = self.0.try_io(Interest::READABLE, || {
            read = recv(&self.0, &mut *buf, RecvFlags::empty())?.0;
            // Less than there was room for is all there is: said so, the runtime needn't find it
            // out by another call.
            if read > 0 && read < room { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
        });
        if read > 0 { Ok(read) } else { tried.map(|()| 0) }
    }
}

/// Looks at a connection, and doesn't keep it.
pub(super) struct SocketWatch(Weak<TcpStream>);

impl SocketWatch {
    /// Whether it is open, and neither a byte nor its end came that nobody has read. The system is
    /// asked itself: the runtime hears of what came only at its next turn.
    pub(super) fn is_silent(&self) -> bool {
        let Some(socket) = self.0.upgrade() else { return false };
        let seen = recv(&socket, &mut [0_u8; 1], RecvFlags::PEEK | RecvFlags::DONTWAIT);
        seen.is_err_and(|error| error == rustix::io::Errno::WOULDBLOCK)
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            ready!(self.0.poll_read_ready(cx))?;
            match self.try_read(buf.initialize_unfilled()) {
                Ok(read) => {
                    buf.advance(read);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.0.poll_write_ready(cx))?;
            match self.0.try_write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return Poll::Ready(done),
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let ended = rustix::net::shutdown(&self.0, rustix::net::Shutdown::Write);
        Poll::Ready(ended.map_err(Into::into))
    }
}
