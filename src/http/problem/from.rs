//! What others call a refusal, a fault or a rejection, as a problem.

use axum::extract::rejection::{PathRejection, QueryRejection};

use super::{Problem, ProblemCode, ProblemInfo};
use crate::commands::fault::CommandFault;
use crate::commands::refusal::{Refusal, RefusalCode};

impl From<RefusalCode> for ProblemInfo {
    /// A rule is judged anew each time: no time is known after which it would say otherwise.
    fn from(code: RefusalCode) -> Self {
        ProblemInfo {
            code: code.as_str(),
            status: code.status(),
            title: code.title(),
            meaning: code.meaning(),
            remedy: code.remedy(),
            retry_after_s: None,
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let problem = Problem::about(refusal.code.into(), refusal.detail);
        match refusal.room {
            Some(room) => problem.with("room", room.to_string()),
            None => problem,
        }
    }
}

impl From<CommandFault> for Problem {
    fn from(fault: CommandFault) -> Self {
        let detail = fault.to_string();
        match fault {
            CommandFault::Unknown(_) => Problem::new(ProblemCode::UnknownCommand, detail),
            CommandFault::NotJson(bad) => bad.into(),
            CommandFault::Fields(faults) => {
                let problem = Problem::new(ProblemCode::InvalidFields, detail);
                faults.into_iter().fold(problem, |problem, fault| problem.with_error(fault.field, fault.detail))
            }
        }
    }
}

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
