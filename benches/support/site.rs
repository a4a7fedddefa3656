//! The limit of an answer over HTTP: a site of one route, by the framework and with as many
//! workers as the control server, that answers by as many bytes as its path says and looks at
//! nothing else. And the limit of a frame: a WebSocket that tells all others.

use std::io;
use std::sync::{Mutex, PoisonError};

use actix::{Actor, ActorContext as _, AsyncContext as _, StreamHandler};
use actix_web::{App, Error, HttpRequest, HttpResponse, HttpServer, web};
use actix_web_actors::ws;
use bytestring::ByteString;
use futures_util::stream;
use tokio::sync::mpsc;

/// The argument that makes this program a site.
pub(crate) const ROLE: &str = "site";
/// Frames that wait for a client to read, as in the control server.
const QUEUE: usize = 256;

/// Serves an address until it is told to end.
pub(crate) fn serve(address: &str) -> io::Result<()> {
    let workers = std::thread::available_parallelism().map_or(2, usize::from);
    actix_web::rt::System::new().block_on(async {
        let hearers = web::Data::new(Hearers::default());
        let app = move || {
            App::new()
                .app_data(hearers.clone())
                .route("/ws", web::get().to(upgrade))
                .route("/{length}", web::to(answer))
        };
        HttpServer::new(app).workers(workers).shutdown_timeout(0).bind(address)?.run().await
    })
}

async fn answer(length: web::Path<usize>) -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body("-".repeat(*length))
}

async fn upgrade(
    hearers: web::Data<Hearers>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Error> {
    ws::start(Session(hearers), &request, payload)
}

/// Receivers of the messages.
type Hearers = Mutex<Vec<mpsc::Sender<ByteString>>>;

struct Session(web::Data<Hearers>);

impl Actor for Session {
    type Context = ws::WebsocketContext<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let (hearer, mut told) = mpsc::channel(QUEUE);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(hearer);
        ctx.add_stream(stream::poll_fn(move |cx| told.poll_recv(cx)));
    }
}

impl StreamHandler<ByteString> for Session {
    fn handle(&mut self, frame: ByteString, ctx: &mut Self::Context) {
        ctx.text(frame);
    }
}

impl StreamHandler<Result<ws::Message, ws::ProtocolError>> for Session {
    /// A text says how many frames all are told, itself among them, and how long they are. They
    /// come at once, so that no server could write them in fewer pieces.
    fn handle(&mut self, message: Result<ws::Message, ws::ProtocolError>, ctx: &mut Self::Context) {
        match message {
            Ok(ws::Message::Text(text)) => {
                let mut numbers = text.split(' ').map(|number| number.parse().unwrap_or_default());
                let (count, length) = (numbers.next(), numbers.next());
                let frame = ByteString::from("-".repeat(length.unwrap_or_default()));
                let mut hearers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                hearers.retain(|hearer| {
                    (0..count.unwrap_or_default()).all(|_| hearer.try_send(frame.clone()).is_ok())
                });
            }
            Ok(ws::Message::Ping(payload)) => ctx.pong(&payload),
            Ok(ws::Message::Close(_)) | Err(_) => ctx.stop(),
            Ok(_) => {}
        }
    }
}
