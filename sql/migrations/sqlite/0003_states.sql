-- What people and the quality gate decide: until when an alert is snoozed, whose an incident is and how it
-- ended, and findings that the gate holds back.

ALTER TABLE alerts ADD COLUMN snoozed_until INTEGER;        -- of a snoozed alert: when it is open again

ALTER TABLE alert_changes ADD COLUMN until INTEGER;         -- of a change to snoozed

CREATE INDEX alerts_snoozed ON alerts (workspace, snoozed_until) WHERE state = 'snoozed';

-- A kind is also `gate`: reason is one of currency_mismatch, implausible_jump, canary_moved, watchlist_moved and
-- missing_data; workspace is whose gate it is ('': of a source, everybody's); marketplace is '' where it is about several.
ALTER TABLE incidents ADD COLUMN workspace TEXT NOT NULL DEFAULT '';
ALTER TABLE incidents ADD COLUMN marketplace TEXT NOT NULL DEFAULT '';
ALTER TABLE incidents ADD COLUMN closed_at INTEGER;
ALTER TABLE incidents ADD COLUMN closed_by TEXT NOT NULL DEFAULT '';
ALTER TABLE incidents ADD COLUMN note TEXT NOT NULL DEFAULT '';

-- A finding that is no alert yet, or does not make one more severe yet, with everything that does it.
CREATE TABLE held_findings (
    workspace    TEXT    NOT NULL DEFAULT 'main',
    incident_id  TEXT    NOT NULL REFERENCES incidents (incident_id),
    alert_id     TEXT    NOT NULL,                 -- of the alert that comes of it
    rule         TEXT    NOT NULL,
    severity     TEXT    NOT NULL CHECK (severity IN ('low', 'medium', 'high', 'critical')),
    marketplace  TEXT    NOT NULL,
    asin         TEXT    NOT NULL,
    day          TEXT    NOT NULL,
    object       TEXT    NOT NULL DEFAULT '',
    message      TEXT    NOT NULL,
    evidence     TEXT    NOT NULL,                 -- JSON: the values the rule looked at
    historical   INTEGER NOT NULL,                 -- 1: not told when it is released
    state        TEXT    NOT NULL CHECK (state IN ('held', 'released', 'dropped')),
    run_id       TEXT    NOT NULL,                 -- the run that found it
    held_at      INTEGER NOT NULL,
    decided_at   INTEGER,
    decided_by   TEXT    NOT NULL DEFAULT '',
    note         TEXT    NOT NULL DEFAULT '',
    PRIMARY KEY (workspace, incident_id, alert_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX held_findings_by_day ON held_findings (workspace, day);
CREATE INDEX held_findings_by_alert ON held_findings (alert_id);
