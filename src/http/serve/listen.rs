//! The listening socket, and room for what it accepts.

use std::io;
use std::net::SocketAddr;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::{TcpListener, TcpSocket};

/// Connections that wait to be accepted; the kernel may allow fewer (`net.core.somaxconn`).
const BACKLOG: u32 = 4096;

/// An address that is taken and not listened on yet: who connects is refused, and no other process can take it.
pub struct ReservedAddress(TcpSocket);

impl ReservedAddress {
    pub fn listen(self) -> io::Result<TcpListener> {
        self.0.listen(BACKLOG)
    }
}

/// Takes `host:port`, on the first of the host's addresses that can be had; port 0 takes a free one.
pub async fn reserve(address: &str) -> io::Result<ReservedAddress> {
    let mut last = io::Error::new(io::ErrorKind::AddrNotAvailable, "the host has no address");
    for address in tokio::net::lookup_host(address).await? {
        match bound(address) {
            Ok(socket) => return Ok(ReservedAddress(socket)),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn bound(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // Lets a new process listen while connections of the old one are in TIME_WAIT.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

/// Memory that a connection has but hardly uses, such as buffers of which it fills the beginning, counts in pages of 4 kB, not of
/// 2 MB: an idle stream takes 12 kB in place of 22. A kernel without huge pages has nothing to switch off.
pub fn use_small_pages() {
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        tracing::debug!(%error, "huge pages cannot be switched off");
    }
}

/// A connection needs a file descriptor, and the soft limit is often 1,024: raises it to the hard one. Returns the limit
/// now in force; `None` where there is none.
pub fn raise_file_limit() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    match setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    }
}
