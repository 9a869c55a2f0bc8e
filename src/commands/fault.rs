//! What can be wrong with the body of a command, told by field.
//!
//! A body that passes holds nothing that the log cannot keep: no NUL characters (PostgreSQL's text has none), no half
//! surrogate pairs, no JSON nested without bound.

use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::error::Category;

/// How deep a caller's own JSON may nest: `[[1]]` is 2 deep.
pub const MAX_METADATA_DEPTH: usize = 32;

/// Why a command was not understood.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CommandFault {
    #[error("there is no command {0:?}")]
    Unknown(String),
    #[error("the body is not JSON: {detail} at line {line} column {column}")]
    NotJson { line: usize, column: usize, detail: String },
    /// At least one.
    #[error("{}", Self::first(.0))]
    Fields(Vec<FieldFault>),
}

impl CommandFault {
    fn field(field: impl Into<String>, detail: impl Into<String>) -> Self {
        CommandFault::Fields(vec![FieldFault { field: field.into(), detail: detail.into() }])
    }

    fn first(faults: &[FieldFault]) -> String {
        match faults {
            [] => "the body is at fault".into(),
            [fault, ..] if fault.field.is_empty() => fault.detail.clone(),
            [fault, ..] => format!("{}: {}", fault.field, fault.detail),
        }
    }
}

/// One field at fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldFault {
    /// Its path, `settings.labels.team` or `to.identities[2]`; empty: the body as a whole.
    pub field: String,
    /// What is wrong, and what would be right.
    pub detail: String,
}

/// Gathers the faults of one body.
#[derive(Debug, Default)]
pub struct Faults(Vec<FieldFault>);

impl Faults {
    pub fn add(&mut self, field: impl Into<String>, detail: impl Into<String>) {
        self.0.push(FieldFault { field: field.into(), detail: detail.into() });
    }

    /// A text of 1 to `max` characters, on one line: no control characters, no white space around it.
    pub fn line(&mut self, field: &str, text: &str, max: usize) {
        let chars = text.chars().count();
        if !(1..=max).contains(&chars) {
            self.add(field, format!("has {chars} characters; 1 to {max} are allowed"));
        } else if text.chars().any(char::is_control) {
            self.add(field, "holds control characters, such as a line break");
        } else if text.trim() != text {
            self.add(field, "begins or ends with white space");
        }
    }

    /// A text of 1 to `max` bytes of UTF-8.
    pub fn text(&mut self, field: &str, text: &str, max: usize) {
        if !(1..=max).contains(&text.len()) {
            self.add(field, format!("has {} bytes of UTF-8; 1 to {max} are allowed", text.len()));
        }
    }

    /// A caller's own JSON, of at most `max` bytes as compact text.
    pub fn metadata(&mut self, field: &str, value: &Value, max: usize) {
        let bytes = value.to_string().len();
        if bytes > max {
            self.add(field, format!("is {bytes} bytes of JSON; at most {max} are allowed"));
        }
        if !within_depth(value, MAX_METADATA_DEPTH) {
            self.add(field, format!("nests deeper than {MAX_METADATA_DEPTH} levels"));
        }
    }

    pub fn range(&mut self, field: &str, number: u64, min: u64, max: u64) {
        if !(min..=max).contains(&number) {
            self.add(field, format!("is {number}; {min} to {max} are allowed"));
        }
    }

    /// A list or map of at most `max`.
    pub fn count(&mut self, field: &str, count: usize, max: usize) {
        if count > max {
            self.add(field, format!("has {count} entries; at most {max} are allowed"));
        }
    }

    pub fn none(self) -> Result<(), CommandFault> {
        if self.0.is_empty() { Ok(()) } else { Err(CommandFault::Fields(self.0)) }
    }
}

fn within_depth(value: &Value, levels: usize) -> bool {
    match value {
        Value::Array(items) => levels > 0 && items.iter().all(|item| within_depth(item, levels - 1)),
        Value::Object(fields) => levels > 0 && fields.values().all(|item| within_depth(item, levels - 1)),
        _ => true,
    }
}

/// Reads a JSON object. An empty body is `{}`, since many commands need no data.
pub fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, CommandFault> {
    let body = body.trim_ascii();
    let body = if body.is_empty() { b"{}" } else { body };
    // A struct would be read from an array too, by the order of its fields.
    if matches!(body.first(), Some(b'[' | b'"' | b'0'..=b'9' | b'-' | b't' | b'f' | b'n')) {
        serde_json::from_slice::<serde::de::IgnoredAny>(body).map_err(|error| not_json(&error))?;
        return Err(CommandFault::field("", "the body is a JSON object, {…}"));
    }
    let mut reader = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(fault_of)?;
    reader.end().map_err(|error| not_json(&error))?;
    refuse_nul(body)?;
    Ok(value)
}

fn not_json(error: &serde_json::Error) -> CommandFault {
    let (line, column) = (error.line(), error.column());
    CommandFault::NotJson { line, column, detail: without_place(error) }
}

/// The message without its " at line 1 column 2", which is told apart.
fn without_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    text.strip_suffix(&place).map(str::to_owned).unwrap_or(text)
}

fn fault_of(error: serde_path_to_error::Error<serde_json::Error>) -> CommandFault {
    let path = error.path().to_string();
    let path = if path == "." { String::new() } else { path };
    let error = error.into_inner();
    let detail = without_place(&error);
    if detail.starts_with("recursion limit") {
        return CommandFault::field(path, format!("nests deeper than {MAX_METADATA_DEPTH} levels"));
    }
    // JSON allows to write half a pair, UTF-8 and the log do not.
    if detail.contains("surrogate") || detail == "unexpected end of hex escape" {
        return CommandFault::field(path, "holds half of a surrogate pair (\\ud800 to \\udfff), which is no character");
    }
    match error.classify() {
        Category::Data => match named_field(&detail) {
            Some((name, what)) => CommandFault::field(joined(&path, name), what),
            None => CommandFault::field(path, detail),
        },
        Category::Io | Category::Syntax | Category::Eof => not_json(&error),
    }
}

/// serde names an unknown, missing or doubled field in its message only; the path ends at the object.
fn named_field(detail: &str) -> Option<(&str, String)> {
    let of = |prefix: &str| detail.strip_prefix(prefix)?.split_once('`');
    if let Some((name, rest)) = of("unknown field `") {
        return Some((name, format!("is not a field here{rest}")));
    }
    if let Some((name, _)) = of("missing field `") {
        return Some((name, "is missing".into()));
    }
    of("duplicate field `").map(|(name, _)| (name, "is there twice".into()))
}

fn joined(path: &str, name: &str) -> String {
    // Some versions of the path end with the unknown field already.
    match path {
        "" => name.to_owned(),
        path if path == name || path.ends_with(&format!(".{name}")) => path.to_owned(),
        path => format!("{path}.{name}"),
    }
}

/// A NUL can only come as the escape; the walk is made where the text holds one (or an escaped backslash before `u0000`).
fn refuse_nul(body: &[u8]) -> Result<(), CommandFault> {
    if !body.windows(6).any(|window| window == b"\\u0000") {
        return Ok(());
    }
    let value: Value = serde_json::from_slice(body).map_err(|error| not_json(&error))?;
    match path_of_nul(&value, String::new()) {
        None => Ok(()),
        Some(path) => Err(CommandFault::field(path, "holds a NUL character (\\u0000), which cannot be stored")),
    }
}

fn path_of_nul(value: &Value, path: String) -> Option<String> {
    match value {
        Value::String(text) => text.contains('\0').then_some(path),
        Value::Array(items) => {
            items.iter().enumerate().find_map(|(index, item)| path_of_nul(item, format!("{path}[{index}]")))
        }
        Value::Object(fields) => fields.iter().find_map(|(name, item)| {
            let here = joined(&path, &name.replace('\0', "\\u0000"));
            if name.contains('\0') { Some(here) } else { path_of_nul(item, here) }
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Body {
        text: String,
        inner: Inner,
        any: Value,
    }

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        number: u8,
    }

    fn field(body: &str) -> (String, String) {
        match read::<Body>(body.as_bytes()) {
            Err(CommandFault::Fields(faults)) => (faults[0].field.clone(), faults[0].detail.clone()),
            other => panic!("expected a field fault, got {other:?}"),
        }
    }

    #[test]
    fn an_empty_body_is_an_empty_object() {
        assert_eq!(read::<Body>(b" \n"), Ok(Body::default()));
        assert_eq!(read::<Body>(b"{}"), Ok(Body::default()));
    }

    #[test]
    fn what_is_no_json_is_told_by_line_and_column() {
        for body in ["{", "{\"text\": }", "{} {}", "{\"text\": \"a\u{0}b\"}", "\u{feff}{}", "[1", "nul"] {
            assert!(matches!(read::<Body>(body.as_bytes()), Err(CommandFault::NotJson { .. })), "{body:?}");
        }
        assert!(matches!(read::<Body>(b"{\"text\": \"\xff\"}"), Err(CommandFault::NotJson { .. })));
    }

    #[test]
    fn what_is_json_but_no_object_is_told() {
        for body in ["[]", "[\"a\"]", "1", "-1", "\"a\"", "null", "true"] {
            assert_eq!(field(body).0, "", "{body}");
        }
    }

    #[test]
    fn unknown_missing_doubled_and_mistyped_fields_are_named_with_their_path() {
        assert_eq!(field(r#"{"test": 1}"#).0, "test");
        assert_eq!(field(r#"{"inner": {"numbr": 1}}"#).0, "inner.numbr");
        assert_eq!(field(r#"{"inner": {}}"#), ("inner.number".into(), "is missing".into()));
        assert_eq!(field(r#"{"inner": {"number": 256}}"#).0, "inner.number");
        assert_eq!(field(r#"{"inner": {"number": "1"}}"#).0, "inner.number");
        assert_eq!(field(r#"{"text": "a", "text": "b"}"#), ("text".into(), "is there twice".into()));
    }

    #[test]
    fn a_nul_is_told_by_its_path_and_the_words_for_one_are_not() {
        assert_eq!(field(r#"{"text": "a\u0000"}"#).0, "text");
        assert_eq!(field(r#"{"any": {"a": ["", "\u0000"]}}"#).0, "any.a[1]");
        assert_eq!(field(r#"{"any": {"\u0000": 1}}"#).0, "any.\\u0000");
        assert!(read::<Body>(br#"{"text": "a\\u0000"}"#).is_ok());
    }

    #[test]
    fn half_a_surrogate_pair_is_told_by_its_field() {
        for half in [r"\ud800", r"\ud800x", r"\udfff", r"\ud800\ud800"] {
            let (field, detail) = field(&format!(r#"{{"text": "{half}"}}"#));
            assert_eq!(field, "text");
            assert!(detail.contains("surrogate"), "{detail}");
        }
        assert!(read::<Body>(br#"{"text": "\ud83d\ude00"}"#).is_ok());
    }

    #[test]
    fn json_that_nests_too_deep_is_told_by_its_field() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        let (path, detail) = field(&format!(r#"{{"any": {}}}"#, nested(10_000)));
        assert!(path.starts_with("any"), "{path}");
        assert!(detail.contains("32"), "{detail}");
        for (levels, count) in [(32, 0), (33, 1)] {
            let mut faults = Faults::default();
            faults.metadata("any", &serde_json::from_str(&nested(levels)).unwrap(), 1000);
            assert_eq!(faults.0.len(), count);
        }
    }
}
