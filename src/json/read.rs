//! Reads values from checked text; a fault names its field, in terms of the domain.

use serde::Deserialize;

use super::check::CheckedJson;
use super::object::ObjectOnly;
use super::words;

/// One field at fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldFault {
    /// Its path, `settings.labels.team` or `to.identities[2]`; empty: the text as a whole.
    pub field: String,
    /// What is wrong, and what would be right.
    pub detail: String,
}

/// Reads a struct from a JSON object.
pub fn read<'t, T: Deserialize<'t>>(text: CheckedJson<'t>) -> Result<T, FieldFault> {
    if !text.is_object() {
        return Err(FieldFault { field: String::new(), detail: "the JSON has to be an object, {…}".into() });
    }
    match serde_json::from_str::<ObjectOnly<T>>(text.text()) {
        Ok(ObjectOnly(value)) => Ok(value),
        // Following the path costs more than reading: only what is at fault is read so.
        Err(error) => Err(fault::<T>(text, &error)),
    }
}

fn fault<'t, T: Deserialize<'t>>(text: CheckedJson<'t>, error: &serde_json::Error) -> FieldFault {
    let mut reader = serde_json::Deserializer::from_str(text.text());
    let Err(tracked) = serde_path_to_error::deserialize::<_, T>(&mut reader) else {
        return FieldFault { field: String::new(), detail: words::plain(error) };
    };
    let path = tracked.path().to_string();
    let path = if path == "." { String::new() } else { path };
    let error = tracked.into_inner();
    // serde names an unknown or missing field in its message only; the path may end at the object.
    let field = match words::field_named(&error) {
        Some(name) if path == name || path.ends_with(&format!(".{name}")) => path,
        Some(name) => join(&path, &name),
        None => path,
    };
    FieldFault { field, detail: words::plain(&error) }
}

/// The path of a field in an object that lies at `place`; empty: the outermost.
pub fn join(place: &str, field: &str) -> String {
    match (place, field) {
        ("", field) => field.to_owned(),
        (place, "") => place.to_owned(),
        (place, field) => format!("{place}.{field}"),
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::collections::BTreeMap;

    use super::super::{check, whole_number};
    use super::*;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Body<'a> {
        #[serde(borrow)]
        text: Cow<'a, str>,
        #[serde(deserialize_with = "super::super::object::object_or_null")]
        inner: Option<Inner>,
        flag: bool,
        list: Vec<Size>,
        map: BTreeMap<String, String>,
        #[serde(deserialize_with = "whole_number::whole")]
        number: u32,
        id: Option<uuid::Uuid>,
        plain: u8,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        number: u8,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "kebab-case")]
    enum Size {
        Small,
        Large,
        Of(u8),
    }

    fn fault(text: &str) -> (String, String) {
        let fault = read::<Body<'_>>(check(text.as_bytes()).expect(text)).expect_err(text);
        (fault.field, fault.detail)
    }

    #[test]
    fn what_is_json_but_no_object_is_told() {
        for text in ["[]", "[\"a\"]", "1", "\"a\"", "null", "true"] {
            assert_eq!(fault(text).0, "", "{text}");
        }
        assert_eq!(read::<Body<'_>>(super::CheckedJson::EMPTY_OBJECT), Ok(Body::default()));
    }

    #[test]
    fn fields_at_fault_are_named_with_their_path_and_told_in_plain_words() {
        for (text, field, detail) in [
            (
                r#"{"test": 1}"#,
                "test",
                "is not a field here; there are `text`, `inner`, `flag`, `list`, `map`, `number`, `id`, `plain`",
            ),
            (r#"{"inner": {"numbr": 1}}"#, "inner.numbr", "is not a field here; there is `number`"),
            (r#"{"inner": {}}"#, "inner.number", "is missing"),
            (r#"{"inner": [1]}"#, "inner", "is a list; an object is wanted"),
            (r#"{"inner": "x"}"#, "inner", "is the text \"x\"; an object is wanted"),
            (r#"{"inner": {"number": 256}}"#, "inner.number", "is 256, which is out of range"),
            (r#"{"number": "many \"x\""}"#, "number", "is the text \"many \\\"x\\\"\"; a whole number is wanted"),
            (r#"{"number": 5.5}"#, "number", "is 5.5; a whole number is wanted"),
            (r#"{"number": -5}"#, "number", "is -5, which is out of range"),
            (r#"{"plain": 5.5}"#, "plain", "is 5.5; a whole number is wanted"),
            (r#"{"text": 7}"#, "text", "is 7; a text is wanted"),
            (r#"{"text": null}"#, "text", "is null; a text is wanted"),
            (r#"{"flag": "yes"}"#, "flag", "is the text \"yes\"; true or false is wanted"),
            (r#"{"list": {}}"#, "list", "is an object; a list is wanted"),
            (r#"{"list": ["small", "huge"]}"#, "list[1]", "is \"huge\", which is none of `small`, `large`, `of`"),
            (r#"{"list": [7]}"#, "list[0]", "has a form that is not taken here"),
            (r#"{"map": {"a": true}}"#, "map.a", "is true; a text is wanted"),
            (r#"{"map": []}"#, "map", "is a list; an object is wanted"),
            (r#"{"id": "x"}"#, "id", "is not a UUID such as 01936d2e-7c1a-7b3e-8a44-0f0a4f5d2c11"),
        ] {
            assert_eq!(fault(text), (field.to_owned(), detail.to_owned()), "{text}");
        }
    }

    #[test]
    fn no_word_of_a_type_of_the_program_is_told() {
        for text in [
            r#"{"list": [{"of": "x"}]}"#,
            r#"{"list": [{"of": 1, "small": 2}]}"#,
            r#"{"list": [{}]}"#,
            r#"{"list": [{"small": 7}]}"#,
            r#"{"list": [[]]}"#,
            r#"{"list": [null]}"#,
            r#"{"id": 7}"#,
            r#"{"id": []}"#,
            r#"{"plain": [1]}"#,
            r#"{"plain": -1}"#,
            r#"{"number": 1e300}"#,
            r#"{"text": {}}"#,
        ] {
            let (field, detail) = fault(text);
            assert!(!field.is_empty(), "{text}: {detail}");
            for word in
                ["u8", "u32", "u64", "struct", "enum", "variant", "sequence", " map", "string", "line 1", "boolean"]
            {
                assert!(!detail.contains(word), "{text}: {detail}");
            }
        }
    }
}
