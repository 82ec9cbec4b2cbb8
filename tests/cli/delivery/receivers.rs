//! HTTP receivers in the test's process, as unreliable as their seed says: they refuse, hang, answer after the sender has
//! given up, and drop connections after they accepted. They keep what arrived, and see what should not have been sent.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::simulator::Random;

/// The sender's time limit is a second; what is late comes after it.
const LATE: Duration = Duration::from_millis(1500);

/// How a channel's receiver is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Manner {
    /// Takes everything.
    Well,
    /// Three of ten go wrong, each in one of five ways.
    Flaky,
    /// Flaky, and refuses one message of a hundred for good.
    Picky,
    /// Accepts nothing.
    Gone,
    /// Never answers.
    Mute,
}

/// What is done with a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Answer {
    Accept,
    RefuseForNow,
    RefuseForGood,
    Hang,
    AcceptLate,
    AcceptAndDrop,
    Drop,
}

/// (channel, message id)
type Key = (String, String);

#[derive(Default)]
struct Kept {
    manners: HashMap<String, Manner>,
    /// How often each arrived, with the hash of what it was.
    arrived: HashMap<Key, (u32, String)>,
    /// Ids of messages, by channel.
    accepted: HashMap<String, HashSet<String>>,
    /// Messages of which the sender has recorded that they were delivered.
    recorded: HashSet<Key>,
    arrivals: u64,
    violations: Vec<String>,
}

/// One port; the channel is the path.
pub(crate) struct Receivers {
    pub(crate) port: u16,
    kept: Arc<(Mutex<Kept>, Condvar)>,
    // Ends the server with the test.
    _runtime: tokio::runtime::Runtime,
}

impl Receivers {
    pub(crate) fn start(seed: u64) -> Receivers {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let port = listener.local_addr().unwrap().port();
        let kept: Arc<(Mutex<Kept>, Condvar)> = Arc::default();
        let of_server = Arc::clone(&kept);
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let kept = Arc::clone(&of_server);
                // The sender may be killed at any byte.
                tokio::spawn(async move { serve(stream, seed, &kept).await.ok() });
            }
        });
        Receivers { port, kept, _runtime: runtime }
    }

    fn kept<T>(&self, look: impl FnOnce(&mut Kept) -> T) -> T {
        look(&mut self.kept.0.lock().unwrap())
    }

    pub(crate) fn set(&self, channel: &str, manner: Manner) {
        self.kept(|kept| kept.manners.insert(channel.to_owned(), manner));
    }

    /// Says what the sender knows to be delivered: none of it may come again.
    pub(crate) fn recorded(&self, messages: &[(String, String)]) {
        self.kept(|kept| kept.recorded.extend(messages.iter().cloned()));
    }

    pub(crate) fn arrivals(&self) -> u64 {
        self.kept(|kept| kept.arrivals)
    }

    /// How many different messages of a channel were accepted.
    pub(crate) fn accepted(&self, channel: &str) -> u64 {
        self.kept(|kept| kept.accepted.get(channel).map_or(0, HashSet::len) as u64)
    }

    /// How many messages arrived more than once.
    pub(crate) fn repeated(&self) -> usize {
        self.kept(|kept| kept.arrived.values().filter(|(times, _)| *times > 1).count())
    }

    pub(crate) fn is_accepted(&self, channel: &str, id: &str) -> bool {
        self.kept(|kept| kept.accepted.get(channel).is_some_and(|accepted| accepted.contains(id)))
    }

    /// What should not have happened.
    pub(crate) fn violations(&self) -> Vec<String> {
        self.kept(|kept| kept.violations.clone())
    }

    /// Waits until so many messages have arrived; false when `is_over` says that no more come.
    pub(crate) fn wait_for(&self, arrivals: u64, mut is_over: impl FnMut() -> bool) -> bool {
        let (kept, changed) = &*self.kept;
        let mut kept = kept.lock().unwrap();
        while kept.arrivals < arrivals {
            if is_over() {
                return false;
            }
            kept = changed.wait_timeout(kept, Duration::from_millis(20)).unwrap().0;
        }
        true
    }
}

async fn serve(stream: TcpStream, seed: u64, kept: &(Mutex<Kept>, Condvar)) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let Some((channel, id, body)) = request(&mut stream).await? else { return Ok(()) };
        let answer = take(kept, seed, channel, id, &body);
        let (status, wait) = match answer {
            Answer::Accept => ("204 No Content", Duration::ZERO),
            Answer::RefuseForNow => ("503 Service Unavailable", Duration::ZERO),
            Answer::RefuseForGood => ("410 Gone", Duration::ZERO),
            Answer::AcceptLate => ("204 No Content", LATE),
            Answer::AcceptAndDrop | Answer::Drop => return Ok(()),
            Answer::Hang => {
                // Until the sender goes away.
                let mut rest = Vec::new();
                stream.read_to_end(&mut rest).await?;
                return Ok(());
            }
        };
        tokio::time::sleep(wait).await;
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
        stream.get_mut().write_all(answer.as_bytes()).await?;
    }
}

/// A request's channel, message and body; null at the end.
async fn request(stream: &mut BufReader<TcpStream>) -> std::io::Result<Option<(String, String, Vec<u8>)>> {
    let (mut channel, mut id, mut length) = (String::new(), String::new(), 0);
    for place in 0.. {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(None);
        }
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        if place == 0 {
            channel = line.split(' ').nth(1).unwrap_or_default().trim_start_matches('/').to_owned();
        } else if let Some((name, value)) = line.split_once(": ") {
            match name.to_ascii_lowercase().as_str() {
                "webhook-id" => id = value.to_owned(),
                "content-length" => length = value.parse().unwrap(),
                _ => {}
            }
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok(Some((channel, id, body)))
}

/// Keeps what arrived, and says what is done with it.
fn take(kept: &(Mutex<Kept>, Condvar), seed: u64, channel: String, id: String, body: &[u8]) -> Answer {
    let (kept, changed) = kept;
    let mut kept = kept.lock().unwrap();
    kept.arrivals += 1;
    changed.notify_all();
    let key = (channel, id);
    if kept.recorded.contains(&key) {
        kept.violations.push(format!("{key:?} was sent again after it was recorded as delivered"));
    }
    if key.1.is_empty() || !String::from_utf8_lossy(body).contains(&format!("\"event_id\":\"{}\"", key.1)) {
        kept.violations.push(format!("{key:?} does not hold what it is named for"));
    }
    let hash = amzctl::ids::sha256_hex(body);
    let (times, first) = kept.arrived.entry(key.clone()).or_insert((0, hash.clone()));
    *times += 1;
    let (times, is_same) = (*times, *first == hash);
    if !is_same {
        kept.violations.push(format!("{key:?} came again with another content"));
    }
    let manner = kept.manners.get(&key.0).copied().unwrap_or(Manner::Well);
    let answer = answer(manner, seed, &key, times);
    if matches!(answer, Answer::Accept | Answer::AcceptLate | Answer::AcceptAndDrop) {
        kept.accepted.entry(key.0).or_default().insert(key.1);
    }
    answer
}

fn answer(manner: Manner, seed: u64, (channel, id): &Key, times: u32) -> Answer {
    let mut dice = Random::named(seed, &[channel, id, &times.to_string()]);
    match manner {
        Manner::Well => Answer::Accept,
        Manner::Gone => Answer::Drop,
        Manner::Mute => Answer::Hang,
        Manner::Picky if is_refused(seed, channel, id) => Answer::RefuseForGood,
        Manner::Flaky | Manner::Picky => match dice.below(100) {
            0..20 => Answer::RefuseForNow,
            20..22 => Answer::Hang,
            22..24 => Answer::AcceptLate,
            24..28 => Answer::AcceptAndDrop,
            28..30 => Answer::Drop,
            _ => Answer::Accept,
        },
    }
}

/// What a picky receiver never takes.
pub(crate) fn is_refused(seed: u64, channel: &str, id: &str) -> bool {
    Random::named(seed, &["refused", channel, id]).below(100) == 0
}
