//! A market played through the real binary, as cron would: the warm-up in one go, then one run a day.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;

use super::product::{GROUP, Market};
use super::{WARM_UP, World, day, feed};

/// One event that reached a receiver.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Told {
    /// The day on which it was told, as an index of the market.
    pub(crate) on: i32,
    pub(crate) alert_id: String,
    pub(crate) rule: String,
    /// Place of the product; null where it is about a source.
    pub(crate) place: Option<usize>,
    pub(crate) object: String,
    pub(crate) message: String,
    /// It says that an alert became more severe, and is no new one.
    pub(crate) is_more: bool,
}

/// What cron's clock shows.
const CRON_HOUR: u8 = 14;
/// What `run` may end with: also that a source is in trouble, which is what some days are about.
const FINE: [i32; 2] = [0, 3];

/// Everything that the rule set told after the warm-up, in order.
pub(crate) fn play(binary: &Path, world: &World, rules: &str) -> anyhow::Result<Vec<Told>> {
    let folder = tempfile::tempdir().context("failed to make a folder for the market")?;
    let home = Home { binary, folder: folder.path() };
    home.prepare(world, rules)?;
    for index in 0..WARM_UP {
        home.write(world, index)?;
    }
    home.run(WARM_UP - 1, &["run", "-q", "data"])?;
    let mut told = Vec::new();
    let mut read = home.events()?.len();
    let places: HashMap<String, usize> = world
        .products
        .iter()
        .enumerate()
        .map(|(place, product)| (format!("{}:{}", product.market.code(), product.asin), place))
        .collect();
    for index in WARM_UP..world.options.days {
        if feed::is_asleep(world, index) {
            continue;
        }
        let data = format!("data/{}", day(index));
        // Without a path it reads the inbox, which is not there.
        let line = ["run", "-q", &data];
        home.run(index, if home.write(world, index)? { &line } else { &line[..2] })?;
        let events = home.events()?;
        told.extend(events[read..].iter().filter_map(|event| told_of(event, index, &places)));
        read = events.len();
    }
    Ok(told)
}

/// Null for what is not about a finding.
fn told_of(event: &Value, on: i32, places: &HashMap<String, usize>) -> Option<Told> {
    let text = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
    let is_more = match event["event_type"].as_str()? {
        "alert.opened" => false,
        "alert.escalated" => true,
        _ => return None,
    };
    Some(Told {
        on,
        alert_id: text("alert_id"),
        rule: text("rule"),
        place: places.get(&format!("{}:{}", text("marketplace"), text("asin"))).copied(),
        object: text("object"),
        message: text("message"),
        is_more,
    })
}

struct Home<'a> {
    binary: &'a Path,
    folder: &'a Path,
}

impl Home<'_> {
    /// A database, who is watched, who competes with whom.
    fn prepare(&self, world: &World, rules: &str) -> anyhow::Result<()> {
        let before = WARM_UP - 1;
        self.run(before, &["init", "-q"])?;
        let sellers = Market::ALL.map(|market| format!("\"{}\"", market.own_seller())).join(", ");
        let settings = format!(
            "[store]\npath = \"amzctl.db\"\n[lake]\nroot = \"lake\"\ndelta = false\n[time]\nzone = \"UTC\"\n\
             [alerts]\nrules = \"{rules}\"\nstdout = false\nfile = \"alerts.ndjson\"\n[own]\nseller_ids = [{sellers}]\n"
        );
        self.put("amzctl.toml", &settings)?;
        let lines = world.products.iter().map(|product| {
            let relation = if product.is_own { "own" } else { "rival" };
            format!("{},{},routine,{relation},\n", product.market.code(), product.asin)
        });
        let watched = format!("marketplace,asin,tier,relation,tags\n{}", lines.collect::<String>());
        self.put("watch.csv", &watched)?;
        self.run(before, &["watch", "import", "-q", "watch.csv"])?;
        for (number, group) in world.products.chunks(GROUP).enumerate() {
            let named = group.iter().enumerate().filter(|(at, product)| *at == 0 || product.is_competitor());
            let named: Vec<String> =
                named.map(|(_, product)| format!("{}:{}", product.market.code(), product.asin)).collect();
            if named.len() > 1 {
                let name = format!("group-{number}");
                let line = ["cohort", "set", "-q", &name].into_iter().chain(named.iter().map(String::as_str));
                self.run(before, &line.collect::<Vec<&str>>())?;
            }
        }
        Ok(())
    }

    /// Writes what is new on the day; false when that is nothing.
    fn write(&self, world: &World, index: i32) -> anyhow::Result<bool> {
        let files = feed::files(world, index);
        for file in &files {
            self.put(&format!("data/{}/{}", day(index), file.name), &file.contents)?;
        }
        Ok(!files.is_empty())
    }

    fn put(&self, name: &str, text: &str) -> anyhow::Result<()> {
        let path = self.folder.join(name);
        let parent = path.parent().unwrap_or(self.folder);
        let written = fs::create_dir_all(parent).and_then(|()| fs::write(&path, text));
        written.with_context(|| format!("failed to write {}", path.display()))
    }

    fn run(&self, index: i32, arguments: &[&str]) -> anyhow::Result<()> {
        let output = Command::new(self.binary)
            .args(arguments)
            .env_clear()
            .env("AMZCTL_NOW", format!("{}T{CRON_HOUR:02}:00:00Z", day(index)))
            .env("HOME", self.folder)
            .current_dir(self.folder)
            .stdin(Stdio::null())
            .output()
            .context("failed to start amzctl")?;
        if !output.status.code().is_some_and(|code| FINE.contains(&code)) {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("amzctl {} ended with {} on {}:\n{said}", arguments.join(" "), output.status, day(index));
        }
        Ok(())
    }

    /// What was delivered so far.
    fn events(&self) -> anyhow::Result<Vec<Value>> {
        let path = self.folder.join("alerts.ndjson");
        if !path.exists() {
            return Ok(Vec::new());
        }
        let text = fs::read_to_string(&path).context("failed to read what was delivered")?;
        ensure!(text.is_empty() || text.ends_with('\n'), "the last event is torn");
        text.lines().map(|line| serde_json::from_str(line).context("an event is no JSON")).collect()
    }
}
