//! Several hosts on one server, started at the same minute: they share the list, the rates and the budgets, and what one
//! leaves behind another takes up.

use std::collections::BTreeSet;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use super::{Live, config};
#[cfg(feature = "failpoints")]
use crate::server::sql;
use crate::simulator::{Config, Latency, Random, Source};

/// What hosts share lies on a server: without one these tests say that they are skipped.
fn on_server(config: Config, chain: &str) -> Option<Live> {
    let live = Live::new(config, chain);
    if live.url.is_none() {
        println!("no server is named by AMZCTL_TEST_DATABASE_URL: skipped");
    }
    live.url.is_some().then_some(live)
}

/// A simulator whose clock is the machine's.
#[expect(clippy::disallowed_methods, reason = "hosts wait for each other in real time")]
fn real_time(latency_ms: u64) -> Config {
    let latency = Latency { base_ms: latency_ms, jitter_ms: latency_ms / 2 };
    Config { now: chrono::Utc::now(), clock_runs: true, latency, ..config() }
}

fn spawn(live: &Live, line: &str) -> Child {
    live.command(line).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

/// What each host did: how it ended, and how many products it fetched.
fn ended(hosts: Vec<Child>) -> Vec<(Option<i32>, String)> {
    hosts
        .into_iter()
        .map(|host| {
            let output = host.wait_with_output().unwrap();
            (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
        })
        .collect()
}

/// Runs the line on so many hosts at once, all of which end with this code; answers what each of them told.
fn all_end(live: &Live, hosts: usize, line: &str, code: i32) -> Vec<String> {
    let hosts = (0..hosts).map(|_| spawn(live, line)).collect();
    let told = |(ended, told): (Option<i32>, String)| {
        assert_eq!(ended, Some(code), "{told}");
        told
    };
    ended(hosts).into_iter().map(told).collect()
}

/// Products by the number of answers that were kept of them.
fn kept(live: &Live) -> Vec<String> {
    live.lines(
        "SELECT copies || ': ' || COUNT(*) FROM
           (SELECT asin_requested, COUNT(*) AS copies FROM raw_receipts GROUP BY asin_requested) r
         GROUP BY copies ORDER BY copies",
    )
}

#[test]
fn hosts_started_together_share_the_list() {
    let Some(mut live) = on_server(real_time(150), "rainforest") else { return };
    live.use_real_clock();
    live.set("rainforest", "concurrency", 4);
    live.watch(&live.products(400, 0), "");
    let fetched = |told: &String| {
        let of_due = told.split("400 products due, ").nth(1).and_then(|rest| rest.split(' ').next());
        of_due.and_then(|number| number.parse::<u64>().ok()).unwrap_or_else(|| panic!("{told}"))
    };
    let fetched: Vec<u64> = all_end(&live, 4, "ingest", 0).iter().map(fetched).collect();
    assert_eq!(fetched.iter().sum::<u64>(), 400, "{fetched:?}");
    assert!(fetched.iter().filter(|&&fetched| fetched >= 40).count() >= 2, "it is shared: {fetched:?}");
    assert_eq!(live.asked(Source::Rainforest), 400, "nothing is asked twice");
    assert_eq!(kept(&live), ["1: 400"]);
    assert_eq!(live.number("SELECT COUNT(*) FROM fetch_claims"), 0);
}

#[test]
fn hosts_that_run_everything_take_turns_and_leave_nothing_undone() {
    let Some(mut live) = on_server(real_time(20), "rainforest") else { return };
    live.use_real_clock();
    live.watch(&live.products(60, 0), "");
    all_end(&live, 3, "run --no-deliver", 0);
    assert_eq!(live.asked(Source::Rainforest), 60);
    assert_eq!(live.number("SELECT COUNT(*) FROM deltas"), 60);
    live.ok("verify");
    let runs = live.ok("runs list --format csv --fields command,state").stdout;
    assert_eq!(runs.lines().filter(|line| *line == "run,done").count(), 3, "{runs}");
}

#[test]
fn a_run_that_asks_beside_others_is_shown_as_running() {
    let Some(mut live) = on_server(real_time(300), "rainforest") else { return };
    live.use_real_clock();
    live.set("rainforest", "concurrency", 1);
    live.watch(&live.products(40, 0), "");
    let mut asking = spawn(&live, "ingest -q");
    let is_shown = (0..200).any(|_| {
        let runs = live.ok("runs list --format csv --fields command,state").stdout;
        runs.lines().any(|line| line == "ingest,running")
    });
    let locks = live.ok("db status --format csv").stdout;
    asking.kill().unwrap();
    asking.wait().unwrap();
    assert!(is_shown);
    assert!(locks.contains("lock ingest/"), "{locks}");
    let runs = live.ok("runs list --format csv --fields command,state").stdout;
    assert!(runs.contains("ingest,killed"), "{runs}");
}

#[test]
fn hosts_together_keep_one_rate() {
    let (rate, burst) = (20.0, 10);
    let Some(mut live) = on_server(real_time(30), "rainforest") else { return };
    live.use_real_clock();
    live.set("rainforest", "requests_per_second", rate);
    live.set("rainforest", "burst", burst);
    live.set("rainforest", "concurrency", 4);
    live.watch(&live.products(120, 0), "");
    let began = Instant::now();
    all_end(&live, 4, "ingest -q", 0);
    // In any stretch of time no more were let go than the burst and what the rate adds. They are let go by the server's
    // clock and arrive when the machine has time, as many together as may be on their way.
    let mut times: Vec<u64> = live.simulator.requests().iter().map(|entry| entry.at_ms).collect();
    times.sort_unstable();
    assert_eq!(times.len(), 120);
    for (first, from) in times.iter().enumerate() {
        for (count, until) in times[first..].iter().enumerate() {
            let seconds = (until - from) as f64 / 1e3;
            let most = f64::from(burst) + rate * seconds + 16.0;
            assert!((count + 1) as f64 <= most, "{} in {seconds} s", count + 1);
        }
    }
    // And it is used: the last one could not have gone before.
    let least = (120.0 - f64::from(burst)) / rate;
    let took = began.elapsed().as_secs_f64();
    assert!(took < 3.0 * least + 5.0, "{took} s instead of {least}");
    assert!((times[times.len() - 1] - times[0]) as f64 / 1e3 >= 0.9 * least);
}

#[test]
fn hosts_together_keep_one_budget_and_use_it() {
    let Some(mut live) = on_server(real_time(20), "rainforest") else { return };
    live.use_real_clock();
    live.set("rainforest", "concurrency", 4);
    live.set("rainforest", "max_units_day", 100);
    live.watch(&live.products(300, 0), "");
    all_end(&live, 4, "ingest -q", 6);
    assert_eq!(live.number("SELECT CAST(SUM(cost_units) AS BIGINT) FROM source_requests"), 100);
    assert_eq!(live.number("SELECT CAST(SUM(units) AS BIGINT) FROM source_spending"), 100);
    assert_eq!(live.asked(Source::Rainforest), 100);
}

#[test]
fn what_answers_cost_less_than_thought_is_spent_by_whichever_host() {
    let Some(mut live) = on_server(real_time(20), "firecrawl") else { return };
    live.use_real_clock();
    // A page may turn out five times as dear as it is.
    live.set("firecrawl", "proxy", "\"auto\"");
    live.set("firecrawl", "concurrency", 4);
    live.set("firecrawl", "max_units_day", 100);
    live.watch(&live.products(200, 0), "");
    all_end(&live, 3, "ingest -q", 6);
    let spent = live.number("SELECT CAST(SUM(units) AS BIGINT) FROM source_spending");
    assert!((96..=100).contains(&spent), "{spent} of 100");
}

#[test]
fn a_host_that_stalls_past_its_lease_keeps_nothing_more() {
    let Some(mut live) = on_server(real_time(300), "rainforest") else { return };
    live.use_real_clock();
    live.set("store", "lease_s", 3);
    live.set("rainforest", "concurrency", 4);
    live.watch(&live.products(12, 0), "");
    let stalled = spawn(&live, "ingest");
    let seen = (0..500).any(|_| {
        wait(Duration::from_millis(20));
        live.asked(Source::Rainforest) > 0
    });
    assert!(seen, "it asks for something");
    signal("STOP", stalled.id());
    live.ok("ingest -q");
    assert_eq!(live.number("SELECT COUNT(*) FROM fetches"), 12);
    signal("CONT", stalled.id());
    let (code, told) = ended(vec![stalled]).remove(0);
    // In the middle of a transaction the server has ended that by then.
    assert!(matches!(code, Some(7 | 11)), "{code:?} {told}");
    let is_told = told.contains("this run stalled past its lease, and another host has taken its place");
    assert!(code == Some(7) || is_told, "{told}");
    assert_eq!(kept(&live), ["1: 12"]);
}

#[test]
fn a_host_whose_key_is_refused_leaves_the_list_to_the_others() {
    let Some(mut live) = on_server(real_time(50), "rainforest") else { return };
    live.use_real_clock();
    live.set("rainforest", "concurrency", 2);
    live.watch(&live.products(100, 0), "");
    let mut sick = live.command("ingest -q");
    sick.env("RAINFOREST_API_KEY", "wrong");
    let sick = sick.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let healthy = spawn(&live, "ingest -q");
    let codes: Vec<Option<i32>> = ended(vec![sick, healthy]).into_iter().map(|(code, _)| code).collect();
    assert_eq!(codes, [Some(12), Some(0)]);
    assert_eq!(kept(&live), ["1: 100"]);
}

/// Cut while answers are being written: a build without failpoints does not stop there.
#[cfg(feature = "failpoints")]
#[test]
fn connections_that_are_cut_cost_no_answer() {
    let Some(mut live) = on_server(real_time(50), "rainforest") else { return };
    live.use_real_clock();
    live.set("rainforest", "concurrency", 4);
    live.watch(&live.products(60, 0), "");
    let url = live.url.clone().unwrap();
    let pause = tempfile::tempdir().unwrap();
    let mut asking = live.command("ingest -q");
    asking.env("AMZCTL_FAILPOINT", "fetch.inside_commit:25").env("AMZCTL_FAILPOINT_PAUSE", pause.path());
    let asking = asking.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    while !pause.path().join("reached").exists() {
        wait(Duration::from_millis(5));
    }
    sql(
        &url,
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
         WHERE application_name = 'amzctl' AND datname = current_database()",
    );
    std::fs::write(pause.path().join("go"), "").unwrap();
    let (code, told) = ended(vec![asking]).remove(0);
    assert_eq!(code, Some(0), "{told}");
    assert_eq!(live.asked(Source::Rainforest), 60, "nothing is asked twice");
    assert_eq!(kept(&live), ["1: 60"]);
    let requests = live.lines("SELECT state || ' ' || COUNT(*) FROM source_requests GROUP BY state");
    assert_eq!(requests, ["answered 60"]);
    assert_eq!(live.number("SELECT CAST(SUM(units) AS BIGINT) FROM source_spending"), 60);
}

/// Kills and stalls in place of hosts that die and hosts that hang.
#[test]
fn what_hosts_leave_behind_is_done_once_by_others() {
    let is_full = std::env::var("AMZCTL_SWEEP").is_ok_and(|size| size == "full");
    let (products, sabotage) =
        if is_full { (20_000, Duration::from_secs(60)) } else { (600, Duration::from_secs(5)) };
    let Some(mut live) = on_server(real_time(20), "rainforest") else { return };
    live.use_real_clock();
    live.set("store", "lease_s", 3);
    live.set("rainforest", "concurrency", 8);
    live.watch(&live.products(products, 0), "");
    let mut dice = Random::named(20_261_122, &["hosts"]);
    let mut hosts: Vec<Child> = (0..4).map(|_| spawn(&live, "ingest -q")).collect();
    let mut stopped: Vec<(u32, Instant)> = Vec::new();
    let (began, mut killed, mut stalled) = (Instant::now(), 0, 0);
    let mut codes = BTreeSet::new();
    while began.elapsed() < sabotage {
        wait(Duration::from_millis(150));
        let at = dice.below(hosts.len() as u64) as usize;
        // A host that hangs for longer than its lease, and one that dies.
        if dice.chance(0.1) {
            signal("STOP", hosts[at].id());
            stopped.push((hosts[at].id(), Instant::now() + Duration::from_secs(5)));
            stalled += 1;
        } else if !stopped.iter().any(|(pid, _)| *pid == hosts[at].id()) {
            hosts[at].kill().unwrap();
            killed += 1;
        }
        stopped.retain(|(pid, until)| {
            if Instant::now() < *until {
                return true;
            }
            signal("CONT", *pid);
            false
        });
        for host in &mut hosts {
            if let Some(status) = host.try_wait().unwrap() {
                codes.insert(status.code());
                *host = spawn(&live, "ingest -q");
            }
        }
    }
    for (pid, _) in stopped {
        signal("CONT", pid);
    }
    println!("{killed} kills and {stalled} stalls; hosts ended with {codes:?}");
    for (code, told) in ended(hosts) {
        // 11: it stalled, and another one has taken its place; 7: in the middle of a transaction, which the server has ended.
        assert!(matches!(code, Some(0 | 7 | 11)), "{code:?} {told}");
    }
    live.ok("ingest -q");
    assert_eq!(kept(&live), [format!("1: {products}")], "each once");
    assert_eq!(live.number("SELECT COUNT(*) FROM fetches"), products as i64);
    assert_eq!(live.number("SELECT COUNT(*) FROM source_requests WHERE state = 'sent'"), 0);
    let spent = "SELECT CAST(SUM(units) AS BIGINT) FROM source_spending";
    let ledger = "SELECT CAST(SUM(cost_units) AS BIGINT) FROM source_requests";
    assert_eq!(live.number(spent), live.number(ledger));
    // What was lost is what was on its way when its host died.
    let lost = live.number("SELECT COUNT(*) FROM source_requests WHERE state = 'lost'");
    assert!(lost <= 8 * (killed + stalled), "{lost} of {killed} kills and {stalled} stalls");
}

fn wait(time: Duration) {
    std::thread::sleep(time);
}

fn signal(name: &str, pid: u32) {
    let sent = std::process::Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status();
    assert!(sent.unwrap().success());
}
