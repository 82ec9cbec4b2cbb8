//! Keys: listed, made and shown once, revoked. What a key may be is decided where the command line makes them.

use minijinja::context;

use super::visit::{Answer, Visit};
use crate::model::{KeyKind, KeyTier};
use crate::render::rows::instant;
use crate::serve::keymaking::{KeyRequest, key_name, make_key};
use crate::serve::problem::{Kind, Problem};

/// The longest time that a key made here may have, in days; 0 stands for no end.
const MOST_DAYS: i64 = 3_660;

pub(super) async fn list(visit: Visit) -> Result<Answer, Problem> {
    page(&visit, None).await
}

async fn page(visit: &Visit, made: Option<(String, String)>) -> Result<Answer, Problem> {
    let now = visit.app.options.clock.now();
    let caller = visit.caller()?;
    let mut keys = visit.app.store.load_keys(&caller.workspace).await?;
    keys.sort_by_key(|key| (!key.is_active(now), key.created_at));
    let keys: Vec<minijinja::Value> = keys
        .iter()
        .map(|key| {
            context! {
                key_id => key.key_id,
                name => key.name,
                kind => key.kind.as_str(),
                permissions => key.permissions.to_string(),
                tier => key.tier.as_str(),
                state => key.state(now),
                created_at => instant(key.created_at),
                created_by => key.created_by,
                expires_at => key.expires_at.map(instant),
                is_mine => key.key_id == caller.key_id(),
            }
        })
        .collect();
    let context = context! {
        keys,
        kinds => KeyKind::ALL.iter().map(|kind| kind.as_str()).collect::<Vec<&str>>(),
        tiers => KeyTier::ALL.iter().map(|tier| tier.as_str()).collect::<Vec<&str>>(),
        made => made.map(|(name, key)| context! { name, key }),
        done => visit.done(),
    };
    Ok(Answer::page("keys.html", context))
}

pub(super) async fn create(visit: Visit) -> Result<Answer, Problem> {
    let wrong = |what: &str| Problem::new(Kind::InvalidBody, what);
    let caller = visit.caller()?;
    let now = visit.app.options.clock.now();
    let name = key_name(visit.field("name")).map_err(|error| wrong(&error))?;
    let kind =
        KeyKind::from_word(visit.field("kind")).ok_or_else(|| wrong("there is no such kind of key"))?;
    let tier = KeyTier::from_word(visit.field("tier")).ok_or_else(|| wrong("there is no such tier"))?;
    let days: i64 = match visit.field("days") {
        "" => 0,
        days => days
            .parse()
            .ok()
            .filter(|days| (0..=MOST_DAYS).contains(days))
            .ok_or_else(|| wrong("a key ends after 1 to 3660 days, or, with 0, never"))?,
    };
    // Nobody gives what they do not have.
    if let Some(beyond) = kind.permissions().beyond(&caller.permissions) {
        return Err(Problem::new(Kind::Forbidden, format!("permission `{beyond}` is not yours to give")));
    }
    let made = make_key(KeyRequest {
        workspace: caller.workspace.clone(),
        name,
        kind,
        permissions: None,
        tier,
        expires_at: (days > 0).then(|| now + chrono::Duration::days(days)),
        by: caller.actor(),
        now,
    })?;
    let made = made.map_err(|refusal| wrong(&refusal.to_string()))?;
    visit.app.store.save_key(&made.key).await?;
    page(&visit, Some((made.key.name, made.text))).await
}

pub(super) async fn revoke(visit: Visit) -> Result<Answer, Problem> {
    let caller = visit.caller()?;
    let id = visit.part("key").to_owned();
    let now = visit.app.options.clock.now();
    let revoked = visit.app.store.revoke_keys(&caller.workspace, &[id], &caller.actor(), now).await?;
    match revoked {
        0 => Err(Problem::not_found("such key that is still good")),
        _ => Ok(Answer::see("/keys?done=revoked")),
    }
}
