//! What HTTP/1.1 asks of the head of every request, whatever its path, and hyper leaves to the server.

use axum::http::uri::Authority;
use axum::http::{HeaderMap, Version, header};

use crate::http::problem::{Problem, ProblemCode};

/// Refuses a request that does not name its host once (RFC 9112, 3.2), or whose body is coded in a way that is not decoded here
/// (RFC 9112, 6.1).
pub fn check(version: Version, headers: &HeaderMap) -> Result<(), Problem> {
    host(version, headers)?;
    transfer_coding(headers)
}

fn host(version: Version, headers: &HeaderMap) -> Result<(), Problem> {
    let malformed = |detail: &str| Problem::new(ProblemCode::MalformedRequest, detail).with_error("host", detail);
    let mut hosts = headers.get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) if version < Version::HTTP_11 => Ok(()),
        (None, _) => Err(malformed("The request has no Host header, which HTTP/1.1 requires.")),
        (Some(_), Some(_)) => Err(malformed("The request has more than one Host header.")),
        (Some(host), None) => {
            let text = host.to_str().unwrap_or(" ").trim();
            // What is asked for may have no authority: then the header is there and empty.
            let valid = text.is_empty() || (!text.contains('@') && text.parse::<Authority>().is_ok());
            if valid { Ok(()) } else { Err(malformed("The Host header is not HOST or HOST:PORT.")) }
        }
    }
}

fn transfer_coding(headers: &HeaderMap) -> Result<(), Problem> {
    let lines = headers.get_all(header::TRANSFER_ENCODING).iter().map(|line| line.as_bytes());
    let codings = lines.flat_map(|line| line.split(|&byte| byte == b',')).map(<[u8]>::trim_ascii);
    let codings: Vec<&[u8]> = codings.filter(|coding| !coding.is_empty()).collect();
    match codings.as_slice() {
        [] => Ok(()),
        [only] if only.eq_ignore_ascii_case(b"chunked") => Ok(()),
        all if all.iter().all(|coding| coding.eq_ignore_ascii_case(b"chunked")) => {
            Err(Problem::new(ProblemCode::MalformedRequest, "The body is chunked more than once."))
        }
        _ => Err(Problem::new(
            ProblemCode::TransferCodingNotImplemented,
            "The Transfer-Encoding of the body is not chunked.",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(version: Version, lines: &[(&'static str, &str)]) -> Option<&'static str> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        check(version, &headers).err().map(|problem| problem.code())
    }

    #[test]
    fn a_request_names_its_host_once() {
        for host in ["x", "x:80", "127.0.0.1:8080", "[::1]:8080", "Example.ORG", ""] {
            assert_eq!(code(Version::HTTP_11, &[("host", host)]), None, "{host}");
        }
        for host in ["a b", "a@b", "user:pw@b", "a/b", "a, b", "http://a", "a:b:c", "a?b"] {
            assert_eq!(code(Version::HTTP_11, &[("host", host)]), Some("malformed-request"), "{host}");
        }
        assert_eq!(code(Version::HTTP_11, &[]), Some("malformed-request"));
        assert_eq!(code(Version::HTTP_10, &[]), None);
        for version in [Version::HTTP_10, Version::HTTP_11] {
            assert_eq!(code(version, &[("host", "a"), ("host", "a")]), Some("malformed-request"));
        }
    }

    #[test]
    fn a_body_is_chunked_or_comes_as_it_is() {
        let of = |codings: &[&str]| {
            let lines: Vec<_> = codings.iter().map(|coding| ("transfer-encoding", *coding)).collect();
            code(Version::HTTP_11, &[&[("host", "x")], lines.as_slice()].concat())
        };
        for taken in [&[][..], &["chunked"], &["Chunked"], &[" chunked ,"]] {
            assert_eq!(of(taken), None, "{taken:?}");
        }
        for coded in [&["gzip, chunked"][..], &["gzip", "chunked"], &["identity, chunked"], &["x"], &["chunked, gzip"]]
        {
            assert_eq!(of(coded), Some("transfer-coding-not-implemented"), "{coded:?}");
        }
        assert_eq!(of(&["chunked, chunked"]), Some("malformed-request"));
    }
}
