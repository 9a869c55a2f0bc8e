//! The query of a request, read name by name. A name that a route does not know is refused rather than overlooked: a
//! misspelt filter would answer everything.

use std::str::FromStr;

use axum::http::Uri;

use crate::http::problem::Problem;

/// The parameters of one request. Take each that the route knows, then [`QueryParameters::finish`].
#[derive(Debug)]
pub struct QueryParameters {
    pairs: Vec<(String, String)>,
    known: Vec<&'static str>,
}

impl QueryParameters {
    pub fn read(uri: &Uri) -> Result<Self, Problem> {
        let text = uri.query().unwrap_or_default();
        let pairs: Vec<(String, String)> = form_urlencoded::parse(text.as_bytes()).into_owned().collect();
        for (name, value) in &pairs {
            // U+FFFD stands for what was not UTF-8. PostgreSQL's text has no U+0000.
            if [name, value].iter().any(|text| text.contains(['\u{fffd}', '\0'])) {
                let name = name.replace(['\u{fffd}', '\0'], "?");
                return Err(Problem::parameter(&name, "has to be percent-encoded UTF-8 without U+0000"));
            }
        }
        Ok(Self { pairs, known: Vec::new() })
    }

    /// The value of a parameter that may be given once.
    pub fn take(&mut self, name: &'static str) -> Result<Option<String>, Problem> {
        let mut values = self.take_all(name);
        match values.len() {
            0 | 1 => Ok(values.pop()),
            _ => Err(Problem::parameter(name, "is given more than once")),
        }
    }

    /// The values of a parameter that may be given several times.
    pub fn take_all(&mut self, name: &'static str) -> Vec<String> {
        self.known.push(name);
        self.pairs.extract_if(.., |(given, _)| given == name).map(|(_, value)| value).collect()
    }

    /// A value that reads as `T`, whose error says what is wrong with it.
    pub fn parsed<T: FromStr<Err: std::fmt::Display>>(&mut self, name: &'static str) -> Result<Option<T>, Problem> {
        let Some(text) = self.take(name)? else { return Ok(None) };
        // Times of a zone east of Greenwich are often pasted as they are.
        let hint = if text.contains(' ') { "; in a query a + is written %2B" } else { "" };
        text.parse().map(Some).map_err(|error| Problem::parameter(name, format!("{error}{hint}")))
    }

    /// A whole number, in digits.
    pub fn number(&mut self, name: &'static str) -> Result<Option<u64>, Problem> {
        let Some(text) = self.take(name)? else { return Ok(None) };
        let digits = text.bytes().all(|b| b.is_ascii_digit());
        let number = digits.then(|| text.parse().ok()).flatten();
        number.map(Some).ok_or_else(|| Problem::parameter(name, "is a whole number such as 12"))
    }

    /// `limit`: how many, at most; refused outside of 1 to `most`.
    pub fn limit(&mut self, usual: usize, most: usize) -> Result<usize, Problem> {
        let Some(text) = self.take("limit")? else { return Ok(usual) };
        let number = text.parse().ok().filter(|number| (1..=most).contains(number));
        number.ok_or_else(|| Problem::parameter("limit", format!("is a number from 1 to {most}")))
    }

    /// Refuses what nobody took.
    pub fn finish(self) -> Result<(), Problem> {
        let Some((name, _)) = self.pairs.first() else { return Ok(()) };
        let fault = match self.known.len() {
            0 => "is unknown: this route takes no parameters".to_owned(),
            _ => format!("is unknown; this route takes {}", self.known.join(", ")),
        };
        Err(Problem::parameter(name, fault))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::time::Timestamp;

    fn query(text: &str) -> Result<QueryParameters, Problem> {
        QueryParameters::read(&text.parse().expect(text))
    }

    #[test]
    fn parameters_are_decoded_and_taken_by_name() {
        let mut query = query("/v1/rooms?name=a%20b&label=x%3A1&label=y+2&limit=7").unwrap();
        assert_eq!(query.take("name").unwrap().as_deref(), Some("a b"));
        assert_eq!(query.take_all("label"), ["x:1", "y 2"]);
        assert_eq!(query.limit(100, 1000).unwrap(), 7);
        query.finish().unwrap();
    }

    #[test]
    fn what_a_route_does_not_know_is_refused_by_name() {
        let mut query = query("/?limti=7").unwrap();
        query.limit(100, 1000).unwrap();
        let problem = query.finish().unwrap_err();
        assert_eq!(problem.detail(), "limti: is unknown; this route takes limit");
        assert!(self::query("/?a").unwrap().finish().is_err());
    }

    #[test]
    fn a_parameter_is_given_once_and_in_bounds() {
        for text in ["/?limit=0", "/?limit=1001", "/?limit=x", "/?limit=", "/?limit=1&limit=2", "/?limit=-1"] {
            assert!(query(text).unwrap().limit(100, 1000).is_err(), "{text}");
        }
        assert_eq!(query("/").unwrap().limit(100, 1000).unwrap(), 100);
        assert_eq!(query("/?version=12").unwrap().number("version").unwrap(), Some(12));
        for text in ["/?version=x", "/?version=", "/?version=-1", "/?version=%2B1", "/?version=99999999999999999999"] {
            let problem = query(text).unwrap().number("version").unwrap_err();
            assert_eq!(problem.detail(), "version: is a whole number such as 12", "{text}");
        }
        let problem = query("/?at=2026-11-25T10:00:00+01:00").unwrap().parsed::<Timestamp>("at").unwrap_err();
        assert!(problem.detail().ends_with("in a query a + is written %2B"), "{}", problem.detail());
    }

    #[test]
    fn text_that_cannot_be_stored_is_refused() {
        for text in ["/?name=a%00b", "/?name=%ff", "/?%00=1"] {
            assert!(query(text).is_err(), "{text}");
        }
    }
}
