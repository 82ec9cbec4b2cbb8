//! Messages in the words of a rules file.

use minijinja::{Environment, UndefinedBehavior, context};

use super::Finding;

/// What a template may do before it counts as one that never ends.
const FUEL: u64 = 20_000;
/// The only template of its environment.
const NAME: &str = "message";

/// A message with places for what was found.
#[derive(Clone, Debug)]
pub(super) struct Template(Environment<'static>);

impl Template {
    /// Errors: what is wrong with it, in one line.
    pub(super) fn parse(text: &str) -> Result<Template, String> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_fuel(Some(FUEL));
        environment.add_template_owned(NAME, text.to_owned()).map_err(|error| error.to_string())?;
        Ok(Template(environment))
    }

    /// The message. A template that asks for what this finding does not have leaves the rule's own words and
    /// says why: an alert is not lost for its wording.
    pub(super) fn render(&self, finding: &Finding) -> String {
        let rendered = self.0.get_template(NAME).and_then(|template| {
            template.render(context! {
                rule => finding.rule.as_str(),
                severity => finding.severity.as_str(),
                marketplace => finding.marketplace(),
                asin => finding.asin(),
                day => finding.day.to_string(),
                object => finding.object,
                message => finding.message,
                evidence => minijinja::Value::from_serialize(&finding.evidence),
            })
        });
        match rendered {
            // One line, whatever the template breaks it into.
            Ok(text) => text.split_whitespace().collect::<Vec<_>>().join(" "),
            Err(error) => format!("{} (its template failed: {error})", finding.message),
        }
    }
}
