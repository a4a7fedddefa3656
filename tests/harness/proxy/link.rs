//! One connection through a proxy.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::ops::ControlFlow;

use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::time::Instant;

use super::tally::Seat;
use super::{Direction, Rules, born_to_be_reset};

/// Bytes that are taken at once.
const CHUNK: usize = 16 * 1024;

/// Chunks that are on their way at the same time, per direction.
const CHUNKS_IN_FLIGHT: usize = 64;

pub(super) struct Link {
    pub(super) number: usize,
    pub(super) target: SocketAddr,
    /// Direction, and number of bytes in it, after which the connection is reset.
    pub(super) cut_after: Option<(Direction, usize)>,
    pub(super) rules: watch::Receiver<Rules>,
    pub(super) seat: Seat,
}

impl Link {
    /// Carries bytes until both sides have ended, or one can't go on.
    pub(super) async fn run(self, client: std::net::TcpStream) {
        thawed(&mut self.rules.clone()).await;
        let (Ok(client), Ok(server)) = (TcpStream::from_std(client), reach(self.target).await)
        else {
            return;
        };
        for stream in [&client, &server] {
            stream.set_nodelay(true).ok();
        }
        let carried = tokio::try_join!(
            self.carry(Direction::ToServer, &client, &server),
            self.carry(Direction::ToClient, &server, &client),
        );
        if carried.is_ok() {
            for stream in [&client, &server] {
                socket2::SockRef::from(stream).set_linger(None).ok();
            }
        }
        // Who waits for the end finds the streams gone.
        drop((client, server));
        drop(self.seat);
    }

    /// Carries one direction to its end.
    async fn carry(&self, way: Direction, from: &TcpStream, to: &TcpStream) -> io::Result<()> {
        let (mut rules, mut own) = (self.rules.clone(), self.rules.clone());
        let mut lane = Lane {
            seat: &self.seat,
            way,
            left: self.cut_after.filter(|(cut, _)| *cut == way).map(|(_, bytes)| bytes),
            has_lost: false,
            number: self.number,
        };
        let is_half_closed = tokio::select! {
            biased;
            _ = rules.wait_for(|rules| lane_is_closed(rules, way, self.number)) => true,
            ended = lane.pass(&mut own, from, to) => ended?,
        };
        socket2::SockRef::from(to).shutdown(std::net::Shutdown::Write)?;
        if is_half_closed { swallow(from).await } else { Ok(()) }
    }
}

async fn reach(target: SocketAddr) -> io::Result<TcpStream> {
    let socket = if target.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // The server may have accepted it before this goes on.
    born_to_be_reset(&socket);
    socket.connect(target).await
}

/// One direction of a connection.
struct Lane<'a> {
    seat: &'a Seat,
    way: Direction,
    number: usize,
    /// Bytes until it is cut.
    left: Option<usize>,
    has_lost: bool,
}

impl Lane<'_> {
    /// Until the sender ends, or, which is told by `true`, the lane is closed.
    async fn pass(
        &mut self,
        rules: &mut watch::Receiver<Rules>,
        from: &TcpStream,
        to: &TcpStream,
    ) -> io::Result<bool> {
        let mut buffer = vec![0; CHUNK];
        // Each with the time at which it is due.
        let mut in_flight: VecDeque<(Instant, Vec<u8>)> = VecDeque::new();
        let mut has_ended = false;
        loop {
            if self.left == Some(0) {
                return Err(io::ErrorKind::ConnectionReset.into());
            }
            if has_ended && in_flight.is_empty() {
                return if self.has_lost { std::future::pending().await } else { Ok(false) };
            }
            let has_room = !has_ended && in_flight.len() < CHUNKS_IN_FLIGHT;
            let due = in_flight.front().map(|(due, _)| *due);
            tokio::select! {
                biased;
                () = until(due) => {
                    let (_, chunk) = in_flight.pop_front().expect("a chunk that is due");
                    if self.put_all(rules, to, &chunk).await?.is_break() {
                        return Ok(true);
                    }
                }
                length = self.take_some(rules, from, &mut buffer), if has_room => match length? {
                    0 => has_ended = true,
                    length => {
                        let delay = rules.borrow().delay[self.way as usize];
                        in_flight.push_back((Instant::now() + delay, buffer[..length].to_vec()));
                    }
                },
            }
        }
    }

    /// Waits for bytes, and takes them; 0 at the end.
    async fn take_some(
        &mut self,
        rules: &mut watch::Receiver<Rules>,
        from: &TcpStream,
        buffer: &mut [u8],
    ) -> io::Result<usize> {
        loop {
            thawed(rules).await;
            from.readable().await?;
            match self.take(rules, from, buffer) {
                Ok(Some(length)) => return Ok(length),
                Ok(None) => {}
                Err(_) if self.has_lost => return Ok(0),
                Err(error) => return Err(error),
            }
        }
    }

    /// Passes on a chunk, up to the limit; breaks when the lane is closed.
    async fn put_all(
        &mut self,
        rules: &mut watch::Receiver<Rules>,
        to: &TcpStream,
        chunk: &[u8],
    ) -> io::Result<ControlFlow<()>> {
        let mut chunk = &chunk[..chunk.len().min(self.left.unwrap_or(usize::MAX))];
        while !chunk.is_empty() {
            thawed(rules).await;
            to.writable().await?;
            match self.put(rules, to, chunk)? {
                ControlFlow::Continue(length) => chunk = &chunk[length..],
                ControlFlow::Break(()) => return Ok(ControlFlow::Break(())),
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Reads available bytes; `None` if there are none, or if none may move.
    fn take(
        &mut self,
        rules: &watch::Receiver<Rules>,
        from: &TcpStream,
        buffer: &mut [u8],
    ) -> io::Result<Option<usize>> {
        // Held until the bytes have moved.
        let rules = rules.borrow();
        if rules.is_frozen {
            return Ok(None);
        }
        match from.try_read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            taken => {
                self.has_lost |= rules.black_hole[self.way as usize];
                taken.map(Some)
            }
        }
    }

    /// Passes bytes on. Returns their number.
    fn put(
        &mut self,
        rules: &watch::Receiver<Rules>,
        to: &TcpStream,
        chunk: &[u8],
    ) -> io::Result<ControlFlow<(), usize>> {
        // Held until the bytes have moved.
        let rules = rules.borrow();
        if lane_is_closed(&rules, self.way, self.number) {
            return Ok(ControlFlow::Break(()));
        }
        if rules.is_frozen {
            return Ok(ControlFlow::Continue(0));
        }
        self.has_lost |= rules.black_hole[self.way as usize];
        let length = match self.has_lost {
            true => chunk.len(),
            false => match to.try_write(chunk) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
                written => written?,
            },
        };
        self.left = self.left.map(|left| left - length);
        self.seat.went(self.way, length);
        Ok(ControlFlow::Continue(length))
    }
}

fn lane_is_closed(rules: &Rules, way: Direction, number: usize) -> bool {
    number < rules.half_closed[way as usize]
}

/// Waits until bytes may move.
async fn thawed(rules: &mut watch::Receiver<Rules>) {
    if rules.wait_for(|rules| !rules.is_frozen).await.is_err() {
        // The proxy is going, and this with it.
        std::future::pending().await
    }
}

/// Waits until then; for ever without a time.
async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

/// Reads until the end, and passes nothing on.
async fn swallow(from: &TcpStream) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    loop {
        from.readable().await?;
        match from.try_read(&mut buffer) {
            Ok(0) => return Ok(()),
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
            _ => {}
        }
    }
}
