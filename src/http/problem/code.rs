//! Every problem that does not come from a rule of a room: what may be wrong with a request, a token, a cursor, or the
//! server. A code never changes its meaning. What a rule refuses is in `commands::refusal`; both are told to a client as
//! one kind of answer, a [`super::Problem`].

/// One row of the table: all that is said about a problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct About {
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

            pub const fn about(self) -> About {
                match self {
                    $(ProblemCode::$name => About {
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
    InvalidParameters "invalid-parameters" 400 "A parameter is at fault",
        "A part of the path, of the query or a header has a form that it cannot have. `errors` names each.",
        "Correct the parameters that `errors` names.";
    InvalidJson "invalid-json" 400 "The body is not JSON",
        "The body is not one JSON text (RFC 8259) in UTF-8: a syntax error, or half a surrogate pair in a string. `detail` has \
         line and column, `errors` the field where it lies in one.",
        "Serialise the body with a JSON library and send it as UTF-8.";
    InvalidFields "invalid-fields" 422 "Fields of the body are at fault",
        "The body is JSON, but fields of it are missing, unknown, given twice, of another type, out of their bounds, nested too \
         deeply, hold a NUL, or a number that programs would read as infinite or as zero. `errors` names each with its fault.",
        "Correct the fields that `errors` names. The schema of each command is in `/openapi.json`.";
    TransferCodingNotImplemented "transfer-coding-not-implemented" 501 "The body is coded in a way that is not decoded here",
        "The `Transfer-Encoding` of the request names another coding than `chunked`, such as `gzip`. The body was not read.",
        "Send the body as it is, with its length or chunked.";
    NotAcceptable "not-acceptable" 406 "None of the wanted forms is served",
        "The `Accept` header names no form in which the route answers.",
        "Leave out `Accept`, or name one of the forms that `detail` lists.";
    UnsupportedMediaType "unsupported-media-type" 415 "This content type is not taken",
        "The `Content-Type` of the body is not one that this route reads, or the body came with a `Content-Encoding`.",
        "Send `Content-Type: application/json`, or `application/x-ndjson` where a route takes a list, and the body unpacked.";
    UnknownCommand "unknown-command" 404 "No command has this name",
        "The last part of the path is not the name of a command.",
        "Names are kebab-case, such as `raise-hand`. `/openapi.json` lists them all.";
    NoSuchVersion "no-such-version" 404 "The room never had this version",
        "The room is there, but has not come to the version that `version` names, or was created after the time that `at` names. \
         `room_version` is the present one.",
        "Ask for a version from 1 to `room_version`, or for a later time.";
    UnknownRoute "unknown-route" 404 "Nothing is served at this path",
        "The path is not one of this server's.",
        "Look for the path in `/openapi.json`; mind the `/v1` in front and that no `/` ends it.";
    MethodNotAllowed "method-not-allowed" 405 "The path does not take this method",
        "The path is served, but not with this method. The `Allow` header lists those that are.",
        "Use one of the methods in `Allow`.";
    PayloadTooLarge "payload-too-large" 413 "The body is too large",
        "The body has more bytes than the server takes in one request (setting `CONVOKE_HTTP_BODY_LIMIT`).",
        "Send less in one request: split long lists of commands.";
    UriTooLong "uri-too-long" 414 "The path and query are too long",
        "The request line is longer than the server reads.",
        "Shorten the query; use a cursor instead of long filters.";
    HeadersTooLarge "headers-too-large" 431 "The headers are too large",
        "The head of the request has more bytes or more lines than the server reads (setting `CONVOKE_HTTP_HEADER_LIMIT`).",
        "Send fewer or shorter headers: often it is cookies that a browser adds, or a token with too many claims.";
    RequestTimeout "request-timeout" 408 "The request did not arrive in time",
        "The head or the body of the request came too slowly, and the connection was given up. Nothing was done.",
        "Send the request again. If it happens often, look at the network between, or send smaller bodies.";
    Unauthenticated "unauthenticated" 401 "A token is needed",
        "The request has no `Authorization: Bearer` token, or another scheme.",
        "Send `Authorization: Bearer TOKEN`. `convoke token create` makes one.";
    TokenExpired "token-expired" 401 "The token has expired",
        "The token was good, but its `exp` has passed, or its `nbf` is still to come.",
        "Get a new token. If it is new, compare the clocks of the two machines.";
    TokenInvalid "token-invalid" 401 "The token is not valid",
        "The token is not a JWT that a known key has signed for this use: its form, its signature, its algorithm, its \
         audience or a claim is at fault, or its key was revoked.",
        "Sign with a key that the server knows, name it in `kid`, and give `tenant`, `exp` and the grants.";
    Forbidden "forbidden" 403 "The token does not grant this",
        "The token is valid, but its grants do not cover this call.",
        "Use a token with the grant that `detail` names.";
    VersionMismatch "version-mismatch" 412 "The room has another version",
        "`If-Match` asked for a room version which is not the room's present one: somebody else was there first. \
         Nothing was done. `room_version` is the present one.",
        "Read the room again, decide again, and send the command with the new `ETag`.";
    IdempotencyKeyMalformed "idempotency-key-malformed" 400 "The idempotency key is malformed",
        "`Idempotency-Key` has to be 1 to 255 visible ASCII characters, or those and spaces in double quotes.",
        "Use a fresh UUID for each thing that you want done once.";
    IdempotencyKeyReused "idempotency-key-reused" 422 "The idempotency key was used for something else",
        "The same key came before with another command or another body. What was done then stands; this request did nothing.",
        "Use a fresh key for a new command; repeat a command under its old key with the same body only.";
    ConflictRetriesExhausted "conflict-retries-exhausted" 503 retry 1 "Too many wrote to this room at once",
        "Other servers kept writing to the same room, and the bounded number of new attempts is used up. Nothing was done.",
        "Repeat the request after `Retry-After`, with the same idempotency key.";
    CursorMalformed "cursor-malformed" 400 "The cursor is malformed",
        "The cursor is not one that this server gave out: its form is another, it is of another list, or it lies beyond the end.",
        "Use a cursor as it was given, or leave it out to begin at the start.";
    CursorOfAnotherEpoch "cursor-of-another-epoch" 410 "The cursor is of another epoch",
        "The log was restored or renewed since this cursor was given: what it points to may not be what you saw.",
        "Drop what you derived from the old epoch, and begin again without a cursor.";
    PositionNotReached "position-not-reached" 503 retry 1 "The read model is not there yet",
        "`at_least` asked for a position which the read model did not reach within the bounded wait.",
        "Repeat after `Retry-After`; without `at_least` you get what is there now.";
    TooBusy "too-busy" 503 retry 1 "The server is too busy",
        "A queue with a bound is full, or the answer took longer than the server waits. A command may or may not have \
         been taken.",
        "Repeat after `Retry-After`, with the same idempotency key, so that nothing is done twice.";
    TooManyConnections "too-many-connections" 503 retry 1 "The server has too many connections",
        "The bound on open connections is reached (setting `CONVOKE_HTTP_MAX_CONNECTIONS`).",
        "Repeat after `Retry-After`; keep fewer connections open and use them again.";
    TooManyStreams "too-many-streams" 503 retry 5 "The server has too many open streams",
        "The bound on live streams is reached (setting `CONVOKE_STREAMS_LIMIT`).",
        "Come back with your cursor after `Retry-After`, to this or another server.";
    LogUnavailable "log-unavailable" 503 retry 2 "The log cannot be reached",
        "PostgreSQL does not answer, or cannot write (a full disk, a failover). A command may or may not have been \
         taken. The server recovers by itself when the database does.",
        "Repeat after `Retry-After`, with the same idempotency key, so that nothing is done twice.";
    ArchiveUnavailable "archive-unavailable" 503 retry 30 "A part of the log cannot be read from its archive",
        "What was asked for happened so long ago that it has left the database, and the archive file that holds it is missing, \
         damaged or out of reach; `detail` names the file. Everything newer is answered, and commands are taken.",
        "Tell the operator the name of the file. Repeat when the file is back.";
    Stopping "stopping" 503 retry 1 "The server is stopping",
        "The server takes no new work: it is being stopped or replaced. Nothing was done.",
        "Repeat after `Retry-After`: another server, or the new one, answers.";
    Internal "internal" 500 "The server failed",
        "A fault of the server, which its log tells more about under the id in `instance`. A command may or may not have \
         been taken.",
        "Repeat with the same idempotency key. If it stays, report `instance` to whoever runs the server.";
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
