//! Parses the URL of a PostgreSQL, in the forms that libpq accepts (PostgreSQL's manual, "Connection URIs").
//!
//! The driver's parser accepts fewer forms: for example, it requires a host if there is a user. So this module parses URLs, and
//! passes every part to the driver as a parameter. It reports parameters without effect. An error never contains a part of the
//! URL that could belong to a password.

use std::fmt;
use std::net::IpAddr;

use sqlx::postgres::PgConnectOptions;

const SCHEMES: &[&str] = &["postgres://", "postgresql://"];
const SSL_MODES: &[&str] = &["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];

/// Parameters that the driver makes use of, besides those that are looked at here.
const USED: &[&str] = &[
    "user",
    "password",
    "dbname",
    "application_name",
    "options",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "ssl-root-cert",
    "ssl-ca",
    "ssl-cert",
    "ssl-key",
];

const ANY_FORM: &str =
    "write postgres://USER:PASSWORD@HOST:PORT/DATABASE (percent-encode what is special in a password)";
const ONE_HOST: &str = "name the primary alone; replicas to read from go into DATABASE_READ_URLS";

/// Holds a password, so it shows only when asked to.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl(String);

impl DatabaseUrl {
    /// In the form that the driver takes.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DatabaseUrl(secret)")
    }
}

/// Why it is none, and what to do about it.
#[derive(Debug, PartialEq, Eq)]
pub struct BadUrl {
    pub problem: String,
    pub remedy: &'static str,
}

fn bad(problem: impl Into<String>, remedy: &'static str) -> BadUrl {
    BadUrl { problem: problem.into(), remedy }
}

/// The URL, and the names of parameters that have no effect.
pub fn read(text: &str) -> Result<(DatabaseUrl, Vec<String>), BadUrl> {
    let text = text.trim();
    let Some(rest) = SCHEMES.iter().find_map(|scheme| text.strip_prefix(scheme)) else {
        return Err(bad("it is not the URL of a PostgreSQL database", ANY_FORM));
    };
    let (before, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, database) = before.split_once('/').unwrap_or((before, ""));
    let mut parts = UrlParts::default();
    parts.authority(authority)?;
    parts.add("dbname", decoded(database)?);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let Some((name, value)) = pair.split_once('=') else {
            return Err(bad("a parameter of the URL has no value", "write parameters as ?name=value&name=value"));
        };
        parts.parameter(&decoded(name)?, decoded(value)?)?;
    }
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(&parts.pairs).finish();
    let url = format!("postgres:///?{query}");
    // The driver's own words may repeat the password.
    url.parse::<PgConnectOptions>().map_err(|_| bad("it is not the URL of a PostgreSQL database", ANY_FORM))?;
    Ok((DatabaseUrl(url), parts.without_effect))
}

#[derive(Default)]
struct UrlParts {
    /// In the order in which they stand; of two of one name the later one holds.
    pairs: Vec<(&'static str, String)>,
    without_effect: Vec<String>,
}

impl UrlParts {
    fn add(&mut self, name: &'static str, value: String) {
        // Left empty, it is what it would be by default.
        if !value.is_empty() {
            self.pairs.push((name, value));
        }
    }

    /// `USER:PASSWORD@HOST:PORT`, all of it optional.
    fn authority(&mut self, text: &str) -> Result<(), BadUrl> {
        let (credentials, place) = text.rsplit_once('@').unwrap_or(("", text));
        let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
        self.add("user", decoded(user)?);
        self.add("password", decoded(password)?);
        let (host, port) = match place.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, rest)) => (host, rest.strip_prefix(':').unwrap_or(rest)),
            None => place.rsplit_once(':').unwrap_or((place, "")),
        };
        // With several, each may have a port.
        if place.contains(',') {
            return Err(bad("it names several hosts", ONE_HOST));
        }
        self.parameter("host", decoded(host)?)?;
        self.parameter("port", decoded(port)?)
    }

    fn parameter(&mut self, name: &str, value: String) -> Result<(), BadUrl> {
        match name {
            "host" | "hostaddr" | "port" if value.contains(',') => return Err(bad("it names several hosts", ONE_HOST)),
            "host" => self.add("host", value),
            "hostaddr" => {
                if value.parse::<IpAddr>().is_err() {
                    return Err(bad("its hostaddr is not an IP address", "write the host's name or address as host"));
                }
                self.add("hostaddr", value);
            }
            "port" => {
                if !value.is_empty() && value.parse::<u16>().unwrap_or(0) == 0 {
                    return Err(bad("its port is not a number from 1 to 65535", ANY_FORM));
                }
                self.add("port", value);
            }
            "sslmode" | "ssl-mode" => {
                let mode = value.to_ascii_lowercase();
                if !SSL_MODES.contains(&mode.as_str()) {
                    let problem = format!("its sslmode {value:?} is not one of {}", SSL_MODES.join(", "));
                    return Err(bad(problem, "choose one of them, or leave it out for prefer"));
                }
                self.add("sslmode", mode);
            }
            // As JDBC writes it, and libpq takes it.
            "ssl" if value == "true" => self.add("sslmode", "require".into()),
            "statement-cache-capacity" => {
                if value.parse::<usize>().is_err() {
                    return Err(bad("its statement-cache-capacity is not a number", "leave it out"));
                }
                self.add("statement-cache-capacity", value);
            }
            other => match USED.iter().find(|used| **used == other) {
                Some(used) => self.add(used, value),
                None => self.without_effect.push(other.to_owned()),
            },
        }
        Ok(())
    }
}

/// Percent-encoding undone. A plus is a plus here, as for libpq.
fn decoded(text: &str) -> Result<String, BadUrl> {
    let wrong =
        || bad("a percent sign in it does not begin two hexadecimal digits of UTF-8", "write a percent sign as %25");
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, more)) = rest.split_first() {
        if *first != b'%' {
            bytes.push(*first);
            rest = more;
            continue;
        }
        let digits = more.get(..2).and_then(|digits| std::str::from_utf8(digits).ok()).ok_or_else(wrong)?;
        let byte = u8::from_str_radix(digits, 16).ok().filter(|byte| *byte != 0 && !digits.starts_with('+'));
        bytes.push(byte.ok_or_else(wrong)?);
        rest = &more[2..];
    }
    String::from_utf8(bytes).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use sqlx::ConnectOptions as _;

    use super::*;

    fn options(text: &str) -> PgConnectOptions {
        let (url, _) = read(text).unwrap_or_else(|bad| panic!("{text}: {bad:?}"));
        url.reveal().parse().unwrap()
    }

    fn problem(text: &str) -> String {
        read(text).map(|_| ()).expect_err(text).problem
    }

    /// The examples of PostgreSQL's manual, and what is written in the field.
    #[test]
    fn the_forms_that_libpq_takes_are_taken() {
        let tcp = |text: &str| {
            let options = options(text);
            assert_eq!(options.get_socket(), None, "{text}");
            (options.get_host().to_owned(), options.get_port(), options.get_database().map(str::to_owned))
        };
        let there = |host: &str, port, database: Option<&str>| (host.to_owned(), port, database.map(str::to_owned));
        assert_eq!(tcp("postgresql://localhost"), there("localhost", 5432, None));
        assert_eq!(tcp("postgresql://localhost:5433"), there("localhost", 5433, None));
        assert_eq!(tcp("postgresql://localhost:/mydb"), there("localhost", 5432, Some("mydb")));
        assert_eq!(tcp("postgresql://localhost/mydb"), there("localhost", 5432, Some("mydb")));
        assert_eq!(tcp("postgresql://other@localhost/db?application_name=myapp"), there("localhost", 5432, Some("db")));
        assert_eq!(tcp("postgresql:///mydb?host=localhost&port=5433"), there("localhost", 5433, Some("mydb")));
        assert_eq!(tcp("postgresql://[2001:db8::1234]/db"), there("2001:db8::1234", 5432, Some("db")));
        assert_eq!(tcp("postgresql://u:p@[::1]:5433/db"), there("::1", 5433, Some("db")));
        assert_eq!(tcp("postgres://u@host?dbname=db"), there("host", 5432, Some("db")));
        assert_eq!(tcp("postgres://u:p@/db?host=localhost"), there("localhost", 5432, Some("db")));
        assert_eq!(tcp("postgres://u@h1/a?host=h2&dbname=b"), there("h2", 5432, Some("b")));
        for text in [
            "postgresql://u:p@%2Fvar%2Flib/db",
            "postgres://u:p@/db?host=/var/lib",
            "postgres:///db?host=/var/lib&user=u&password=p",
            "postgres://u:p@localhost/db?host=/var/lib",
        ] {
            let options = options(text);
            assert_eq!(
                options.get_socket().map(|socket| socket.display().to_string()).as_deref(),
                Some("/var/lib"),
                "{text}"
            );
            assert_eq!((options.get_username(), options.get_database()), ("u", Some("db")), "{text}");
        }
    }

    #[test]
    fn what_is_special_in_a_password_comes_through() {
        for (text, password) in [
            ("postgres://u:p%40ss%2Fw%25rd@h/db", "p@ss/w%rd"),
            ("postgres://u@n:p@ss@h/db", "p@ss"),
            ("postgres://u:a+b#c@h/db", "a+b#c"),
            ("postgres://h/db?password=a+b%26c", "a+b&c"),
        ] {
            let url = options(text).to_url_lossy();
            let found = url.password().unwrap_or_default();
            assert_eq!(decoded(found).unwrap(), password, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_named_and_no_password_with_it() {
        for (text, named) in [
            ("mysql://u:hunter2@h/db", "PostgreSQL"),
            ("postgres://u:hunter2@h/db?sslmode=full", "sslmode \"full\" is not one of disable, allow"),
            ("postgres://u:hunter2@h:0/db", "port"),
            ("postgres://u:hunter2/x@h/db", "port"),
            ("postgres://u:hunter2@a,b/db", "several hosts"),
            ("postgres://u:hunter2@a:1,b:2/db", "several hosts"),
            ("postgres://u:hunter2@/db?host=a,b", "several hosts"),
            ("postgres://u:hunter2@h/db?hostaddr=h", "hostaddr"),
            ("postgres://u:hunter2@h/db?sslmode", "no value"),
            ("postgres://u:hunter2%@h/db", "percent"),
            ("postgres://u:hunter2%zz@h/db", "percent"),
            ("postgres://u:hunter2%ff@h/db", "percent"),
        ] {
            let told = problem(text);
            assert!(told.contains(named) && !told.contains("hunter2"), "{text}: {told}");
        }
    }

    #[test]
    fn parameters_without_effect_are_told() {
        let (url, without_effect) =
            read("postgres://h/db?connect_timeout=10&ssl=true&channel_binding=require&sslmode=Verify-Full").unwrap();
        assert_eq!(without_effect, ["connect_timeout", "channel_binding"]);
        assert!(url.reveal().ends_with("sslmode=require&sslmode=verify-full"), "{}", url.reveal());
    }
}
