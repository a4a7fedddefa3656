//! Routes, and the answers outside of them.

pub(super) mod identity;
pub(super) mod parties;
pub(super) mod peers;
pub(super) mod probes;
pub(super) mod relays;
pub(super) mod service;
pub(super) mod socket;

use actix_web::dev::Payload;
use actix_web::http::{Method, header};
use actix_web::{FromRequest, Handler, HttpRequest, HttpResponse, Responder, ResponseError as _};
use futures_util::future::LocalBoxFuture;

use super::origin::{Origin, forwarded_https};
use super::path::Params;
use super::problem::Problem;
use super::state::{HttpState, values};

/// Probes of the server's health, which have no rate limit.
pub(super) const PROBES: [&str; 2] = ["/healthz", "/readyz"];
/// Path of the metrics, which cost more.
pub(super) const METRICS: &str = "/metrics";
/// Longest path that is looked up, in bytes. No route has a longer one, even with all characters
/// encoded.
const LONGEST_PATH: usize = 2048;

/// A path with its methods.
#[derive(Debug)]
pub(super) struct Route {
    /// Path with names for its parameters.
    pub(super) template: &'static str,
    /// Names and handlers of the methods, as `Allow` lists them.
    methods: &'static [(&'static str, Answer)],
}

/// Handler of a request.
type Answer = fn(HttpRequest, Payload) -> LocalBoxFuture<'static, HttpResponse>;

/// Route of a request, with the values of its parameters.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) route: &'static Route,
    pub(super) params: Params,
}

/// Defines the routes. [`ROUTES`] are their paths and handlers, and [`Described`] is their
/// description.
macro_rules! routes {
    ($($template:literal { $($method:ident => $module:ident::$handler:ident),+ })+) => {
        const ROUTES: &[Route] = &[$(Route {
            template: $template,
            methods: &[$((
                stringify!($method),
                |request, payload| Box::pin(call($module::$handler, request, payload)),
            )),+],
        }),+];

        /// Description of all routes.
        #[derive(utoipa::OpenApi)]
        #[openapi(paths($($($module::$handler,)+)+))]
        pub(super) struct Described;
    };
}

routes! {
    "/" { GET => service::root }
    "/openapi.json" { GET => service::openapi }
    "/docs" { GET => service::docs }
    "/healthz" { GET => probes::healthz }
    "/readyz" { GET => probes::readyz }
    "/metrics" { GET => probes::metrics }
    "/auth/register" { POST => identity::register }
    "/auth/tokens" { DELETE => identity::revoke }
    "/parties" { POST => parties::register }
    "/parties/{party_id}" { GET => parties::get }
    "/parties/{party_id}/join" { POST => parties::join }
    "/parties/{party_id}/peers" { GET => peers::list }
    "/parties/{party_id}/peers/{peer_id}" { GET => peers::get, DELETE => peers::leave }
    "/parties/{party_id}/peers/{peer_id}/heartbeat" { POST => peers::heartbeat }
    "/relays" { GET => relays::list, POST => relays::register }
    "/relays/{region}" { GET => relays::list_region }
    "/ws" { GET => socket::upgrade }
}

/// Returns the route of a path.
pub(super) fn find(path: &str) -> Option<Target> {
    if path.len() > LONGEST_PATH {
        return None;
    }
    let found = |route| Some(Target { route, params: Params::of(path, route.template)? });
    ROUTES.iter().find_map(found)
}

impl Route {
    /// Answers a request. `HEAD` is answered wherever `GET` is: the guard leaves the body out.
    pub(super) async fn answer(&self, request: HttpRequest, payload: Payload) -> HttpResponse {
        let method = match request.method() {
            &Method::HEAD => Method::GET.as_str(),
            method => method.as_str(),
        };
        match self.methods.iter().find(|(name, _)| *name == method) {
            Some((_, answer)) => answer(request, payload).await,
            None => self.no_method(),
        }
    }

    /// Returns a 405 with the path's methods.
    fn no_method(&self) -> HttpResponse {
        let mut response = Problem::no_method().error_response();
        let methods: Vec<_> = self.methods.iter().map(|(name, _)| *name).collect();
        if let Ok(methods) = methods.join(", ").parse() {
            response.headers_mut().insert(header::ALLOW, methods);
        }
        response
    }
}

/// Calls a handler with its parts of the request.
async fn call<F, Args>(handler: F, request: HttpRequest, mut payload: Payload) -> HttpResponse
where
    F: Handler<Args>,
    F::Output: Responder<Body: 'static>,
    Args: FromRequest,
{
    match Args::from_request(&request, &mut payload).await {
        Ok(args) => handler.call(args).await.respond_to(&request).map_into_boxed_body(),
        Err(error) => HttpResponse::from_error(error),
    }
}

/// Returns a 404; or, if only a trailing slash is too much, a redirect to the path without it.
pub(super) fn no_route(request: &HttpRequest, state: &HttpState) -> HttpResponse {
    let path = request.path().strip_suffix('/');
    let is_known = |path: &&str| *path != "/" && find(path).is_some();
    let Some(path) = path.filter(is_known) else {
        return Problem::no_route().error_response();
    };
    let base = base_of(request, state).unwrap_or_default();
    let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
    let location = (header::LOCATION, format!("{base}{path}{query}"));
    HttpResponse::TemporaryRedirect().insert_header(location).finish()
}

/// Returns the scheme and host of the request, from its `Host`.
fn base_of(request: &HttpRequest, state: &HttpState) -> Option<String> {
    let host = request.headers().get(header::HOST)?.to_str().ok()?;
    let trusted = &state.settings().http.behind_proxy;
    let forwarded = values(request.headers(), header::HeaderName::from_static("x-forwarded-proto"));
    let is_forwarded = request.peer_addr();
    let is_forwarded = is_forwarded.is_some_and(|p| forwarded_https(p.ip(), forwarded, trusted));
    let is_secure = state.settings().http.tls.is_some() || is_forwarded;
    let scheme = if is_secure { "https" } else { "http" };
    let base = format!("{scheme}://{host}");
    Origin::parse(&base).is_some().then_some(base)
}
