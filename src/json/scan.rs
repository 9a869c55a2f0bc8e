//! A reader of RFC 8259 that gives the exact text of numbers, and refuses what programs read differently from one another.
//!
//! Refused are: nesting deeper than [`MAX_DEPTH`]; a name given twice in one object (which of the two holds depends on the
//! reader); U+0000 (PostgreSQL's text has none); half of a surrogate pair (UTF-8 has none); a number that a 64-bit float reads
//! as infinite or, although it is not zero, as zero (RFC 8259, 6: most programs read numbers so).

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt::Write as _;

/// Objects and arrays within one another, the outermost counted. Enough for a list of commands that hold the deepest
/// metadata, and few enough to be read by recursion.
pub const MAX_DEPTH: usize = 64;

/// What is made of the parts of a text.
pub(super) trait JsonBuilder<'t> {
    type Value;
    type List: Default;
    type Object: Default;

    fn literal(text: &'static str) -> Self::Value;
    /// As it is written.
    fn number(text: &'t str) -> Self::Value;
    fn text(text: Cow<'t, str>) -> Self::Value;
    fn push(list: &mut Self::List, value: Self::Value);
    fn put(object: &mut Self::Object, name: Cow<'t, str>, value: Self::Value);
    fn list(list: Self::List) -> Self::Value;
    fn object(object: Self::Object) -> Self::Value;
}

/// Makes nothing: the text is only looked through.
pub(super) struct BuildNothing;

impl<'t> JsonBuilder<'t> for BuildNothing {
    type Value = ();
    type List = ();
    type Object = ();

    fn literal(_: &'static str) {}
    fn number(_: &'t str) {}
    fn text(_: Cow<'t, str>) {}
    fn push((): &mut (), (): ()) {}
    fn put((): &mut (), _: Cow<'t, str>, (): ()) {}
    fn list((): ()) {}
    fn object((): ()) {}
}

/// Why reading stopped; where is with the [`Scanner`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ScanStop {
    /// It is not JSON; what was expected.
    Syntax(&'static str),
    /// It is JSON of a kind that is not taken.
    NotTaken(String),
}

enum ScanStep<'t> {
    Field(Cow<'t, str>),
    Item(usize),
}

pub(super) struct Scanner<'t> {
    text: &'t str,
    at: usize,
    /// Of the value that is being read; left standing where reading stopped.
    path: Vec<ScanStep<'t>>,
}

impl<'t> Scanner<'t> {
    pub fn new(text: &'t str) -> Self {
        Self { text, at: 0, path: Vec::new() }
    }

    /// One value and nothing after it.
    pub fn whole<B: JsonBuilder<'t>>(&mut self) -> Result<B::Value, ScanStop> {
        let value = self.value::<B>()?;
        self.skip_space();
        if self.at < self.text.len() { Err(ScanStop::Syntax("there is something after the JSON")) } else { Ok(value) }
    }

    /// The path of the value at which reading stopped, such as `commands[3].data`; empty: the outermost.
    pub fn field(&self) -> String {
        let mut text = String::new();
        for step in &self.path {
            // Writing to a string cannot fail.
            _ = match step {
                ScanStep::Field(name) if text.is_empty() => write!(text, "{}", name.replace('\0', "\\u0000")),
                ScanStep::Field(name) => write!(text, ".{}", name.replace('\0', "\\u0000")),
                ScanStep::Item(index) => write!(text, "[{index}]"),
            };
        }
        text
    }

    /// Line and column at which reading stopped, from 1; columns count bytes.
    pub fn place(&self) -> (usize, usize) {
        let before = &self.text.as_bytes()[..self.at];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        let column = before.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
        (line, column)
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn value<B: JsonBuilder<'t>>(&mut self) -> Result<B::Value, ScanStop> {
        self.skip_space();
        match self.peek() {
            Some(b'{') => self.object::<B>(),
            Some(b'[') => self.list::<B>(),
            Some(b'"') => Ok(B::text(self.string()?)),
            Some(b'-' | b'0'..=b'9') => Ok(B::number(self.number()?)),
            Some(b't') => self.literal("true").map(B::literal),
            Some(b'f') => self.literal("false").map(B::literal),
            Some(b'n') => self.literal("null").map(B::literal),
            Some(_) => Err(ScanStop::Syntax("a value was expected")),
            None => Err(ScanStop::Syntax("it ends before it is complete")),
        }
    }

    fn literal(&mut self, word: &'static str) -> Result<&'static str, ScanStop> {
        if !self.text[self.at..].starts_with(word) {
            return Err(ScanStop::Syntax("a value was expected"));
        }
        self.at += word.len();
        Ok(word)
    }

    fn enter(&mut self) -> Result<(), ScanStop> {
        if self.path.len() >= MAX_DEPTH {
            return Err(ScanStop::NotTaken(format!("nests deeper than {MAX_DEPTH} levels")));
        }
        self.at += 1;
        self.skip_space();
        Ok(())
    }

    fn list<B: JsonBuilder<'t>>(&mut self) -> Result<B::Value, ScanStop> {
        self.enter()?;
        let mut list = B::List::default();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(B::list(list));
        }
        for index in 0.. {
            self.path.push(ScanStep::Item(index));
            B::push(&mut list, self.value::<B>()?);
            self.path.pop();
            if self.is_last(b']', "a comma or ] was expected")? {
                break;
            }
        }
        Ok(B::list(list))
    }

    fn object<B: JsonBuilder<'t>>(&mut self) -> Result<B::Value, ScanStop> {
        self.enter()?;
        let (mut object, mut names) = (B::Object::default(), MemberNames::default());
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(B::object(object));
        }
        loop {
            self.skip_space();
            if self.peek() != Some(b'"') {
                return Err(ScanStop::Syntax("the name of a field was expected, in double quotes"));
            }
            let name = self.name()?;
            self.path.push(ScanStep::Field(name.clone()));
            if !names.insert(name.clone()) {
                return Err(ScanStop::NotTaken("is given twice".into()));
            }
            self.skip_space();
            if self.peek() != Some(b':') {
                return Err(ScanStop::Syntax("a colon was expected"));
            }
            self.at += 1;
            let value = self.value::<B>()?;
            B::put(&mut object, name, value);
            self.path.pop();
            if self.is_last(b'}', "a comma or } was expected")? {
                break;
            }
        }
        Ok(B::object(object))
    }

    /// Passes the comma before another member, or the end of the list.
    fn is_last(&mut self, end: u8, expected: &'static str) -> Result<bool, ScanStop> {
        self.skip_space();
        let found = self.peek();
        if found != Some(b',') && found != Some(end) {
            return Err(ScanStop::Syntax(expected));
        }
        self.at += 1;
        Ok(found == Some(end))
    }

    /// A field's name. What is wrong with it is told of the field.
    fn name(&mut self) -> Result<Cow<'t, str>, ScanStop> {
        let begin = self.at + 1;
        self.string().inspect_err(|_| {
            let rest = &self.text[begin..];
            let raw = &rest[..rest.find('"').unwrap_or(rest.len())];
            self.path.push(ScanStep::Field(Cow::Borrowed(raw)));
        })
    }

    fn string(&mut self) -> Result<Cow<'t, str>, ScanStop> {
        self.at += 1;
        let begin = self.at;
        let bytes = self.text.as_bytes();
        let mut unescaped: Option<String> = None;
        let mut copied = begin;
        loop {
            match bytes.get(self.at) {
                Some(b'"') => break,
                Some(b'\\') => {
                    let text = unescaped.get_or_insert_default();
                    text.push_str(&self.text[copied..self.at]);
                    let character = self.escape()?;
                    unescaped.get_or_insert_default().push(character);
                    copied = self.at;
                }
                Some(0..0x20) => return Err(ScanStop::Syntax("a control character in a text has to be escaped")),
                Some(_) => self.at += 1,
                None => return Err(ScanStop::Syntax("a text does not end")),
            }
        }
        let rest = &self.text[copied..self.at];
        self.at += 1;
        Ok(match unescaped {
            None => Cow::Borrowed(rest),
            Some(mut text) => {
                text.push_str(rest);
                Cow::Owned(text)
            }
        })
    }

    fn escape(&mut self) -> Result<char, ScanStop> {
        const UNKNOWN: ScanStop = ScanStop::Syntax("there is no such escape in a text");
        let escaped = self.text.as_bytes().get(self.at + 1).copied();
        let character = match escaped {
            Some(b'u') => return self.unicode(),
            Some(plain @ (b'"' | b'\\' | b'/')) => char::from(plain),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            _ => return Err(UNKNOWN),
        };
        self.at += 2;
        Ok(character)
    }

    fn unicode(&mut self) -> Result<char, ScanStop> {
        const HALF: ScanStop =
            ScanStop::Syntax("a text holds half of a surrogate pair (\\ud800 to \\udfff), which is no character");
        let first = self.unit(self.at)?;
        let (code, length) = match first {
            0xd800..=0xdbff if self.text[self.at + UNIT..].starts_with("\\u") => {
                let second = self.unit(self.at + UNIT)?;
                let low = second.checked_sub(0xdc00).filter(|low| *low < 0x400).ok_or(HALF)?;
                (0x10000 + ((first - 0xd800) << 10) + low, 2 * UNIT)
            }
            code => (code, UNIT),
        };
        if code == 0 {
            return Err(ScanStop::NotTaken("holds U+0000, which cannot be stored".into()));
        }
        // Half a pair is the only number here that is no character.
        let character = char::from_u32(code).ok_or(HALF)?;
        self.at += length;
        Ok(character)
    }

    /// The number in the `\u1234` that begins at a place.
    fn unit(&self, at: usize) -> Result<u32, ScanStop> {
        let digits = self.text.as_bytes().get(at + 2..at + UNIT);
        let digits = digits.filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        let unit = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        unit.ok_or(ScanStop::Syntax("\\u is followed by four hexadecimal digits"))
    }

    fn number(&mut self) -> Result<&'t str, ScanStop> {
        let begin = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits(),
            _ => return Err(ScanStop::Syntax("a digit was expected")),
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.some_digits()?;
        }
        let exponent = matches!(self.peek(), Some(b'e' | b'E'));
        if exponent {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.some_digits()?;
        }
        let text = &self.text[begin..self.at];
        if (exponent || text.len() > PLAIN_DIGITS) && !is_in_range(text) {
            self.at = begin;
            return Err(ScanStop::NotTaken(format!(
                "is a number beyond the range of 64-bit floats, {}, which programs would read as {}",
                shortened(text),
                if text.parse() == Ok(0.0) { "zero" } else { "infinite" }
            )));
        }
        Ok(text)
    }

    fn digits(&mut self) {
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
    }

    fn some_digits(&mut self) -> Result<(), ScanStop> {
        let begin = self.at;
        self.digits();
        if self.at == begin { Err(ScanStop::Syntax("a digit was expected")) } else { Ok(()) }
    }
}

/// Bytes of `\u1234`.
const UNIT: usize = 6;

/// No number of at most so many characters, written without an exponent, is out of the range of 64-bit floats.
const PLAIN_DIGITS: usize = 300;

/// Whether a 64-bit float reads the number as finite, and as zero only if it is zero.
fn is_in_range(text: &str) -> bool {
    let zero =
        || text.bytes().take_while(|byte| !matches!(byte, b'e' | b'E')).all(|byte| !(b'1'..=b'9').contains(&byte));
    text.parse::<f64>().is_ok_and(|number| number.is_finite() && (number != 0.0 || zero()))
}

fn shortened(text: &str) -> String {
    const MOST: usize = 40;
    if text.len() <= MOST { text.to_owned() } else { format!("{}…", &text[..MOST]) }
}

/// The names in one object. Few are compared one by one, which costs less than hashing them.
#[derive(Default)]
struct MemberNames<'t> {
    few: Vec<Cow<'t, str>>,
    many: HashSet<Cow<'t, str>>,
}

impl<'t> MemberNames<'t> {
    const FEW: usize = 12;

    /// Whether the name was not there before.
    fn insert(&mut self, name: Cow<'t, str>) -> bool {
        if self.few.contains(&name) || self.many.contains(&name) {
            return false;
        }
        if self.few.len() < Self::FEW {
            self.few.push(name);
            true
        } else {
            self.many.insert(name)
        }
    }
}
