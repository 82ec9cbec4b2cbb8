-- A row in every table that schema version 7 adds.
INSERT INTO event_counters (workspace, last_seq) VALUES ('main', 1);
INSERT INTO sessions (session_sha256, workspace, key_id, created_at, seen_at, expires_at)
  VALUES ('00', 'main', '0011223344556677', 1, 1, 2);
