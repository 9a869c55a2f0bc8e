//! The headers that say how a request is to be done.

use std::sync::Arc;

use axum::http::{HeaderMap, HeaderName, header};
use uuid::Uuid;

use super::etags::{self, EntityTags};
use super::idempotency::{self, IdempotencyKey};
use super::trace;
use crate::http::problem::{Problem, ProblemCode};

pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
pub const CAUSATION_ID: HeaderName = HeaderName::from_static("convoke-causation-id");
pub const CORRELATION_ID: HeaderName = HeaderName::from_static("convoke-correlation-id");
/// Of a request: the position that a read has to have reached.
pub const AT_LEAST: HeaderName = HeaderName::from_static("convoke-at-least");
/// Of an answer: the command was done before, under the same key.
pub const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// Of an answer: the position of the log that it shows, or that the command's events reached.
pub const POSITION: HeaderName = HeaderName::from_static("convoke-position");

/// What the headers of a command say.
#[derive(Clone, Debug, Default)]
pub struct CommandHeaders {
    /// As the caller gave it, not yet with whose it is.
    pub idempotency_key: Option<IdempotencyKey>,
    pub if_match: Option<EntityTags>,
    pub causation_id: Option<Uuid>,
    pub correlation_id: Option<Uuid>,
    pub traceparent: Option<Arc<str>>,
}

impl CommandHeaders {
    pub fn read(headers: &HeaderMap) -> Result<Self, Problem> {
        Ok(Self {
            idempotency_key: idempotency_key(headers)?,
            if_match: if_match(headers)?,
            causation_id: uuid(headers, CAUSATION_ID)?,
            correlation_id: uuid(headers, CORRELATION_ID)?,
            traceparent: traceparent(headers),
        })
    }
}

/// The value of a header that may be there once.
pub fn single(headers: &HeaderMap, name: HeaderName) -> Result<Option<&[u8]>, Problem> {
    let mut values = headers.get_all(&name).iter();
    let value = values.next();
    if values.next().is_some() {
        return Err(Problem::parameter(name.as_str(), "is given more than once"));
    }
    Ok(value.map(|value| value.as_bytes()))
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<IdempotencyKey>, Problem> {
    let Some(value) = single(headers, IDEMPOTENCY_KEY)? else { return Ok(None) };
    IdempotencyKey::read(value).map(Some).ok_or_else(|| {
        Problem::new(ProblemCode::IdempotencyKeyMalformed, idempotency::MALFORMED)
            .with_error(IDEMPOTENCY_KEY.as_str(), idempotency::MALFORMED)
    })
}

fn if_match(headers: &HeaderMap) -> Result<Option<EntityTags>, Problem> {
    let Some(text) = list(headers, &header::IF_MATCH) else { return Ok(None) };
    let tags = EntityTags::read_strictly(&text);
    tags.map(Some).ok_or_else(|| Problem::parameter(header::IF_MATCH.as_str(), etags::MALFORMED))
}

/// The tags that a reader has.
pub fn if_none_match(headers: &HeaderMap) -> Option<EntityTags> {
    list(headers, &header::IF_NONE_MATCH).map(|text| EntityTags::read_leniently(&text))
}

/// A list over all lines of a header (RFC 9110, 5.3).
fn list(headers: &HeaderMap, name: &HeaderName) -> Option<Vec<u8>> {
    let lines: Vec<&[u8]> = headers.get_all(name).iter().map(|line| line.as_bytes()).collect();
    (!lines.is_empty()).then(|| lines.join(&b','))
}

fn uuid(headers: &HeaderMap, name: HeaderName) -> Result<Option<Uuid>, Problem> {
    let Some(value) = single(headers, name.clone())? else { return Ok(None) };
    match Uuid::try_parse_ascii(value) {
        Ok(id) if value.len() == 36 => Ok(Some(id)),
        _ => Err(Problem::parameter(name.as_str(), "is a UUID such as 01936d2e-7c1a-7b3e-8a44-0f0a4f5d2c11")),
    }
}

fn traceparent(headers: &HeaderMap) -> Option<Arc<str>> {
    let mut values = headers.get_all(TRACEPARENT).iter();
    let value = values.next()?;
    if values.next().is_some() {
        return None;
    }
    trace::read_traceparent(value.as_bytes()).map(Arc::from)
}

/// What a body may be sent as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyType {
    Json,
    NdJson,
}

/// The type of the body; one that is not named is taken as JSON.
pub fn body_type(headers: &HeaderMap) -> Result<BodyType, Problem> {
    let coding = single(headers, header::CONTENT_ENCODING)?;
    if coding.is_some_and(|coding| !coding.trim_ascii().eq_ignore_ascii_case(b"identity")) {
        return Err(unsupported("the body has to be sent without Content-Encoding"));
    }
    let Some(value) = single(headers, header::CONTENT_TYPE)? else { return Ok(BodyType::Json) };
    let text = String::from_utf8_lossy(value).to_ascii_lowercase();
    let (essence, parameters) = text.split_once(';').unwrap_or((&text, ""));
    let utf8 = parameters.split(';').all(|parameter| match parameter.trim().split_once('=') {
        Some(("charset", charset)) => matches!(charset.trim_matches('"'), "utf-8" | "utf8" | "us-ascii"),
        _ => true,
    });
    match essence.trim() {
        _ if !utf8 => Err(unsupported("the body has to be UTF-8")),
        "application/json" => Ok(BodyType::Json),
        "application/x-ndjson" | "application/ndjson" | "application/jsonl" => Ok(BodyType::NdJson),
        essence if essence.starts_with("application/") && essence.ends_with("+json") => Ok(BodyType::Json),
        essence => Err(unsupported(&format!("{essence} is not taken; send application/json"))),
    }
}

/// As [`body_type`], where a list of lines is not taken.
pub fn json_only(headers: &HeaderMap) -> Result<(), Problem> {
    match body_type(headers)? {
        BodyType::Json => Ok(()),
        BodyType::NdJson => Err(unsupported("lines of JSON are taken by POST /v1/commands only")),
    }
}

fn unsupported(detail: &str) -> Problem {
    Problem::new(ProblemCode::UnsupportedMediaType, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&str, &str)]) -> HeaderMap {
        let pairs = lines.iter().map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap()));
        pairs.collect()
    }

    #[test]
    fn the_headers_of_a_command_are_read() {
        let id = "01936d2e-7c1a-7b3e-8a44-0f0a4f5d2c11";
        let read = CommandHeaders::read(&headers(&[
            ("idempotency-key", "\"k1\""),
            ("if-match", "\"3\""),
            ("convoke-causation-id", id),
            ("traceparent", "nonsense"),
        ]));
        let read = read.unwrap();
        assert_eq!(read.idempotency_key, IdempotencyKey::read(b"k1"));
        assert_eq!(read.if_match.unwrap().strong_versions(), [3]);
        assert_eq!(read.causation_id.unwrap().to_string(), id);
        assert_eq!((read.correlation_id, read.traceparent), (None, None));
    }

    #[test]
    fn a_header_at_fault_is_named() {
        let doubled = {
            let mut headers = headers(&[("idempotency-key", "a")]);
            headers.append(IDEMPOTENCY_KEY, "b".parse().unwrap());
            headers
        };
        assert_eq!(CommandHeaders::read(&doubled).unwrap_err().code(), "invalid-parameters");
        for (name, value, code) in [
            ("idempotency-key", "a,b", "idempotency-key-malformed"),
            ("if-match", "3", "invalid-parameters"),
            ("convoke-causation-id", "x", "invalid-parameters"),
            ("convoke-correlation-id", "01936d2e7c1a7b3e8a440f0a4f5d2c11", "invalid-parameters"),
        ] {
            let problem = CommandHeaders::read(&headers(&[(name, value)])).unwrap_err();
            assert_eq!(problem.code(), code, "{name}");
            assert_eq!(problem.to_json(None)["errors"][0]["field"], name);
        }
    }

    #[test]
    fn tags_may_stand_on_several_lines() {
        let mut headers = headers(&[("if-none-match", "\"1\"")]);
        headers.append(header::IF_NONE_MATCH, "W/\"2\"".parse().unwrap());
        let tags = if_none_match(&headers).unwrap();
        assert!(tags.matches_weakly(1) && tags.matches_weakly(2));
    }

    #[test]
    fn a_body_is_json_in_utf_8() {
        for text in ["application/json", "Application/JSON; Charset=\"UTF-8\"", "application/cloudevents+json"] {
            assert_eq!(body_type(&headers(&[("content-type", text)])).unwrap(), BodyType::Json, "{text}");
        }
        assert_eq!(body_type(&headers(&[])).unwrap(), BodyType::Json);
        assert_eq!(body_type(&headers(&[("content-type", "application/x-ndjson")])).unwrap(), BodyType::NdJson);
        let packed = body_type(&headers(&[("content-encoding", "gzip")])).unwrap_err();
        assert_eq!(packed.code(), "unsupported-media-type");
        assert_eq!(body_type(&headers(&[("content-encoding", "identity")])).unwrap(), BodyType::Json);
        for text in ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin1", ""] {
            let problem = body_type(&headers(&[("content-type", text)])).unwrap_err();
            assert_eq!(problem.code(), "unsupported-media-type", "{text}");
        }
    }
}
