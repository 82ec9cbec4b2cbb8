-- A row in every table of schema version 1, in the words of both engines. {bytes} stands for a literal of bytes.
INSERT INTO raw_bodies (sha256, codec, size_bytes, bytes) VALUES ('body', 'plain', 2, {bytes});
INSERT INTO raw_receipts (receipt_id, source, kind, marketplace, asin_requested, asin_returned, observed_at, fetched_at,
    recorded_at, body_sha256, shape, copies, run_id, cost_micros, cost_units, file_sha256, file_path, file_line,
    file_offset, job_id, item_index)
  VALUES (7, 'file', 'product', 'US', 'B000000001', 'B000000001', 1772323200000000, 1772323200000001, 1772323200000002,
    'body', 'flat_json', 2, 'run', 12, 3, 'file', 'a.json', 1, 0, 'job', 0);
INSERT INTO dropped_receipts (identity) VALUES ('gone');
INSERT INTO retention_grants (grant_id, table_name, granted_at, reason, open) VALUES (5, 'raw_bodies', 1, 'old', 0);
INSERT INTO ingest_files (file_sha256, options_key, path, records_read, receipts_landed, repeats, problems, state, run_id,
    updated_at)
  VALUES ('file', 'options', 'a.json', 1, 1, 1, 0, 'done', 'run', 1772323200000002);
INSERT INTO products (marketplace, asin, title, status, first_day, last_day)
  VALUES ('US', 'B000000001', 'Kopfhörer 耳机', 'active', '2026-03-01', '2026-03-01');
INSERT INTO listing_versions (marketplace, asin, source, valid_from, content_hash, bullets, images, variants)
  VALUES ('US', 'B000000001', 'file', 1772323200000000, 'content', '[]', '[]', '[]');
INSERT INTO observations (receipt_id, item, normalizer_version, is_current, marketplace, asin, day, observed_at, fetched_at,
    source, body_sha256, found, facts, listing_hash)
  VALUES (7, 0, 1, 1, 'US', 'B000000001', '2026-03-01', 1772323200000000, 1772323200000001, 'file', 'body', 1,
    '{"offer":{"price_minor":1999}}', 'listing');
INSERT INTO listing_contents (listing_hash, content_hash, content) VALUES ('listing', 'content', '{}');
INSERT INTO normalized_receipts (receipt_id, normalizer_version, outcome) VALUES (7, 1, 'observed');
INSERT INTO history_requests (receipt_id, from_day, to_day) VALUES (7, '2026-01-01', '2026-02-28');
INSERT INTO product_metrics_daily (marketplace, asin, day, observed_at, currency, price_minor, availability, bsr,
    bsr_category, rating_centi, observations, source, sources)
  VALUES ('US', 'B000000001', '2026-03-01', 1772323200000000, 'USD', 1999, 'in_stock', 12, 'Electronics', 450, 1, 'file',
    'file');
INSERT INTO changed_days (marketplace, day, changed_seq) VALUES ('US', '2026-03-01', 3);
INSERT INTO ranks (marketplace, asin, day, ordinal, category, rank, is_main, is_leaf)
  VALUES ('US', 'B000000001', '2026-03-01', 0, 'Electronics', 12, 1, 0);
INSERT INTO reviews (marketplace, asin, review_id, rating_centi, source, observed_at)
  VALUES ('US', 'B000000001', 'R1', 500, 'file', 1772323200000000);
INSERT INTO quarantine (quarantine_id, stage, reason, detail, source, receipt_id, item, body_sha256, state, run_id, recorded_at)
  VALUES ('q', 'normalize', 'rating', 'a rating of 7', 'file', 7, 0, 'body', 'open', 'run', 1772323200000002);
INSERT INTO incidents (incident_id, kind, source, reason, detail, day, state, run_id, recorded_at)
  VALUES ('i', 'schema_drift', 'file', 'rating', 'gone', '2026-03-01', 'open', 'run', 1772323200000002);
INSERT INTO watch_items (marketplace, asin, tier, relation, added_at) VALUES ('US', 'B000000001', 'routine', 'own', 1);
INSERT INTO cohorts (name, marketplace, main_asin, created_at) VALUES ('buds', 'US', 'B000000001', 1);
INSERT INTO cohort_members (cohort, marketplace, asin) VALUES ('buds', 'US', 'B000000002');
INSERT INTO lake_files (table_name, marketplace, month, path, generation, first_day_no, last_day_no, compacted, rows,
    size_bytes, sha256)
  VALUES ('core/ranks', 'US', '2026-03', 'a.parquet', 1, 20513, 20513, 0, 1, 10, 'sha');
INSERT INTO deltas (marketplace, asin, day, currency, price, price_pct) VALUES ('US', 'B000000001', '2026-03-01', 'USD', 1999, 0.1);
INSERT INTO rollups (marketplace, asin, window_days, as_of, price_avg) VALUES ('US', 'B000000001', 7, '2026-03-01', 1999.5);
INSERT INTO rollup_sellers (marketplace, asin, window_days, as_of, seller_id, days, known_days)
  VALUES ('US', 'B000000001', 7, '2026-03-01', 'A1', 1, 1);
INSERT INTO daily_aggregates (marketplace, day, record) VALUES ('US', '2026-03-01', '{}');
INSERT INTO category_metrics (marketplace, category, day, record) VALUES ('US', 'Electronics', '2026-03-01', '{}');
INSERT INTO comparisons (cohort, as_of, record) VALUES ('buds', '2026-03-01', '{}');
INSERT INTO mart_days (marketplace, day, built_seq) VALUES ('US', '2026-03-01', 3);
INSERT INTO reports (report_id, subject, as_of, format, evidence_hash, path, size_bytes, run_id, created_at)
  VALUES ('r', 'watchlist', '2026-03-01', 'html', 'hash', 'r.html', 1, 'run', 1);
INSERT INTO alerts (alert_id, rule, severity, marketplace, asin, day, message, evidence, state, historical, run_id, recorded_at)
  VALUES ('a', 'price_drop', 'high', 'US', 'B000000001', '2026-03-01', 'cheaper', '{}', 'acknowledged', 0, 'run', 1);
INSERT INTO alert_changes (change_id, alert_id, from_state, to_state, actor, changed_at) VALUES (4, 'a', 'open', 'acknowledged', 'me', 2);
INSERT INTO outbox_events (event_id, event_type, alert_id, payload, created_at) VALUES ('e', 'alert.opened', 'a', '{}', 1);
INSERT INTO deliveries (event_id, channel, recipient, state, attempts, next_attempt_at, delivered_at)
  VALUES ('e', 'file', 'alerts.ndjson', 'delivered', 1, 1, 2);
INSERT INTO database_identity (only_row, database_uuid, lake_epoch, zone, created_at) VALUES (1, 'uuid', 'epoch', 'Europe/Berlin', 1);
INSERT INTO runs (run_id, command, started_at, finished_at, exit_code, host, pid, summary) VALUES ('run', 'run', 1, 2, 0, 'host', 9, '{}');
INSERT INTO marks (name, value) VALUES ('changed_seq', 3);
INSERT INTO source_requests (request_id, run_id, source, operation, marketplace, asins, attempt, state, sent_at, day, estimated_units)
  VALUES (6, 'run', 'keepa', 'product', 'US', '["B000000001"]', 1, 'answered', 1, '2026-03-01', 1);
INSERT INTO fetches (marketplace, asin, source, operation, fetched_at, outcome, run_id)
  VALUES ('US', 'B000000001', 'keepa', 'product', 1, 'answered', 'run');
INSERT INTO fetch_failures (marketplace, asin, source, fault, detail, failed_at, run_id)
  VALUES ('US', 'B000000002', 'keepa', 'timeout', 'no answer', 1, 'run');
INSERT INTO source_states (source, breaker, failures) VALUES ('keepa', 'closed', 0);
INSERT INTO rate_buckets (source, operation, left_milli, updated_at) VALUES ('keepa', 'product', 2000, 1);
INSERT INTO source_spending (source, day, units, micros) VALUES ('keepa', '2026-03-01', 1, 0);
INSERT INTO copy_progress (table_name, source_uuid, source_rows) VALUES ('products', 'uuid', 1);
