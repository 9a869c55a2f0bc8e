//! What the log and the keys fail at, and what is wrong with tokens, cursors and JSON, as problems.

use super::{Problem, ProblemCode};
use crate::events::log::LogError;
use crate::json::BadJson;
use crate::live::cursor::BadCursor;
use crate::security::sealing::KeyError;
use crate::security::tokens::TokenError;

impl From<BadJson> for Problem {
    fn from(bad: BadJson) -> Self {
        let code = if bad.well_formed { ProblemCode::InvalidFields } else { ProblemCode::InvalidJson };
        let detail = match &*bad.field {
            "" => bad.detail.clone(),
            field => format!("{field}: {}", bad.detail),
        };
        Problem::new(code, detail).with_error(bad.field, bad.detail)
    }
}

const NO_DATABASE: &str = "The database does not answer.";

impl From<&LogError> for Problem {
    fn from(error: &LogError) -> Self {
        match error {
            LogError::Unavailable(_) => Problem::new(ProblemCode::LogUnavailable, NO_DATABASE).caused_by(error),
            LogError::NoPartition { .. } => {
                Problem::new(ProblemCode::LogUnavailable, "The log has no partition for this time.").caused_by(error)
            }
            LogError::Archive(archive) => {
                // Where the files lie is the operator's to know: the whole path stands in the log.
                let detail = format!("An archive of the log cannot be read: {}.", archive.file_name());
                Problem::new(ProblemCode::ArchiveUnavailable, detail).caused_by(error)
            }
            LogError::Refused(_) | LogError::Damaged(_) | LogError::BadRow { .. } | LogError::Unreadable(_) => {
                Problem::internal(error)
            }
        }
    }
}

impl From<LogError> for Problem {
    fn from(error: LogError) -> Self {
        Problem::from(&error)
    }
}

impl From<&KeyError> for Problem {
    fn from(error: &KeyError) -> Self {
        match error {
            KeyError::Unavailable(_) | KeyError::Contended => {
                Problem::new(ProblemCode::LogUnavailable, NO_DATABASE).caused_by(error)
            }
            KeyError::UnknownMaster { .. }
            | KeyError::ChangedMaster { .. }
            | KeyError::Damaged { .. }
            | KeyError::DamagedSigningKey { .. } => Problem::internal(error),
        }
    }
}

impl From<KeyError> for Problem {
    fn from(error: KeyError) -> Self {
        Problem::from(&error)
    }
}

impl From<TokenError> for Problem {
    fn from(error: TokenError) -> Self {
        let code = match &error {
            TokenError::Expired | TokenError::NotYet => ProblemCode::TokenExpired,
            TokenError::Unavailable(_) => {
                return Problem::new(ProblemCode::LogUnavailable, NO_DATABASE).caused_by(error);
            }
            _ => ProblemCode::TokenInvalid,
        };
        Problem::new(code, error.to_string())
    }
}

impl BadCursor {
    /// `name`: the parameter or header that the cursor came in.
    pub fn into_problem(self, name: &str) -> Problem {
        let code = match self {
            BadCursor::OtherEpoch { .. } => ProblemCode::CursorOfAnotherEpoch,
            BadCursor::Malformed { .. } | BadCursor::OtherCount { .. } => ProblemCode::CursorMalformed,
        };
        Problem::new(code, format!("{name}: {self}.")).with_error(name, self.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_database_is_no_fault_of_the_request() {
        let problem = Problem::from(LogError::from(sqlx::Error::PoolTimedOut));
        assert_eq!((problem.code(), problem.status().as_u16()), ("log-unavailable", 503));
        assert!(problem.cause().is_some());
    }

    #[test]
    fn a_cursor_of_another_epoch_is_told_apart() {
        let told = BadCursor::OtherEpoch { cursor: 1, log: 2 }.into_problem("cursor").to_json(None);
        assert_eq!((&told["status"], &told["errors"][0]["field"]), (&410.into(), &"cursor".into()));
    }
}
