//! A caller's own JSON, kept exactly.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use super::quoted;
use super::scan::{JsonBuilder, ScanStop, Scanner};

/// Any JSON, as text in one form: no white space, the members of objects by name, texts with the fewest escapes. Numbers stay as
/// they were written: no program has to hold them to keep them, and none rounds them.
///
/// Two values are equal if their texts are: `1` and `1.0` are not.
#[derive(Clone)]
pub struct FreeJson(Arc<RawValue>);

impl FreeJson {
    pub fn null() -> Self {
        Self(Arc::from(RawValue::NULL.to_owned()))
    }

    pub fn text(&self) -> &str {
        self.0.get()
    }

    /// Objects and arrays within one another: `[[1]]` is 2.
    pub fn depth(&self) -> usize {
        let (mut depth, mut deepest, mut in_text, mut escaped) = (0_usize, 0, false, false);
        for byte in self.text().bytes() {
            match byte {
                _ if escaped => escaped = false,
                b'\\' if in_text => escaped = true,
                b'"' => in_text = !in_text,
                b'[' | b'{' if !in_text => {
                    depth += 1;
                    deepest = deepest.max(depth);
                }
                b']' | b'}' if !in_text => depth -= 1,
                _ => {}
            }
        }
        deepest
    }

    /// Every text in it, without the names of members.
    pub fn texts(&self) -> Vec<String> {
        let mut texts = Vec::new();
        if let Ok(tree) = Scanner::new(self.text()).whole::<JsonTree<'_>>() {
            tree.gather(&mut texts);
        }
        texts
    }

    fn of(raw: &RawValue) -> Result<Self, String> {
        let mut scanner = Scanner::new(raw.get());
        let tree = scanner.whole::<JsonTree<'_>>().map_err(|stop| match stop {
            ScanStop::NotTaken(detail) => detail,
            ScanStop::Syntax(detail) => detail.to_owned(),
        })?;
        let mut text = String::with_capacity(raw.get().len());
        tree.write(&mut text);
        RawValue::from_string(text).map(|raw| Self(raw.into())).map_err(|error| error.to_string())
    }
}

impl Default for FreeJson {
    fn default() -> Self {
        Self::null()
    }
}

impl PartialEq for FreeJson {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text()
    }
}

impl Eq for FreeJson {}

impl fmt::Debug for FreeJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl Serialize for FreeJson {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for FreeJson {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        Self::of(&raw).map_err(D::Error::custom)
    }
}

impl JsonSchema for FreeJson {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "AnyValue".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        true.into()
    }
}

/// A text taken apart.
enum JsonTree<'t> {
    Literal(&'static str),
    Number(&'t str),
    Text(Cow<'t, str>),
    List(Items<'t>),
    Object(Members<'t>),
}

type Items<'t> = Vec<JsonTree<'t>>;
type Members<'t> = BTreeMap<Cow<'t, str>, JsonTree<'t>>;

impl<'t> JsonBuilder<'t> for JsonTree<'t> {
    type Value = Self;
    type List = Items<'t>;
    type Object = Members<'t>;

    fn literal(text: &'static str) -> Self {
        Self::Literal(text)
    }

    fn number(text: &'t str) -> Self {
        Self::Number(text)
    }

    fn text(text: Cow<'t, str>) -> Self {
        Self::Text(text)
    }

    fn push(list: &mut Items<'t>, value: Self) {
        list.push(value);
    }

    fn put(object: &mut Members<'t>, name: Cow<'t, str>, value: Self) {
        object.insert(name, value);
    }

    fn list(list: Items<'t>) -> Self {
        Self::List(list)
    }

    fn object(object: Members<'t>) -> Self {
        Self::Object(object)
    }
}

impl JsonTree<'_> {
    fn write(&self, out: &mut String) {
        match self {
            JsonTree::Literal(text) => out.push_str(text),
            JsonTree::Number(text) => out.push_str(text),
            JsonTree::Text(text) => out.push_str(&quoted(text)),
            JsonTree::List(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    item.write(out);
                }
                out.push(']');
            }
            JsonTree::Object(members) => {
                out.push('{');
                for (index, (name, value)) in members.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    out.push_str(&quoted(name));
                    out.push(':');
                    value.write(out);
                }
                out.push('}');
            }
        }
    }

    fn gather(self, texts: &mut Vec<String>) {
        match self {
            JsonTree::Text(text) => texts.push(text.into_owned()),
            JsonTree::List(items) => items.into_iter().for_each(|item| item.gather(texts)),
            JsonTree::Object(members) => members.into_values().for_each(|value| value.gather(texts)),
            JsonTree::Literal(_) | JsonTree::Number(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn read(text: &str) -> FreeJson {
        serde_json::from_str(text).expect(text)
    }

    #[test]
    fn numbers_stay_as_they_are_written() {
        for number in [
            "12345678901234567890123",
            "-9223372036854775809",
            "12345678901234567.89",
            "0.1000",
            "1E+2",
            "-0",
            "1.0",
            "3.14159265358979323846264338327950288",
            "5e-324",
        ] {
            let nested = format!("{{\"n\":[{number}]}}");
            assert_eq!(read(&nested).text(), nested);
            assert_eq!(serde_json::to_string(&read(&nested)).unwrap(), nested);
        }
        assert!(serde_json::from_str::<FreeJson>("[1E-400]").is_err(), "what programs would read as zero");
    }

    #[test]
    fn one_value_has_one_text() {
        let texts = ["{\"b\":[1,\"é\\n\"],\"a\":null}", " { \"a\" : null,\n\"b\": [ 1 , \"\\u00e9\\u000a\" ] } "];
        for text in texts {
            assert_eq!(read(text).text(), "{\"a\":null,\"b\":[1,\"é\\n\"]}");
        }
        assert_eq!(read(texts[0]), read(texts[1]));
        assert_ne!(read("1"), read("1.0"));
        assert_eq!(FreeJson::default(), read("null"));
    }

    #[test]
    fn depth_counts_what_is_nested_and_not_what_is_quoted() {
        for (text, depth) in
            [("1", 0), ("[]", 1), ("[[1],{\"a\":[2]}]", 3), ("[\"[[[\\\"[\"]", 1), ("{\"{\":\"\\\\\"}", 1)]
        {
            assert_eq!(read(text).depth(), depth, "{text}");
        }
    }

    #[test]
    fn its_texts_are_found_wherever_they_lie() {
        assert_eq!(read("{\"name\":[\"a\",{\"b\":\"c\\n\"}],\"n\":1}").texts(), ["a", "c\n"]);
    }

    #[test]
    fn it_is_read_and_written_as_a_part_of_other_values() {
        #[derive(Debug, PartialEq, Serialize, Deserialize)]
        struct Part {
            json: Option<FreeJson>,
        }
        let text = "{\"json\":{\"n\":1.50}}";
        let part: Part = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&part).unwrap(), text);
        assert_eq!(serde_json::from_str::<Part>("{\"json\":null}").unwrap(), Part { json: None });
        let value = serde_json::to_value(&part).unwrap();
        assert_eq!(value, json!({ "json": { "n": 1.5 } }));
        assert_eq!(serde_json::from_value::<Part>(value).unwrap().json, Some(read("{\"n\":1.5}")));
    }

    proptest! {
        /// What was stored before numbers were kept as text reads back as the same text, byte for byte.
        #[test]
        fn what_a_json_library_wrote_keeps_its_text(
            float in any::<f64>().prop_filter("finite", |number| number.is_finite()), integer in any::<i64>(), text in "[^\0]{0,20}",
        ) {
            let value = json!({ "text": text, "list": [float, integer, {}], "a": { "z": null, text: true } });
            let written = value.to_string();
            let kept = read(&written);
            prop_assert_eq!(kept.text(), &written);
            prop_assert_eq!(serde_json::from_str::<Value>(kept.text()).unwrap(), value);
        }
    }
}
