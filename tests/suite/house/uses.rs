//! Reads the paths that a Rust source names: every form of `use`, and paths written out in the code.
//!
//! Comments, strings and everything under `#[cfg(test)]` are left out. Macros are read like code: the paths in the body of
//! a `macro_rules!` count for the file that defines it. An inline module that is not for tests reads as part of its file.

/// A word, `::` or one sign, with its line from 1.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Token<'a> {
    text: &'a str,
    line: usize,
}

impl Token<'_> {
    fn is_word(self) -> bool {
        self.text.starts_with(|c: char| c.is_alphabetic() || c == '_')
    }
}

/// One leaf of a `use`: `use a::{b as c, d::*}` has two.
#[derive(Clone, Debug, PartialEq)]
pub struct Import {
    /// Without the `*` of a glob, and without a last `self`.
    pub path: Vec<String>,
    /// The name that it gives in this file; `None` for a glob and for `as _`.
    pub name: Option<String>,
    pub glob: bool,
    /// `pub use` of any visibility: others may take the name from here.
    pub public: bool,
    pub line: usize,
}

/// A path in the code, outside of `use`: `crate::a::B`, `b::C`.
#[derive(Clone, Debug, PartialEq)]
pub struct Mention {
    pub path: Vec<String>,
    pub line: usize,
}

/// What a source names.
#[derive(Debug, Default)]
pub struct Named {
    pub imports: Vec<Import>,
    pub mentions: Vec<Mention>,
    /// Modules in files of their own, which `mod name;` declares.
    pub children: Vec<String>,
    /// Those of them that are for tests only.
    pub test_children: Vec<String>,
    /// Items defined here, outside of functions and inline modules.
    pub items: Vec<String>,
    /// Every word of the code outside of `use`.
    pub words: std::collections::HashSet<String>,
}

pub fn read(source: &str) -> Named {
    let tokens = tokens(source);
    let mut named = Named::default();
    Reader { tokens: &tokens, at: 0, named: &mut named }.read();
    named
}

struct Reader<'a, 'n> {
    tokens: &'a [Token<'a>],
    at: usize,
    named: &'n mut Named,
}

const ITEMS: [&str; 8] = ["struct", "enum", "trait", "type", "fn", "const", "static", "union"];

impl Reader<'_, '_> {
    fn text(&self, ahead: usize) -> &str {
        self.tokens.get(self.at + ahead).map_or("", |token| token.text)
    }

    fn read(mut self) {
        let (mut depth, mut public) = (0_usize, false);
        while let Some(&token) = self.tokens.get(self.at) {
            let was_public = std::mem::take(&mut public);
            match token.text {
                "#" => self.attribute(),
                "pub" => {
                    self.at += 1;
                    if self.text(0) == "(" && ["crate", "self", "super", "in"].contains(&self.text(1)) {
                        self.skip_group();
                    }
                    public = true;
                }
                "use" => self.import(was_public),
                "mod" if self.text(2) == ";" => {
                    self.named.children.push(self.text(1).to_owned());
                    self.at += 3;
                }
                text => {
                    match text {
                        "{" => depth += 1,
                        "}" => depth = depth.saturating_sub(1),
                        "macro_rules" => self.named.items.push(self.text(2).to_owned()),
                        _ if depth == 0 && ITEMS.contains(&text) => self.named.items.push(self.text(1).to_owned()),
                        _ => {}
                    }
                    self.word(token);
                }
            }
        }
    }

    /// A word with the path that begins at it, or a sign.
    fn word(&mut self, first: Token<'_>) {
        let before = self.at.checked_sub(1).map_or("", |before| self.tokens[before].text);
        self.at += 1;
        if !first.is_word() {
            return;
        }
        let mut path = vec![first.text.to_owned()];
        while self.text(0) == "::" && self.tokens.get(self.at + 1).is_some_and(|next| next.is_word()) {
            path.push(self.text(1).to_owned());
            self.at += 2;
        }
        self.named.words.extend(path.iter().cloned());
        // After `::` it is of another crate or of a type; after a point a field or a method.
        if path.len() > 1 && ![".", "::"].contains(&before) {
            self.named.mentions.push(Mention { path, line: first.line });
        }
    }

    /// Skips `#[cfg(test)]` and the item that it is on. Other attributes are read like code.
    fn attribute(&mut self) {
        let of_tests = ["#", "[", "cfg", "(", "test", ")", "]"];
        let written = self.tokens[self.at..].iter().map(|token| token.text).take(of_tests.len());
        if !written.eq(of_tests) {
            return self.at += 1;
        }
        self.at += of_tests.len();
        let item = self.at;
        while self.at < self.tokens.len() {
            match self.text(0) {
                "#" if self.text(1) == "[" => self.at += 1,
                "(" | "[" => self.skip_group(),
                "{" => {
                    self.skip_group();
                    break;
                }
                ";" => {
                    self.at += 1;
                    break;
                }
                _ => self.at += 1,
            }
        }
        let item = &self.tokens[item..self.at];
        if let Some(at) = item.iter().position(|token| token.text == "mod")
            && item.get(at + 2).is_some_and(|token| token.text == ";")
        {
            self.named.test_children.push(item[at + 1].text.to_owned());
        }
    }

    /// From an opening bracket to behind its closing one.
    fn skip_group(&mut self) {
        let mut depth = 0_usize;
        while self.at < self.tokens.len() {
            match self.text(0) {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" => depth = depth.saturating_sub(1),
                _ => {}
            }
            self.at += 1;
            if depth == 0 {
                return;
            }
        }
    }

    fn import(&mut self, public: bool) {
        self.at += 1;
        // `use<'a>` of a return type is not an import.
        if self.text(0) == "<" {
            return;
        }
        self.tree(&[], public);
        if self.text(0) == ";" {
            self.at += 1;
        }
    }

    /// One tree of a `use`, under the path `above`.
    fn tree(&mut self, above: &[String], public: bool) {
        let mut path = above.to_vec();
        let line = self.tokens.get(self.at).map_or(0, |token| token.line);
        loop {
            match self.text(0) {
                "::" => self.at += 1,
                "{" => return self.list(&path, public),
                "*" => {
                    self.at += 1;
                    self.named.imports.push(Import { path, name: None, glob: true, public, line });
                    return;
                }
                "self" if !path.is_empty() => self.at += 1,
                _ if self.tokens.get(self.at).is_some_and(|token| token.is_word()) && self.text(0) != "as" => {
                    path.push(self.text(0).to_owned());
                    self.at += 1;
                }
                _ => break,
            }
        }
        let mut name = path.last().cloned();
        if self.text(0) == "as" {
            name = Some(self.text(1).to_owned()).filter(|name| name != "_");
            self.at += 2;
        }
        self.named.imports.push(Import { path, name, glob: false, public, line });
    }

    fn list(&mut self, above: &[String], public: bool) {
        self.at += 1;
        loop {
            match self.text(0) {
                "" => return,
                "}" => return self.at += 1,
                "," => self.at += 1,
                _ => {
                    let before = self.at;
                    self.tree(above, public);
                    assert_ne!(before, self.at, "a `use` that this reader does not read: {:?}", self.tokens[before]);
                }
            }
        }
    }
}

/// Rust without comments, strings, numbers and lifetimes.
fn tokens(source: &str) -> Vec<Token<'_>> {
    let (mut rest, mut line, mut tokens) = (source, 1, Vec::new());
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => block_comment(rest),
            '"' => string(rest),
            'r' | 'b' | 'c' if prefixed_string(rest).is_some() => prefixed_string(rest).unwrap_or(1),
            '\'' => quoted(rest),
            ':' if rest.starts_with("::") => {
                tokens.push(Token { text: &rest[..2], line });
                2
            }
            c if c.is_alphanumeric() || c == '_' => {
                let word = rest.strip_prefix("r#").unwrap_or(rest);
                let end = word.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(word.len());
                tokens.push(Token { text: &word[..end], line });
                rest.len() - word.len() + end
            }
            c if c.is_whitespace() => c.len_utf8(),
            c => {
                tokens.push(Token { text: &rest[..c.len_utf8()], line });
                c.len_utf8()
            }
        };
        let (passed, left) = rest.split_at(length.min(rest.len()));
        line += passed.matches('\n').count();
        rest = left;
    }
    tokens
}

fn block_comment(text: &str) -> usize {
    let (mut at, mut depth) = (0, 0_usize);
    loop {
        let rest = &text[at..];
        match rest {
            "" => return at,
            _ if rest.starts_with("/*") => (at, depth) = (at + 2, depth + 1),
            _ if rest.starts_with("*/") => (at, depth) = (at + 2, depth - 1),
            _ => at += rest.chars().next().map_or(1, char::len_utf8),
        }
        if depth == 0 {
            return at;
        }
    }
}

fn string(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            '"' if !escaped => return at + 1,
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    text.len()
}

/// `r"…"`, `r#"…"#`, `b"…"`, `br"…"`, `c"…"`.
fn prefixed_string(text: &str) -> Option<usize> {
    let prefix = ["br", "cr", "r", "b", "c"].into_iter().find(|prefix| {
        let rest = text.strip_prefix(prefix).map(|rest| rest.trim_start_matches('#'));
        rest.is_some_and(|rest| rest.starts_with('"'))
    })?;
    let rest = &text[prefix.len()..];
    let hashes = rest.len() - rest.trim_start_matches('#').len();
    if !prefix.contains('r') {
        return (hashes == 0).then(|| prefix.len() + string(rest));
    }
    let body = prefix.len() + hashes + 1;
    let end = format!("\"{}", "#".repeat(hashes));
    Some(text[body..].find(&end).map_or(text.len(), |at| body + at + end.len()))
}

/// A character or a lifetime.
fn quoted(text: &str) -> usize {
    let mut after = text.char_indices().skip(1);
    match (after.next(), after.next()) {
        (Some((_, '\\')), Some((at, escaped))) => {
            let from = at + escaped.len_utf8();
            text[from..].find('\'').map_or(text.len(), |end| from + end + 1)
        }
        (_, Some((at, '\''))) => at + 1,
        _ => text[1..].find(|c: char| !c.is_alphanumeric() && c != '_').map_or(text.len(), |end| end + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `path as name` or `path::*`, with `pub` in front where others may take the name.
    fn imports(source: &str) -> Vec<String> {
        let written = |import: &Import| {
            let public = if import.public { "pub " } else { "" };
            let path = import.path.join("::");
            match &import.name {
                _ if import.glob => format!("{public}{path}::*"),
                Some(name) => format!("{public}{path} as {name}"),
                None => format!("{public}{path} as _"),
            }
        };
        read(source).imports.iter().map(written).collect()
    }

    fn mentions(source: &str) -> Vec<String> {
        read(source).mentions.iter().map(|mention| mention.path.join("::")).collect()
    }

    #[test]
    fn every_form_of_use_is_read() {
        for (source, expected) in [
            ("use crate::a::B;", vec!["crate::a::B as B"]),
            ("use super::super::a;", vec!["super::super::a as a"]),
            ("use self::a::b::{C, D};", vec!["self::a::b::C as C", "self::a::b::D as D"]),
            ("use ::serde::Serialize;", vec!["serde::Serialize as Serialize"]),
            ("use a::B as C;", vec!["a::B as C"]),
            ("use a::B as _;", vec!["a::B as _"]),
            ("use a::*;", vec!["a::*"]),
            ("use a::{self, B};", vec!["a as a", "a::B as B"]),
            ("use a::{self as b};", vec!["a as b"]),
            (
                "use crate::{a, b::{self, C as D, e::*}, };",
                vec!["crate::a as a", "crate::b as b", "crate::b::C as D", "crate::b::e::*"],
            ),
            ("use {a::B, crate::c};", vec!["a::B as B", "crate::c as c"]),
            ("use crate::{\n    a::B, // why\n    /* and\n why */ c,\n};", vec!["crate::a::B as B", "crate::c as c"]),
            ("use r#type::r#fn;", vec!["type::fn as fn"]),
            ("use super::*;", vec!["super::*"]),
            ("pub use a::B;", vec!["pub a::B as B"]),
            ("pub(crate) use a::B;", vec!["pub a::B as B"]),
            ("pub(in crate::x) use a::*;", vec!["pub a::*"]),
            ("fn f() { use crate::a::B; }", vec!["crate::a::B as B"]),
            ("fn f() -> impl Sized + use<'_> {}", vec![]),
        ] {
            assert_eq!(imports(source), expected, "{source}");
        }
    }

    #[test]
    fn an_import_has_the_line_on_which_it_is_written() {
        let named =
            read("//! What for.\n\nuse a::B;\nuse crate::{\n    c::D,\n    e,\n};\nconst S: &str = \"\n\";\nuse f::G;");
        assert_eq!(named.imports.iter().map(|import| import.line).collect::<Vec<_>>(), [3, 5, 6, 10]);
    }

    #[test]
    fn paths_in_the_code_are_read_and_those_in_comments_and_strings_are_not() {
        for (source, expected) in [
            ("fn f() -> crate::a::B { super::c() }", vec!["crate::a::B", "super::c"]),
            ("/// See [`crate::a::B`].\n// crate::c\nfn f() {} /* crate::d /* crate::e */ */", vec![]),
            (r##"const A: &str = "crate::a \" crate::b"; const B: &str = r#"crate::c " crate::d"#;"##, vec![]),
            ("const A: &[u8] = b\"crate::a\"; let c = '\"'; x::y(); let d = '\\''; x::z()", vec!["x::y", "x::z"]),
            ("fn f<'a>(b: &'a a::B) {}", vec!["a::B"]),
            ("let a = b.collect::<Vec<c::D>>(); e::<f::G>::h()", vec!["c::D", "f::G"]),
            ("<A as b::C>::d::e", vec!["b::C"]),
            ("pub(in crate::a) fn f() {}", vec![]),
            ("macro_rules! m { () => { $crate::a::B } }", vec!["crate::a::B"]),
            ("#[serde(with = \"a::b\")] struct S(pub c::D);", vec!["c::D"]),
            ("#[derive(a::B)] #[c(transform = d::e)] struct S;", vec!["a::B", "d::e"]),
        ] {
            assert_eq!(mentions(source), expected, "{source}");
        }
    }

    #[test]
    fn what_is_for_tests_only_is_left_out() {
        let source = "mod a;\n#[cfg(test)]\nmod tests;\n#[cfg(test)]\npub(super) mod more { use crate::b::C; fn f() { d::e() } }\n\
            #[cfg(test)]\n#[must_use]\nfn f(x: [u8; 2]) -> crate::g::H { {} }\n#[cfg(not(test))]\nuse i::J;";
        let named = read(source);
        assert_eq!((named.children, named.test_children), (vec!["a".to_owned()], vec!["tests".to_owned()]));
        assert_eq!((imports(source), mentions(source)), (vec!["i::J as J".to_owned()], vec![]));
    }
}
