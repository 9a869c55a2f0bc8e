//! serde's messages in words of the domain: callers know lists, texts and whole numbers, not sequences, strings and `u32`.
//!
//! The messages are those of serde 1 and serde_json 1. One that is not known passes as it is: it is one of our own.

/// What is wrong with a value. Quotes of the caller's own texts are in double quotes.
pub fn plain(error: &serde_json::Error) -> String {
    let detail = without_place(error);
    let detail = detail.as_str();
    if let Some(rest) = of("unknown field `", detail) {
        return match rest.1.trim_start_matches(',').trim().strip_prefix("expected ") {
            Some(known) => format!("is not a field here; {}", are(known)),
            None => "is not a field here; there are none".to_owned(),
        };
    }
    if of("missing field `", detail).is_some() {
        return "is missing".to_owned();
    }
    if of("duplicate field `", detail).is_some() {
        return "is given twice".to_owned();
    }
    if let Some(rest) = detail.strip_prefix("unknown variant `") {
        // The caller's own text may hold anything, also what follows it in the message.
        let (given, known) = rest.rsplit_once("`, expected ").unwrap_or((rest, ""));
        let known = known.strip_prefix("one of ").unwrap_or(known).replace(" or ", ", ");
        return format!("is {given:?}, which is none of {known}");
    }
    if let Some((found, wanted)) = detail.strip_prefix("invalid type: ").and_then(parts) {
        return format!("is {}; {} is wanted", value(found), kind(wanted));
    }
    if let Some((found, wanted)) = detail.strip_prefix("invalid value: ").and_then(parts) {
        let found = value(found);
        return if kind(wanted) == WHOLE {
            format!("is {found}, which is out of range")
        } else {
            format!("is {found}; {} is wanted", kind(wanted))
        };
    }
    if detail.starts_with("invalid length ") {
        return "has not as many entries as are taken here".to_owned();
    }
    if detail.starts_with("UUID parsing failed") {
        return "is not a UUID such as 01936d2e-7c1a-7b3e-8a44-0f0a4f5d2c11".to_owned();
    }
    if !error.is_data() || detail.starts_with("data did not match any variant") {
        return "has a form that is not taken here".to_owned();
    }
    detail.to_owned()
}

/// The field that a message names, where it is about one.
pub fn field_named(error: &serde_json::Error) -> Option<String> {
    let detail = without_place(error);
    ["unknown field `", "missing field `", "duplicate field `"]
        .iter()
        .find_map(|prefix| of(prefix, &detail).map(|(name, _)| name.to_owned()))
}

const WHOLE: &str = "a whole number";

/// The message without its " at line 1 column 2".
fn without_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    text.strip_suffix(&place).map(str::to_owned).unwrap_or(text)
}

fn of<'d>(prefix: &str, detail: &'d str) -> Option<(&'d str, &'d str)> {
    detail.strip_prefix(prefix)?.split_once('`')
}

/// What was found, and what was expected.
fn parts(message: &str) -> Option<(&str, &str)> {
    message.rsplit_once(", expected ")
}

/// "`a`" or "`a` or `b`" or "one of `a`, `b`, `c`" as a sentence.
fn are(known: &str) -> String {
    match known.strip_prefix("one of ") {
        Some(list) => format!("there are {list}"),
        None if known.contains(" or ") => format!("there are {}", known.replace(" or ", " and ")),
        None => format!("there is {known}"),
    }
}

/// A value as serde describes it.
fn value(found: &str) -> String {
    let quoted = |prefix: &str| found.strip_prefix(prefix)?.strip_prefix('`')?.strip_suffix('`');
    if let Some(plain) = quoted("boolean ").or_else(|| quoted("integer ")).or_else(|| quoted("floating point ")) {
        return plain.to_owned();
    }
    match found {
        "sequence" => "a list".to_owned(),
        "map" => "an object".to_owned(),
        "null" | "unit value" => "null".to_owned(),
        _ => match found.strip_prefix("string ") {
            Some(text) => format!("the text {text}"),
            None => "something else".to_owned(),
        },
    }
}

/// What is wanted, as serde describes it.
fn kind(wanted: &str) -> &str {
    let first = wanted.split(' ').next().unwrap_or_default();
    match wanted {
        WHOLE | "u8" | "u16" | "u32" | "u64" | "usize" | "i8" | "i16" | "i32" | "i64" | "isize" => WHOLE,
        "f32" | "f64" => "a number",
        "a boolean" => "true or false",
        "a map" | "an object" => "an object",
        _ if first == "struct" => "an object",
        _ if wanted.starts_with("a sequence") || wanted.starts_with("a tuple") => "a list",
        _ if wanted.contains("string") || wanted.contains("UUID") || wanted.contains("identifier") => "a text",
        _ if first == "enum" || first == "unit" || first == "option" => "another form",
        _ => wanted,
    }
}
