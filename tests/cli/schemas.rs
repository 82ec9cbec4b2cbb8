//! What programs read: the schema and the keys of every command's JSON. Keys are only ever added.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;

use crate::sandbox::{Sandbox, answers};

/// A market over five days with alerts, a cohort, an incident-free quarantine and reports.
fn market() -> Sandbox {
    let sandbox = Sandbox::at_first_sight();
    let mut text = String::from("not json\n");
    for (day, price) in [(24, 2000), (25, 2000), (26, 2100), (27, 2000), (28, 900)] {
        for (asin, price, rank) in [("B0FDKB341G", price, 300 - day), ("B0FDKB341H", 2500, 700 + day)] {
            let _ = writeln!(
                text,
                r#"{{"marketplace":"US","asin":"{asin}","day":"2026-02-{day}","price_minor":{price},"bsr":{rank},"bsr_category":"Electronics","bsr_leaf":{},"bsr_leaf_category":"Earbuds","rating_centi":450,"ratings_count":{},"availability":"in_stock","seller_id":"A{day}","seller_name":"Shop","title":"Earbuds","brand":"Aosrau","category":"Electronics"}}"#,
                rank / 10,
                1000 + day,
            );
        }
    }
    sandbox.write("market.ndjson", text);
    sandbox.succeed("watch add -q --tag main US:B0FDKB341G US:B0FDKB341H");
    sandbox.succeed("cohort set -q buds US:B0FDKB341G US:B0FDKB341H");
    assert_eq!(sandbox.exit_code("run -q --no-deliver market.ndjson"), 3);
    sandbox
}

/// The schema of a command's answer, and the keys of every object in it, arrays as one element that has them all.
fn keys(sandbox: &Sandbox, line: &str) -> String {
    let output = sandbox.command(line).output().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    let documents: Vec<Value> = serde_json::Deserializer::from_str(&stdout)
        .into_iter()
        .collect::<Result<_, _>>()
        .unwrap_or_else(|error| panic!("{line}: {error}: {stdout}"));
    assert!(!documents.is_empty(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for document in &documents {
        collect(document, "", &mut found);
    }
    let mut text = format!("{}\n", documents[0]["schema"].as_str().unwrap_or("no schema"));
    for (path, names) in found {
        let _ = writeln!(text, "{}{}{}", path, if path.is_empty() { "" } else { ": " }, names.join(" "));
    }
    text
}

fn collect(value: &Value, path: &str, found: &mut BTreeMap<String, Vec<String>>) {
    match value {
        Value::Object(object) => {
            for (name, inner) in object {
                let names = found.entry(path.to_owned()).or_default();
                if !names.contains(name) {
                    names.push(name.clone());
                }
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                collect(inner, &path, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, &format!("{path}[]"), found)),
        _ => {}
    }
}

/// The id in the first row of a list.
fn first_id(sandbox: &Sandbox, line: &str) -> String {
    sandbox.succeed(line).lines().nth(1).unwrap().to_owned()
}

#[test]
fn of_products_and_what_is_watched() {
    let sandbox = market();
    answers!(keys(&sandbox, "show US:B0FDKB341G --json"), @r#"
    amzctl.show/1
    days from product schema to
    days[]: asin availability bsr bsr_category bsr_leaf bsr_leaf_category currency day fulfilment landed_price_minor list_price_minor marketplace monthly_sold_min price price_basis price_minor rating_centi ratings_count seller_id seller_name source stock_quantity
    days[].price: amount currency
    product: asin brand category first_day image_url last_day marketplace parent_asin status title
    "#);
    answers!(keys(&sandbox, "compare --cohort buds --json"), @r#"
    amzctl.compare/1
    as_of cohort competitors completeness confidence main market schema scores window_days
    competitors[]: bsr bsr_leaf price rating ratings_count value
    competitors[].bsr: better gap pct reason
    competitors[].bsr_leaf: better gap pct reason
    competitors[].price: better gap gap_amount pct reason
    competitors[].price.gap_amount: amount currency
    competitors[].rating: better gap pct reason
    competitors[].ratings_count: better gap pct reason
    competitors[].value: asin availability bsr bsr_category bsr_leaf bsr_leaf_category bsr_series currency day label marketplace observed_days price price_basis price_minor price_series rating_centi ratings_count seller_name title
    competitors[].value.price: amount currency
    main: asin availability bsr bsr_category bsr_leaf bsr_leaf_category bsr_series currency day label marketplace observed_days price price_basis price_minor price_series rating_centi ratings_count seller_name title
    main.price: amount currency
    market: best_rank_share bsr_position cheaper_competitors competitors competitors_valued dearer_competitors max_price_minor mean_price_minor mean_rating_centi min_price_minor price_index price_position price_spread rating_position ratings_count_position
    market.bsr_position: of percentile position
    market.price_position: of percentile position
    market.rating_position: of percentile position
    market.ratings_count_position: of percentile position
    scores: overall popularity popularity_on price quality
    "#);
    answers!(keys(&sandbox, "watch list --json"), @r#"
    amzctl.watch/1
    rows schema
    rows[]: added_at asin label last_day marketplace paused relation source_chain tags tier title
    "#);
    answers!(keys(&sandbox, "cohort list --json"), @r#"
    amzctl.cohort/1
    rows schema
    rows[]: competitors created_at label main_asin marketplace name
    "#);
    answers!(keys(&sandbox, "cohort show buds --json"), @r#"
    amzctl.cohort.show/1
    rows schema
    rows[]: asin label marketplace priority role title
    "#);
    answers!(keys(&sandbox, "explain US:B0FDKB341G --json"), @r#"
    amzctl.explain/1
    alert days schema
    days[]: asin day evidence field marketplace row
    days[].evidence[]: body_bytes body_sha256 copies cost_currency cost_micros cost_units fetched_at file_line file_offset file_path item job_id kind normalizer_version observation observed_at recorded_at run_id shape source
    days[].evidence[].observation: asin found listing marketplace monthly_sold_min offer rank rating
    days[].evidence[].observation.listing: brand bullets category_path image_url images parent_asin title variants
    days[].evidence[].observation.offer: availability buy_box_price_minor condition coupon_minor coupon_pct fulfilment is_deal is_prime list_price_minor offer_count price_basis price_minor seller_id seller_name shipping_minor stock_quantity
    days[].evidence[].observation.rank: path_leaf ranks
    days[].evidence[].observation.rank.ranks[]: category category_id is_main rank
    days[].evidence[].observation.rating: rating_centi ratings_count
    days[].row: asin currency day high_price_minor low_price_minor marketplace monthly_sold_min observations observed_at offer rank rating source sources
    days[].row.offer: availability buy_box_price_minor condition coupon_minor coupon_pct fulfilment is_deal is_prime list_price_minor offer_count price_basis price_minor seller_id seller_name shipping_minor stock_quantity
    days[].row.rank: path_leaf ranks
    days[].row.rank.ranks[]: category category_id is_main rank
    days[].row.rating: rating_centi ratings_count
    "#);
}

#[test]
fn of_reports() {
    let sandbox = market();
    answers!(keys(&sandbox, "report US:B0FDKB341G --json"), @r#"
    amzctl.report/1
    alerts as_of cohort comparison kind narrative overlay product schema subject window zone
    alerts[]: alert_id asin day historical marketplace message rule severity state
    cohort: label name
    comparison: as_of cohort competitors completeness confidence main market scores window_days
    comparison.competitors[]: bsr bsr_leaf price rating ratings_count value
    comparison.competitors[].bsr: better gap pct reason
    comparison.competitors[].bsr_leaf: better gap pct reason
    comparison.competitors[].price: better gap pct reason
    comparison.competitors[].rating: better gap pct reason
    comparison.competitors[].ratings_count: better gap pct reason
    comparison.competitors[].value: asin availability bsr bsr_category bsr_leaf bsr_leaf_category bsr_series currency day label marketplace observed_days price price_basis price_minor price_series rating_centi ratings_count seller_name title
    comparison.competitors[].value.price: amount currency
    comparison.main: asin availability bsr bsr_category bsr_leaf bsr_leaf_category bsr_series currency day label marketplace observed_days price price_basis price_minor price_series rating_centi ratings_count seller_name title
    comparison.main.price: amount currency
    comparison.market: best_rank_share bsr_position cheaper_competitors competitors competitors_valued dearer_competitors max_price_minor mean_price_minor mean_rating_centi min_price_minor price_index price_position price_spread rating_position ratings_count_position
    comparison.market.bsr_position: of percentile position
    comparison.market.price_position: of percentile position
    comparison.market.rating_position: of percentile position
    comparison.market.ratings_count_position: of percentile position
    comparison.scores: overall popularity popularity_on price quality
    narrative: differentiation executive_summary market_insights metadata outlook positioning recommendations swot
    narrative.differentiation: price_vs_competitors_pct rating_vs_competitors_centi text
    narrative.market_insights: intensity leadership structure text volatility
    narrative.metadata: as_of cohort competitors competitors_valued completeness confidence popularity_on rules
    narrative.positioning[]: dimension of percentile position text
    narrative.recommendations[]: priority text type
    narrative.swot: opportunities strengths threats weaknesses
    narrative.swot.strengths[]: code text
    product: asin brand category currency days figures first_day latest marketplace quality ranks status title windows
    product.days[]: availability bsr day high_price_minor list_price_minor low_price_minor price_minor rating_centi ratings_count
    product.figures[]: category delta money name pct previous previous_day value windows
    product.figures[].money: amount currency
    product.figures[].windows[]: avg change_pct max median_x2 min n trend volatility window_days
    product.latest: age_hours availability bsr bsr_category day fulfilment monthly_sold_min observed_at offer_count price price_basis price_minor rating_centi ratings_count seller_id seller_name source sources stock_quantity
    product.latest.price: amount currency
    product.quality: gaps mart_is_current observed_30d observed_days price_bases quality quarantined sources unknown
    product.quality.price_bases[]: count name
    product.quality.sources[]: count name
    product.ranks[]: category category_id is_leaf is_main rank
    product.windows[]: in_stock_days in_stock_share known_days observed_days price_high price_high_all price_low price_low_all ratings_growth window_days
    window: first last
    "#);
    answers!(keys(&sandbox, "report --cohort buds --json"), @r#"
    amzctl.report/1
    alerts as_of cohort comparison kind narrative overlay product schema subject window zone
    alerts[]: alert_id asin day historical marketplace message rule severity state
    cohort: label name
    comparison: as_of cohort competitors completeness confidence main market scores window_days
    comparison.competitors[]: bsr bsr_leaf price rating ratings_count value
    comparison.competitors[].bsr: better gap pct reason
    comparison.competitors[].bsr_leaf: better gap pct reason
    comparison.competitors[].price: better gap pct reason
    comparison.competitors[].rating: better gap pct reason
    comparison.competitors[].ratings_count: better gap pct reason
    comparison.competitors[].value: asin availability bsr bsr_category bsr_leaf bsr_leaf_category bsr_series currency day label marketplace observed_days price price_basis price_minor price_series rating_centi ratings_count seller_name title
    comparison.competitors[].value.price: amount currency
    comparison.main: asin availability bsr bsr_category bsr_leaf bsr_leaf_category bsr_series currency day label marketplace observed_days price price_basis price_minor price_series rating_centi ratings_count seller_name title
    comparison.main.price: amount currency
    comparison.market: best_rank_share bsr_position cheaper_competitors competitors competitors_valued dearer_competitors max_price_minor mean_price_minor mean_rating_centi min_price_minor price_index price_position price_spread rating_position ratings_count_position
    comparison.market.bsr_position: of percentile position
    comparison.market.price_position: of percentile position
    comparison.market.rating_position: of percentile position
    comparison.market.ratings_count_position: of percentile position
    comparison.scores: overall popularity popularity_on price quality
    narrative: differentiation executive_summary market_insights metadata outlook positioning recommendations swot
    narrative.differentiation: price_vs_competitors_pct rating_vs_competitors_centi text
    narrative.market_insights: intensity leadership structure text volatility
    narrative.metadata: as_of cohort competitors competitors_valued completeness confidence popularity_on rules
    narrative.positioning[]: dimension of percentile position text
    narrative.recommendations[]: priority text type
    narrative.swot: opportunities strengths threats weaknesses
    narrative.swot.strengths[]: code text
    overlay[]: asin bsr is_main marketplace name price_minor rating_centi
    product: asin brand category currency days figures first_day latest marketplace quality ranks status title windows
    product.days[]: availability bsr day high_price_minor list_price_minor low_price_minor price_minor rating_centi ratings_count
    product.figures[]: category delta money name pct previous previous_day value windows
    product.figures[].money: amount currency
    product.figures[].windows[]: avg change_pct max median_x2 min n trend volatility window_days
    product.latest: age_hours availability bsr bsr_category day fulfilment monthly_sold_min observed_at offer_count price price_basis price_minor rating_centi ratings_count seller_id seller_name source sources stock_quantity
    product.latest.price: amount currency
    product.quality: gaps mart_is_current observed_30d observed_days price_bases quality quarantined sources unknown
    product.quality.price_bases[]: count name
    product.quality.sources[]: count name
    product.ranks[]: category category_id is_leaf is_main rank
    product.windows[]: in_stock_days in_stock_share known_days observed_days price_high price_high_all price_low price_low_all ratings_growth window_days
    window: first last
    "#);
    answers!(keys(&sandbox, "report --json"), @r#"
    amzctl.report/1
    alerts as_of kind products schema subject summary window zone
    alerts[]: alert_id asin day historical marketplace message rule severity state
    products[]: asin availability bsr bsr_7d_pct bsr_category bsr_pct bsr_series currency day label marketplace open_alerts paused price price_7d_pct price_minor price_pct price_series rating_centi rating_delta_centi ratings_count relation title
    products[].price: amount currency
    summary: lake_until not_seen open_alerts out_of_stock paused quarantined seen_today stale watched
    summary.open_alerts[]: count name
    window: first last
    "#);
}

#[test]
fn of_alerts() {
    let sandbox = market();
    let alert = first_id(&sandbox, "alert list --format csv --fields alert_id");
    answers!(keys(&sandbox, "alert list --json"), @r#"
    amzctl.alert-list/1
    rows schema
    rows[]: alert_id asin changed_at changed_by day evidence historical marketplace message note object recorded_at rule run_id severity snoozed_until state superseded
    rows[].evidence: above day price price_basis price_delta price_delta_minor price_minor price_pct price_prev price_prev_day price_prev_minor availability seller_id seller_prev seller_prev_day
    rows[].evidence.price: amount currency
    rows[].evidence.price_delta: amount currency
    rows[].evidence.price_prev: amount currency
    "#);
    answers!(keys(&sandbox, &format!("alert show {alert} --json")), @r#"
    amzctl.alert/1
    alert_id asin changes day deliveries evidence historical marketplace message object recorded_at rule run_id schema severity snoozed_until state superseded
    deliveries[]: attempts channel delivered_at event_id event_type last_error next_attempt_at recipient state
    evidence: above day price price_basis price_delta price_delta_minor price_minor price_pct price_prev price_prev_day price_prev_minor
    evidence.price: amount currency
    evidence.price_delta: amount currency
    evidence.price_prev: amount currency
    "#);
    answers!(keys(&sandbox, "alert summary --json"), @r#"
    amzctl.alert-summary/1
    days from opened products rules schema
    products[]: asin dismissed marketplace opened still_open
    rules[]: acknowledged dismissed median_acknowledge_s median_resolve_s opened resolved rule severity still_open
    "#);
    sandbox.sql(
        "INSERT INTO incidents (incident_id, kind, source, reason, detail, day, state, run_id, recorded_at, workspace)
         VALUES ('c0ffee', 'gate', '', 'canary_moved', 'two moved', '2026-02-28', 'open', 'aa', 1, 'main');
         INSERT INTO held_findings (incident_id, alert_id, rule, severity, marketplace, asin, day, message, evidence,
           historical, state, run_id, held_at)
         VALUES ('c0ffee', 'beef00', 'price_drop', 'high', 'US', 'B0FDKB341H', '2026-02-28', 'fell', '{}', 0, 'held', 'aa', 1)",
    );
    answers!(keys(&sandbox, "alert incidents list --json"), @r#"
    amzctl.alert-incidents/1
    rows schema
    rows[]: closed_at closed_by day detail dropped field held incident_id kind marketplace note reason recorded_at released run_id source state
    "#);
    answers!(keys(&sandbox, "alert incidents show c0ffee --json"), @r#"
    amzctl.alert-incident/1
    closed_at closed_by day detail field findings incident_id kind marketplace note reason recorded_at run_id schema source state
    findings[]: alert_id asin day decided_at decided_by evidence held_at historical marketplace message note object rule run_id severity state
    "#);
    answers!(keys(&sandbox, "alert rules --json"), @r#"
    amzctl.alert-rules/1
    rows schema
    rows[]: above condition min_known_days rule rule_set severity
    "#);
    answers!(keys(&sandbox, &format!("explain {alert} --json")), @r#"
    amzctl.explain/1
    alert days schema
    alert: alert_id asin changes day evidence held historical marketplace message object rule severity snoozed_until state
    alert.evidence: above day price price_basis price_delta price_delta_minor price_minor price_pct price_prev price_prev_day price_prev_minor
    alert.evidence.price: amount currency
    alert.evidence.price_delta: amount currency
    alert.evidence.price_prev: amount currency
    days[]: asin day evidence field marketplace row
    days[].evidence[]: body_bytes body_sha256 copies cost_currency cost_micros cost_units fetched_at file_line file_offset file_path item job_id kind normalizer_version observation observed_at recorded_at run_id shape source
    days[].evidence[].observation: asin found listing marketplace monthly_sold_min offer rank rating
    days[].evidence[].observation.listing: brand bullets category_path image_url images parent_asin title variants
    days[].evidence[].observation.offer: availability buy_box_price_minor condition coupon_minor coupon_pct fulfilment is_deal is_prime list_price_minor offer_count price_basis price_minor seller_id seller_name shipping_minor stock_quantity
    days[].evidence[].observation.rank: path_leaf ranks
    days[].evidence[].observation.rank.ranks[]: category category_id is_main rank
    days[].evidence[].observation.rating: rating_centi ratings_count
    days[].row: asin currency day high_price_minor low_price_minor marketplace monthly_sold_min observations observed_at offer rank rating source sources
    days[].row.offer: availability buy_box_price_minor condition coupon_minor coupon_pct fulfilment is_deal is_prime list_price_minor offer_count price_basis price_minor seller_id seller_name shipping_minor stock_quantity
    days[].row.rank: path_leaf ranks
    days[].row.rank.ranks[]: category category_id is_main rank
    days[].row.rating: rating_centi ratings_count
    "#);
    answers!(keys(&sandbox, "alert deliver --json"), @r#"
    amzctl.alert-event/1
    alert_id asin day event_id event_type evidence marketplace message object previous_severity rule schema severity title workspace
    evidence: above availability day seller_id seller_prev seller_prev_day price price_basis price_delta price_delta_minor price_minor price_pct price_prev price_prev_day price_prev_minor
    evidence.price: amount currency
    evidence.price_delta: amount currency
    evidence.price_prev: amount currency
    "#);
    // The file channel writes the same events.
    let events = sandbox.read("alerts.ndjson");
    let event: Value = serde_json::from_str(events.lines().next().unwrap()).unwrap();
    assert_eq!(event["schema"], "amzctl.alert-event/1");
}

#[test]
fn of_what_is_told_beside_alerts() {
    let sandbox = market();
    let all = ["alert.resolved", "incident.opened", "report.published", "run.finished", "run.failed"];
    let channel = format!(
        "\n[channels.log]\ntype = \"exec\"\ncommand = [\"/bin/sh\", \"-c\", \"cat >> told.ndjson; echo >> told.ndjson\"]\nevents = {all:?}\n"
    );
    sandbox.write("amzctl.toml", sandbox.read("amzctl.toml") + &channel);
    let bad: String = (0..25)
        .map(|n| format!("{{\"marketplace\":\"US\",\"asin\":\"B0000000{n:02}\",\"day\":\"2026-02-28\",\"rating_centi\":700}}\n"))
        .collect();
    sandbox.write("bad.ndjson", bad);
    assert_eq!(sandbox.exit_code("run -q --no-deliver bad.ndjson"), 3);
    assert_eq!(sandbox.exit_code("ingest -q absent.ndjson"), 2);
    sandbox.succeed("report --watchlist --format json -o report.json");
    let alert = first_id(&sandbox, "alert list --format csv --fields alert_id");
    sandbox.succeed(&format!("alert resolve -q --note done {alert}"));
    sandbox.exit_code("alert deliver -q --channel log");
    let mut found: BTreeMap<String, BTreeMap<String, Vec<String>>> = BTreeMap::new();
    for line in sandbox.read("told.ndjson").lines().filter(|line| !line.is_empty()) {
        let event: Value = serde_json::from_str(line).unwrap();
        let schema = event["schema"].as_str().unwrap().to_owned();
        let mut event = event;
        // What a rule looked at is the rule's own.
        event.as_object_mut().unwrap().remove("evidence");
        collect(&event, "", found.entry(schema).or_default());
    }
    let mut text = String::new();
    for (schema, keys) in found {
        for (path, names) in keys {
            let _ = writeln!(text, "{schema} {path}: {}", names.join(" "));
        }
    }
    answers!(text, @r#"
    amzctl.alert-event/1 : alert_id asin day event_id event_type marketplace message object previous_severity resolution rule schema severity title workspace
    amzctl.alert-event/1 resolution: actor at by note
    amzctl.incident-event/1 : day event_id event_type field incident_id kind marketplace message opened_at reason schema source workspace
    amzctl.report-event/1 : as_of event_id event_type evidence_hash format message path published_at report_id schema size_bytes subject workspace
    amzctl.run-event/1 : command error event_id event_type exit_code finished_at host message outcome run_id schema started_at workspace
    "#);
}

#[test]
fn of_letters_that_were_given_up() {
    let sandbox = market();
    sandbox.sql(
        "UPDATE deliveries SET state = 'dead', message_id = event_id, failed_at = 1 WHERE channel = 'file'",
    );
    let letter = first_id(&sandbox, "alert dead list --format csv --fields message_id");
    sandbox.succeed(&format!("alert dead drop -q {letter}"));
    answers!(keys(&sandbox, "alert dead list --state all --json"), @r#"
    amzctl.alert-dead-list/1
    rows schema
    rows[]: attempts channel event_type events failed_at last_error maybe_sent message message_id recipient state
    "#);
    let shown = keys(&sandbox, &format!("alert dead show {letter} --json"));
    let own: Vec<&str> = shown.lines().filter(|line| !line.starts_with("events[]")).collect();
    answers!(own.join("\n"), @r#"
    amzctl.alert-dead/1
    attempts changes channel events failed_at last_error maybe_sent message_id recipient schema state
    changes[]: actor changed_at from_state note to_state
    "#);
}

#[test]
fn of_the_ledger_and_the_checks() {
    let sandbox = market();
    let (run, quarantined) = (
        first_id(&sandbox, "runs list --format csv --fields run_id"),
        first_id(&sandbox, "quarantine list --format csv --fields quarantine_id"),
    );
    answers!(keys(&sandbox, "status --json"), @r#"
    amzctl.status/1
    counts database fetch_failures freshness last_runs open schema sources to_normalize workspace
    counts: cohorts daily_rows observations paused products receipts reviews watched
    database: database_uuid path schema_version size_bytes zone
    freshness: age_hours newest_day newest_observed_at
    last_runs[]: command exit_code finished_at run_id started_at state
    open: alerts alerts_critical deliveries_dead deliveries_pending held_findings incidents quarantine
    "#);
    answers!(keys(&sandbox, "db status --json"), @r#"
    amzctl.db.status/1
    database engine engine_version hints locks months newest_schema_version schema schema_version size_bytes tables
    locks[]: holder pipeline
    tables[]: name rows rows_are_counted size_bytes
    "#);
    answers!(keys(&sandbox, "db retention --json"), @r#"
    amzctl.db.retention/1
    rows schema
    rows[]: before bytes kept_days layer oldest_kept rows
    "#);
    answers!(keys(&sandbox, "runs list --json"), @r#"
    amzctl.runs/1
    rows schema
    rows[]: command duration_s exit_code finished_at host pid run_id started_at state
    "#);
    answers!(keys(&sandbox, &format!("runs show {run} --json")), @r#"
    amzctl.runs.show/1
    command duration_s exit_code finished_at host pid run_id schema started_at state summary
    summary: alert build_mart ingest normalize
    summary.alert: cancelled cleared contradicted days_judged dropped escalated gap_too_long held historical opened released rows_judged source_incidents superseded woken
    summary.build_mart: comparisons mart
    summary.build_mart.comparisons: changed cohorts
    summary.build_mart.mart: days_built delta_commits delta_rows dry_run files_repaired files_vacuumed first_day lake_rebuilt last_day mart_bytes_written mart_files_written rollup_rows sync
    summary.build_mart.mart.delta_commits[]: added distrusted removed table version
    summary.build_mart.mart.sync: changed_days files_written rows_written
    summary.ingest: already_read already_there cancelled dry_run files inputs landed new_problems records refused rejected repeats
    summary.ingest.files[]: already_there captured_at hint landed message new_problems path problems records refusal rejected repeats resumed_at status
    summary.ingest.files[].problems[]: detail line offset reason
    summary.normalize: cancelled days_changed incidents not_found observations quarantined receipts refused_again reviews
    "#);
    answers!(keys(&sandbox, "check --json"), @r#"
    amzctl.check/1
    rows schema
    rows[]: check detail limit status subject value
    "#);
    answers!(keys(&sandbox, "verify --json"), @r#"
    amzctl.verify/1
    checked hash problems schema tables
    tables[]: rows sha256 table
    "#);
    answers!(keys(&sandbox, "db copy --to copy.db --dry-run --json"), @r#"
    amzctl.db.copy-plan/1
    rows schema
    rows[]: bytes rows table
    "#);
    answers!(keys(&sandbox, "db copy --to copy.db --json"), @r#"
    amzctl.db.copy/1
    rows schema
    rows[]: copied_rows copied_sha256 equal rows sha256 table
    "#);
    answers!(keys(&sandbox, "quarantine list --json"), @r#"
    amzctl.quarantine/1
    rows schema
    rows[]: asin detail field file_line file_offset file_path item marketplace quarantine_id reason receipt_id recorded_at source stage state
    "#);
    answers!(keys(&sandbox, &format!("quarantine show {quarantined} --json")), @r#"
    amzctl.quarantine.show/1
    asin body_sha256 detail field file_line file_offset file_path item marketplace payload quarantine_id reason receipt_id recorded_at run_id schema source stage state
    "#);
    answers!(keys(&sandbox, "config show --json"), @r#"
    amzctl.config/1
    rows schema
    rows[]: key value
    "#);
    answers!(keys(&sandbox, "config validate --json"), @r#"
    amzctl.config.validate/1
    rows schema
    "#);
    answers!(keys(&sandbox, "version --json"), @r#"
    amzctl.version/1
    features schema schema_version version
    "#);
}

#[test]
fn of_every_exported_table() {
    let sandbox = market();
    let mut all = String::new();
    for table in [
        "products",
        "observations",
        "reviews",
        "daily",
        "ranks",
        "latest",
        "deltas",
        "rollups",
        "comparisons",
        "alerts",
    ] {
        all += &keys(&sandbox, &format!("export {table} --format json"));
    }
    answers!(all, @r#"
    amzctl.export.products/1
    rows schema
    rows[]: asin brand category first_day image_url last_day marketplace parent_asin status title
    amzctl.export.observations/1
    rows schema
    rows[]: asin availability body_sha256 brand buy_box_price_minor condition coupon_minor coupon_pct currency day fetched_at found fulfilment is_deal is_prime list_price_minor marketplace monthly_sold_min normalizer_version observed_at offer_count price_basis price_minor ranks rating_centi ratings_count seller_id seller_name shipping_minor source stock_quantity title
    rows[].ranks[]: category category_id is_main rank
    amzctl.export.reviews/1
    rows schema
    amzctl.export.daily/1
    rows schema
    rows[]: asin availability bsr bsr_category bsr_category_id bsr_leaf bsr_leaf_category bsr_leaf_category_id buy_box_price_minor condition coupon_minor coupon_pct currency day fulfilment is_deal is_prime landed_price_minor list_price_minor marketplace monthly_sold_min observed_at offer_count price_basis price_minor rating_centi ratings_count seller_id seller_name shipping_minor source stock_quantity
    amzctl.export.ranks/1
    rows schema
    rows[]: asin category category_id day is_leaf is_main marketplace ordinal rank
    amzctl.export.latest/1
    rows schema
    rows[]: asin availability brand bsr bsr_category bsr_category_id bsr_leaf bsr_leaf_category bsr_leaf_category_id buy_box_price_minor condition coupon_minor coupon_pct currency day fulfilment is_deal is_prime landed_price_minor list_price_minor marketplace monthly_sold_min observed_at offer_count price_basis price_minor quality rating_centi ratings_count seller_id seller_name shipping_minor source stock_quantity title
    amzctl.export.deltas/1
    rows schema
    rows[]: asin availability availability_prev availability_prev_day bsr bsr_category bsr_delta bsr_leaf bsr_leaf_category bsr_leaf_delta bsr_leaf_pct bsr_leaf_prev bsr_leaf_prev_day bsr_pct bsr_prev bsr_prev_day buy_box_price buy_box_price_delta buy_box_price_pct buy_box_price_prev buy_box_price_prev_day currency day gap_days landed_price landed_price_delta landed_price_pct landed_price_prev landed_price_prev_day list_price list_price_delta list_price_pct list_price_prev list_price_prev_day marketplace price price_basis price_delta price_high_all_prev price_known_days price_low_all_prev price_outlier_mad_x4 price_outlier_median_x2 price_outlier_n price_pct price_prev price_prev_day rating rating_delta rating_pct rating_prev rating_prev_day ratings_count ratings_count_delta ratings_count_pct ratings_count_prev ratings_count_prev_day seller_id seller_is_new seller_known_days seller_prev seller_prev_day
    amzctl.export.rollups/1
    rows schema
    rows[]: as_of asin bsr_avg bsr_change_pct bsr_first bsr_last bsr_leaf_avg bsr_leaf_change_pct bsr_leaf_first bsr_leaf_last bsr_leaf_max bsr_leaf_median_x2 bsr_leaf_min bsr_leaf_n bsr_leaf_sum bsr_max bsr_median_x2 bsr_min bsr_n bsr_sd bsr_slope bsr_sum bsr_sumsq bsr_trend bsr_volatility currency in_stock_days in_stock_share known_days marketplace observed_30d observed_days price_avg price_change_pct price_first price_high price_high_all price_last price_low price_low_all price_max price_median_x2 price_min price_n price_sd price_slope price_sum price_sumsq price_trend price_volatility quality rating_avg rating_change_pct rating_first rating_last rating_max rating_median_x2 rating_min rating_n rating_sum rating_trend ratings_growth window_days
    amzctl.export.comparisons/1
    rows schema
    rows[]: as_of asin availability bsr_better bsr_gap bsr_leaf_better bsr_leaf_gap bsr_leaf_reason bsr_reason cohort completeness confidence currency day label main_asin main_bsr main_bsr_leaf main_marketplace main_price_minor marketplace overall_score popularity_score price_better price_gap_minor price_gap_pct price_index price_minor price_reason price_score quality_score rating_better rating_centi rating_gap_centi rating_reason ratings_count ratings_count_better ratings_count_gap ratings_count_reason title
    amzctl.export.alerts/1
    rows schema
    rows[]: alert_id asin day evidence historical marketplace message object rule severity state superseded
    rows[].evidence: above availability day seller_id seller_prev seller_prev_day price price_basis price_delta price_delta_minor price_minor price_pct price_prev price_prev_day price_prev_minor
    rows[].evidence.price: amount currency
    rows[].evidence.price_delta: amount currency
    rows[].evidence.price_prev: amount currency
    "#);
}
