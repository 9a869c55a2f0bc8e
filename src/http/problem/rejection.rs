//! What the extractors of the web framework refuse, as problems.

use axum::extract::rejection::{PathRejection, QueryRejection};

use super::Problem;

impl From<PathRejection> for Problem {
    fn from(rejection: PathRejection) -> Self {
        Problem::parameter("path", rejection.body_text())
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        let text = rejection.body_text();
        let fault = text.strip_prefix("Failed to deserialize query string: ").unwrap_or(&text);
        Problem::parameter("query", fault)
    }
}
