-- Delivery in messages: what a delivery tells of lies beside it, a message is the same at every attempt, and letters that were
-- given up can be let go. SQLite changes no condition of a column, so the table is made anew.

CREATE TABLE new_deliveries (
    event_id         TEXT    NOT NULL REFERENCES outbox_events (event_id),
    channel          TEXT    NOT NULL,
    recipient        TEXT    NOT NULL,
    state            TEXT    NOT NULL CHECK (state IN ('pending', 'claimed', 'delivered', 'dead', 'dropped')),
    attempts         INTEGER NOT NULL DEFAULT 0,
    next_attempt_at  INTEGER NOT NULL,
    claimed_by       TEXT    NOT NULL DEFAULT '',      -- who sends it now
    last_error       TEXT    NOT NULL DEFAULT '',
    delivered_at     INTEGER,
    workspace        TEXT    NOT NULL DEFAULT 'main',  -- the event's
    day              TEXT    NOT NULL DEFAULT '',      -- what the event is of; '' where it is of no day
    gravity          INTEGER NOT NULL DEFAULT 3,       -- 0 critical, 1 high, 2 medium, 3 low or nothing of the kind
    message_id       TEXT    NOT NULL DEFAULT '',      -- the message that tells it; '' until it is first claimed
    place            INTEGER NOT NULL DEFAULT 0,       -- in the message
    digest_at        INTEGER,                          -- when the message was due, where it is a digest
    maybe_sent       INTEGER NOT NULL DEFAULT 0,       -- an attempt may have reached the recipient
    failed_at        INTEGER,                          -- the last failed attempt
    PRIMARY KEY (event_id, channel, recipient)
) STRICT, WITHOUT ROWID;

-- Every earlier attempt was of the event alone, and any of them may have arrived.
INSERT INTO new_deliveries (event_id, channel, recipient, workspace, day, gravity, state, message_id, attempts, maybe_sent,
    next_attempt_at, claimed_by, last_error, delivered_at)
  SELECT d.event_id, d.channel, d.recipient, e.workspace, COALESCE(a.day, ''),
    CASE a.severity WHEN 'critical' THEN 0 WHEN 'high' THEN 1 WHEN 'medium' THEN 2 ELSE 3 END, d.state,
    CASE WHEN d.attempts > 0 OR d.state = 'claimed' THEN d.event_id ELSE '' END, d.attempts,
    CASE WHEN d.attempts > 0 OR d.state = 'claimed' THEN 1 ELSE 0 END, d.next_attempt_at, d.claimed_by, d.last_error,
    d.delivered_at
  FROM deliveries d JOIN outbox_events e ON e.event_id = d.event_id LEFT JOIN alerts a ON a.alert_id = e.alert_id;

DROP TABLE deliveries;
ALTER TABLE new_deliveries RENAME TO deliveries;

-- In the order in which they are told.
CREATE INDEX deliveries_pending ON deliveries (workspace, channel, recipient, day, gravity, next_attempt_at, event_id)
    WHERE state = 'pending';
CREATE INDEX deliveries_claimed ON deliveries (workspace, channel, recipient, claimed_by) WHERE state = 'claimed';
CREATE INDEX deliveries_dead ON deliveries (workspace, channel, recipient) WHERE state = 'dead';
CREATE INDEX deliveries_by_message ON deliveries (message_id, channel, recipient);

-- What people did with letters that were given up.
CREATE TABLE delivery_changes (
    change_id   INTEGER PRIMARY KEY AUTOINCREMENT,
    workspace   TEXT    NOT NULL DEFAULT 'main',
    event_id    TEXT    NOT NULL REFERENCES outbox_events (event_id),
    channel     TEXT    NOT NULL,
    recipient   TEXT    NOT NULL,
    from_state  TEXT    NOT NULL,
    to_state    TEXT    NOT NULL,
    actor       TEXT    NOT NULL,
    note        TEXT    NOT NULL DEFAULT '',
    changed_at  INTEGER NOT NULL
) STRICT;

CREATE INDEX delivery_changes_by_event ON delivery_changes (event_id);

-- Events of runs, reports and incidents belong to no alert and grow old by themselves.
CREATE INDEX outbox_events_of_no_alert ON outbox_events (created_at) WHERE alert_id = '';
