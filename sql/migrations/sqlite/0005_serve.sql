-- What serve-lite keeps: who may ask, what was written in whose name, and answers that are given once.

-- Keys: only a hash is here. A key is shown when it is made, and never again.
CREATE TABLE api_keys (
    key_id       TEXT    NOT NULL PRIMARY KEY,     -- the first digits of the hash
    workspace    TEXT    NOT NULL DEFAULT 'main',
    kind         TEXT    NOT NULL CHECK (kind IN ('public', 'secret', 'admin')),
    name         TEXT    NOT NULL,
    key_sha256   TEXT    NOT NULL,
    permissions  TEXT    NOT NULL,                 -- comma-joined
    tier         TEXT    NOT NULL CHECK (tier IN ('basic', 'standard', 'premium')),
    created_at   INTEGER NOT NULL,
    created_by   TEXT    NOT NULL,
    expires_at   INTEGER,                          -- null: never
    revoked_at   INTEGER,
    revoked_by   TEXT    NOT NULL DEFAULT '',
    replaces     TEXT    NOT NULL DEFAULT ''       -- the key that it was made for in rotation
) STRICT, WITHOUT ROWID;

CREATE INDEX api_keys_by_workspace ON api_keys (workspace, created_at);

-- The answer to a write that named an idempotency key: given again to whoever repeats the request.
CREATE TABLE api_answers (
    workspace        TEXT    NOT NULL DEFAULT 'main',
    key_id           TEXT    NOT NULL,             -- '' where no key was asked for
    idempotency_key  TEXT    NOT NULL,
    request_sha256   TEXT    NOT NULL,             -- of method, path and body
    status           INTEGER NOT NULL,
    body             TEXT    NOT NULL,
    answered_at      INTEGER NOT NULL,
    PRIMARY KEY (workspace, key_id, idempotency_key)
) STRICT, WITHOUT ROWID;

CREATE INDEX api_answers_by_time ON api_answers (workspace, answered_at);

-- Every write by way of the API and every change of a key: who, what, when, and what came of it.
CREATE TABLE api_audit (
    audit_id    INTEGER PRIMARY KEY AUTOINCREMENT,
    workspace   TEXT    NOT NULL DEFAULT 'main',
    at          INTEGER NOT NULL,
    actor       TEXT    NOT NULL,
    key_id      TEXT    NOT NULL DEFAULT '',       -- the key that asked; '' for the command line
    action      TEXT    NOT NULL,                  -- alert.acknowledge, key.create, ...
    object      TEXT    NOT NULL,
    status      INTEGER NOT NULL,                  -- as HTTP says it
    request_id  TEXT    NOT NULL DEFAULT ''
) STRICT;

CREATE INDEX api_audit_by_workspace ON api_audit (workspace, audit_id);

-- Secrets that every server on this database has in common: what signs cursors.
CREATE TABLE server_secrets (
    name        TEXT    NOT NULL PRIMARY KEY,
    secret      TEXT    NOT NULL,                  -- hexadecimal
    created_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Whose a product is, is asked for every request.
CREATE INDEX watch_items_by_product ON watch_items (marketplace, asin);
CREATE INDEX cohort_members_by_product ON cohort_members (marketplace, asin);
CREATE INDEX cohorts_by_main ON cohorts (marketplace, main_asin);
CREATE INDEX reports_by_workspace ON reports (workspace, created_at);
