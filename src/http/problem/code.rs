//! Every problem that does not come from a rule of a room: what may be wrong with a request, a token, a cursor, or the
//! server. A code never changes its meaning. What a rule refuses is in `commands::refusal`; both are told to a client as
//! one kind of answer, a [`super::Problem`].

/// One row of the table: all that is said about a problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProblemInfo {
    pub code: &'static str,
    /// HTTP status.
    pub status: u16,
    pub title: &'static str,
    /// What happened.
    pub meaning: &'static str,
    /// What to do.
    pub remedy: &'static str,
    /// Seconds in `Retry-After`; `None` where repeating the same request does not help.
    pub retry_after_s: Option<u32>,
}

macro_rules! problem_codes {
    ($($name:ident $code:literal $status:literal $(retry $retry:literal)? $title:literal, $meaning:literal, $remedy:literal;)*) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum ProblemCode {
            $($name,)*
        }

        impl ProblemCode {
            pub const ALL: &[ProblemCode] = &[$(ProblemCode::$name,)*];

            pub const fn about(self) -> ProblemInfo {
                match self {
                    $(ProblemCode::$name => ProblemInfo {
                        code: $code,
                        status: $status,
                        title: $title,
                        meaning: $meaning,
                        remedy: $remedy,
                        retry_after_s: problem_codes!(@retry $($retry)?),
                    },)*
                }
            }
        }
    };
    (@retry) => { None };
    (@retry $seconds:literal) => { Some($seconds) };
}

impl ProblemCode {
    pub const fn as_str(self) -> &'static str {
        self.about().code
    }

    pub const fn status(self) -> u16 {
        self.about().status
    }
}

problem_codes! {
    MalformedRequest "malformed-request" 400 "The request is not HTTP/1.1",
        "The request line, a header or the path could not be read, or `Host` is missing, given twice or malformed. Nothing was \
         done.",
        "Send HTTP/1.1 with a `Host` header and percent-encoded paths. Behind a proxy, look at what it forwards.";
    InvalidParameters "invalid-parameters" 400 "A parameter is invalid",
        "A path segment, a query parameter or a header is malformed. `errors` names each.",
        "Correct the parameters that `errors` names.";
    InvalidJson "invalid-json" 400 "The body is not JSON",
        "The body is not one JSON text (RFC 8259) in UTF-8: a syntax error, or half a surrogate pair in a string. `detail` has \
         line and column, `errors` the field where it lies in one.",
        "Serialise the body with a JSON library and send it as UTF-8.";
    InvalidFields "invalid-fields" 422 "Fields of the body are invalid",
        "The body is JSON, but fields of it are missing, unknown, given twice, of another type, out of their bounds, nested too \
         deeply, hold a NUL, or a number that programs would read as infinite or as zero. `errors` names each with its fault.",
        "Correct the fields that `errors` names. The schema of each command is in `/openapi.json`.";
    TransferCodingNotImplemented "transfer-coding-not-implemented" 501 "The transfer coding is not supported",
        "The `Transfer-Encoding` of the request names another coding than `chunked`, such as `gzip`. The body was not read.",
        "Send the body as it is, with its length or chunked.";
    NotAcceptable "not-acceptable" 406 "None of the accepted media types is available",
        "The `Accept` header names no media type that the route produces.",
        "Omit `Accept`, or name one of the media types that `detail` lists.";
    UnsupportedMediaType "unsupported-media-type" 415 "The content type is not supported",
        "The route does not read the `Content-Type` of the body, or the body has a `Content-Encoding`.",
        "Send `Content-Type: application/json`, or `application/x-ndjson` where a route takes a list. Do not compress the body.";
    UnknownCommand "unknown-command" 404 "No command has this name",
        "The last part of the path is not the name of a command.",
        "Names are kebab-case, such as `raise-hand`. `/openapi.json` lists them all.";
    NoSuchVersion "no-such-version" 404 "The room never had this version",
        "The room exists, but has not reached the version in `version`, or was created after the time in `at`. \
         `room_version` is the current version.",
        "Ask for a version from 1 to `room_version`, or for a later time.";
    UnknownRoute "unknown-route" 404 "Nothing is served at this path",
        "The server has no route at this path.",
        "Look up the path in `/openapi.json`. API paths begin with `/v1`, and no path ends with `/`.";
    MethodNotAllowed "method-not-allowed" 405 "The path does not support this method",
        "The path exists, but not with this method. The `Allow` header lists the supported methods.",
        "Use one of the methods in `Allow`.";
    PayloadTooLarge "payload-too-large" 413 "The body is too large",
        "The body has more bytes than the server accepts in one request (setting `CONVOKE_HTTP_BODY_LIMIT`).",
        "Send less in one request: split long lists of commands.";
    UriTooLong "uri-too-long" 414 "The path and query are too long",
        "The request line is longer than the server accepts.",
        "Shorten the query; use a cursor instead of long filters.";
    HeadersTooLarge "headers-too-large" 431 "The headers are too large",
        "The head of the request has more bytes or more lines than the server accepts (setting `CONVOKE_HTTP_HEADER_LIMIT`).",
        "Send fewer or shorter headers. Common causes are cookies that a browser adds, and a token with too many claims.";
    RequestTimeout "request-timeout" 408 "The request did not arrive in time",
        "The head or the body of the request arrived too slowly, and the server closed the connection. Nothing was done.",
        "Send the request again. If this happens often, check the network path, or send smaller bodies.";
    Unauthenticated "unauthenticated" 401 "A token is needed",
        "The request has no `Authorization: Bearer` token, or another scheme.",
        "Send `Authorization: Bearer TOKEN`. `convoke token create` makes one.";
    TokenExpired "token-expired" 401 "The token has expired",
        "The token's `exp` has passed, or its `nbf` is in the future.",
        "Get a new token. If the token is new, compare the clocks of the two machines.";
    TokenInvalid "token-invalid" 401 "The token is not valid",
        "The token is not a JWT that a known key has signed for this use: its form, its signature, its algorithm, its \
         audience or a claim is at fault, or its key was revoked.",
        "Sign with a key that the server knows, name it in `kid`, and give `tenant`, `exp` and the grants.";
    Forbidden "forbidden" 403 "The token does not grant this",
        "The token is valid, but its grants do not cover this call.",
        "Use a token with the grant that `detail` names.";
    VersionMismatch "version-mismatch" 412 "The room has another version",
        "`If-Match` names a room version that is not the current one: another command changed the room first. \
         Nothing was done. `room_version` is the current version.",
        "Read the room again, decide again, and send the command with the new `ETag`.";
    IdempotencyKeyMalformed "idempotency-key-malformed" 400 "The idempotency key is malformed",
        "`Idempotency-Key` has to be 1 to 255 visible ASCII characters, or those and spaces in double quotes.",
        "Use a fresh UUID for each command that has to take effect once.";
    IdempotencyKeyReused "idempotency-key-reused" 422 "The idempotency key was used for something else",
        "An earlier request used the same key with another command or another body. Its result stands; this request did nothing.",
        "Use a fresh key for a new command; repeat a command under its old key with the same body only.";
    ConflictRetriesExhausted "conflict-retries-exhausted" 503 retry 1 "Too many concurrent writes to this room",
        "Other servers kept writing to the same room, and all retries are used up. Nothing was done.",
        "Repeat the request after `Retry-After`, with the same idempotency key.";
    CursorMalformed "cursor-malformed" 400 "The cursor is malformed",
        "The server did not issue this cursor: it is malformed, belongs to another list, or lies beyond the end.",
        "Use a cursor exactly as the server returned it, or omit it to begin at the start.";
    CursorOfAnotherEpoch "cursor-of-another-epoch" 410 "The cursor belongs to another epoch",
        "The log was restored or replaced after this cursor was issued: its events may differ from those that you saw.",
        "Discard the state derived from the old epoch, and begin again without a cursor.";
    PositionNotReached "position-not-reached" 503 retry 1 "The read model has not reached this position",
        "The read model did not reach the position in `at_least` within the bounded wait.",
        "Repeat after `Retry-After`. Without `at_least` the server returns the current state.";
    TooBusy "too-busy" 503 retry 1 "The server is too busy",
        "A bounded queue is full, or the response took longer than its time limit. A command may or may not have \
         taken effect.",
        "Repeat after `Retry-After`, with the same idempotency key, so that no command takes effect twice.";
    TooManyConnections "too-many-connections" 503 retry 1 "The server has too many connections",
        "The limit on open connections is reached (setting `CONVOKE_HTTP_MAX_CONNECTIONS`).",
        "Repeat after `Retry-After`. Keep fewer connections open, and reuse them.";
    TooManyStreams "too-many-streams" 503 retry 5 "The server has too many open streams",
        "The limit on live streams is reached (setting `CONVOKE_STREAMS_LIMIT`).",
        "Reconnect with your cursor after `Retry-After`, to this or another server.";
    LogUnavailable "log-unavailable" 503 retry 2 "The log cannot be reached",
        "PostgreSQL does not answer, or cannot write (a full disk, a failover). A command may or may not have been \
         taken effect. The server recovers by itself when the database does.",
        "Repeat after `Retry-After`, with the same idempotency key, so that no command takes effect twice.";
    ArchiveUnavailable "archive-unavailable" 503 retry 30 "An archive of the log cannot be read",
        "The requested events are old enough to be in an archive, and the archive file that holds them is missing, \
         damaged or unreachable; `detail` names the file. Newer events can be read, and commands work.",
        "Report the name of the file to the operator. Repeat when the file is restored.";
    Stopping "stopping" 503 retry 1 "The server is stopping",
        "The server accepts no new work: it is being stopped or replaced. Nothing was done.",
        "Repeat after `Retry-After`. Another server, or the new one, answers.";
    Internal "internal" 500 "The server failed",
        "The server has a fault. Its log has the details under the id in `instance`. A command may or may not have \
         taken effect.",
        "Repeat with the same idempotency key. If the problem persists, report `instance` to the operator.";
}

#[cfg(test)]
mod tests {
    use super::ProblemCode;

    #[test]
    fn whoever_is_told_to_come_back_is_told_when() {
        for code in ProblemCode::ALL {
            assert_eq!(code.status() == 503, code.about().retry_after_s.is_some(), "{}", code.as_str());
        }
    }
}
