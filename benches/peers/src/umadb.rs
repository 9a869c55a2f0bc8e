//! UmaDB: one event a request over gRPC, on the condition that its room has no event since the one that the caller knows.

use std::sync::atomic::{AtomicUsize, Ordering};

use umadb_client::{AsyncUmaDbClient, UmaDbClient};
use umadb_dcb::{DcbAppendCondition, DcbEvent, DcbEventStoreAsync as _, DcbQuery, DcbQueryItem};
use uuid::Uuid;

use crate::load::{Append, Failure};

pub struct Store {
    /// Connections, used in turn: streams of one of them share its window.
    clients: Vec<AsyncUmaDbClient>,
    next: AtomicUsize,
}

impl Store {
    pub async fn connect(url: &str, connections: u32) -> Result<Self, Failure> {
        let mut clients = Vec::new();
        for _ in 0..connections {
            clients.push(UmaDbClient::new(url.to_owned()).connect_async().await?);
        }
        Ok(Self { clients, next: AtomicUsize::new(0) })
    }
}

impl Append for Store {
    async fn append(&self, stream: Uuid, after: Option<u64>) -> Result<u64, Failure> {
        let room = format!("room:{}", stream.simple());
        let event = DcbEvent::default()
            .event_type("HandRaised")
            .tags([room.as_str()])
            .data(br#"{"identity":"person-100"}"#)
            .uuid(Uuid::new_v4());
        let condition = DcbAppendCondition {
            fail_if_events_match: DcbQuery::new().item(DcbQueryItem::new().tags([room.as_str()])),
            after,
        };
        let client = &self.clients[self.next.fetch_add(1, Ordering::Relaxed) % self.clients.len()];
        Ok(client.append(vec![event], Some(condition), None).await?)
    }
}
