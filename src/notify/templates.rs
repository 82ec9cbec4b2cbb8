//! Messages as text: the built-in templates and those of users. A template may use every value of [`Told`];
//! one that is not there is an error, values are escaped for where the text goes, and a template that never
//! ends is stopped.

use minijinja::value::ValueKind;
use minijinja::{AutoEscape, Environment, Error, Output, State, UndefinedBehavior, Value};

use super::NotifyError;
use super::escape::Escape;
use super::sample::sample_messages;
use super::told::Told;
use crate::model::Language;
use crate::render::whole::kept_whole;

/// Steps that one rendering may take: far more than a digest of thousands needs, less than a second.
const FUEL: u64 = 5_000_000;

pub(super) const MAIL_SUBJECT: &str = "{{ subject }}";
pub(super) const MAIL_TEXT: &str = include_str!("templates/mail.txt");
pub(super) const MAIL_HTML: &str = include_str!("templates/mail.html");
pub(super) const SLACK: &str = include_str!("templates/slack.txt");
pub(super) const DISCORD: &str = include_str!("templates/discord.md");
pub(super) const TEAMS: &str = include_str!("templates/teams.md");
pub(super) const TELEGRAM: &str = include_str!("templates/telegram.html");
pub(super) const PLAIN: &str = include_str!("templates/plain.txt");

/// A template of the user's own: what errors call it, and its text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OwnTemplate {
    pub name: String,
    pub text: String,
}

/// One text of a channel's messages.
#[derive(Debug)]
pub(super) struct Template {
    environment: Environment<'static>,
    name: String,
    text: String,
}

impl Template {
    /// The user's template, else the built-in one; escaped for where it goes.
    ///
    /// Errors: what is no template, or cannot render what may have to be told, by name and line.
    pub(super) fn new(
        own: Option<&OwnTemplate>,
        built_in: &str,
        escape: Escape,
    ) -> Result<Template, NotifyError> {
        let (name, text) = own.map_or(("built-in", built_in), |own| (own.name.as_str(), own.text.as_str()));
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_trim_blocks(true);
        environment.set_lstrip_blocks(true);
        environment.set_fuel(Some(FUEL));
        environment.set_auto_escape_callback(move |_| match escape {
            Escape::Json => AutoEscape::Json,
            Escape::Plain => AutoEscape::None,
            _ => AutoEscape::Custom("channel"),
        });
        if escape == Escape::Html {
            environment.add_filter("whole", |text: &str| Value::from_safe_string(kept_whole(text)));
        }
        environment.set_formatter(move |out, state, value| write_value(escape, out, state, value));
        let template = Template { environment, name: name.to_owned(), text: text.to_owned() }.parsed()?;
        if own.is_some() {
            // Found now, and not when something has happened.
            for message in sample_messages(Language::English) {
                template.render(&Told::of(&message))?;
            }
        }
        Ok(template)
    }

    fn parsed(mut self) -> Result<Template, NotifyError> {
        let added = self.environment.add_template_owned(self.name.clone(), self.text.clone());
        added.map_err(|error| self.fault(&error))?;
        Ok(self)
    }

    /// Renders a message.
    ///
    /// Errors: a value that is not there, a wrong use of one, a template that takes too long.
    pub(super) fn render(&self, told: &Told) -> Result<String, NotifyError> {
        let rendered = self
            .environment
            .get_template(&self.name)
            .and_then(|template| template.render(Value::from_serialize(told)));
        rendered.map_err(|error| self.fault(&error))
    }

    fn fault(&self, error: &Error) -> NotifyError {
        let line = error.line().map_or_else(String::new, |line| format!(":{line}"));
        let kind = error.kind();
        let detail = error.detail().map_or_else(String::new, |detail| format!(", {detail}"));
        // What is not there has no name in the error: the line itself says which it is.
        let written = error.line().and_then(|line| self.text.lines().nth(line.checked_sub(1)?));
        let written = written.map_or_else(String::new, |text| format!(" in `{}`", cut(text.trim(), 80)));
        NotifyError::misconfigured(format!("template {}{line}: {kind}{detail}{written}", self.name))
    }
}

fn write_value(
    escape: Escape,
    out: &mut Output<'_>,
    state: &State<'_, '_>,
    value: &Value,
) -> Result<(), Error> {
    let is_ours = matches!(state.auto_escape(), AutoEscape::Custom(_)) && !value.is_safe();
    match (is_ours, value.kind()) {
        (true, ValueKind::None) => Ok(()),
        (true, _) => Ok(out.write_str(&escape.text(&value.to_string()))?),
        (false, _) => minijinja::escape_formatter(out, state, value),
    }
}

/// At most `most` characters, whole lines where there are several; what was cut is said to be more.
pub(super) fn cut(text: &str, most: usize) -> String {
    let text = text.trim_end();
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let mut kept = String::new();
    for line in text.lines() {
        if kept.chars().count() + line.chars().count() + "\n…".chars().count() > most {
            break;
        }
        kept += line;
        kept.push('\n');
    }
    if kept.is_empty() {
        kept = text.chars().take(most.saturating_sub(1)).collect();
    }
    kept + "…"
}

#[cfg(test)]
#[path = "templates_tests.rs"]
mod tests;
