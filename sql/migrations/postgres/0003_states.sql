-- What people and the quality gate decide: until when an alert is snoozed, whose an incident is and how it
-- ended, and findings that the gate holds back. Text sorts by its bytes here too.

ALTER TABLE core.alerts ADD COLUMN snoozed_until BIGINT;    -- of a snoozed alert: when it is open again

ALTER TABLE core.alert_changes ADD COLUMN until BIGINT;     -- of a change to snoozed

CREATE INDEX alerts_snoozed ON core.alerts (workspace, snoozed_until) WHERE state = 'snoozed';

-- A kind is also `gate`: reason is one of currency_mismatch, implausible_jump, canary_moved, watchlist_moved and
-- missing_data; workspace is whose gate it is ('': of a source, everybody's); marketplace is '' where it is about several.
ALTER TABLE core.incidents ADD COLUMN workspace TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE core.incidents ADD COLUMN marketplace TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE core.incidents ADD COLUMN closed_at BIGINT;
ALTER TABLE core.incidents ADD COLUMN closed_by TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE core.incidents ADD COLUMN note TEXT COLLATE "C" NOT NULL DEFAULT '';

-- A finding that is no alert yet, or does not make one more severe yet, with everything that does it.
CREATE TABLE core.held_findings (
    workspace    TEXT COLLATE "C" NOT NULL DEFAULT 'main',
    incident_id  TEXT COLLATE "C" NOT NULL REFERENCES core.incidents (incident_id),
    alert_id     TEXT COLLATE "C" NOT NULL,    -- of the alert that comes of it
    rule         TEXT COLLATE "C" NOT NULL,
    severity     TEXT COLLATE "C" NOT NULL CHECK (severity IN ('low', 'medium', 'high', 'critical')),
    marketplace  TEXT COLLATE "C" NOT NULL,
    asin         TEXT COLLATE "C" NOT NULL,
    day          TEXT COLLATE "C" NOT NULL,
    object       TEXT COLLATE "C" NOT NULL DEFAULT '',
    message      TEXT COLLATE "C" NOT NULL,
    evidence     TEXT COLLATE "C" NOT NULL,    -- JSON: the values the rule looked at
    historical   BIGINT NOT NULL,              -- 1: not told when it is released
    state        TEXT COLLATE "C" NOT NULL CHECK (state IN ('held', 'released', 'dropped')),
    run_id       TEXT COLLATE "C" NOT NULL,    -- the run that found it
    held_at      BIGINT NOT NULL,
    decided_at   BIGINT,
    decided_by   TEXT COLLATE "C" NOT NULL DEFAULT '',
    note         TEXT COLLATE "C" NOT NULL DEFAULT '',
    PRIMARY KEY (workspace, incident_id, alert_id)
);

CREATE INDEX held_findings_by_day ON core.held_findings (workspace, day);
CREATE INDEX held_findings_by_alert ON core.held_findings (alert_id);
