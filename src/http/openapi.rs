//! The description of the interface, made from the routes.

use utoipa::openapi::OpenApiVersion;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

use super::routes::Described;

/// The description, as OpenAPI 3.1.
pub(crate) fn document() -> String {
    let document = Interface::openapi().merge_from(Described::openapi());
    debug_assert!(document.openapi == OpenApiVersion::Version31);
    let text = document.to_pretty_json().expect("names and texts are valid JSON");
    text + "\n"
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "LANrage Control Plane",
        version = "1.0.0",
        description = "Parties of peers in a virtual LAN for games. Times are ISO 8601 without an \
            offset, in the wall clock of the client, which its own `last_seen` shows; in UTC if it \
            shows none.",
        contact(),
        license(name = "MIT", identifier = "MIT"),
    ),
    modifiers(&Bearer)
)]
struct Interface;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let description =
            "A token of `POST /auth/register`; for `POST /relays` the relay key, if there is one.";
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some(description))
            .build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("bearer", SecurityScheme::Http(scheme));
    }
}
