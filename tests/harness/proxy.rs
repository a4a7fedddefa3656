//! Network between a client and a server, with faults on command.
//!
//! One thread carries all bytes. A control takes effect before it returns: bytes move only under
//! the lock of the rules, and that thread changes whole connections.

mod link;
mod tally;

use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use socket2::SockRef;
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use super::Port;
use link::Link;
use tally::Tally;

/// Direction of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// From the client.
    ToServer,
    /// From the server.
    ToClient,
}

/// Rules for connections and bytes.
#[derive(Debug, Clone)]
struct Rules {
    /// Target of new connections.
    target: SocketAddr,
    is_frozen: bool,
    /// Delay of each chunk, by direction.
    delay: [Duration; 2],
    /// True while bytes are dropped, by direction.
    black_hole: [bool; 2],
    /// Connections with a lower number have ended, by direction.
    half_closed: [usize; 2],
    /// Direction, and number of bytes in it, after which the next connection is reset.
    cut_after: Option<(Direction, usize)>,
}

/// Treatment of new connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Door {
    /// Connect to the target.
    Open,
    /// Accept and close at once.
    Trap,
    /// Let the system refuse.
    Shut,
}

/// Command to the thread.
enum Command {
    /// Accept the connections so far.
    Settle,
    Door(Door),
    Cut,
}

/// A proxy; when it goes, so do its connections and its thread.
pub(crate) struct Proxy {
    port: Port,
    rules: watch::Sender<Rules>,
    tally: Tally,
    /// `None` once the thread is to end.
    commands: Option<mpsc::UnboundedSender<(Command, oneshot::Sender<()>)>>,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    /// A proxy in front of a server.
    pub(crate) fn to(target: SocketAddr) -> Self {
        let (port, tally) = (Port::reserve(), Tally::default());
        let (rules, _) = watch::channel(Rules {
            target,
            is_frozen: false,
            delay: [Duration::ZERO; 2],
            black_hole: [false; 2],
            half_closed: [0; 2],
            cut_after: None,
        });
        let (commands, inbox) = mpsc::unbounded_channel();
        let mut hall = Hall {
            address: port.address(),
            rules: rules.clone(),
            tally: tally.clone(),
            door: Door::Shut,
            listener: None,
            links: JoinSet::new(),
        };
        let thread = std::thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(hall.serve(inbox));
        });
        let proxy = Self { port, rules, tally, commands: Some(commands), thread: Some(thread) };
        proxy.accept();
        proxy
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.port.address()
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// Resets all connections, those too that nobody has answered yet.
    pub(crate) fn cut(&self) {
        self.tell(Command::Cut);
    }

    /// Lets the system refuse new connections. Open connections stay.
    pub(crate) fn refuse(&self) {
        self.tell(Command::Door(Door::Shut));
    }

    /// Closes new connections at once. Open connections stay.
    pub(crate) fn accept_and_drop(&self) {
        self.tell(Command::Door(Door::Trap));
    }

    /// Accepts new connections again.
    pub(crate) fn accept(&self) {
        self.tell(Command::Door(Door::Open));
    }

    /// Holds all bytes back. New connections are accepted, but get no data.
    pub(crate) fn freeze(&self) {
        self.rules.send_modify(|rules| rules.is_frozen = true);
    }

    /// Lets the bytes flow again.
    pub(crate) fn thaw(&self) {
        self.rules.send_modify(|rules| rules.is_frozen = false);
    }

    /// Ends each open connection towards its receiver; bytes that are sent later are lost.
    pub(crate) fn half_close(&self, direction: Direction) {
        let next = self.connections();
        self.rules.send_modify(|rules| rules.half_closed[direction as usize] = next);
    }

    /// Lets the bytes of one direction vanish, and their end, too. A connection that has lost some
    /// passes nothing on any more: a stream has no gaps.
    pub(crate) fn black_hole(&self, direction: Direction) {
        self.rules.send_modify(|rules| rules.black_hole[direction as usize] = true);
    }

    /// Keeps each chunk of bytes for a while, from the next chunk on.
    pub(crate) fn delay(&self, delay: Duration) {
        self.rules.send_modify(|rules| rules.delay = [delay; 2]);
    }

    /// Delays the chunks of one direction only, from the next chunk on.
    pub(crate) fn delay_one_way(&self, direction: Direction, delay: Duration) {
        self.rules.send_modify(|rules| rules.delay[direction as usize] = delay);
    }

    /// Changes the target of new connections.
    pub(crate) fn retarget(&self, target: SocketAddr) {
        self.tell(Command::Settle);
        self.rules.send_modify(|rules| rules.target = target);
    }

    /// Resets the next connection once so many bytes have gone that way, and no more. Beyond 64 KiB
    /// the receiver may get fewer: a reset drops the bytes that it has no room for.
    pub(crate) fn cut_after(&self, direction: Direction, bytes: usize) {
        self.tell(Command::Settle);
        self.rules.send_modify(|rules| rules.cut_after = Some((direction, bytes)));
    }

    /// Ends all faults but those of connections that have suffered one.
    pub(crate) fn heal(&self) {
        self.rules.send_modify(|rules| {
            (rules.is_frozen, rules.cut_after) = (false, None);
            rules.delay = [Duration::ZERO; 2];
            rules.black_hole = [false; 2];
        });
        self.accept();
    }

    /// Returns the number of connections accepted so far.
    pub(crate) fn connections(&self) -> usize {
        self.tell(Command::Settle);
        self.tally.read(|counts| counts.accepted.len())
    }

    /// Returns the time at which each connection was accepted.
    pub(crate) fn accepted(&self) -> Vec<Instant> {
        self.tally.read(|counts| counts.accepted.clone())
    }

    /// Returns the number of open connections.
    pub(crate) fn open(&self) -> usize {
        self.tally.read(|counts| counts.open)
    }

    /// Returns the number of bytes in the given direction so far, including dropped ones.
    pub(crate) fn bytes(&self, direction: Direction) -> usize {
        self.tally.read(|counts| counts.bytes[direction as usize])
    }

    /// Waits until that many connections were accepted since the proxy started.
    #[track_caller]
    pub(crate) fn await_connections(&self, count: usize) {
        self.tally.wait("connections", |counts| counts.accepted.len() >= count);
    }

    /// Waits until exactly that many connections are open.
    #[track_caller]
    pub(crate) fn await_open(&self, count: usize) {
        self.tally.wait("open connections", |counts| counts.open == count);
    }

    /// Waits until that many bytes have gone that way since the proxy started.
    #[track_caller]
    pub(crate) fn await_bytes(&self, direction: Direction, count: usize) {
        self.tally.wait("bytes", |counts| counts.bytes[direction as usize] >= count);
    }

    fn tell(&self, command: Command) {
        let (done, is_done) = oneshot::channel();
        let commands = self.commands.as_ref().expect("it is there until the drop");
        commands.send((command, done)).expect("the proxy's thread");
        is_done.blocking_recv().expect("the proxy's thread");
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.commands = None;
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(std::thread::panicking() || matches!(ended, Some(Ok(()))), "the proxy panicked");
    }
}

/// Listener for new connections.
struct Hall {
    address: SocketAddr,
    rules: watch::Sender<Rules>,
    tally: Tally,
    door: Door,
    /// Listener, with a second handle that shows at once if a connection waits.
    listener: Option<(TcpListener, std::net::TcpListener)>,
    links: JoinSet<()>,
}

impl Hall {
    async fn serve(
        &mut self,
        mut commands: mpsc::UnboundedReceiver<(Command, oneshot::Sender<()>)>,
    ) {
        loop {
            tokio::select! {
                command = commands.recv() => match command {
                    Some((command, done)) => {
                        self.carry_out(command).await;
                        done.send(()).ok();
                    }
                    None => return,
                },
                stream = came(self.listener.as_ref()) => self.welcome(stream),
                Some(ended) = self.links.join_next() => ended.expect("no connection panics"),
            }
        }
    }

    async fn carry_out(&mut self, command: Command) {
        // Who came before the command is treated as before it.
        self.admit();
        match command {
            Command::Settle => {}
            Command::Cut => self.links.shutdown().await,
            Command::Door(door) => self.turn(door),
        }
    }

    fn turn(&mut self, door: Door) {
        self.door = door;
        if door == Door::Shut {
            if let Some((_, listener)) = self.listener.take() {
                // To close is not enough: a child process may have it, too, until it runs its program.
                SockRef::from(&listener).shutdown(Shutdown::Both).ok();
            }
        } else if self.listener.is_none() {
            let listener = std::net::TcpListener::bind(self.address).expect("listen");
            listener.set_nonblocking(true).expect("a listener that doesn't block");
            let second = listener.try_clone().expect("a second handle");
            self.listener = Some((TcpListener::from_std(listener).expect("listen"), second));
        }
    }

    /// Accepts all pending connections.
    fn admit(&mut self) {
        while let Some((_, listener)) = &self.listener
            && let Ok((stream, _)) = listener.accept()
        {
            self.welcome(stream);
        }
    }

    fn welcome(&mut self, stream: TcpStream) {
        let number = self.tally.accepted();
        if self.door == Door::Open {
            let mut cut_after = None;
            self.rules.send_modify(|rules| cut_after = rules.cut_after.take());
            let (rules, seat) = (self.rules.subscribe(), self.tally.seat());
            let target = rules.borrow().target;
            let link = Link { number, target, cut_after, rules, seat };
            born_to_be_reset(&stream);
            stream.set_nonblocking(true).expect("a stream that doesn't block");
            self.links.spawn(link.run(stream));
        }
    }
}

/// Waits until somebody connects.
async fn came(listener: Option<&(TcpListener, std::net::TcpListener)>) -> TcpStream {
    if let Some((listener, _)) = listener
        && let Ok((stream, _)) = listener.accept().await
    {
        return stream.into_std().expect("a stream");
    }
    std::future::pending().await
}

/// Makes any end of the connection a reset, unless this is reverted.
fn born_to_be_reset(stream: &impl AsFd) {
    SockRef::from(stream).set_linger(Some(Duration::ZERO)).expect("set linger");
}
