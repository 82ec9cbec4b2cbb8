-- What people who look at serve-lite need: events in the order in which they came to be known, and who is logged in. Text
-- sorts by its bytes here too.

-- A workspace's events are numbered in the order in which their transactions end, so whoever has read up to a number has
-- read everything up to it, whichever process wrote it.
ALTER TABLE ops.outbox_events ADD COLUMN seq BIGINT NOT NULL DEFAULT 0;

UPDATE ops.outbox_events e SET seq = numbered.seq
  FROM (SELECT event_id, ROW_NUMBER() OVER (PARTITION BY workspace ORDER BY created_at, event_id) AS seq
        FROM ops.outbox_events) AS numbered
  WHERE numbered.event_id = e.event_id;

CREATE INDEX outbox_events_by_seq ON ops.outbox_events (workspace, seq);

-- The last number of each workspace. Whoever takes some holds this row until they have ended.
CREATE TABLE ops.event_counters (
    workspace  TEXT COLLATE "C" NOT NULL DEFAULT 'main' PRIMARY KEY,
    last_seq   BIGINT NOT NULL
);

INSERT INTO ops.event_counters (workspace, last_seq)
  SELECT workspace, MAX(seq) FROM ops.outbox_events GROUP BY workspace;

-- Whoever is logged in: only a hash of what their browser shows is here.
CREATE TABLE ops.sessions (
    session_sha256  TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    workspace       TEXT COLLATE "C" NOT NULL DEFAULT 'main',
    key_id          TEXT COLLATE "C" NOT NULL,     -- the key that it was opened with: it ends with that
    created_at      BIGINT NOT NULL,
    seen_at         BIGINT NOT NULL,               -- to the minute: it ends when it is idle
    expires_at      BIGINT NOT NULL                -- it ends then, however busy it is
);

CREATE INDEX sessions_by_workspace ON ops.sessions (workspace, expires_at);
