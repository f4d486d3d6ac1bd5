//! The description of the REST interface (OpenAPI 3.1), generated from the routes themselves and served at
//! `/api/openapi.json`. Knows no route.

use std::sync::Arc;

use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use utoipa::openapi::OpenApi;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::server::Server;
use utoipa::{Modify, OpenApi as _};
use utoipa_axum::router::OpenApiRouter;

use super::api::Api;

mod examples;
mod patterns;
mod strict;

pub(crate) use strict::Facts;

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Herald",
        description = "A gateway for notifications: REST and NATS in, STOMP over WebSocket out.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    tags(
        (name = "caller", description = "Who asks: any key, and any user"),
        (name = "publish", description = "Scope publish, or a user with ROLE_PUBLISHER; anyone with api.access = open"),
        (name = "users", description = "Who is online: scope read, or admin to disconnect"),
        (name = "revocations", description = "Who is shut out: scope admin"),
        (name = "debug", description = "What the cluster does, and what it says of it: scope admin"),
        (name = "health", description = "For probes and Prometheus"),
    ),
    components(schemas(crate::problem::Problem)),
    modifiers(&Schemes),
)]
struct Document;

struct Schemes;

impl Modify for Schemes {
    fn modify(&self, document: &mut OpenApi) {
        let scheme = |scheme, description: &str| {
            SecurityScheme::Http(
                Http::builder()
                    .scheme(scheme)
                    .description(Some(description))
                    .build(),
            )
        };
        let components = document.components.get_or_insert_default();
        components.add_security_scheme(
            "key",
            scheme(
                HttpAuthScheme::Bearer,
                "A key of api.keys or api.keys_file with the scope, or a token of a user with ROLE_PUBLISHER (publish) or ROLE_ADMIN (all)",
            ),
        );
        components.add_security_scheme(
            "user",
            scheme(
                HttpAuthScheme::Basic,
                "A user with ROLE_PUBLISHER (publish) or ROLE_ADMIN (all)",
            ),
        );
    }
}

/// The document that the routes are added to. Its server is `base`.
pub(crate) fn document(base: &str) -> OpenApiRouter<Arc<Api>> {
    let mut document = Document::openapi();
    let server = if base.is_empty() { "/" } else { base };
    document.servers = Some(vec![Server::new(server)]);
    OpenApiRouter::with_openapi(document)
}

/// A finished document, ready to be served.
#[derive(Debug, Clone)]
pub(crate) struct Rendered(Bytes);

/// Renders `document`, made as strict as Herald is. The router's `{*name}` becomes OpenAPI's `{name}`.
pub(crate) fn render(mut document: OpenApi, facts: &Facts<'_>) -> Rendered {
    let paths = std::mem::take(&mut document.paths.paths);
    document.paths.paths = paths
        .into_iter()
        .map(|(path, item)| (path.replace("{*", "{"), item))
        .collect();
    let text = serde_json::to_value(&document).and_then(|mut document| {
        strict::make_strict(&mut document, facts);
        serde_json::to_vec(&examples::InOrder(&document))
    });
    match text {
        Ok(text) => Rendered(text.into()),
        Err(error) => {
            tracing::error!(%error, "the OpenAPI document cannot be rendered");
            Rendered(Bytes::from_static(b"{}"))
        }
    }
}

impl IntoResponse for Rendered {
    fn into_response(self) -> Response {
        ([(header::CONTENT_TYPE, "application/json")], self.0).into_response()
    }
}
