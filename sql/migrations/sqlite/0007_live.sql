-- What people who look at serve-lite need: events in the order in which they came to be known, and who is logged in.

-- A workspace's events are numbered in the order in which their transactions end, so whoever has read up to a number has
-- read everything up to it, whichever process wrote it.
ALTER TABLE outbox_events ADD COLUMN seq INTEGER NOT NULL DEFAULT 0;

UPDATE outbox_events SET seq = numbered.seq
  FROM (SELECT event_id, ROW_NUMBER() OVER (PARTITION BY workspace ORDER BY created_at, event_id) AS seq
        FROM outbox_events) AS numbered
  WHERE numbered.event_id = outbox_events.event_id;

CREATE INDEX outbox_events_by_seq ON outbox_events (workspace, seq);

-- The last number of each workspace. Whoever takes some holds this row until they have ended.
CREATE TABLE event_counters (
    workspace  TEXT    NOT NULL DEFAULT 'main' PRIMARY KEY,
    last_seq   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO event_counters (workspace, last_seq) SELECT workspace, MAX(seq) FROM outbox_events GROUP BY workspace;

-- Whoever is logged in: only a hash of what their browser shows is here.
CREATE TABLE sessions (
    session_sha256  TEXT    NOT NULL PRIMARY KEY,
    workspace       TEXT    NOT NULL DEFAULT 'main',
    key_id          TEXT    NOT NULL,              -- the key that it was opened with: it ends with that
    created_at      INTEGER NOT NULL,
    seen_at         INTEGER NOT NULL,              -- to the minute: it ends when it is idle
    expires_at      INTEGER NOT NULL               -- it ends then, however busy it is
) STRICT, WITHOUT ROWID;

CREATE INDEX sessions_by_workspace ON sessions (workspace, expires_at);
