//! The limit of a line over a socket: a server on one thread, as the daemon is, that answers each
//! line by one of a given length and looks at nothing but its end.

use std::cell::RefCell;
use std::io;
use std::path::Path;
use std::rc::Rc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};

use super::client::Client;

/// The argument that makes this program an echo server.
pub(crate) const ROLE: &str = "echo";

/// Purpose of a connection. Its first line states it, with the length of the lines that it causes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Purpose {
    /// To be answered.
    Ask,
    /// To be answered, and to have all who listen be told.
    Tell,
    /// To be told.
    Listen,
}

impl Purpose {
    /// Makes a connection one for this purpose.
    pub(crate) fn of(self, mut client: Client, length: usize) -> anyhow::Result<Client> {
        let purpose = self as u8;
        client.exchange(&format!("{purpose} {length}\n"), 1)?;
        Ok(client)
    }
}

/// Serves a socket until it is killed.
pub(crate) fn serve(socket: &Path) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let listener = UnixListener::bind(socket)?;
        let listeners = Rc::default();
        loop {
            let (stream, _) = listener.accept().await?;
            // It ends with its connection.
            tokio::task::spawn_local(answer(stream, Rc::clone(&listeners)));
        }
    })
}

type Listeners = Rc<RefCell<Vec<OwnedWriteHalf>>>;

async fn answer(stream: UnixStream, listeners: Listeners) -> io::Result<()> {
    let (mut reader, mut writer) = stream.into_split();
    let mut buffer = vec![0; 8 * 1024];
    let first = first_line(&mut reader).await?;
    let (purpose, length) = first.split_once(' ').ok_or(io::ErrorKind::InvalidData)?;
    let length: usize = length.parse().map_err(|_| io::ErrorKind::InvalidData)?;
    writer.write_all(b"\n").await?;
    if purpose == (Purpose::Listen as u8).to_string() {
        listeners.borrow_mut().push(writer);
        return Ok(());
    }
    let tells = purpose == (Purpose::Tell as u8).to_string();
    let line = format!("{}\n", "-".repeat(length.saturating_sub(1)));
    loop {
        let read = reader.read(&mut buffer).await?;
        if read == 0 {
            return Ok(());
        }
        let lines = buffer[..read].iter().filter(|byte| **byte == b'\n').count();
        let answer = line.repeat(lines);
        writer.write_all(answer.as_bytes()).await?;
        if tells {
            let mut told = listeners.take();
            for listener in &mut told {
                listener.write_all(answer.as_bytes()).await?;
            }
            listeners.replace(told);
        }
    }
}

async fn first_line(reader: &mut OwnedReadHalf) -> io::Result<String> {
    let mut line = String::new();
    loop {
        match char::from(reader.read_u8().await?) {
            '\n' => return Ok(line),
            other => line.push(other),
        }
    }
}
