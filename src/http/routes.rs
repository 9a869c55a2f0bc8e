//! The routes of the API, one file each.

use axum::Router;
use axum::middleware::from_fn;

use super::api::Api;
use super::openapi::OpenApiDocument;
use super::request::accept;
use super::{
    attendance, batch, commands_of_tenant, commands_run, events, log, messages, participants, projections,
    room_activity, room_events, room_view, rooms_create, rooms_list, sessions, timeline, usage,
};

macro_rules! routes {
    ($($($form:literal)? $module:ident),* $(,)?) => {
        fn described() -> Router<Api> {
            Router::new()$(.merge(routes!(@form $($form)? $module)))*
        }

        /// Every route, as it is documented.
        pub fn describe(document: &mut OpenApiDocument) {
            $($module::describe(document);)*
        }
    };
    (@form $form:literal $module:ident) => { $module::routes() };
    (@form $module:ident) => { $module::routes().route_layer(from_fn(accept::json_only)) };
}

// Those marked choose among several forms by themselves; all others answer in JSON.
routes!(
    rooms_create,
    rooms_list,
    room_view,
    participants,
    sessions,
    attendance,
    messages,
    room_activity,
    "forms" timeline,
    "forms" room_events,
    "forms" events,
    "forms" batch,
    commands_of_tenant,
    commands_run,
    log,
    projections,
    usage
);

/// All that callers may ask, without the middleware around it.
pub fn router(api: Api) -> Router {
    described().with_state(api)
}
