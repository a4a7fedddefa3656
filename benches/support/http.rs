//! A client that sets up what is measured: one request at a time, each of which has to succeed.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::Value;
use socket2::{Domain, Socket, Type};

/// Longer than any answer takes.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Http(BufReader<TcpStream>);

impl Http {
    pub(crate) fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        Ok(Self(BufReader::new(connect(address)?)))
    }

    /// From an address of this machine, such as 127.0.0.2.
    pub(crate) fn connect_from(source: IpAddr, address: SocketAddr) -> anyhow::Result<Self> {
        Ok(Self(BufReader::new(connect_from(source, address)?)))
    }

    /// The body of the answer to a request, which is to be a 200.
    pub(crate) fn ask(
        &mut self,
        method: &str,
        path: &str,
        token: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Vec<u8>> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
        );
        self.0.get_mut().write_all(format!("{head}{body}").as_bytes())?;
        let (status, mut length) = (self.line()?, 0);
        loop {
            let line = self.line()?.to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse()?;
            }
        }
        let mut answer = vec![0; length];
        self.0.read_exact(&mut answer)?;
        let text = String::from_utf8_lossy(&answer);
        ensure!(status.contains(" 200 "), "{method} {path} was answered by {status}: {text}");
        Ok(answer)
    }

    fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        self.0.read_line(&mut line).context("no answer came")?;
        ensure!(!line.is_empty(), "the connection was closed");
        Ok(line.trim_end().to_owned())
    }
}

pub(crate) fn connect(address: SocketAddr) -> anyhow::Result<TcpStream> {
    prepared(TcpStream::connect(address)?)
}

/// From an address of this machine.
pub(crate) fn connect_from(source: IpAddr, address: SocketAddr) -> anyhow::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.bind(&SocketAddr::new(source, 0).into())?;
    socket.connect(&address.into())?;
    prepared(socket.into())
}

fn prepared(stream: TcpStream) -> anyhow::Result<TcpStream> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}
