//! The page of each code, served where its `type` points (`/problems/<code>`) and kept in `docs/problems/`, from one table.

use axum::Router;
use axum::extract::Path;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;

use super::{Problem, ProblemCode, ProblemInfo};
use crate::commands::refusal::RefusalCode;

/// Every code there is, the rules' refusals included, in the order of the alphabet.
pub fn catalogue() -> Vec<ProblemInfo> {
    let mut all: Vec<ProblemInfo> = ProblemCode::ALL.iter().map(|code| code.about()).collect();
    all.extend(RefusalCode::ALL.iter().map(|&code| ProblemInfo::from(code)));
    all.sort_unstable_by_key(|about| about.code);
    all
}

/// `GET /problems` and `GET /problems/{code}`.
pub fn routes() -> Router {
    Router::new().route("/problems", get(index)).route("/problems/{code}", get(page))
}

async fn index() -> Html<String> {
    let rows: String = catalogue()
        .iter()
        .map(|about| {
            let ProblemInfo { code, status, title, .. } = about;
            format!("<tr><td><a href=\"/problems/{code}\">{code}</a></td><td>{status}</td><td>{title}</td></tr>\n")
        })
        .collect();
    Html(document("Problems", &format!("<h1>Problems</h1>\n<table>\n{rows}</table>")))
}

async fn page(Path(code): Path<String>) -> Response {
    match catalogue().into_iter().find(|about| about.code == code) {
        Some(about) => Html(html(&about)).into_response(),
        None => Problem::new(ProblemCode::UnknownRoute, "No problem has this code. /problems lists them all.")
            .into_response(),
    }
}

fn html(about: &ProblemInfo) -> String {
    let ProblemInfo { code, status, title, meaning, remedy, .. } = about;
    let again = again(about);
    document(
        code,
        &format!(
            "<p><a href=\"/problems\">Problems</a></p>\n<h1>{title}</h1>\n<p><code>{code}</code>, status {status}</p>\n\
             <h2>What happened</h2>\n<p>{}</p>\n<h2>What to do</h2>\n<p>{}</p>\n<p>{again}</p>",
            code_spans(meaning),
            code_spans(remedy),
        ),
    )
}

fn again(about: &ProblemInfo) -> String {
    match about.retry_after_s {
        Some(seconds) => format!("The answer says when to come back: Retry-After: {seconds}."),
        None => "Repeating the same request gives the same answer for as long as nothing else changes.".to_owned(),
    }
}

/// `code` between backticks, everything else escaped.
fn code_spans(text: &str) -> String {
    let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let mut html = String::with_capacity(escaped.len() + 32);
    for (nth, part) in escaped.split('`').enumerate() {
        if nth > 0 {
            html.push_str(if nth % 2 == 1 { "<code>" } else { "</code>" });
        }
        html.push_str(part);
    }
    html
}

fn document(title: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>{title} - Convoke</title>\n<style>body{{font:16px/1.5 system-ui,sans-serif;max-width:46em;margin:2em auto;\
         padding:0 1em}}td{{padding:.2em 1em .2em 0}}</style>\n{body}\n</html>\n"
    )
}

/// The same page for `docs/problems/<code>.md`.
pub fn markdown(about: &ProblemInfo) -> String {
    let ProblemInfo { code, status, title, meaning, remedy, .. } = about;
    let again = again(about).replace("Retry-After: ", "`Retry-After` ");
    format!(
        "# {title}\n\n`{code}`, status {status}\n\n## What happened\n\n{meaning}\n\n## What to do\n\n{remedy}\n\n{again}\n"
    )
}

/// `docs/problems/README.md`.
pub fn markdown_index() -> String {
    let rows: String = catalogue()
        .iter()
        .map(|about| format!("| [{0}]({0}.md) | {1} | {2} |\n", about.code, about.status, about.title))
        .collect();
    format!(
        "# Problems\n\nWhat the server may answer when something was not done, as `application/problem+json` (RFC 9457). Each \
         has a page here and at `/problems/<code>` of the server. A code never changes its meaning.\n\n\
         | code | status | title |\n|---|---|---|\n{rows}"
    )
}

#[cfg(test)]
mod tests {
    use super::catalogue;

    #[test]
    fn every_code_is_kebab_case_and_stands_once() {
        let all = catalogue();
        for pair in all.windows(2) {
            assert_ne!(pair[0].code, pair[1].code, "it stands twice");
        }
        for about in all {
            assert!(about.code.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'), "{}", about.code);
        }
    }
}
