//! Routes, and the answers outside of them.

pub(super) mod identity;
pub(super) mod parties;
pub(super) mod peers;
pub(super) mod probes;
pub(super) mod relays;
pub(super) mod service;
pub(super) mod socket;

use actix_web::http::{Method, header};
use actix_web::{HttpRequest, HttpResponse, ResponseError as _, guard, web};

use super::origin::{Origin, forwarded_https};
use super::problem::Problem;
use super::state::{HttpState, values};

/// Probes of the server's health, which have no rate limit.
pub(super) const PROBES: [&str; 2] = ["/healthz", "/readyz"];
/// Path of the metrics, which cost more.
pub(super) const METRICS: &str = "/metrics";

/// Route of a request.
#[derive(Debug)]
pub(super) struct Route {
    /// Path with names for its parameters.
    pub(super) template: &'static str,
    /// Methods of the path, as `Allow` lists them.
    methods: &'static [&'static str],
}

/// Defines the routes: `add_routes` adds each path with its methods, and answers any other method
/// with a 405; [`Described`] is their description.
macro_rules! routes {
    ($($template:literal { $($method:ident => $module:ident::$handler:ident),+ })+) => {
        fn add_routes(app: &mut web::ServiceConfig) {
            $(app.service(
                web::resource($template)
                    .app_data(Route { template: $template, methods: &[$(stringify!($method)),+] })
                    $(.route(route(Method::$method).to($module::$handler)))+
                    .default_service(web::to(no_method)),
            );)+
        }

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

/// Route of a method. `HEAD` is answered wherever `GET` is: the guard leaves the body out.
fn route(method: Method) -> actix_web::Route {
    match method {
        Method::GET => web::route().guard(guard::Any(guard::Get()).or(guard::Head())),
        method => web::method(method),
    }
}

/// Adds all routes.
pub(super) fn configure(app: &mut web::ServiceConfig) {
    add_routes(app);
    app.default_service(web::to(no_route));
}

/// Returns a 405 with the path's methods.
async fn no_method(request: HttpRequest) -> HttpResponse {
    let mut response = Problem::no_method().error_response();
    let methods = request.app_data::<Route>().map_or(&[][..], |route| route.methods);
    if let Ok(methods) = methods.join(", ").parse() {
        response.headers_mut().insert(header::ALLOW, methods);
    }
    response
}

/// Returns a 404; or, if only a trailing slash is too much, a redirect to the path without it.
async fn no_route(
    request: HttpRequest,
    state: web::Data<HttpState>,
) -> Result<HttpResponse, Problem> {
    let path = request.path().strip_suffix('/');
    let is_known = |path: &&str| *path != "/" && request.resource_map().has_resource(path);
    let path = path.filter(is_known);
    let path = path.ok_or_else(Problem::no_route)?;
    let base = base_of(&request, &state).unwrap_or_default();
    let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
    let location = (header::LOCATION, format!("{base}{path}{query}"));
    Ok(HttpResponse::TemporaryRedirect().insert_header(location).finish())
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
