//! Problem responses: RFC 9457, `application/problem+json`.
//!
//! A [`Problem`] has a documented code, which is the last part of its `type` (`/problems/<code>`, served by [`pages`]), a
//! sentence about the case, and for invalid fields a list of them. Further members: `code`, the same word without a path;
//! `errors`; and those that a code defines (`room_version`, `room`).
//!
//! A cause that clients must not see (`Problem::internal`) travels with the response to the [`super::middleware`],
//! which logs it once and adds the `instance`.

mod causes;
mod code;
mod from;
pub mod pages;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Map, Value};

pub use code::{ProblemCode, ProblemInfo};

/// One field at fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldError {
    /// Path of the field in the body, dotted (`settings.lobby`), or the name of the parameter or header.
    pub field: String,
    pub detail: String,
}

/// A problem told to a client.
#[derive(Debug, Clone)]
pub struct Problem(Box<ProblemParts>);

#[derive(Debug, Clone)]
struct ProblemParts {
    about: ProblemInfo,
    detail: String,
    errors: Vec<FieldError>,
    members: Map<String, Value>,
    /// For the log only.
    cause: Option<String>,
}

impl Problem {
    /// `detail` is a sentence about this case: what was wrong, and with what.
    pub fn new(code: ProblemCode, detail: impl Into<String>) -> Self {
        Self::about(code.about(), detail)
    }

    /// A problem whose code stands in another table.
    pub fn about(about: ProblemInfo, detail: impl Into<String>) -> Self {
        Self(Box::new(ProblemParts {
            about,
            detail: detail.into(),
            errors: Vec::new(),
            members: Map::new(),
            cause: None,
        }))
    }

    /// An error of the server: the response says that there was one, the log says which.
    pub fn internal(cause: impl std::fmt::Display) -> Self {
        Self::new(ProblemCode::Internal, "The server failed while it answered this request.").caused_by(cause)
    }

    /// One parameter, header or part of the path that cannot be what it is.
    pub fn parameter(name: &str, fault: impl std::fmt::Display) -> Self {
        Self::new(ProblemCode::InvalidParameters, format!("{name}: {fault}")).with_error(name, fault.to_string())
    }

    /// A cause for the log only, not for the client.
    pub fn caused_by(mut self, cause: impl std::fmt::Display) -> Self {
        self.0.cause = Some(cause.to_string());
        self
    }

    pub fn with_error(mut self, field: impl Into<String>, detail: impl Into<String>) -> Self {
        self.0.errors.push(FieldError { field: field.into(), detail: detail.into() });
        self
    }

    /// The same fault in a part of a larger body: `place` goes before the fields at fault.
    pub fn within(mut self, place: &str) -> Self {
        for error in &mut self.0.errors {
            error.field = if error.field.is_empty() { place.to_owned() } else { format!("{place}.{}", error.field) };
        }
        self
    }

    /// A further member of the answer, such as `room_version`.
    pub fn with(mut self, member: &str, value: impl Into<Value>) -> Self {
        self.0.members.insert(member.to_owned(), value.into());
        self
    }

    pub fn code(&self) -> &'static str {
        self.0.about.code
    }

    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.0.about.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    pub fn cause(&self) -> Option<&str> {
        self.0.cause.as_deref()
    }

    /// The JSON text; `instance` names this one occurrence.
    pub fn to_json(&self, instance: Option<&str>) -> Value {
        let parts = &*self.0;
        let mut json = Map::new();
        json.insert("type".into(), format!("/problems/{}", parts.about.code).into());
        json.insert("title".into(), parts.about.title.into());
        json.insert("status".into(), parts.about.status.into());
        json.insert("detail".into(), parts.detail.as_str().into());
        if let Some(instance) = instance {
            json.insert("instance".into(), instance.into());
        }
        json.insert("code".into(), parts.about.code.into());
        if !parts.errors.is_empty() {
            let errors = parts.errors.iter().map(|e| serde_json::json!({ "field": e.field, "detail": e.detail }));
            json.insert("errors".into(), errors.collect());
        }
        json.extend(parts.members.clone());
        Value::Object(json)
    }

    /// The answer, with the headers that the code asks for. The problem itself stays in its extensions.
    pub fn into_response_at(self, instance: Option<&str>) -> Response {
        let body = self.to_json(instance).to_string();
        let mut response = (self.status(), [(header::CONTENT_TYPE, "application/problem+json")], body).into_response();
        let headers = response.headers_mut();
        if let Some(seconds) = self.0.about.retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.0.about.status == 401 {
            // RFC 6750, section 3: no error code where no token came.
            let challenge = match self.0.about.code {
                "unauthenticated" => "Bearer",
                _ => "Bearer error=\"invalid_token\"",
            };
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        response.extensions_mut().insert(self);
        response
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        self.into_response_at(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_told_as_rfc_9457_has_it() {
        let problem = Problem::new(ProblemCode::InvalidFields, "name: too long")
            .with_error("name", "at most 128 characters")
            .with("room_version", 7);
        assert_eq!(
            problem.to_json(Some("urn:uuid:1")),
            serde_json::json!({
                "type": "/problems/invalid-fields", "title": "Fields of the body are invalid", "status": 422,
                "detail": "name: too long", "instance": "urn:uuid:1", "code": "invalid-fields",
                "errors": [{ "field": "name", "detail": "at most 128 characters" }], "room_version": 7,
            })
        );
    }

    #[test]
    fn the_cause_of_a_fault_is_not_told_to_the_client() {
        let problem = Problem::internal("password is hunter2");
        assert_eq!(problem.cause(), Some("password is hunter2"));
        assert!(!problem.to_json(None).to_string().contains("hunter2"));
    }

    #[test]
    fn a_401_says_which_scheme_is_wanted_and_a_503_when_to_come_back() {
        let response = Problem::new(ProblemCode::TokenExpired, "x").into_response();
        assert_eq!(response.headers()[header::WWW_AUTHENTICATE], "Bearer error=\"invalid_token\"");
        let response = Problem::new(ProblemCode::LogUnavailable, "x").into_response();
        assert_eq!(response.headers()[header::RETRY_AFTER], "2");
    }
}
