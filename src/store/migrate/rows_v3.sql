-- A row in every table that schema version 3 adds.
INSERT INTO incidents (incident_id, kind, source, reason, detail, day, state, run_id, recorded_at, workspace, marketplace)
  VALUES ('g', 'gate', '', 'canary_moved', 'two of three canaries moved', '2026-03-01', 'open', 'run', 1, 'main', 'US');
INSERT INTO held_findings (workspace, incident_id, alert_id, rule, severity, marketplace, asin, day, message, evidence,
    historical, state, run_id, held_at)
  VALUES ('main', 'g', 'h', 'price_drop', 'high', 'US', 'B000000001', '2026-03-01', 'cheaper', '{}', 0, 'held', 'run', 1);
