//! Connections that break when they are told to.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

use super::lock;

/// When a connection is to break.
#[derive(Clone, Copy, Debug)]
pub(super) enum Cut {
    /// Reset before the first byte of the reply.
    Now,
    /// After `left` bytes of the body: by a reset, or by an ordinary close. `head` counts what is left of the reply's
    /// head, once it is seen.
    Body { left: usize, abort: bool, head: Option<usize> },
}

/// What a request's code can do to the connection it came by.
#[derive(Clone, Debug, Default)]
pub(super) struct Wire(Arc<Mutex<Option<Cut>>>);

impl Wire {
    pub(super) fn cut(&self, cut: Cut) {
        *lock(&self.0) = Some(cut);
    }
}

impl Connected<IncomingStream<'_, Gate>> for Wire {
    fn connect_info(stream: IncomingStream<'_, Gate>) -> Wire {
        stream.remote_addr().clone()
    }
}

/// Accepts connections and gives each its wire, in place of an address.
pub(super) struct Gate {
    pub(super) listener: TcpListener,
}

impl Listener for Gate {
    type Io = Line;
    type Addr = Wire;

    async fn accept(&mut self) -> (Line, Wire) {
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    let _ = stream.set_nodelay(true);
                    let wire = Wire::default();
                    return (Line { stream, wire: wire.clone() }, wire);
                }
                // Out of descriptors: others will be closed.
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<Wire> {
        Ok(Wire::default())
    }
}

/// A connection that breaks when it is told to.
pub(super) struct Line {
    stream: TcpStream,
    wire: Wire,
}

impl Line {
    /// How many of these bytes may still be written; an error where the connection breaks.
    fn allowance(&self, bytes: &[u8]) -> io::Result<usize> {
        let abort = match lock(&self.wire.0).as_mut() {
            None => return Ok(bytes.len()),
            Some(Cut::Now) => true,
            Some(Cut::Body { left, abort, head }) => {
                let end =
                    || bytes.windows(4).position(|four| four == b"\r\n\r\n").map_or(bytes.len(), |at| at + 4);
                let allowed = (*head.get_or_insert_with(end) + *left).min(bytes.len());
                if allowed > 0 {
                    return Ok(allowed);
                }
                *abort
            }
        };
        if abort {
            self.stream.set_zero_linger()?;
        }
        Err(io::ErrorKind::ConnectionReset.into())
    }

    fn wrote(&self, count: usize) {
        if let Some(Cut::Body { left, head: Some(head), .. }) = lock(&self.wire.0).as_mut() {
            let of_head = count.min(*head);
            *head -= of_head;
            *left = left.saturating_sub(count - of_head);
        }
    }
}

impl AsyncRead for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Line {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let allowed = self.allowance(bytes)?;
        let written = Pin::new(&mut self.stream).poll_write(cx, &bytes[..allowed]);
        if let Poll::Ready(Ok(count)) = &written {
            self.wrote(*count);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
