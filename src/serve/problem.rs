//! What goes wrong, as RFC 9457 says it: one code that never changes, one sentence, and the request's id. Causes inside
//! are logged, never sent.

use serde_json::{Value, json};

use crate::store::StoreError;

/// An answer that is none.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Problem {
    pub(super) kind: Kind,
    pub(super) detail: String,
    /// Seconds after which it is worth another try.
    pub(super) retry_after_s: Option<u64>,
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $code:literal $status:literal $title:literal,)+) => {
        /// Every code that there is.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub(super) enum Kind {
            $($(#[$doc])* $kind,)+
        }

        impl Kind {
            pub(super) const ALL: &'static [Kind] = &[$(Kind::$kind),+];

            pub(super) fn code(self) -> &'static str {
                match self { $(Kind::$kind => $code),+ }
            }

            pub(super) fn status(self) -> u16 {
                match self { $(Kind::$kind => $status),+ }
            }

            pub(super) fn title(self) -> &'static str {
                match self { $(Kind::$kind => $title),+ }
            }
        }
    };
}

kinds! {
    InvalidRequest = "invalid_request" 400 "The request cannot be understood",
    UnknownParameter = "unknown_parameter" 400 "There is no such parameter",
    InvalidParameter = "invalid_parameter" 400 "A parameter has a value that it cannot have",
    UnknownField = "unknown_field" 400 "There is no such field",
    InvalidCursor = "invalid_cursor" 400 "The cursor is not one of this list",
    InvalidBody = "invalid_body" 400 "The body is not what is expected",
    Unauthenticated = "unauthenticated" 401 "A key is needed",
    InvalidKey = "invalid_key" 401 "The key is not valid",
    Forbidden = "forbidden" 403 "The key does not allow this",
    NotFound = "not_found" 404 "There is nothing here",
    MethodNotAllowed = "method_not_allowed" 405 "This cannot be done here",
    NotAcceptable = "not_acceptable" 406 "There is no such form of this",
    Timeout = "request_timeout" 408 "The request took too long to arrive",
    Conflict = "conflict" 409 "It is not in a state from which this can be done",
    BodyTooLarge = "body_too_large" 413 "The body is too large",
    UnsupportedMediaType = "unsupported_media_type" 415 "The body has to be JSON",
    Ambiguous = "ambiguous" 409 "More than one thing is called so",
    IdempotencyConflict = "idempotency_conflict" 422 "The idempotency key belongs to another request",
    HeadTooLarge = "head_too_large" 431 "The head of the request is too large",
    RateLimited = "rate_limited" 429 "Too many requests",
    TooManyFailures = "too_many_failures" 429 "Too many keys that are not valid",
    Internal = "internal" 500 "Something is wrong here",
    Unavailable = "unavailable" 503 "It cannot be answered now",
}

impl Problem {
    pub(super) fn new(kind: Kind, detail: impl Into<String>) -> Problem {
        Problem { kind, detail: detail.into(), retry_after_s: None }
    }

    pub(super) fn retry_after(self, seconds: u64) -> Problem {
        Problem { retry_after_s: Some(seconds.max(1)), ..self }
    }

    pub(super) fn parameter(name: &str, what: impl std::fmt::Display) -> Problem {
        Problem::new(Kind::InvalidParameter, format!("`{name}` {what}"))
    }

    pub(super) fn not_found(what: impl std::fmt::Display) -> Problem {
        Problem::new(Kind::NotFound, format!("there is no {what}"))
    }

    pub(super) fn document(&self, instance: &str, request_id: &str) -> Value {
        json!({
            "type": format!("urn:amzctl:problem:{}", self.kind.code()),
            "title": self.kind.title(),
            "status": self.kind.status(),
            "code": self.kind.code(),
            "detail": self.detail,
            "instance": instance,
            "request_id": request_id,
        })
    }
}

/// What failed inside: a database that cannot be reached comes back, other causes do not mend themselves.
impl From<anyhow::Error> for Problem {
    fn from(error: anyhow::Error) -> Problem {
        let (outcome, _) = crate::error::classify(&error);
        if outcome == crate::error::Outcome::Transient {
            tracing::warn!("a request could not be answered: {error:#}");
            return Problem::new(Kind::Unavailable, "the database does not answer: try again").retry_after(1);
        }
        tracing::error!("a request failed: {error:#}");
        Problem::new(Kind::Internal, "the cause is in the log, under the request's id")
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Problem {
        anyhow::Error::from(error).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_stands_for_one_thing() {
        let codes: std::collections::BTreeSet<&str> = Kind::ALL.iter().map(|kind| kind.code()).collect();
        assert_eq!(codes.len(), Kind::ALL.len());
    }

    #[test]
    fn causes_inside_are_not_told() {
        let error = anyhow::anyhow!("no such table: secrets").context("failed to read");
        let problem = Problem::from(error);
        assert_eq!(problem.kind, Kind::Internal);
        assert!(!problem.document("/v1/runs", "r").to_string().contains("secrets"));
    }
}
