//! Which events one message tells of: what was told before stays together, what is new follows each other.

use std::collections::BTreeMap;

use super::audience::gravity;
use super::claim::{Claim, ClaimedEvent, ClaimedMessage};
use crate::ids::stable_id;
use crate::model::Timestamp;

/// A delivery that is due.
#[derive(Clone, Debug)]
pub(super) struct Due {
    pub(super) event: ClaimedEvent,
    /// '' where it was never claimed.
    pub(super) message_id: String,
    pub(super) gravity: i64,
    pub(super) digest_at: Option<Timestamp>,
    pub(super) attempts: u32,
    pub(super) maybe_sent: bool,
}

/// Puts what is due into messages, each where its first event comes; true of those that are new.
///
/// `whole` are all events of the messages that were told before and have several. New ones follow each other, as many in a
/// message as there may be.
pub(super) fn compose(claim: &Claim<'_>, due: Vec<Due>, whole: Vec<Due>) -> Vec<(bool, ClaimedMessage)> {
    let mut known: BTreeMap<String, Vec<Due>> = BTreeMap::new();
    for one in whole {
        known.entry(one.message_id.clone()).or_default().push(one);
    }
    let is_apart =
        |gravity_of: i64| claim.grouping.apart.is_some_and(|least| gravity_of <= gravity(Some(least)));
    let mut messages: Vec<(bool, ClaimedMessage)> = Vec::new();
    // Where the message lies that the next new event may go into, and whether it is told apart.
    let mut open: Option<(usize, bool)> = None;
    for one in due {
        if one.message_id.is_empty() {
            let apart = is_apart(one.gravity);
            match open {
                Some((place, of)) if of == apart && messages[place].1.events.len() < claim.grouping.most => {
                    messages[place].1.events.push(one.event);
                }
                _ => {
                    open = Some((messages.len(), apart));
                    messages.push((true, message(String::new(), claim.grouping.digest_at, vec![one])));
                }
            }
        } else if one.message_id == one.event.event_id {
            messages.push((false, message(one.message_id.clone(), one.digest_at, vec![one])));
        } else if let Some(events) = known.remove(&one.message_id) {
            messages.push((false, message(one.message_id, one.digest_at, events)));
        }
    }
    for (_, message) in messages.iter_mut().filter(|(is_new, _)| *is_new) {
        message.message_id = message_id(claim, &message.events);
    }
    messages
}

fn message(message_id: String, digest_at: Option<Timestamp>, due: Vec<Due>) -> ClaimedMessage {
    ClaimedMessage {
        message_id,
        digest_at,
        attempts: due.iter().map(|one| one.attempts).max().unwrap_or(0),
        maybe_sent: due.iter().any(|one| one.maybe_sent),
        events: due.into_iter().map(|one| one.event).collect(),
    }
}

/// The event's id where there is only one; else of whom it is for and everything in it.
fn message_id(claim: &Claim<'_>, events: &[ClaimedEvent]) -> String {
    if let ([one], None) = (events, claim.grouping.digest_at) {
        return one.event_id.clone();
    }
    let ids = events.iter().map(|event| event.event_id.as_str());
    let parts: Vec<&str> =
        ["message", &claim.to.channel, &claim.to.recipient].into_iter().chain(ids).collect();
    stable_id(&parts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Workspace;
    use crate::rollup::rules::Severity;
    use crate::store::alerts::Recipient;
    use crate::store::outbox::{Grouping, Ripe};

    fn due(id: &str, gravity: i64, message_id: &str) -> Due {
        let event = ClaimedEvent { event_id: id.into(), payload: "{}".into() };
        let attempts = u32::from(!message_id.is_empty());
        Due { event, message_id: message_id.into(), gravity, digest_at: None, attempts, maybe_sent: false }
    }

    /// Each message's events, new ones behind a plus.
    fn composed(grouping: Grouping, listed: Vec<Due>, whole: Vec<Due>) -> (Vec<String>, Vec<String>) {
        let to = Recipient { channel: "ops".into(), recipient: "a".into() };
        let (workspace, now) = (Workspace::default(), Timestamp::default());
        let ripe = Ripe::default();
        let claim = Claim { workspace: &workspace, to: &to, claimant: "me", now, ripe, grouping, limit: 9 };
        let messages = compose(&claim, listed, whole);
        let shown = |(is_new, message): &(bool, ClaimedMessage)| {
            let ids: Vec<&str> = message.events.iter().map(|event| event.event_id.as_str()).collect();
            format!("{}{}", if *is_new { "+" } else { "" }, ids.join(" "))
        };
        let ids = messages.iter().map(|(_, message)| message.message_id.clone()).collect();
        (messages.iter().map(shown).collect(), ids)
    }

    fn grouping(most: usize) -> Grouping {
        Grouping { most, apart: None, digest_at: None }
    }

    #[test]
    fn an_event_by_itself_is_a_message_of_its_own_id() {
        let (messages, ids) = composed(grouping(1), vec![due("a", 0, ""), due("b", 3, "")], vec![]);
        assert_eq!((messages, ids), (vec!["+a".into(), "+b".into()], vec!["a".into(), "b".into()]));
    }

    #[test]
    fn new_events_are_grouped_and_a_message_that_was_tried_stays_as_it_was() {
        let listed =
            vec![due("a", 0, ""), due("y", 1, "m"), due("b", 1, ""), due("c", 2, ""), due("d", 3, "")];
        let whole = vec![due("z", 3, "m"), due("y", 1, "m")];
        let (messages, ids) = composed(grouping(3), listed, whole);
        assert_eq!(messages, ["+a b c", "z y", "+d"], "in its own order");
        assert_eq!((ids[1].as_str(), ids[2].as_str()), ("m", "d"));
        assert!(ids[0].len() == 32);
    }

    #[test]
    fn what_may_be_told_at_night_is_told_apart() {
        let apart = Grouping { apart: Some(Severity::Critical), ..grouping(9) };
        let listed =
            vec![due("a", 0, ""), due("b", 0, ""), due("c", 1, ""), due("d", 0, ""), due("e", 3, "")];
        assert_eq!(composed(apart, listed, vec![]).0, ["+a b", "+c", "+d", "+e"]);
    }

    #[test]
    fn a_digest_has_an_id_of_its_own_even_of_one_event() {
        let digest = Grouping { digest_at: Some(Timestamp::default()), ..grouping(9) };
        let (messages, ids) = composed(digest, vec![due("a", 0, "")], vec![]);
        assert_eq!(messages, ["+a"]);
        assert_ne!(ids, ["a"]);
    }
}
