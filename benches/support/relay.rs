//! A relay before a server, that counts who comes and what it carries. Who comes while the server is away is hung up on.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::runtime::Builder;
use tokio::sync::oneshot;

use super::frames::Frames;

/// Its thread ends when this goes.
pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    counts: Counts,
    /// Dropped to end the thread.
    _stop: oneshot::Sender<()>,
}

type Counts = Arc<Mutex<Tally>>;

#[derive(Default)]
struct Tally {
    accepted: Vec<Instant>,
    ways: [Way; 2],
}

/// Traffic in one direction.
#[derive(Clone, Copy, Default)]
pub(crate) struct Way {
    pub(crate) bytes: u64,
    /// Number of reads: of packets, as long as little is sent.
    pub(crate) pieces: u64,
    /// Of WebSockets.
    pub(crate) frames: u64,
    /// Bytes of the frames' payloads.
    pub(crate) payload: u64,
}

impl Relay {
    pub(crate) fn to(target: SocketAddr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let (address, counts) = (listener.local_addr()?, Counts::default());
        let (stop, stopped) = oneshot::channel::<()>();
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let tally = counts.clone();
        std::thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = stopped => {}
                    _ = accept(listener, target, tally) => {}
                }
            });
        });
        Ok(Self { address, counts, _stop: stop })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns the times of the accepted connections, since then.
    pub(crate) fn accepted_since(&self, since: Instant) -> Vec<Instant> {
        lock(&self.counts).accepted.iter().copied().filter(|at| *at >= since).collect()
    }

    /// Returns the traffic so far, to the server and from it.
    pub(crate) fn ways(&self) -> [Way; 2] {
        lock(&self.counts).ways
    }
}

fn lock(counts: &Counts) -> MutexGuard<'_, Tally> {
    counts.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn accept(listener: TcpListener, target: SocketAddr, counts: Counts) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    loop {
        let (mut client, _) = listener.accept().await?;
        lock(&counts).accepted.push(Instant::now());
        let counts = counts.clone();
        tokio::spawn(async move {
            let carried = carry(&mut client, target, &counts).await;
            if carried.is_err() {
                reset(&client);
            }
        });
    }
}

/// Carries bytes until both sides have ended.
async fn carry(client: &mut TcpStream, target: SocketAddr, counts: &Counts) -> io::Result<()> {
    let mut server = TcpStream::connect(target).await?;
    for stream in [&*client, &server] {
        stream.set_nodelay(true)?;
    }
    let carried = {
        let ((from_client, to_client), (from_server, to_server)) = (client.split(), server.split());
        tokio::try_join!(
            pass(from_client, to_server, 0, counts),
            pass(from_server, to_client, 1, counts)
        )
    };
    if carried.is_err() {
        reset(&server);
    }
    carried.map(drop)
}

/// Has its end be a reset.
fn reset(stream: &TcpStream) {
    socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO)).ok();
}

async fn pass(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    way: usize,
    counts: &Counts,
) -> io::Result<()> {
    let (mut buffer, mut seen) = (vec![0; 16 * 1024], Frames::default());
    loop {
        let length = from.read(&mut buffer).await?;
        if length == 0 {
            return to.shutdown().await;
        }
        let (frames, payload) = seen.take(&buffer[..length]);
        if let Some(way) = lock(counts).ways.get_mut(way) {
            way.bytes += length as u64;
            way.pieces += 1;
            way.frames += frames;
            way.payload += payload;
        }
        to.write_all(&buffer[..length]).await?;
    }
}
