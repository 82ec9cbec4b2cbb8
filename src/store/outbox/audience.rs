//! Who hears of which event: judged when the event is written, in the transaction that makes the news.

use crate::model::Workspace;
use crate::rollup::rules::Severity;
use crate::store::alerts::Recipient;

/// What an event is about, as far as somebody may want to hear of it or not, and how it is put into order.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct About {
    /// Null for what is no alert.
    pub severity: Option<Severity>,
    /// '' for what is no alert.
    pub rule: String,
    /// '' where it is about no product.
    pub marketplace: String,
    /// '' where it is about no product.
    pub asin: String,
    /// '' where it is of no day.
    pub day: String,
}

impl About {
    /// The gravest first: 0 is critical, 3 is low or nothing of the kind.
    pub(super) fn gravity(&self) -> i64 {
        gravity(self.severity)
    }
}

pub(in crate::store) fn gravity(severity: Option<Severity>) -> i64 {
    match severity {
        Some(Severity::Critical) => 0,
        Some(Severity::High) => 1,
        Some(Severity::Medium) => 2,
        Some(Severity::Low) | None => 3,
    }
}

/// What somebody wants to hear of. An empty list means all.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Wants {
    /// Types of events: `alert.opened`.
    pub events: Vec<String>,
    /// Of alerts, the least severity.
    pub min_severity: Option<Severity>,
    /// Of alerts, the rules.
    pub rules: Vec<String>,
    /// Of what is about a product, its marketplaces.
    pub marketplaces: Vec<String>,
    pub workspaces: Vec<String>,
}

impl Wants {
    /// What is no alert has neither severity nor rule, and what is about no product no marketplace: who names its type
    /// hears of it.
    pub fn hears(&self, workspace: &Workspace, event_type: &str, about: &About) -> bool {
        let is_in = |list: &[String], word: &str| list.is_empty() || list.iter().any(|one| one == word);
        let is_grave = match (self.min_severity, about.severity) {
            (Some(least), Some(severity)) => severity >= least,
            _ => true,
        };
        is_in(&self.events, event_type)
            && is_in(&self.workspaces, workspace.as_str())
            && is_grave
            && (about.rule.is_empty() || is_in(&self.rules, &about.rule))
            && (about.marketplace.is_empty() || is_in(&self.marketplaces, &about.marketplace))
    }
}

/// Somebody who is told, with what they want to hear of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Subscriber {
    pub to: Recipient,
    pub wants: Wants,
}

impl From<Recipient> for Subscriber {
    /// Hears of everything.
    fn from(to: Recipient) -> Subscriber {
        Subscriber { to, wants: Wants::default() }
    }
}

/// Whose news it is, and who may want to hear of it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Audience {
    pub workspace: Workspace,
    pub subscribers: Vec<Subscriber>,
}

impl Audience {
    /// Somebody hears of such an event.
    pub fn hears(&self, event_type: &str, about: &About) -> bool {
        is_heard(&self.workspace, event_type, about, &self.subscribers)
    }
}

/// Somebody hears of such an event.
pub(super) fn is_heard(
    workspace: &Workspace,
    event_type: &str,
    about: &About,
    subscribers: &[Subscriber],
) -> bool {
    subscribers.iter().any(|one| one.wants.hears(workspace, event_type, about))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drop_of(severity: Severity, marketplace: &str) -> About {
        let (rule, day) = ("price_drop".to_owned(), "2026-03-01".to_owned());
        let (marketplace, asin) = (marketplace.to_owned(), "B000000001".to_owned());
        About { severity: Some(severity), rule, marketplace, asin, day }
    }

    fn wants(change: impl Fn(&mut Wants)) -> Wants {
        let mut wants =
            Wants { events: vec!["alert.opened".into(), "run.failed".into()], ..Wants::default() };
        change(&mut wants);
        wants
    }

    #[test]
    fn each_wish_is_judged_of_what_it_can_be_said_of() {
        let main = Workspace::default();
        let grave = drop_of(Severity::High, "US");
        for (hears, wants) in [
            (true, wants(|_| {})),
            (false, wants(|it| it.events = vec!["alert.escalated".into()])),
            (true, wants(|it| it.events.clear())),
            (true, wants(|it| it.min_severity = Some(Severity::High))),
            (false, wants(|it| it.min_severity = Some(Severity::Critical))),
            (true, wants(|it| it.rules = vec!["undercut".into(), "price_drop".into()])),
            (false, wants(|it| it.rules = vec!["undercut".into()])),
            (true, wants(|it| it.marketplaces = vec!["US".into()])),
            (false, wants(|it| it.marketplaces = vec!["UK".into(), "DE".into()])),
            (true, wants(|it| it.workspaces = vec!["main".into()])),
            (false, wants(|it| it.workspaces = vec!["eu".into()])),
        ] {
            assert_eq!(wants.hears(&main, "alert.opened", &grave), hears, "{wants:?}");
        }
        // A run has none of it: only its type and whose it is are asked.
        let narrow = wants(|it| {
            it.min_severity = Some(Severity::Critical);
            it.rules = vec!["undercut".into()];
            it.marketplaces = vec!["DE".into()];
        });
        assert!(narrow.hears(&main, "run.failed", &About::default()));
        assert!(!narrow.hears(&main, "run.finished", &About::default()));
        // A source that is in trouble is in no marketplace.
        let incident = drop_of(Severity::High, "");
        assert!(wants(|it| it.marketplaces = vec!["DE".into()]).hears(&main, "alert.opened", &incident));
    }
}
