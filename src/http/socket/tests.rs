use std::convert::Infallible;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream as Client};
use std::sync::{Arc, mpsc};
use std::task::Poll;
use std::thread;

use actix_web::rt::net::TcpListener;
use actix_web::web::Bytes;
use actix_web::{App, HttpRequest, HttpResponse, web};
use futures_util::stream;
use rustls::crypto::ring;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tokio::sync::oneshot;

use super::*;
use crate::clock::Clock;
use crate::config::Http;
use crate::http::tls::{Certificates, server_config};
use crate::http::{HttpConnectionLimiter, serve};

/// Timeout of the tests: a failure is no hang.
const PATIENCE: Duration = Duration::from_secs(60);

/// Report of the server's side of a test.
#[derive(Debug)]
enum Told {
    Began(Hangup),
    Ended,
}

/// Reports its own drop.
struct Guard(mpsc::Sender<Told>);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.send(Told::Ended);
    }
}

/// Answer that never ends, and reports its connection.
async fn endless(request: HttpRequest, tell: web::Data<mpsc::Sender<Told>>) -> HttpResponse {
    let accepted = request.conn_data::<Accepted>().expect("prepared");
    tell.send(Told::Began(accepted.hangup())).unwrap();
    let guard = Guard(tell.get_ref().clone());
    HttpResponse::Ok().streaming(stream::poll_fn(move |_| {
        let _ = &guard;
        Poll::Ready(Some(Ok::<_, Infallible>(Bytes::from_static(&[0; 1 << 16]))))
    }))
}

/// Runs a server for the duration of `test`.
fn with_server(
    tls: Option<rustls::ServerConfig>,
    test: impl FnOnce(SocketAddr, &mpsc::Receiver<Told>) + Send + 'static,
) {
    actix_web::rt::System::new().block_on(async {
        let (tell, told) = mpsc::channel();
        let app = move || {
            App::new()
                .app_data(web::Data::new(tell.clone()))
                .route("/endless", web::get().to(endless))
        };
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let (server, address) = serve(app, any, tls, &Http::default(), &limiter(), 1).unwrap();
        let handle = server.handle();
        actix_web::rt::spawn(server);
        let (done, finished) = oneshot::channel();
        let testing = thread::spawn(move || {
            test(address, &told);
            done.send(()).unwrap();
        });
        let _ = finished.await;
        handle.stop(false).await;
        testing.join().unwrap();
    });
}

fn next(told: &mpsc::Receiver<Told>) -> Told {
    told.recv_timeout(PATIENCE).expect("news of the connection")
}

/// Reads nothing until the connection is cut.
fn never_reads(client: &mut (impl Read + Write), told: &mpsc::Receiver<Told>) {
    client.write_all(b"GET /endless HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let Told::Began(hangup) = next(told) else { panic!("ended before it began") };
    hangup.now();
    assert!(matches!(next(told), Told::Ended));
    hangup.now();
    // Skips the bytes before the cut.
    let _ = client.read_to_end(&mut Vec::new());
}

#[test]
fn client_that_does_not_read_is_disconnected() {
    with_server(None, |address, told| {
        never_reads(&mut Client::connect(address).unwrap(), told);
    });
}

#[test]
fn tls_client_that_does_not_read_is_disconnected() {
    let made = rcgen::generate_simple_self_signed(["localhost".into()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (chain, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    std::fs::write(&chain, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    #[cfg(unix)]
    std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let config = server_config(Arc::new(Certificates::load(chain, key).unwrap()));
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    with_server(Some(config), |address, told| {
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let tls = ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap();
        never_reads(&mut StreamOwned::new(tls, Client::connect(address).unwrap()), told);
    });
}

fn limiter() -> Arc<HttpConnectionLimiter> {
    let (refusals, metrics) = Default::default();
    Arc::new(HttpConnectionLimiter::new(&Http::default(), Clock::start(), refusals, metrics))
}

/// Returns both ends of an admitted connection.
async fn admitted() -> (AcceptedStream, Client) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = Client::connect(listener.local_addr().unwrap()).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    (limiter().admit(stream, false).unwrap(), client)
}

#[test]
fn accepted_socket_has_nodelay_and_a_user_timeout() {
    actix_web::rt::System::new().block_on(async {
        let (stream, _client) = admitted().await;
        assert!(stream.tcp().nodelay().unwrap());
        #[cfg(target_os = "linux")]
        assert_eq!(SockRef::from(stream.tcp()).tcp_user_timeout().unwrap(), Some(USER_TIMEOUT));
    });
}

#[test]
fn hangup_handle_does_not_keep_its_connection_open() {
    actix_web::rt::System::new().block_on(async {
        let (stream, mut client) = admitted().await;
        let hangup = stream.accepted().hangup();
        drop(stream);
        assert_eq!(client.read(&mut [0]).expect("the end of the connection"), 0);
        hangup.now();
    });
}
