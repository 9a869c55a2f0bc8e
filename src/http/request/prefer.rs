//! `Prefer` (RFC 7240): a caller of commands may ask for short answers, `return=minimal`. Other preferences are not known here
//! and, as the RFC wants it, passed over.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};

pub const PREFER: HeaderName = HeaderName::from_static("prefer");
pub const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// Whether the caller prefers `return=minimal`. Of a preference that is given several times, the first one counts.
pub fn is_minimal(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(PREFER).iter().filter_map(|line| line.to_str().ok());
    let preferences = lines.flat_map(|line| line.split(','));
    // What follows a semicolon are parameters of the preference.
    let mut wanted = preferences.filter_map(|one| one.split(';').next().unwrap_or_default().split_once('='));
    let first = wanted.find(|(name, _)| name.trim().eq_ignore_ascii_case("return"));
    first.is_some_and(|(_, value)| value.trim().trim_matches('"').eq_ignore_ascii_case("minimal"))
}

/// Says in an answer that it is the short one.
pub fn applied(headers: &mut HeaderMap) {
    headers.insert(PREFERENCE_APPLIED, HeaderValue::from_static("return=minimal"));
    headers.append(header::VARY, HeaderValue::from_static("prefer"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_preference_for_what_is_returned_counts() {
        let of = |lines: &[&str]| {
            let pairs = lines.iter().map(|line| (PREFER, HeaderValue::from_str(line).unwrap()));
            is_minimal(&pairs.collect())
        };
        for minimal in [
            &["return=minimal"][..],
            &["Return=\"Minimal\"; foo=\"bar\""],
            &["respond-async, wait=10, return = minimal"],
            &["handling=lenient", "return=minimal"],
            &["return=minimal, return=representation"],
        ] {
            assert!(of(minimal), "{minimal:?}");
        }
        for other in
            [&[][..], &["return=representation, return=minimal"], &["minimal"], &["return"], &["returns=minimal"]]
        {
            assert!(!of(other), "{other:?}");
        }
    }
}
