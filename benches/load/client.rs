//! One kept connection: sends prepared bytes, reads one answer with a `Content-Length`.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    body_at: usize,
}

impl Connection {
    pub async fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(4096), body_at: 0 })
    }

    /// Sends a request and reads its answer whole; returns the status.
    pub async fn exchange(&mut self, request: &[u8]) -> io::Result<u16> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        loop {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed the connection"));
            }
            if let Some((status, body_at, length)) = head(&self.buffer)?
                && self.buffer.len() >= body_at + length
            {
                self.body_at = body_at;
                return Ok(status);
            }
        }
    }

    /// Of the last answer.
    pub fn body(&self) -> &[u8] {
        &self.buffer[self.body_at..]
    }
}

/// Status, where the body begins, and its length; `None` while the head is not whole.
fn head(bytes: &[u8]) -> io::Result<Option<(u16, usize, usize)>> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let bad = || io::Error::new(io::ErrorKind::InvalidData, "the answer is not one that this client reads");
    let head = std::str::from_utf8(&bytes[..end]).map_err(|_| bad())?;
    let status = head.get(9..12).and_then(|status| status.parse().ok()).ok_or_else(bad)?;
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).ok_or_else(bad)?;
    Ok(Some((status, end + 4, length.parse().map_err(|_| bad())?)))
}
