//! `Accept` (RFC 9110, 12.5.1): in which of the forms that a route serves it answers.
//!
//! Of all ranges that match a form, the most specific one says how much it is wanted. The most wanted form is served; of forms
//! wanted alike, the one named most exactly, then the one named first, then the one that the server names first. Members of the
//! list that are empty or malformed are passed over; where nothing is left, anything goes.

use axum::extract::Request;
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::http::problem::{Problem, ProblemCode};

/// A form that a route serves, by the media types that name it; the first is the one it is sent as. All text is UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MediaForm(pub &'static [&'static str]);

pub const JSON: MediaForm = MediaForm(&["application/json"]);
pub const LINES: MediaForm = MediaForm(&["application/x-ndjson", "application/ndjson", "application/jsonl"]);
pub const EVENT_STREAM: MediaForm = MediaForm(&["text/event-stream"]);
pub const TEXT: MediaForm = MediaForm(&["text/plain"]);

/// Which of `forms` to serve, by its place among them.
pub fn choose(headers: &HeaderMap, forms: &[MediaForm]) -> Result<usize, Problem> {
    let lines: Vec<_> =
        headers.get_all(header::ACCEPT).iter().map(|line| String::from_utf8_lossy(line.as_bytes())).collect();
    let members = lines.iter().flat_map(|line| split(line, ','));
    let ranges: Vec<MediaRange<'_>> = members.filter_map(MediaRange::read).collect();
    if ranges.is_empty() {
        return Ok(0);
    }
    let best = forms.iter().enumerate().filter_map(|(place, form)| Some((wanted(&ranges, form)?, place)));
    // The greatest weight; among equals the smallest of what follows.
    let best = best.min_by_key(|((weight, specificity, named), place)| {
        (std::cmp::Reverse(*weight), std::cmp::Reverse(*specificity), *named, *place)
    });
    best.map(|(_, place)| place).ok_or_else(|| not_acceptable(forms))
}

fn not_acceptable(forms: &[MediaForm]) -> Problem {
    let names: Vec<_> = forms.iter().filter_map(|form| form.0.first().copied()).collect();
    Problem::new(ProblemCode::NotAcceptable, format!("This route produces only {}.", names.join(" or ")))
}

/// For routes that answer in JSON only. Nothing is done where the caller does not take JSON.
pub async fn json_only(request: Request, next: Next) -> Response {
    match choose(request.headers(), &[JSON]) {
        Ok(_) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

/// How much a form is wanted (in thousandths), by how specific a range, at which place of the list. `None`: not at all.
fn wanted(ranges: &[MediaRange<'_>], form: &MediaForm) -> Option<(u16, u8, usize)> {
    let matching = ranges.iter().enumerate().filter_map(|(place, range)| {
        let specificity = form.0.iter().filter_map(|kind| range.matches(kind)).max()?;
        Some((specificity, place, range.weight))
    });
    // Of two that are as specific, the first holds.
    let (specificity, place, weight) =
        matching.max_by_key(|(specificity, place, _)| (*specificity, std::cmp::Reverse(*place)))?;
    (weight > 0).then_some((weight, specificity, place))
}

/// A media range with its weight.
#[derive(Debug, PartialEq, Eq)]
struct MediaRange<'a> {
    kind: &'a str,
    subtype: &'a str,
    /// It names a parameter that none of our forms has.
    narrower: bool,
    /// It has parameters.
    exact: bool,
    weight: u16,
}

impl<'a> MediaRange<'a> {
    /// `None`: it is empty or malformed.
    fn read(member: &'a str) -> Option<Self> {
        let mut parts = split(member, ';');
        let (kind, subtype) = parts.next()?.trim().split_once('/')?;
        let token = |text: &str| !text.is_empty() && text.bytes().all(is_token);
        if !token(kind) || !token(subtype) || (kind == "*" && subtype != "*") {
            return None;
        }
        let mut range = Self { kind, subtype, narrower: false, exact: false, weight: 1_000 };
        for part in parts {
            let part = part.trim();
            if part.is_empty() {
                continue;
            }
            let (name, value) = part.split_once('=')?;
            let (name, value) = (name.trim_end(), value.trim_start());
            if name.eq_ignore_ascii_case("q") {
                range.weight = weight(value)?;
                // What follows the weight says nothing about the form (RFC 7231 had extensions there).
                break;
            }
            let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
            range.exact = true;
            range.narrower |= !(name.eq_ignore_ascii_case("charset") && value.eq_ignore_ascii_case("utf-8"));
        }
        Some(range)
    }

    /// How specific the range is for a media type that it matches.
    fn matches(&self, form: &str) -> Option<u8> {
        let (kind, subtype) = form.split_once('/')?;
        if self.narrower {
            return None;
        }
        match (self.kind, self.subtype) {
            ("*", _) => Some(0),
            (range, "*") if range.eq_ignore_ascii_case(kind) => Some(1),
            (range, exactly) if range.eq_ignore_ascii_case(kind) && exactly.eq_ignore_ascii_case(subtype) => {
                Some(if self.exact { 3 } else { 2 })
            }
            _ => None,
        }
    }
}

/// `0.5` as 500: at most three digits behind the point, from 0 to 1.
fn weight(text: &str) -> Option<u16> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = fraction.len() <= 3 && fraction.bytes().all(|byte| byte.is_ascii_digit());
    let thousandths: u16 = format!("{fraction:0<3}").parse().ok()?;
    match whole {
        "0" if digits => Some(thousandths),
        "1" if digits && thousandths == 0 => Some(1_000),
        _ => None,
    }
}

/// Splits at a separator that is not inside double quotes.
fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |c: char| {
        let inside = quoted;
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ => {}
        }
        c == separator && !inside
    })
}

/// RFC 9110, 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    const FORMS: [MediaForm; 4] = [JSON, LINES, EVENT_STREAM, TEXT];

    fn chosen(accept: &str) -> Option<&'static str> {
        chosen_of(&[accept], &FORMS)
    }

    fn chosen_of(accept: &[&str], forms: &[MediaForm]) -> Option<&'static str> {
        let lines = accept.iter().map(|line| (header::ACCEPT, HeaderValue::from_str(line).unwrap()));
        choose(&lines.collect(), forms).ok().map(|place| forms[place].0[0])
    }

    #[test]
    fn the_most_wanted_form_is_served() {
        for (accept, form) in [
            ("application/json", "application/json"),
            ("text/event-stream", "text/event-stream"),
            ("Text/Event-Stream; charset=UTF-8", "text/event-stream"),
            ("application/ndjson", "application/x-ndjson"),
            ("application/json;q=0.2, application/x-ndjson", "application/x-ndjson"),
            ("application/json, text/event-stream", "application/json"),
            ("text/event-stream, application/json", "text/event-stream"),
            ("text/event-stream, */*", "text/event-stream"),
            ("*/*, text/event-stream", "text/event-stream"),
            ("*/*", "application/json"),
            ("text/*", "text/event-stream"),
            ("text/*;q=0.5, text/plain", "text/plain"),
            ("text/html, text/event-stream;q=0.5", "text/event-stream"),
            ("text/html, application/xhtml+xml, application/xml;q=0.9, */*;q=0.8", "application/json"),
            ("application/json;q=0, */*", "application/x-ndjson"),
            ("application/*;q=0, */*", "text/event-stream"),
            ("text/*;q=0.3, text/plain;q=0.7, text/plain;format=flowed, */*;q=0.1", "text/plain"),
            ("application/json;q=0.001, text/plain;q=0.01", "text/plain"),
            ("application/json ; q=0.1 ; ext=\"a,b\" , text/plain;q=0.2", "text/plain"),
            ("application/json;profile=\"x, text/html;q=1\", text/plain;q=0.1", "text/plain"),
            ("application/json;charset=utf-8;q=0.1, application/json;q=0.9, text/plain;q=0.5", "text/plain"),
        ] {
            assert_eq!(chosen(accept), Some(form), "{accept}");
        }
    }

    #[test]
    fn what_is_not_served_or_not_wanted_is_not_acceptable() {
        for accept in
            ["image/png", "application/json;q=0", "application/json;v=1", "text/html, image/*", "*/*;q=0", "a/b"]
        {
            assert_eq!(chosen(accept), None, "{accept}");
        }
        assert_eq!(chosen_of(&["application/json;q=0, */*"], &[JSON]), None);
        assert_eq!(chosen_of(&["*/*;q=0, application/json"], &[JSON]), Some("application/json"));
    }

    #[test]
    fn what_is_empty_or_malformed_is_passed_over() {
        for accept in
            ["", " ", ",", ", ,", "json", "*/json", "application/", "a b/c", "application/json;q=2", "text/plain;q"]
        {
            assert_eq!(chosen(accept), Some("application/json"), "{accept}: anything goes");
        }
        for accept in
            [",text/plain,", "json, text/plain", "application/json;q=high, text/plain;q=0.1", "*/json;q=1, text/plain"]
        {
            assert_eq!(chosen(accept), Some("text/plain"), "{accept}");
        }
        assert_eq!(choose(&HeaderMap::new(), &FORMS).unwrap(), 0);
    }

    #[test]
    fn several_lines_are_one_list() {
        assert_eq!(chosen_of(&["application/json;q=0.5", "text/plain"], &FORMS), Some("text/plain"));
    }

    #[test]
    fn a_weight_has_at_most_three_digits() {
        for (text, thousandths) in [
            ("0", Some(0)),
            ("0.", Some(0)),
            ("0.5", Some(500)),
            ("0.125", Some(125)),
            ("1", Some(1_000)),
            ("1.000", Some(1_000)),
        ] {
            assert_eq!(weight(text), thousandths, "{text}");
        }
        for text in ["", "1.1", "1.001", "0.1234", "2", "-1", ".5", "00.5", "0,5", "0.5x", "1e0"] {
            assert_eq!(weight(text), None, "{text}");
        }
    }
}
