//! Every route, who may use it, and the middleware around it. Knows nothing of a route's internals.

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::api::{Api, State};
use super::audit::Guard;
use super::notifications::{message, publish, raw};
use super::origin::cors;
use super::own_headers::OwnHeaders;
use super::paths::Paths;
use super::query::Queries;
use super::{
    Config, debug_sampling, explain, health, instances, log_level, log_lines, me, observe, openapi, page,
    permission, revocations, senders, shed, tap, users,
};
use crate::telemetry::audit::event::Event;

/// One router per port.
pub(crate) struct Routers {
    /// For `http.listen`.
    pub main: Router,
    /// For `http.admin_listen`, if it is set.
    pub admin: Option<Router>,
}

/// Assembles the routes. `ws` holds `http.ws_path` and everything below it, without `http.base_path`, which is added
/// to every route here. With `http.admin_listen` set, `/metrics`, health and debug routes are on that port only,
/// there with and without the base path; the first two need no credentials.
pub(crate) fn router(state: State, config: &Config, ws: Router) -> Routers {
    let page = page::Page::new(&state, config);
    let api = Arc::new(Api::new(state, config));
    let base = config.base_path.as_str();
    let open = |routes| around(routes, &api, Guard::Open);
    let admin_routes = |routes: Vec<AdminRoutes>| {
        routes
            .into_iter()
            .fold(OpenApiRouter::new(), |all, (event, routes)| {
                all.merge(around(routes, &api, Guard::Admin(event)))
            })
    };

    let mut documented = openapi::document(base)
        .merge(around(caller_routes(), &api, Guard::Known))
        .merge(around(publish_routes(), &api, Guard::Publish))
        .merge(around(read_routes(), &api, Guard::Read))
        .merge(admin_routes(operators_routes()));
    let separate = config.admin_listen.is_some();
    if !separate {
        documented = documented
            .merge(open(health_routes()))
            .merge(around(metrics_routes(), &api, Guard::Metrics))
            .merge(admin_routes(debug_routes()));
    }
    let (routes, document) = documented.split_for_parts();
    let of_operators = separate.then(|| {
        open(health_routes().merge(metrics_routes()))
            .merge(admin_routes(debug_routes()))
            .split_for_parts()
    });
    let elsewhere = of_operators.as_ref().map(|(_, document)| document);
    let documents = || [Some(&document), elsewhere].into_iter().flatten();
    api.takes(Queries::of(documents()), OwnHeaders::of(documents()));
    let not_found = |paths: Paths| {
        let (api, paths) = (Arc::clone(&api), Arc::new(paths));
        move |request| observe::not_found(Arc::clone(&api), Arc::clone(&paths), request)
    };
    let of_main = not_found(Paths::new(base, &document, "http.admin_listen", elsewhere));
    let of_admin = elsewhere.map(|here| not_found(Paths::new(base, here, "http.listen", Some(&document))));
    let document = openapi::render(
        document,
        &openapi::Facts {
            prefixes: &api.state.prefixes,
            headers: api.state.header_limits.count,
            anyone_publishes: api.state.policy.is_open(),
        },
    );
    let description = OpenApiRouter::new().route("/api/openapi.json", get(async move || document.clone()));
    let (description, _) = open(description).split_for_parts();

    let main = with_layers(routes.merge(description), &api).merge(ws);
    let main = page
        .map_or_else(Router::new, |page| page::routes(base, page))
        .merge(nest(base, main))
        .fallback(of_main);
    let admin = of_operators.zip(of_admin).map(|((routes, _), not_found)| {
        let routes = with_layers(routes, &api);
        let below_base = if base.is_empty() {
            Router::new()
        } else {
            nest(base, routes.clone())
        };
        routes.merge(below_base).fallback(not_found)
    });
    Routers { main, admin }
}

fn caller_routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new().routes(routes!(me::get_me))
}

fn publish_routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new()
        .routes(routes!(message::post_message))
        .routes(routes!(publish::post_notifications))
        .routes(routes!(raw::post_broadcast))
        .routes(routes!(raw::post_broadcast_by_query))
        .routes(routes!(raw::post_user))
        .routes(routes!(raw::post_user_by_query))
        // The router prefers this path to the one with a wildcard, which it would otherwise hide.
        .routes(routes!(raw::post_user_sessions))
}

fn read_routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new()
        .routes(routes!(users::list_users))
        .routes(routes!(users::get_user))
}

/// Routes for operators, by what the audit calls their use.
type AdminRoutes = (Event, OpenApiRouter<Arc<Api>>);

fn operators_routes() -> Vec<AdminRoutes> {
    let one = |routes| OpenApiRouter::new().routes(routes);
    vec![
        (Event::DisconnectUser, one(routes!(users::delete_sessions))),
        (Event::Tap, one(routes!(tap::tap))),
        (Event::Explain, one(routes!(explain::get_explain))),
        (Event::Explain, one(routes!(permission::get_permission))),
        (Event::ListInstances, one(routes!(instances::list_instances))),
        (Event::ListSenders, one(routes!(senders::list_senders))),
        (Event::ShedSessions, one(routes!(shed::post_shed))),
        (Event::Revoke, one(routes!(revocations::post_revocation))),
        (
            Event::ListRevocations,
            one(routes!(revocations::list_revocations)),
        ),
        (Event::Unrevoke, one(routes!(revocations::delete_revocation))),
    ]
}

/// They require the scope on either port: reaching a port for operators does not make a caller one.
fn debug_routes() -> Vec<AdminRoutes> {
    let one = |routes| OpenApiRouter::new().routes(routes);
    vec![
        (Event::GetLogLevel, one(routes!(log_level::get_log))),
        (Event::SetLogLevel, one(routes!(log_level::put_log))),
        (Event::GetLogLines, one(routes!(log_lines::get_log_lines))),
        (Event::DebugSampling, one(routes!(debug_sampling::put_debug_user))),
        (
            Event::DebugSampling,
            one(routes!(debug_sampling::put_debug_session)),
        ),
    ]
}

fn health_routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new()
        .routes(routes!(health::livez))
        .routes(routes!(health::readyz))
        .routes(routes!(health::manage_health))
}

fn metrics_routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new().routes(routes!(health::metrics))
}

/// What surrounds a group of routes that `guard` stands before.
fn around(routes: OpenApiRouter<Arc<Api>>, api: &Arc<Api>, guard: Guard) -> OpenApiRouter<Arc<Api>> {
    let state = (Arc::clone(api), guard);
    match api.pages.cors_origins.is_empty() {
        true => routes.route_layer(from_fn_with_state(state, observe::around)),
        false => routes.route_layer(from_fn_with_state(state, observe::guard)),
    }
}

/// What surrounds all routes together: answers to methods that a path does not support, and to preflights where they
/// are answered at all.
fn with_layers(routes: Router<Arc<Api>>, api: &Arc<Api>) -> Router {
    let state = || Arc::clone(api);
    match cors(&api.pages.cors_origins) {
        None => routes.method_not_allowed_fallback(observe::method_not_allowed),
        Some(cors) => routes
            .method_not_allowed_fallback(observe::guard_method)
            .layer(cors)
            .layer(from_fn_with_state(state(), observe::measure)),
    }
    .with_state(state())
}

fn nest(base: &str, routes: Router) -> Router {
    if base.is_empty() {
        routes
    } else {
        Router::new().nest(base, routes)
    }
}
