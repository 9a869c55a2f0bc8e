//! The routes of the API, one file each.

use axum::Router;

use super::api::Api;
use super::openapi::{Document, page};
use super::{
    attendance, batch, commands_of_tenant, commands_run, events, log, messages, participants, projections,
    room_activity, room_events, room_view, rooms_create, rooms_list, sessions, timeline, usage,
};

macro_rules! routes {
    ($($module:ident),* $(,)?) => {
        fn described() -> Router<Api> {
            Router::new()$(.merge($module::routes()))*
        }

        /// Every route, as it is documented.
        pub fn describe(document: &mut Document) {
            $($module::describe(document);)*
        }
    };
}

routes!(
    rooms_create,
    rooms_list,
    room_view,
    participants,
    sessions,
    attendance,
    messages,
    room_activity,
    timeline,
    room_events,
    events,
    batch,
    commands_of_tenant,
    log,
    projections,
    usage
);

/// All that callers may ask, without the guard around it.
pub fn router(api: Api) -> Router {
    // Commands are described from their catalogue.
    described().merge(commands_run::routes()).with_state(api).merge(page::routes())
}
