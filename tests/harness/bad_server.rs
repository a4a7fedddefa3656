//! Server that does not behave as a control server: other software at the same address, or a
//! defective control server.

mod certificate;
mod ledger;
mod lies;
mod polite;
mod reply;
mod request;
mod routes;
mod script;

use std::collections::BTreeMap;
use std::io::{BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;

use serde_json::Value;

use super::Random;
use super::daemon::PATIENCE;
pub(crate) use certificate::Certificate;
use certificate::Identity;
pub(crate) use ledger::{Change, Ledger, Lie, SharedLedger, Twist};
pub(crate) use lies::Victim;
pub(crate) use polite::{polite, welcome};
pub(crate) use reply::{Reply, Responder, Trick};
pub(crate) use request::Request;
pub(crate) use script::Step;

/// Behavior of the server.
#[derive(Clone)]
pub(crate) enum Behaviour {
    /// Closes each connection at once.
    AcceptAndDrop,
    /// Reads and sends nothing.
    Silent,
    /// Sends garbage, and closes.
    Garbage(u64),
    /// Answers everything with a page, as a captive portal does.
    HtmlPage,
    /// Answers with this status (1xx) without end, which is never an answer.
    Interim(&'static str),
    /// Redirects every request.
    RedirectTo(String),
    /// Answers every request with this status and these extra headers.
    Status(u16, Vec<(&'static str, String)>),
    /// Completes a WebSocket handshake, takes these steps, and closes. Other requests get 404.
    UpgradeThen(Vec<Step>),
    /// Answers each request by this function.
    Routes(Responder),
    /// Forwards requests to a server, as a reverse proxy does that speaks HTTP/1.0 with it. The
    /// rule answers some requests itself.
    Gateway(SocketAddr, Rule),
}

/// Answers a request in the server's place: the status, the kind of content, and the body.
pub(crate) type Rule =
    Arc<dyn Fn(&Request) -> Option<(u16, &'static str, &'static str)> + Send + Sync>;

impl Behaviour {
    /// Returns the behavior of a correct control server, see [`polite`].
    pub(crate) fn polite() -> Self {
        Self::UpgradeThen(vec![Step::answer(polite())])
    }

    /// A gateway before this server.
    pub(crate) fn gateway(
        server: SocketAddr,
        rule: impl Fn(&Request) -> Option<(u16, &'static str, &'static str)> + Send + Sync + 'static,
    ) -> Self {
        Self::Gateway(server, Arc::new(rule))
    }
}

/// Requests, frames and connections that the server has seen.
#[derive(Default)]
struct Seen {
    connections: usize,
    requests: Vec<Request>,
    /// Of all WebSockets, in the order in which they came.
    frames: Vec<Value>,
    /// Handles of the streams that are open, to end those who wait for them.
    streams: BTreeMap<usize, TcpStream>,
    /// Number of failed TLS handshakes.
    failed_handshakes: usize,
    is_ending: bool,
}

/// State that the server's threads share.
struct Shared {
    behaviour: Mutex<Behaviour>,
    identity: Option<Identity>,
    seen: Mutex<Seen>,
    changed: Condvar,
}

/// A running server; when it goes, so do its connections and its threads.
pub(crate) struct BadServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl BadServer {
    pub(crate) fn start(behaviour: Behaviour) -> Self {
        Self::launch(behaviour, None)
    }

    /// Serves the same over TLS, for clients that trust [`Self::ca`].
    pub(crate) fn tls(certificate: Certificate, behaviour: Behaviour) -> Self {
        Self::launch(behaviour, Some(Identity::new(certificate)))
    }

    fn launch(behaviour: Behaviour, identity: Option<Identity>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let address = listener.local_addr().expect("an address");
        let (behaviour, seen) = (Mutex::new(behaviour), Mutex::default());
        let shared = Arc::new(Shared { behaviour, identity, seen, changed: Condvar::new() });
        let serving = shared.clone();
        let thread = std::thread::spawn(move || serving.serve(&listener));
        Self { address, shared, thread: Some(thread) }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn url(&self) -> String {
        let scheme = if self.shared.identity.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// The file with the certificate to trust, in PEM.
    pub(crate) fn ca(&self) -> PathBuf {
        self.shared.identity.as_ref().expect("a server over TLS").ca()
    }

    /// Changes the behavior from the next request on.
    pub(crate) fn behave(&self, behaviour: Behaviour) {
        *self.shared.behaviour.lock().expect("the behaviour") = behaviour;
    }

    /// The requests that came so far, a WebSocket's handshake among them.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.shared.seen().requests.clone()
    }

    /// The WebSocket frames that a script read so far.
    pub(crate) fn frames(&self) -> Vec<Value> {
        self.shared.seen().frames.clone()
    }

    /// Waits until that many have connected.
    #[track_caller]
    pub(crate) fn await_connections(&self, count: usize) {
        self.shared.wait("connections", |seen| seen.connections >= count);
    }

    /// Waits until that many requests have come.
    #[track_caller]
    pub(crate) fn await_requests(&self, count: usize) -> Vec<Request> {
        self.shared.wait("requests", |seen| seen.requests.len() >= count);
        self.requests()
    }

    /// Waits until a script has read that many frames.
    #[track_caller]
    pub(crate) fn await_frames(&self, count: usize) -> Vec<Value> {
        self.shared.wait("frames", |seen| seen.frames.len() >= count);
        self.frames()
    }

    /// Waits until that many TLS handshakes have failed.
    #[track_caller]
    pub(crate) fn await_failed_handshakes(&self, count: usize) {
        self.shared.wait("failed handshakes", |seen| seen.failed_handshakes >= count);
    }
}

impl Drop for BadServer {
    fn drop(&mut self) {
        let mut seen = self.shared.seen();
        seen.is_ending = true;
        for stream in seen.streams.values() {
            stream.shutdown(Shutdown::Both).ok();
        }
        drop(seen);
        self.shared.changed.notify_all();
        // Wakes it.
        TcpStream::connect(self.address).ok();
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(std::thread::panicking() || matches!(ended, Some(Ok(()))), "the server panicked");
    }
}

/// Connection over any transport.
pub(crate) trait Stream: Read + Write {}

impl<T: Read + Write> Stream for T {}

impl Shared {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().expect("what was seen")
    }

    fn note<T>(&self, note: impl FnOnce(&mut Seen) -> T) -> T {
        let noted = note(&mut self.seen());
        self.changed.notify_all();
        noted
    }

    #[track_caller]
    fn wait(&self, what: &str, is_there: impl Fn(&Seen) -> bool) {
        let waited = self.changed.wait_timeout_while(self.seen(), PATIENCE, |s| !is_there(s));
        let timed_out = waited.expect("what was seen").1.timed_out();
        assert!(!timed_out, "not that many {what}");
    }

    fn serve(&self, listener: &TcpListener) {
        std::thread::scope(|scope| {
            while let Ok((stream, _)) = listener.accept() {
                let handle = stream.try_clone().expect("a second handle");
                let number = self.note(|seen| {
                    seen.connections += 1;
                    seen.streams.insert(seen.connections, handle);
                    (!seen.is_ending).then_some(seen.connections)
                });
                let Some(number) = number else { return };
                scope.spawn(move || {
                    self.attend(stream);
                    // The last handle closes it.
                    self.note(|seen| seen.streams.remove(&number));
                });
            }
        });
    }

    fn behaviour(&self) -> Behaviour {
        self.behaviour.lock().expect("the behaviour").clone()
    }

    /// Serves one connection until it ends.
    fn attend(&self, stream: TcpStream) {
        if matches!(self.behaviour(), Behaviour::AcceptAndDrop) {
            return;
        }
        stream.set_nodelay(true).ok();
        let Some(identity) = &self.identity else {
            self.answer(&mut BufReader::new(stream));
            return;
        };
        match identity.shake_hands(stream) {
            Ok(stream) => drop(self.answer(&mut BufReader::new(stream))),
            Err(_) => self.note(|seen| seen.failed_handshakes += 1),
        }
    }

    /// Answers requests; `None` when the connection has ended.
    fn answer<S: Stream>(&self, stream: &mut BufReader<S>) -> Option<()> {
        loop {
            let request = self.read(stream);
            let behaviour = self.behaviour();
            if matches!(behaviour, Behaviour::Silent) {
                // To the end; some of it may be no request.
                while self.read(stream).is_some() {}
                return std::io::copy(stream, &mut std::io::sink()).ok().map(drop);
            }
            let request = request?;
            let response = match behaviour {
                Behaviour::AcceptAndDrop | Behaviour::Silent => return None,
                Behaviour::Garbage(seed) => {
                    let mut random = Random(seed);
                    let bytes: Vec<_> = (0..4096).map(|_| random.next().to_le_bytes()[0]).collect();
                    return stream.get_mut().write_all(&bytes).ok();
                }
                Behaviour::Interim(status) => {
                    let many = format!("HTTP/1.1 {status}\r\nLink: x\r\n\r\n").repeat(1000);
                    loop {
                        stream.get_mut().write_all(many.as_bytes()).ok()?;
                    }
                }
                Behaviour::HtmlPage => {
                    let page = "<!DOCTYPE html><title>Welcome</title><p>Sign in to go online.";
                    response(200, &[("Content-Type", "text/html".to_owned())], page)
                }
                Behaviour::RedirectTo(url) => response(302, &[("Location", url)], ""),
                Behaviour::Status(status, headers) => response(status, &headers, "no"),
                Behaviour::Gateway(server, rule) => match rule(&request) {
                    Some((status, kind, body)) => {
                        response(status, &[("Content-Type", kind.to_owned())], body)
                    }
                    None => {
                        let answer = request.forward(server).ok()?;
                        // Its head says that the connection ends with it.
                        return stream.get_mut().write_all(&answer).ok();
                    }
                },
                Behaviour::Routes(answer) => {
                    answer(&request).send(self, stream.get_mut())?;
                    continue;
                }
                Behaviour::UpgradeThen(script) => match request.accept_key() {
                    Some(key) => return script::run(self, stream, &key, &script),
                    None => response(404, &[], "Not Found"),
                },
            };
            stream.get_mut().write_all(response.as_bytes()).ok()?;
        }
    }

    fn read<S: Stream>(&self, stream: &mut BufReader<S>) -> Option<Request> {
        let request = Request::read(stream)?;
        self.note(|seen| seen.requests.push(request.clone()));
        Some(request)
    }

    fn frame(&self, frame: Value) {
        self.note(|seen| seen.frames.push(frame));
    }

    /// Waits until the server ends.
    fn hang(&self) {
        let ended = self.changed.wait_while(self.seen(), |seen| !seen.is_ending);
        drop(ended.expect("what was seen"));
    }
}

fn response(status: u16, headers: &[(&'static str, String)], body: &str) -> String {
    let lines: String =
        headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let length = body.len();
    format!("HTTP/1.1 {status} Whatever\r\n{lines}Content-Length: {length}\r\n\r\n{body}")
}
