//! What an id is explained as: an alert, a finding that is held back, or an incident; and why it is what it is.

use serde_json::{Value, json};

use crate::cli::alert::{
    change_document, change_line, evidence_lines, find_alert, find_incident, held_text, incident_document,
    incident_text, state_line, unknown_alert,
};
use crate::cli::context::Context;
use crate::cli::output::OutputArgs;
use crate::error::{Failure, Outcome};
use crate::model::ProductRef;
use crate::render::format::plain_line;
use crate::render::rows::{Format, instant};
use crate::store::Store;
use crate::store::alerts::{AlertChange, AlertRecord, NewAlert};
use crate::store::gate::HeldRecord;
use crate::store::incidents::IncidentRecord;

/// What is to be explained.
pub(super) enum Subject {
    Told(Box<Told>),
    Incident(Box<IncidentRecord>),
    Product,
}

/// An alert, or a finding that is none.
pub(super) struct Told {
    alert: Option<AlertRecord>,
    changes: Vec<AlertChange>,
    /// Every time that it was held back.
    held: Vec<HeldRecord>,
    pub(super) finding: NewAlert,
}

impl Told {
    /// The word for its state; `held` and `dropped` of a finding that is no alert.
    fn state(&self) -> &'static str {
        let of_held = self.held.last().map_or("unknown", |held| held.state.as_str());
        self.alert.as_ref().map_or(of_held, |alert| alert.state.as_str())
    }

    /// The values that its rule looked at.
    fn evidence(&self) -> Value {
        self.alert.as_ref().map_or_else(|| evidence_of(&self.finding), |alert| alert.evidence.clone())
    }

    /// The alert, what became of it, and what its rule looked at.
    pub(super) fn text(&self) -> String {
        let alert = &self.finding;
        let mut text = format!(
            "{} {}\n{} ({}), {}, {}\n{}\n",
            if self.alert.is_some() { "alert" } else { "finding" },
            alert.alert_id,
            alert.rule,
            alert.severity,
            self.state(),
            alert.day,
            plain_line(&alert.message)
        );
        if !self.held.is_empty() || !self.changes.is_empty() {
            let now = self.alert.as_ref().map(|alert| format!("now {}", state_line(alert)));
            let lines =
                self.held.iter().map(held_text).chain(self.changes.iter().map(change_line)).chain(now);
            text.push_str("\nwhat became of it\n");
            text.extend(lines.map(|line| format!("  {}\n", plain_line(&line))));
        }
        text.push_str("\nthe rule looked at\n");
        for (name, shown) in evidence_lines(&self.evidence()) {
            text.push_str(&format!("  {name:<28} {}\n", plain_line(&shown)));
        }
        text.push('\n');
        text
    }

    pub(super) fn document(&self) -> Value {
        let (alert, changes) = (&self.finding, self.changes.iter().map(change_document));
        let held = self.held.iter().map(|held| {
            json!({
                "incident_id": held.incident_id,
                "reason": held.reason.as_str(),
                "state": held.state.as_str(),
                "held_at": instant(held.held_at),
                "decided_at": held.decided_at.map(instant),
                "decided_by": held.decided_by,
                "note": held.note,
            })
        });
        json!({
            "alert_id": alert.alert_id,
            "rule": alert.rule.as_str(),
            "severity": alert.severity.as_str(),
            "state": self.state(),
            "marketplace": alert.marketplace,
            "asin": alert.asin,
            "day": alert.day,
            "object": alert.object,
            "message": alert.message,
            "evidence": self.evidence(),
            "historical": alert.historical,
            "snoozed_until": self.alert.as_ref().and_then(|alert| alert.snoozed_until).map(instant),
            "changes": changes.collect::<Vec<_>>(),
            "held": held.collect::<Vec<_>>(),
        })
    }
}

impl Subject {
    /// Errors: usage when the text is the beginning of nothing or of several.
    pub(super) async fn of(target: &str, store: &Store, context: &Context) -> anyhow::Result<Subject> {
        let looks_like_id = target.len() >= 6 && target.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !looks_like_id {
            return Ok(Subject::Product);
        }
        let alert = find_alert(target, store, context).await?;
        let prefix =
            alert.as_ref().map_or_else(|| target.to_ascii_lowercase(), |alert| alert.alert_id.clone());
        let held = store.find_held(context.workspace(), &prefix).await?;
        let finding = alert.as_ref().map(finding_of).or_else(|| held.last().map(|held| held.alert.clone()));
        if let Some(finding) = finding {
            if let Some(other) = held.iter().find(|held| held.alert.alert_id != finding.alert_id) {
                let ids = format!("one of {}, {}", other.alert.alert_id, finding.alert_id);
                return Err(Failure::usage(format!("several findings begin with `{target}`"))
                    .hint(ids)
                    .into());
            }
            let changes = store.load_alert_changes(context.workspace(), &finding.alert_id).await?;
            return Ok(Subject::Told(Box::new(Told { alert, changes, held, finding })));
        }
        if let Some(incident) = find_incident(target, store, context).await? {
            return Ok(Subject::Incident(Box::new(incident)));
        }
        // Ten hexadecimal digits may be an ASIN as well.
        match target.parse::<ProductRef>() {
            Ok(_) => Ok(Subject::Product),
            Err(_) => Err(unknown_alert(target).into()),
        }
    }
}

fn finding_of(alert: &AlertRecord) -> NewAlert {
    NewAlert {
        alert_id: alert.alert_id.clone(),
        rule: alert.rule,
        severity: alert.severity,
        marketplace: alert.marketplace.clone(),
        asin: alert.asin.clone(),
        day: alert.day,
        object: alert.object.clone(),
        message: alert.message.clone(),
        evidence: alert.evidence.to_string(),
        historical: alert.historical,
    }
}

/// What an incident holds back; where each finding comes from is explained by the finding's own id.
pub(super) async fn explain_incident(
    output: &OutputArgs,
    incident: &IncidentRecord,
    store: &Store,
    context: &Context,
) -> anyhow::Result<Outcome> {
    let held = store.load_held_of(context.workspace(), &incident.incident_id).await?;
    match output.format() {
        Format::Table => output.write(&incident_text(incident, &held, context)?, context)?,
        Format::Json => {
            output.write(&format!("{:#}\n", incident_document(incident, &held)), context)?;
        }
        _ => {
            return Err(Failure::usage("an incident is explained as text or as JSON")
                .hint("`amzctl alert incidents show ID` has every format")
                .into());
        }
    }
    if !held.is_empty() {
        context.ui.note("next: `amzctl explain ID` of a finding, down to the raw payload");
    }
    Ok(Outcome::Done)
}

/// The values that a rule looked at; null where they are no JSON.
pub(super) fn evidence_of(alert: &NewAlert) -> Value {
    serde_json::from_str(&alert.evidence).unwrap_or_default()
}
