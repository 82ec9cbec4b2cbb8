//! What goes wrong, and when: a function of (seed, source, operation, key, attempt), never of time, order or chance.
//!
//! The attempts of one key are taken in groups of `max_attempts` + 1. A group draws at most one fault, which hits its
//! first attempts (one, or several for throttling and server errors) and leaves at least the last one alone: a client
//! that tries `max_attempts` + 1 times gets through.

use serde::{Deserialize, Serialize};

use super::call::Source;
use super::random::Random;

/// The probability of each fault, from 0 to 1, per group of attempts of one key.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Faults {
    /// 429, with the hints the provider gives, or none.
    pub(crate) rate_limited: f64,
    /// 500, 502, 503, 504, as JSON or as a page of some proxy; up to `max_attempts` in a row.
    pub(crate) server_error: f64,
    /// Held, then closed without a reply. Nothing happened.
    pub(crate) timeout: f64,
    /// Reset before the reply's first byte. Nothing happened.
    pub(crate) reset: f64,
    /// It happened and was charged; the connection is reset before the reply.
    pub(crate) reply_lost: f64,
    /// Charged; reset in the middle of the body.
    pub(crate) reset_mid_body: f64,
    /// Charged; closed in the middle of the body, short of its Content-Length.
    pub(crate) short_body: f64,
    /// Charged; a body without Content-Length that ends well, but in the middle of the document.
    pub(crate) truncated: f64,
    /// 200 with an HTML page of some proxy. Nothing happened.
    pub(crate) html_page: f64,
    /// The Date header is hours off. The reply is good.
    pub(crate) clock_skew: f64,
    /// Firecrawl: a captcha or an error page instead of the product; charged.
    pub(crate) captcha: f64,
    /// Apify: a run that lacks the items of about half of its URLs.
    pub(crate) half_empty: f64,
    /// Apify: a run that ends FAILED or TIMED-OUT with part of its items.
    pub(crate) run_failed: f64,
    /// Apify: a start that was heard and is answered by a gateway: 502.
    pub(crate) start_unheard: f64,
    /// SP-API: one element of a batch fails (429, 500) inside a 200.
    pub(crate) inner_error: f64,
    /// SP-API: an access token that lapses after three uses.
    pub(crate) token_expires_early: f64,
    /// The share of products that never succeed at one source (each at one, the others are fine): alone they fail with
    /// 500, in a batch their element fails, has no data (Keepa), or is absent (Apify, catalog search).
    pub(crate) never: f64,
    /// The most attempts in a row that a fault spoils.
    pub(crate) max_attempts: u32,
}

/// What happens to one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    RateLimited(Hint),
    ServerError(u16),
    Timeout,
    Reset,
    ReplyLost,
    ResetMidBody,
    ShortBody,
    Truncated,
    HtmlPage,
}

/// What a 429 says about waiting, where the provider leaves it open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hint {
    None,
    Seconds,
    Date,
}

impl Fault {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Fault::RateLimited(_) => "fault:rate_limited",
            Fault::ServerError(_) => "fault:server_error",
            Fault::Timeout => "fault:timeout",
            Fault::Reset => "fault:reset",
            Fault::ReplyLost => "fault:reply_lost",
            Fault::ResetMidBody => "fault:reset_mid_body",
            Fault::ShortBody => "fault:short_body",
            Fault::Truncated => "fault:truncated",
            Fault::HtmlPage => "fault:html_page",
        }
    }
}

/// Which attempt of which key is judged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trial<'a> {
    pub(crate) seed: u64,
    pub(crate) source: Source,
    pub(crate) operation: &'a str,
    pub(crate) key: &'a str,
    /// From 0.
    pub(crate) attempt: u32,
}

impl Trial<'_> {
    /// The draws of this attempt's group, and the attempt's place in it.
    fn group(&self, max_attempts: u32, what: &str) -> (Random, u32) {
        let size = max_attempts + 1;
        let words = [what, self.source.name(), self.operation, self.key];
        (Random::named(self.seed, &words).of(i64::from(self.attempt / size)), self.attempt % size)
    }
}

impl Faults {
    /// The named schedules: `none`, `mild` (a bad day), `rough` (what a client must still survive).
    pub(crate) fn schedule(name: &str) -> Option<Faults> {
        let all = |rate: f64, never: f64, max_attempts: u32| Faults {
            rate_limited: rate * 2.0,
            server_error: rate * 2.0,
            timeout: rate / 2.0,
            reset: rate,
            reply_lost: rate / 2.0,
            reset_mid_body: rate / 2.0,
            short_body: rate / 2.0,
            truncated: rate / 2.0,
            html_page: rate / 2.0,
            clock_skew: rate,
            captcha: rate * 2.0,
            half_empty: rate * 2.0,
            run_failed: rate * 2.0,
            start_unheard: rate,
            inner_error: rate * 2.0,
            token_expires_early: rate * 4.0,
            never,
            max_attempts,
        };
        match name {
            "none" => Some(Faults::default()),
            "mild" => Some(all(0.01, 0.002, 2)),
            "rough" => Some(all(0.05, 0.01, 3)),
            _ => None,
        }
    }

    /// What happens to this attempt; null for a good one.
    pub(crate) fn decide(&self, trial: Trial<'_>) -> Option<Fault> {
        if self.max_attempts == 0 {
            return None;
        }
        let (mut random, place) = trial.group(self.max_attempts, "fault");
        let mut at = random.unit();
        let hint = *random.pick(&[Hint::None, Hint::Seconds, Hint::Date]);
        let status = *random.pick(&[500, 502, 503, 504]);
        let long = 1 + random.below(u64::from(self.max_attempts)) as u32;
        let kinds = [
            (self.rate_limited, Fault::RateLimited(hint), long.min(2)),
            (self.server_error, Fault::ServerError(status), long),
            (self.timeout, Fault::Timeout, 1),
            (self.reset, Fault::Reset, long),
            (self.reply_lost, Fault::ReplyLost, 1),
            (self.reset_mid_body, Fault::ResetMidBody, 1),
            (self.short_body, Fault::ShortBody, 1),
            (self.truncated, Fault::Truncated, 1),
            (self.html_page, Fault::HtmlPage, 1),
        ];
        for (rate, fault, length) in kinds {
            if at < rate {
                return (place < length).then_some(fault);
            }
            at -= rate;
        }
        None
    }

    /// A fault that is not of the connection (`captcha`, `inner_error`, `half_empty`, …), under the same rule.
    pub(crate) fn strikes(&self, rate: f64, what: &str, trial: Trial<'_>) -> Option<Random> {
        if self.max_attempts == 0 {
            return None;
        }
        let (mut random, place) = trial.group(self.max_attempts, what);
        (place == 0 && random.chance(rate)).then_some(random)
    }

    /// How far the Date header of this attempt is off, in seconds.
    pub(crate) fn skew(&self, trial: Trial<'_>) -> i64 {
        self.strikes(self.clock_skew, "skew", trial)
            .map_or(0, |mut random| random.between(-6, 6) * 3_600 + 17)
    }

    /// The source at which this product never succeeds.
    pub(crate) fn never_at(&self, seed: u64, marketplace: &str, asin: &str) -> Option<Source> {
        let mut random = Random::named(seed, &["never", marketplace, asin]);
        random.chance(self.never).then(|| *random.pick(&Source::ALL))
    }
}
