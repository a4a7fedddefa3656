//! A small blocking client: one connection, one request in flight, and a queue of events.
//!
//! ```no_run
//! use lanrage_ipc::client::Client;
//! use lanrage_ipc::method::PartyGet;
//! use lanrage_ipc::params::PartyParams;
//!
//! let mut client = Client::connect("/run/lanrage/control.sock")?;
//! let found = client.call::<PartyGet>(&PartyParams { party_id: "friday".parse()? })?;
//! println!("{} peers", found.party.peers.len());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod connection;
mod error;
mod queue;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

use std::path::Path;
use std::time::Duration;

use serde::Serialize;
use serde_json::value::RawValue;

pub use error::{ClientError, ErrorKind};

use crate::envelope::{Id, request_line};
use crate::error::RpcError;
use crate::message::ServerMessage;
use crate::method::{EventsSubscribe, Hello, Method};
use crate::params::{HelloParams, SubscribeParams};
use crate::results::{HelloResult, SubscribeResult};
use connection::{Connection, Deadline, Failure, Received};
use queue::Queue;

/// Timeouts and size limits of a client.
#[derive(Debug, Clone)]
pub struct Options {
    /// Longest time for the daemon to accept the connection.
    pub connect_timeout: Duration,
    /// Longest time for a reply, from the first byte of the request.
    pub timeout: Duration,
    /// Length of the longest line that the client reads, in bytes.
    pub max_line: usize,
    /// Size limit of the queue of events for [`Client::next_message`], in bytes. When it is full,
    /// the oldest events are dropped. A [`View`](crate::View) reports their missing numbers as a
    /// gap.
    pub max_queue: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            timeout: Duration::from_secs(10),
            max_line: 4 * 1024 * 1024,
            max_queue: 8 * 1024 * 1024,
        }
    }
}

/// Client with one connection to the daemon.
#[derive(Debug)]
pub struct Client {
    connection: Connection,
    queue: Queue,
    timeout: Duration,
    last_id: u64,
}

impl Client {
    /// Connects to the daemon at `path`, a Unix socket or a Windows named pipe.
    ///
    /// # Errors
    /// [`ClientError`]; it distinguishes a daemon that is not running from an unreachable one.
    pub fn connect(path: impl AsRef<Path>) -> Result<Self, ClientError> {
        Self::connect_with(path, &Options::default())
    }

    /// Connects as [`Client::connect`] does, with the given options.
    ///
    /// # Errors
    /// As [`Client::connect`].
    pub fn connect_with(path: impl AsRef<Path>, options: &Options) -> Result<Self, ClientError> {
        let path = path.as_ref();
        let patience = options.connect_timeout;
        let connection = Connection::open(path, Deadline::after(patience), options.max_line)
            .map_err(|error| ClientError::of_connecting(path, patience, error))?;
        let queue = Queue::new(options.max_queue);
        Ok(Self { connection, queue, timeout: options.timeout, last_id: 0 })
    }

    /// Sets the timeout of later requests.
    pub fn set_timeout(&mut self, timeout: Duration) {
        self.timeout = timeout;
    }

    /// Negotiates the protocol version, and returns the caller's role and the daemon's limits.
    ///
    /// # Errors
    /// As [`Client::call`]; [`ErrorKind::Protocol`] without a common version.
    pub fn hello(&mut self, params: &HelloParams) -> Result<HelloResult, ClientError> {
        let result = self.call::<Hello>(params)?;
        let ours = params.protocol;
        if !(ours.min..=ours.max).contains(&result.protocol) {
            let (min, max, chosen) = (ours.min, ours.max, result.protocol);
            let why = format!("hello: offered protocol {min} to {max}, it chose {chosen}");
            return Err(ClientError::Protocol(why));
        }
        Ok(result)
    }

    /// Sends a request and waits for its reply. Events that arrive before it are queued for
    /// [`Client::next_message`].
    ///
    /// # Errors
    /// [`ClientError`]. The client stays usable after a timeout; it ignores a late reply.
    pub fn call<M: Method>(&mut self, params: &M::Params) -> Result<M::Result, ClientError> {
        let result = self.exchange(M::NAME, params)?;
        serde_json::from_str(&result).map_err(|error| bad_result(M::NAME, &error))
    }

    /// Sends a request as [`Client::call`] does, and returns the result as the received JSON text.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub fn call_for_text<M: Method>(
        &mut self,
        params: &M::Params,
    ) -> Result<Box<RawValue>, ClientError> {
        let result = self.exchange(M::NAME, params)?;
        RawValue::from_string(result).map_err(|error| bad_result(M::NAME, &error))
    }

    /// Sends a request as [`Client::call`] does, for any method. `params` and the result are JSON
    /// texts.
    ///
    /// # Errors
    /// As [`Client::call`]; `invalid_params` if `params` is not JSON.
    pub fn call_raw(&mut self, method: &str, params: &str) -> Result<Box<RawValue>, ClientError> {
        let params: &RawValue = serde_json::from_str(params)
            .map_err(|error| RpcError::invalid_params("params", format!("not JSON: {error}")))?;
        let result = self.exchange(method, params)?;
        RawValue::from_string(result).map_err(|error| bad_result(method, &error))
    }

    /// Subscribes to events. A [`View`](crate::View) starts from the result.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub fn subscribe(&mut self, params: &SubscribeParams) -> Result<SubscribeResult, ClientError> {
        self.call::<EventsSubscribe>(params)
    }

    /// Returns the next notification of the daemon; `None` if none arrives within `timeout`. The
    /// timeout may be zero.
    ///
    /// # Errors
    /// [`ClientError`] if the connection is lost, or the daemon reports an error without a request
    /// id. A line that violates the protocol is an error, an unknown kind of notification is none.
    pub fn next_message(
        &mut self,
        timeout: Duration,
    ) -> Result<Option<ServerMessage>, ClientError> {
        let deadline = Deadline::after(timeout);
        let notification = loop {
            if let Some(notification) = self.queue.pop() {
                break notification;
            }
            match self.connection.receive(deadline) {
                Ok(Received::Notification(notification)) => break notification,
                // Error that belongs to no request.
                Ok(Received::Reply { id: None, outcome: Err(error) }) => {
                    return Err(ClientError::of_reply(&error));
                }
                Ok(Received::Reply { .. }) => {}
                Err(Failure::TimedOut) => return Ok(None),
                Err(failure) => return Err(self.fail(failure, "waiting for events")),
            }
        };
        ServerMessage::decode(&notification.method, &notification.params)
            .map(Some)
            .map_err(|error| ClientError::Protocol(error.to_string()))
    }

    /// Sends a request line and returns the JSON text of the result.
    fn exchange(
        &mut self,
        method: &str,
        params: &(impl Serialize + ?Sized),
    ) -> Result<String, ClientError> {
        let deadline = Deadline::after(self.timeout);
        self.last_id += 1;
        let id = Id::from(self.last_id);
        let line = request_line(&id, method, &params)
            .map_err(|error| RpcError::invalid_params("params", error))?;
        if let Err(failure) = self.connection.send(&line, deadline) {
            return Err(self.fail(failure, &format!("sending {method}")));
        }
        let failure = loop {
            match self.connection.receive(deadline) {
                // An error without an id concerns the whole connection.
                Ok(Received::Reply { id: of, outcome })
                    if of.as_ref().is_none_or(|of| *of == id) =>
                {
                    return outcome.map_err(|error| ClientError::of_reply(&error));
                }
                Ok(Received::Reply { .. }) => {}
                Ok(Received::Notification(notification)) => self.queue.push(notification),
                Err(failure) => break failure,
            }
            // A steady stream of events must not defeat the timeout.
            if deadline.has_passed() {
                break Failure::TimedOut;
            }
        };
        Err(self.fail(failure, &format!("waiting for the reply to {method}")))
    }

    fn fail(&self, failure: Failure, doing: &str) -> ClientError {
        let doing = doing.to_owned();
        match failure {
            Failure::TimedOut => ClientError::TimedOut { doing, after: self.timeout },
            Failure::Gone => ClientError::Gone { doing },
            Failure::Protocol(why) => ClientError::Protocol(why),
            Failure::Io(source) => ClientError::Io { doing, source },
        }
    }
}

fn bad_result(method: &str, error: &serde_json::Error) -> ClientError {
    ClientError::Protocol(format!("the result of {method}: {error}"))
}

#[cfg(test)]
mod tests;
