//! Answers out of JSON that is there as bytes.

use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;

use super::request::headers::POSITION;
use crate::ids::Position;

/// Answers with a JSON document.
pub fn json_answer(json: Bytes, position: Position) -> Response {
    let mut response = Body::from(json).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(POSITION, HeaderValue::from(position));
    response
}

/// `{"<list>":[<items>]<rest>}`. `rest`: further members, each with a comma before it, as JSON.
pub fn list_of(list: &str, items: &[Bytes], rest: &str) -> Bytes {
    let length = items.iter().map(|item| item.len() + 1).sum::<usize>();
    let mut page = Vec::with_capacity(length + list.len() + rest.len() + 8);
    page.extend_from_slice(format!("{{\"{list}\":[").as_bytes());
    for (number, item) in items.iter().enumerate() {
        if number > 0 {
            page.push(b',');
        }
        page.extend_from_slice(item);
    }
    page.push(b']');
    page.extend_from_slice(rest.as_bytes());
    page.push(b'}');
    page.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_its_items_and_what_comes_with_it() {
        let items = [Bytes::from_static(b"1"), Bytes::from_static(b"{}")];
        assert_eq!(list_of("events", &items, ",\"has_more\":true"), r#"{"events":[1,{}],"has_more":true}"#);
        assert_eq!(list_of("messages", &[], ""), r#"{"messages":[]}"#);
    }
}
