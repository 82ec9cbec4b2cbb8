//! How pages look: templates, the texts of each language, and how values are written.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context as _;
use axum::http::HeaderMap;
use axum::http::header::ACCEPT_LANGUAGE;
use minijinja::value::Kwargs;
use minijinja::{Environment, Error, ErrorKind, State, UndefinedBehavior, Value};

use crate::model::{Currency, Language, Timestamp};
use crate::render::format;
use crate::serve::session;

/// The cookie of whoever chose a language.
pub(super) const COOKIE: &str = "amzctl_language";

impl Language {
    /// As HTML and HTTP name it.
    pub(super) fn tag(self) -> &'static str {
        match self {
            Language::English => "en",
            Language::TraditionalChinese => "zh-Hant",
        }
    }

    /// As it names itself.
    fn name(self) -> &'static str {
        match self {
            Language::English => "English",
            Language::TraditionalChinese => "繁體中文",
        }
    }

    pub(super) fn of_tag(tag: &str) -> Option<Language> {
        Language::ALL.iter().copied().find(|language| language.tag() == tag)
    }

    pub(super) fn all() -> Vec<Value> {
        let one = |one: &Language| minijinja::context! { tag => one.tag(), name => one.name() };
        Language::ALL.iter().map(one).collect()
    }

    /// The one that was chosen, else the one that the browser likes best.
    pub(super) fn of_request(headers: &HeaderMap) -> Language {
        if let Some(chosen) = session::cookie(headers, COOKIE).and_then(Language::of_tag) {
            return chosen;
        }
        let accepted = headers.get(ACCEPT_LANGUAGE).and_then(|accepted| accepted.to_str().ok());
        let mut best = (0.0, Language::English);
        for part in accepted.unwrap_or_default().split(',') {
            let mut words = part.split(';').map(str::trim);
            let tag = words.next().unwrap_or_default().to_ascii_lowercase();
            let quality = words.find_map(|word| word.strip_prefix("q=")?.parse::<f32>().ok()).unwrap_or(1.0);
            let language = match tag.split('-').next() {
                Some("en") => Language::English,
                // Whoever reads another Chinese reads this one rather than English.
                Some("zh") => Language::TraditionalChinese,
                _ => continue,
            };
            if quality > best.0 {
                best = (quality, language);
            }
        }
        best.1
    }
}

/// Templates and texts, read once.
pub(in crate::serve) struct Look {
    environment: Environment<'static>,
    texts: BTreeMap<Language, Value>,
}

type Texts = BTreeMap<String, String>;

const ENGLISH: &str = include_str!("texts/en.toml");
const TRADITIONAL_CHINESE: &str = include_str!("texts/zh-Hant.toml");

macro_rules! templates {
    ($($name:literal),+ $(,)?) => { &[$(($name, include_str!(concat!("templates/", $name)))),+] };
}

const TEMPLATES: &[(&str, &str)] = templates![
    "base.html",
    "alert_list.html",
    "charts.html",
    "costs.html",
    "pager.html",
    "login.html",
    "trouble.html",
    "overview.html",
    "products.html",
    "product.html",
    "cohorts.html",
    "cohort.html",
    "alerts.html",
    "alert.html",
    "reports.html",
    "operation.html",
    "keys.html",
];

impl Look {
    /// Errors: a template or the texts of a language cannot be read, which is a fault of this program.
    pub(in crate::serve) fn new() -> anyhow::Result<Look> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_trim_blocks(true);
        environment.set_lstrip_blocks(true);
        for (name, text) in TEMPLATES {
            environment
                .add_template(name, text)
                .with_context(|| format!("failed to read template {name}"))?;
        }
        add_filters(&mut environment);
        let mut texts = BTreeMap::new();
        for &language in Language::ALL {
            texts.insert(language, Value::from_object(Said(Arc::new(read_texts(language)?))));
        }
        Ok(Look { environment, texts })
    }

    pub(super) fn texts(&self, language: Language) -> Value {
        self.texts[&language].clone()
    }

    /// Draws a page.
    pub(super) fn draw(&self, template: &str, context: Value) -> anyhow::Result<String> {
        let drawn = self.environment.get_template(template).and_then(|template| template.render(context));
        drawn.with_context(|| format!("failed to draw {template}"))
    }
}

fn read_texts(language: Language) -> anyhow::Result<Texts> {
    let text = match language {
        Language::English => ENGLISH,
        Language::TraditionalChinese => TRADITIONAL_CHINESE,
    };
    toml::from_str(text).with_context(|| format!("failed to read the texts of {}", language.tag()))
}

/// The texts of one language: `t.key`.
#[derive(Debug)]
struct Said(Arc<Texts>);

impl minijinja::value::Object for Said {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.0.get(key.as_str()?).map(|text| Value::from(text.as_str()))
    }
}

fn add_filters(environment: &mut Environment<'static>) {
    environment.add_filter("fill", fill);
    environment.add_filter("say", say);
    environment.add_filter("money", |minor: Value, currency: Value| {
        known(&minor, |minor| match currency.as_str().and_then(|code| code.parse::<Currency>().ok()) {
            Some(currency) => format::money(minor, currency),
            None => format::integer(minor),
        })
    });
    environment.add_filter("micros", |micros: Value| {
        known(&micros, |micros| {
            let cents = format::round_half_away(micros as f64 / 1e4);
            format!("{}.{:02} USD", format::integer(cents / 100), (cents % 100).abs())
        })
    });
    environment.add_filter("integer", |value: Value| known(&value, format::integer));
    environment.add_filter("rank", |value: Value| known(&value, format::rank));
    environment.add_filter("stars", |value: Value| known(&value, format::stars));
    environment.add_filter("signed", |value: Value| known(&value, format::signed_integer));
    environment.add_filter("percent", |value: Value| f64::try_from(value).ok().map(format::signed_percent));
    environment.add_filter("decimal", |value: Value| f64::try_from(value).ok().map(format::one_decimal));
    environment.add_filter("share", |value: Value| f64::try_from(value).ok().map(format::share));
    environment.add_filter("minute", |value: Value| {
        let at = value.as_str().and_then(|text| text.parse::<Timestamp>().ok());
        at.map(|at| at.format("%Y-%m-%d %H:%M").to_string())
    });
    environment.add_filter("line", |text: Value| text.as_str().map(format::plain_line));
    environment.add_filter("path", |text: String| -> String {
        // A part of a path: what a form would write as a plus is a space here.
        form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
    });
}

/// A whole number as it is written; nothing, where there is none.
fn known(value: &Value, written: impl Fn(i64) -> String) -> Option<String> {
    i64::try_from(value.clone()).ok().map(written)
}

/// A text with its gaps filled: `t.days | fill(n=3)`.
fn fill(text: &str, gaps: Kwargs) -> Result<String, Error> {
    let mut filled = text.to_owned();
    for name in gaps.args() {
        let value: Value = gaps.get(name)?;
        filled = filled.replace(&format!("{{{name}}}"), &value.to_string());
    }
    match filled.contains(['{', '}']) && text.contains('{') && gaps.args().next().is_none() {
        true => Err(Error::new(ErrorKind::MissingArgument, format!("`{text}` has gaps"))),
        false => Ok(filled),
    }
}

/// A word of the program in the page's language: `alert.state | say("state")`; as it is where the language has none.
fn say(state: &State<'_, '_>, word: Value, kind: &str) -> Result<Value, Error> {
    let Some(word) = word.as_str() else { return Ok(word) };
    let texts = state.lookup("t").unwrap_or_default();
    let said = texts.get_attr(&format!("{kind}_{word}")).unwrap_or_default();
    Ok(if said.is_undefined() { Value::from(format::spoken(word)) } else { said })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn both_languages_say_the_same_things_with_the_same_gaps() {
        let languages = [Language::English, Language::TraditionalChinese];
        let [english, chinese] = languages.map(|language| read_texts(language).unwrap());
        let keys = |texts: &Texts| texts.keys().cloned().collect::<BTreeSet<String>>();
        assert_eq!(keys(&english), keys(&chinese));
        let gaps = |text: &str| {
            let parts = text.split('{').skip(1).filter_map(|rest| rest.split('}').next());
            parts.map(str::to_owned).collect::<BTreeSet<String>>()
        };
        for (key, text) in &english {
            assert_eq!(gaps(text), gaps(&chinese[key]), "{key}");
            assert!(!text.is_empty() && !chinese[key].is_empty(), "{key}");
        }
    }

    #[test]
    fn every_text_that_a_template_names_is_there_and_every_text_is_named() {
        let texts = read_texts(Language::English).unwrap();
        let all: String = TEMPLATES.iter().map(|(_, text)| *text).collect();
        let is_of_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let named: BTreeSet<&str> = all
            .match_indices("t.")
            .filter(|(at, _)| !all[..*at].ends_with(is_of_word))
            .map(|(at, _)| all[at + 2..].split(|c| !is_of_word(c)).next().unwrap_or_default())
            .filter(|name| !name.is_empty() && *name != "html")
            .collect();
        for name in &named {
            assert!(texts.contains_key(*name), "t.{name}");
        }
        let kinds: Vec<String> = all
            .split("say(\"")
            .skip(1)
            .filter_map(|rest| Some(format!("{}_", rest.split('"').next()?)))
            .collect();
        for key in texts.keys() {
            let is_word = kinds.iter().any(|kind| key.starts_with(kind));
            assert!(named.contains(key.as_str()) || is_word, "{key} is said nowhere");
        }
    }

    #[test]
    fn every_word_of_the_program_is_said_in_chinese() {
        use crate::model::{Availability, Relation, Tier};
        use crate::rollup::rules::{Rule, Severity};
        use crate::store::alerts::AlertState;
        let texts = read_texts(Language::TraditionalChinese).unwrap();
        let mut words: Vec<String> = Vec::new();
        words.extend(Rule::ALL.iter().map(|word| format!("rule_{word}")));
        words.extend(Severity::ALL.iter().map(|word| format!("severity_{word}")));
        words.extend(AlertState::ALL.iter().map(|word| format!("state_{}", word.as_str())));
        words.extend(Availability::ALL.iter().map(|word| format!("stock_{}", word.as_str())));
        words.extend(Relation::ALL.iter().map(|word| format!("relation_{}", word.as_str())));
        words.extend(Tier::ALL.iter().map(|word| format!("tier_{}", word.as_str())));
        for word in words {
            assert!(texts.contains_key(&word), "{word}");
        }
    }

    #[test]
    fn the_language_is_the_chosen_one_or_the_browsers() {
        let headers = |cookie: &str, accepted: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(axum::http::header::COOKIE, cookie.parse().unwrap());
            headers.insert(ACCEPT_LANGUAGE, accepted.parse().unwrap());
            Language::of_request(&headers)
        };
        let (english, chinese) = (Language::English, Language::TraditionalChinese);
        for (cookie, accepted, expected) in [
            ("", "", english),
            ("", "de", english),
            ("", "zh-TW,zh;q=0.9,en;q=0.8", chinese),
            ("", "en-GB, zh;q=0.9", english),
            ("", "de, zh;q=0.3, en;q=0.2", chinese),
            ("amzctl_language=en", "zh-TW", english),
            ("amzctl_language=zh-Hant", "en", chinese),
            ("amzctl_language=xx", "zh-HK", chinese),
        ] {
            assert_eq!(headers(cookie, accepted), expected, "{cookie} {accepted}");
        }
    }
}
