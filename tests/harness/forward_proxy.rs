//! An HTTP proxy such as a company has: it forwards plain requests, and tunnels others.

use std::io::{BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use super::Request;

/// A running proxy. Whatever is asked for, it leads to one server: names need not resolve.
pub(crate) struct ForwardProxy {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl ForwardProxy {
    /// One that wants this header of `Proxy-Authorization`, if any.
    pub(crate) fn to(server: SocketAddr, login: Option<&'static str>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let address = listener.local_addr().expect("an address");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let noted = asked.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, noted) = (stream.expect("a connection"), noted.clone());
                thread::spawn(move || serve(stream, server, login, &noted));
            }
        });
        Self { address, asked }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The requests so far: the method and the target of each.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("what was asked").clone()
    }
}

fn serve(
    near: TcpStream,
    server: SocketAddr,
    login: Option<&str>,
    asked: &Mutex<Vec<String>>,
) -> Option<()> {
    let mut reader = BufReader::new(near.try_clone().ok()?);
    let mut writer = near;
    let mut request = Request::read(&mut reader)?;
    asked.lock().ok()?.push(format!("{} {}", request.method, request.path));
    if login.is_some_and(|login| request.header("proxy-authorization") != Some(login)) {
        let refusal = "HTTP/1.1 407 Login\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        return writer.write_all(refusal.as_bytes()).ok();
    }
    if request.method != "CONNECT" {
        let (_, rest) = request.path.split_once("://")?;
        request.path = rest.find('/').map_or("/", |at| &rest[at..]).to_owned();
        let answer = request.forward(server).ok()?;
        return writer.write_all(&answer).ok();
    }
    let mut far = TcpStream::connect(server).ok()?;
    writer.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").ok()?;
    let mut back = far.try_clone().ok()?;
    thread::spawn(move || {
        std::io::copy(&mut back, &mut writer).ok();
        writer.shutdown(Shutdown::Both).ok();
    });
    std::io::copy(&mut reader, &mut far).ok();
    far.shutdown(Shutdown::Both).ok()
}
