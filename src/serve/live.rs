//! Live events: what the outbox is told of alerts, as server-sent events, to whoever listens.
//!
//! One reader per workspace asks the database; it is there as long as somebody listens. A listener has a number, the last
//! event that they were given, and nothing else: what is new is in a list that all share, and what is no longer in it is read
//! from the database again. So a slow listener misses nothing and costs no memory, and what another process wrote is told
//! like everything else.

mod told;

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header::{self, HeaderValue};
use axum::http::{HeaderMap, Response};
use tokio::sync::watch;

use super::App;
use super::answer::{Data, Output};
use super::auth::{self, Caller};
use super::call::Call;
use super::problem::{Kind, Problem};
use crate::model::{Permission, Workspace};
use crate::store::outbox::LiveEvent;
use told::{Told, Wanted};

pub(super) const CONTENT_TYPE: &str = "text/event-stream";
/// How often a workspace's reader asks for what is new.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How often a listener hears that the server is there, and it is looked whether they still may listen.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Events that are kept for all who listen.
const RECENT: usize = 256;
/// Events that are read from the database at once.
const AT_ONCE: u32 = 64;
/// The longest id that a listener may name.
const LONGEST_ID: usize = 64;
/// What a listener hears first: how many milliseconds to wait before another try.
const OPENING: &str = "retry: 2000\n\n";
const ALIVE: &str = ":\n\n";
/// Said to whoever names an event that is not there: what came after it is not known.
const RESET: &str = "event: reset\ndata: {}\n\n";

/// A listener, before they hear something.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Subscription {
    caller: Caller,
    wanted: Wanted,
    /// The number of the event that they heard last.
    after: i64,
    /// They heard one that is not there.
    is_reset: bool,
}

/// `GET /v1/events`.
pub(super) async fn watch(call: Call) -> Result<Output, Problem> {
    let wanted = Wanted::of_call(&call)?;
    let (store, workspace) = (&call.app.store, &call.caller.workspace);
    let last = store.last_event_seq(workspace).await?;
    let heard = match &call.last_event_id {
        Some(id) => Some(store.find_event_seq(workspace, id).await?),
        None => None,
    };
    let after = heard.flatten().unwrap_or(last);
    let is_reset = heard.is_some_and(|heard| heard.is_none());
    let subscription = Subscription { caller: call.caller, wanted, after, is_reset };
    Ok(Data::Events(Box::new(subscription)).into())
}

/// The event that a listener heard last, as they say. Errors: no event has such an id.
pub(super) fn last_event_id(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get("last-event-id") else { return Ok(None) };
    let id = value.to_str().unwrap_or("-");
    match id.len() {
        0 => Ok(None),
        1..=LONGEST_ID if id.bytes().all(|c| c.is_ascii_alphanumeric()) => Ok(Some(id.to_owned())),
        _ => Err(Problem::new(Kind::InvalidRequest, "`Last-Event-ID` is the id of an event")),
    }
}

/// Who listens, and what is new for them.
#[derive(Default)]
pub(super) struct Live {
    channels: Mutex<HashMap<Workspace, Arc<Channel>>>,
    listeners: AtomicUsize,
    ending: watch::Sender<bool>,
}

/// One workspace's news.
struct Channel {
    /// The number up to which events were read.
    read: watch::Sender<i64>,
    recent: Mutex<Recent>,
}

/// The newest events, and the number behind which they are complete.
struct Recent {
    events: VecDeque<Arc<Told>>,
    complete_after: i64,
}

impl Live {
    /// How many listen.
    pub(super) fn listeners(&self) -> usize {
        self.listeners.load(Ordering::Relaxed)
    }

    /// Ends everything that somebody listens to.
    pub(super) fn end(&self) {
        self.ending.send_replace(true);
    }

    /// A workspace's news, and somebody who reads them.
    async fn channel(&self, app: &Arc<App>, workspace: &Workspace) -> Result<(Arc<Channel>, Ear), Problem> {
        let last = app.store.last_event_seq(workspace).await?;
        let mut channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(channel) = channels.get(workspace) {
            return Ok((channel.clone(), channel.read.subscribe()));
        }
        let (read, ear) = watch::channel(last);
        let recent = Mutex::new(Recent { events: VecDeque::new(), complete_after: last });
        let channel = Arc::new(Channel { read, recent });
        channels.insert(workspace.clone(), channel.clone());
        tokio::spawn(read_on(app.clone(), workspace.clone(), channel.clone()));
        Ok((channel, ear))
    }

    /// Takes a channel away to which nobody listens; false where somebody does.
    fn is_left(&self, workspace: &Workspace, channel: &Channel) -> bool {
        let mut channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        let is_left = channel.read.receiver_count() == 0;
        if is_left {
            channels.remove(workspace);
        }
        is_left
    }
}

/// Hears when something was read.
type Ear = watch::Receiver<i64>;

/// Reads a workspace's events as they come, until nobody listens.
async fn read_on(app: Arc<App>, workspace: Workspace, channel: Arc<Channel>) {
    let mut ending = app.live.ending.subscribe();
    let mut was_away = false;
    while !*ending.borrow() && !app.live.is_left(&workspace, &channel) {
        let seq = *channel.read.borrow();
        match app.store.load_events_after(&workspace, seq, AT_ONCE).await {
            Ok(events) => {
                was_away = false;
                let is_all = events.len() < AT_ONCE as usize;
                channel.add(events);
                if !is_all {
                    continue;
                }
            }
            Err(error) => {
                if !was_away {
                    tracing::warn!(workspace = workspace.as_str(), "live events wait: {error}");
                }
                was_away = true;
            }
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            _ = ending.changed() => {}
        }
    }
}

impl Channel {
    fn add(&self, events: Vec<LiveEvent>) {
        let Some(last) = events.last().map(|event| event.seq) else { return };
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.events.extend(events.into_iter().map(|event| Arc::new(Told::of(event))));
        while recent.events.len() > RECENT {
            let oldest = recent.events.pop_front();
            recent.complete_after = oldest.map_or(last, |oldest| oldest.seq);
        }
        drop(recent);
        self.read.send_replace(last);
    }

    /// What came after a number; null where the list does not reach as far back.
    fn after(&self, seq: i64) -> Option<Vec<Arc<Told>>> {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let from = recent.events.partition_point(|told| told.seq <= seq);
        (seq >= recent.complete_after).then(|| recent.events.range(from..).cloned().collect())
    }
}

/// Counts a listener as long as they are there.
struct Listening(Arc<App>);

impl Listening {
    /// Errors: so many listen that others would not be heard.
    fn begin(app: &Arc<App>) -> Result<Listening, Problem> {
        let most = (app.options.max_connections * 3 / 4).max(1);
        let listening = Listening(app.clone());
        if app.live.listeners.fetch_add(1, Ordering::Relaxed) >= most {
            return Err(Problem::new(Kind::Unavailable, "too many listen already").retry_after(30));
        }
        Ok(listening)
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.0.live.listeners.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The answer to a listener: it goes on until one of both leaves.
pub(super) async fn respond(app: &Arc<App>, subscription: Subscription) -> Result<Response<Body>, Problem> {
    let listening = Listening::begin(app)?;
    let (channel, ear) = app.live.channel(app, &subscription.caller.workspace).await?;
    let mut response = Response::new(Body::from_stream(frames(listening, subscription, channel, ear)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // A proxy in front is to pass on what it gets.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

/// What a listener hears. What happens rarely is boxed: thousands wait here at the same time.
fn frames(
    listening: Listening,
    subscription: Subscription,
    channel: Arc<Channel>,
    mut ear: Ear,
) -> impl futures_util::Stream<Item = Result<Bytes, Infallible>> {
    async_stream::stream! {
        let Subscription { caller, wanted, mut after, is_reset } = subscription;
        let app = &listening.0;
        let mut ending = app.live.ending.subscribe();
        yield Ok(Bytes::from_static(OPENING.as_bytes()));
        if is_reset {
            yield Ok(Bytes::from_static(RESET.as_bytes()));
        }
        while !*ending.borrow() {
            ear.mark_unchanged();
            loop {
                let told = match channel.after(after) {
                    Some(told) => told,
                    None => match Box::pin(load(app, &caller, after)).await {
                        Some(told) => told,
                        None => break,
                    },
                };
                let Some(last) = told.last().map(|told| told.seq) else { break };
                // Not even what was there before they were shut out.
                if !Box::pin(auth::may_still(app, &caller, Permission::Read)).await {
                    return;
                }
                for one in told.iter().filter(|told| wanted.takes(told)) {
                    yield Ok(one.frame.clone());
                }
                after = last;
            }
            tokio::select! {
                heard = ear.changed() => if heard.is_err() { return },
                _ = ending.changed() => return,
                () = tokio::time::sleep(KEEP_ALIVE) => {
                    if !Box::pin(auth::may_still(app, &caller, Permission::Read)).await {
                        return;
                    }
                    yield Ok(Bytes::from_static(ALIVE.as_bytes()));
                }
            }
        }
    }
}

/// What came after a number that is too long ago for the list; null while the database does not answer. Where it has no more,
/// the list is asked.
async fn load(app: &App, caller: &Caller, after: i64) -> Option<Vec<Arc<Told>>> {
    let events = app.store.load_events_after(&caller.workspace, after, AT_ONCE).await.ok()?;
    Some(events.into_iter().map(|event| Arc::new(Told::of(event))).collect())
}

#[cfg(test)]
mod tests {
    use super::told::tests::event;
    use super::*;

    #[test]
    fn the_list_is_short_and_says_how_far_back_it_reaches() {
        let channel = Channel {
            read: watch::channel(10).0,
            recent: Mutex::new(Recent { events: VecDeque::new(), complete_after: 10 }),
        };
        let seqs = |after| Some(channel.after(after)?.iter().map(|told| told.seq).collect::<Vec<_>>());
        assert_eq!((seqs(10), seqs(9)), (Some(vec![]), None));
        channel.add(vec![event(12, "{}"), event(13, "{}")]);
        assert_eq!((seqs(10), seqs(12), seqs(13)), (Some(vec![12, 13]), Some(vec![13]), Some(vec![])));
        channel.add((14..14 + RECENT as i64).map(|seq| event(seq, "{}")).collect());
        assert_eq!(seqs(12), None, "it was forgotten");
        assert_eq!(seqs(13).unwrap().len(), RECENT);
        assert_eq!(*channel.read.borrow(), 13 + RECENT as i64);
    }
}
