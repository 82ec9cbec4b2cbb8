-- The first schema: four layers in one file. Instants are microseconds since 1970 UTC, days are TEXT
-- YYYY-MM-DD, money is minor units, JSON is TEXT. Table names are unique across layers.

-- staging_raw ---------------------------------------------------------------------------------------------

-- Each body once, exactly as received. `codec` says how `bytes` is stored (zstd, or plain where that is smaller).
CREATE TABLE raw_bodies (
    sha256      TEXT    NOT NULL PRIMARY KEY,
    codec       TEXT    NOT NULL CHECK (codec IN ('plain', 'zstd')),
    size_bytes  INTEGER NOT NULL,
    bytes       BLOB    NOT NULL
) STRICT;                                      -- with row ids: bodies are appended, only the hashes lie at random

-- Each time a source told us something.
CREATE TABLE raw_receipts (
    receipt_id      INTEGER PRIMARY KEY AUTOINCREMENT,
    source          TEXT    NOT NULL,
    kind            TEXT    NOT NULL,
    marketplace     TEXT    NOT NULL,          -- '' when neither the record nor the operator names one
    asin_requested  TEXT    NOT NULL,          -- '' when the record names none
    asin_returned   TEXT,
    observed_at     INTEGER NOT NULL,
    fetched_at      INTEGER NOT NULL,
    recorded_at     INTEGER NOT NULL,
    body_sha256     TEXT    NOT NULL REFERENCES raw_bodies (sha256),
    shape           TEXT    NOT NULL,          -- recognised payload shape; decides the parser
    copies          INTEGER NOT NULL CHECK (copies >= 1),
    run_id          TEXT    NOT NULL,
    cost_micros     INTEGER DEFAULT 0,         -- millionths of cost_currency; null: no price is known
    cost_currency   TEXT    NOT NULL DEFAULT 'USD',
    cost_units      INTEGER NOT NULL DEFAULT 0, -- in the provider's unit
    file_sha256     TEXT,
    file_path       TEXT,
    file_line       INTEGER,
    file_offset     INTEGER,
    job_id          TEXT,
    item_index      INTEGER,
    UNIQUE (source, kind, marketplace, observed_at, asin_requested, body_sha256) -- time first: new ones are neighbours
) STRICT;

-- Append-only: a body never changes; of a receipt only `copies` may grow; deleting needs a grant that names
-- the table, written in the same transaction.
CREATE TABLE retention_grants (
    grant_id    INTEGER PRIMARY KEY AUTOINCREMENT,
    table_name  TEXT    NOT NULL,
    granted_at  INTEGER NOT NULL,
    reason      TEXT    NOT NULL,
    open        INTEGER NOT NULL DEFAULT 1
) STRICT;

CREATE TRIGGER raw_bodies_immutable BEFORE UPDATE ON raw_bodies
BEGIN SELECT RAISE(ABORT, 'raw_bodies is append-only'); END;

CREATE TRIGGER raw_bodies_undeletable BEFORE DELETE ON raw_bodies
WHEN NOT EXISTS (SELECT 1 FROM retention_grants WHERE table_name = 'raw_bodies' AND open = 1)
BEGIN SELECT RAISE(ABORT, 'raw_bodies is append-only'); END;

CREATE TRIGGER raw_receipts_immutable BEFORE UPDATE ON raw_receipts
WHEN NEW.copies <= OLD.copies
  OR NEW.receipt_id <> OLD.receipt_id OR NEW.source <> OLD.source OR NEW.kind <> OLD.kind
  OR NEW.marketplace <> OLD.marketplace OR NEW.asin_requested <> OLD.asin_requested
  OR NEW.asin_returned IS NOT OLD.asin_returned OR NEW.observed_at <> OLD.observed_at
  OR NEW.fetched_at <> OLD.fetched_at OR NEW.recorded_at <> OLD.recorded_at
  OR NEW.body_sha256 <> OLD.body_sha256 OR NEW.shape <> OLD.shape OR NEW.run_id <> OLD.run_id
  OR NEW.cost_micros IS NOT OLD.cost_micros OR NEW.cost_currency <> OLD.cost_currency
  OR NEW.cost_units <> OLD.cost_units
  OR NEW.file_sha256 IS NOT OLD.file_sha256 OR NEW.file_path IS NOT OLD.file_path
  OR NEW.file_line IS NOT OLD.file_line OR NEW.file_offset IS NOT OLD.file_offset
  OR NEW.job_id IS NOT OLD.job_id OR NEW.item_index IS NOT OLD.item_index
BEGIN SELECT RAISE(ABORT, 'raw_receipts is append-only'); END;

CREATE TRIGGER raw_receipts_undeletable BEFORE DELETE ON raw_receipts
WHEN NOT EXISTS (SELECT 1 FROM retention_grants WHERE table_name = 'raw_receipts' AND open = 1)
BEGIN SELECT RAISE(ABORT, 'raw_receipts is append-only'); END;

-- What is left of receipts that retention dropped: a hash of what made each of them unique, so that the same record is
-- not taken in a second time.
CREATE TABLE dropped_receipts (
    identity  TEXT NOT NULL PRIMARY KEY
) STRICT, WITHOUT ROWID;

-- How far each file has been read: committed with the rows of every batch, so a killed ingest resumes there.
CREATE TABLE ingest_files (
    file_sha256     TEXT    NOT NULL,          -- of the file as it lies on disk, compressed or not
    options_key     TEXT    NOT NULL,          -- source, kind, marketplace and observed_at it was read with
    path            TEXT    NOT NULL,
    records_read    INTEGER NOT NULL,          -- records before this ordinal are committed
    receipts_landed INTEGER NOT NULL,
    repeats         INTEGER NOT NULL,
    problems        INTEGER NOT NULL,
    state           TEXT    NOT NULL CHECK (state IN ('reading', 'done', 'broken')),
    run_id          TEXT    NOT NULL,
    updated_at      INTEGER NOT NULL,
    PRIMARY KEY (file_sha256, options_key)
) STRICT, WITHOUT ROWID;

-- core ----------------------------------------------------------------------------------------------------

CREATE TABLE products (
    marketplace   TEXT NOT NULL,
    asin          TEXT NOT NULL,
    title         TEXT,
    brand         TEXT,
    category      TEXT,                        -- path joined by ' > '
    image_url     TEXT,
    parent_asin   TEXT,
    status        TEXT NOT NULL CHECK (status IN ('active', 'gone')),
    first_day     TEXT NOT NULL,
    last_day      TEXT NOT NULL,
    PRIMARY KEY (marketplace, asin)
) STRICT, WITHOUT ROWID;

CREATE INDEX products_by_asin ON products (asin);

-- Versions of the listing's content, per source (content of two sources is never compared).
CREATE TABLE listing_versions (
    marketplace   TEXT    NOT NULL,
    asin          TEXT    NOT NULL,
    source        TEXT    NOT NULL,
    valid_from    INTEGER NOT NULL,
    valid_until   INTEGER,                     -- null = current; half-open
    content_hash  TEXT    NOT NULL,
    title         TEXT,
    brand         TEXT,
    category      TEXT,
    image_url     TEXT,
    parent_asin   TEXT,
    bullets       TEXT    NOT NULL,            -- JSON array
    images        TEXT    NOT NULL,            -- JSON array
    variants      TEXT    NOT NULL,            -- JSON array of asins
    PRIMARY KEY (marketplace, asin, source, valid_from)
) STRICT, WITHOUT ROWID;

CREATE INDEX listing_versions_by_time ON listing_versions (valid_from);

-- Append-only facts. Of a receipt's item one reading is current, by the newest normalizer version; a reading that a
-- newer one replaced, or no longer gives, stays and counts no more.
CREATE TABLE observations (
    receipt_id          INTEGER NOT NULL,
    item                INTEGER NOT NULL,      -- place in the receipt; of a history, place * 100000 + day number
    normalizer_version  INTEGER NOT NULL,
    is_current          INTEGER NOT NULL,
    marketplace         TEXT    NOT NULL,
    asin                TEXT    NOT NULL,
    day                 TEXT    NOT NULL,
    observed_at         INTEGER NOT NULL,      -- the item's own time, where it has one; else the receipt's
    fetched_at          INTEGER NOT NULL,
    source              TEXT    NOT NULL,      -- the receipt's, but for days told in hindsight
    body_sha256         TEXT    NOT NULL,
    found               INTEGER NOT NULL,
    facts               TEXT    NOT NULL,      -- JSON of the offer, rank, rating and sold blocks
    listing_hash        TEXT    NOT NULL,      -- what the listing said, in listing_contents
    PRIMARY KEY (receipt_id, item, normalizer_version, day)
) STRICT, WITHOUT ROWID;

CREATE INDEX observations_by_product ON observations (marketplace, asin, found, day) WHERE is_current = 1;

-- Each distinct listing content once: it rarely changes from day to day.
CREATE TABLE listing_contents (
    listing_hash  TEXT NOT NULL PRIMARY KEY,
    content_hash  TEXT NOT NULL,               -- over the folded content: what makes a listing version
    content       TEXT NOT NULL                -- JSON of model::Listing
) STRICT, WITHOUT ROWID;

-- Which receipts the current normalizer has read, and what came of them.
CREATE TABLE normalized_receipts (
    receipt_id          INTEGER NOT NULL PRIMARY KEY,
    normalizer_version  INTEGER NOT NULL,
    outcome             TEXT    NOT NULL CHECK (outcome IN ('observed', 'reviewed', 'not_found', 'kept', 'quarantined'))
) STRICT;                                      -- kept: known and sound, and nothing of it has a place in core

-- The days that a receipt of history is to give, each range as it was asked for; what they give is their union.
CREATE TABLE history_requests (
    receipt_id  INTEGER NOT NULL,
    from_day    TEXT    NOT NULL,
    to_day      TEXT    NOT NULL,
    PRIMARY KEY (receipt_id, from_day, to_day)
) STRICT, WITHOUT ROWID;

CREATE TABLE product_metrics_daily (
    marketplace             TEXT    NOT NULL,
    asin                    TEXT    NOT NULL,
    day                     TEXT    NOT NULL,
    observed_at             INTEGER NOT NULL,
    currency                TEXT    NOT NULL,
    price_minor             INTEGER,
    list_price_minor        INTEGER,
    buy_box_price_minor     INTEGER,
    shipping_minor          INTEGER,
    landed_price_minor      INTEGER,
    price_basis             TEXT,
    coupon_minor            INTEGER,
    coupon_pct              INTEGER,
    is_deal                 INTEGER,
    is_prime                INTEGER,
    seller_id               TEXT,
    seller_name             TEXT,
    fulfilment              TEXT,
    condition               TEXT,
    offer_count             INTEGER,
    availability            TEXT    NOT NULL,
    stock_quantity          INTEGER,
    bsr                     INTEGER,
    bsr_category            TEXT,
    bsr_category_id         TEXT,
    bsr_leaf                INTEGER,
    bsr_leaf_category       TEXT,
    bsr_leaf_category_id    TEXT,
    rating_centi            INTEGER,
    ratings_count           INTEGER,
    monthly_sold_min        INTEGER,
    low_price_minor         INTEGER,
    high_price_minor        INTEGER,
    observations            INTEGER NOT NULL,
    source                  TEXT    NOT NULL,
    sources                 TEXT    NOT NULL,
    PRIMARY KEY (marketplace, day, asin)       -- day first: a day is written together and goes to the lake together
) STRICT, WITHOUT ROWID;

CREATE INDEX product_metrics_daily_by_product ON product_metrics_daily (marketplace, asin, day);

-- The last change of any daily row of a day (removals too): what the lake has not seen yet is above its mark.
CREATE TABLE changed_days (
    marketplace  TEXT    NOT NULL,
    day          TEXT    NOT NULL,
    changed_seq  INTEGER NOT NULL,
    PRIMARY KEY (marketplace, day)
) STRICT, WITHOUT ROWID;

-- All ranks of the daily row's rank block, in the source's order.
CREATE TABLE ranks (
    marketplace   TEXT    NOT NULL,
    asin          TEXT    NOT NULL,
    day           TEXT    NOT NULL,
    ordinal       INTEGER NOT NULL,
    category_id   TEXT,
    category      TEXT    NOT NULL,
    rank          INTEGER NOT NULL,
    is_main       INTEGER NOT NULL,
    is_leaf       INTEGER NOT NULL,
    PRIMARY KEY (marketplace, day, asin, ordinal)
) STRICT, WITHOUT ROWID;

CREATE TABLE reviews (
    marketplace    TEXT    NOT NULL,
    asin           TEXT    NOT NULL,
    review_id      TEXT    NOT NULL,
    rating_centi   INTEGER,
    title          TEXT,
    body           TEXT,
    reviewed_on    TEXT,
    verified       INTEGER,
    helpful_count  INTEGER,
    list_filter    TEXT,
    source         TEXT    NOT NULL,
    observed_at    INTEGER NOT NULL,
    PRIMARY KEY (marketplace, asin, review_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE quarantine (
    quarantine_id  TEXT    NOT NULL PRIMARY KEY,   -- hash of (receipt or body and place, item, reason, field)
    stage          TEXT    NOT NULL CHECK (stage IN ('ingest', 'normalize')),
    reason         TEXT    NOT NULL,
    field          TEXT    NOT NULL DEFAULT '',
    detail         TEXT    NOT NULL,
    source         TEXT    NOT NULL,
    marketplace    TEXT    NOT NULL DEFAULT '',
    asin           TEXT    NOT NULL DEFAULT '',
    receipt_id     INTEGER,
    item           INTEGER,
    body_sha256    TEXT,                           -- null where the bytes were too large to keep
    file_path      TEXT,
    file_line      INTEGER,
    file_offset    INTEGER,
    state          TEXT    NOT NULL CHECK (state IN ('open', 'dropped', 'resolved')),
    run_id         TEXT    NOT NULL,
    recorded_at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX quarantine_by_receipt ON quarantine (receipt_id);

CREATE TABLE incidents (
    incident_id  TEXT    NOT NULL PRIMARY KEY,     -- hash of (kind, source, shape, field, reason, delivery)
    kind         TEXT    NOT NULL,                 -- schema_drift, source_failure
    source       TEXT    NOT NULL,
    field        TEXT    NOT NULL DEFAULT '',
    reason       TEXT    NOT NULL,
    detail       TEXT    NOT NULL,
    day          TEXT    NOT NULL,
    state        TEXT    NOT NULL CHECK (state IN ('open', 'closed')),
    run_id       TEXT    NOT NULL,
    recorded_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE watch_items (
    workspace     TEXT    NOT NULL DEFAULT 'main',
    marketplace   TEXT    NOT NULL,
    asin          TEXT    NOT NULL,
    tier          TEXT    NOT NULL CHECK (tier IN ('critical', 'routine', 'weekly')),
    relation      TEXT    NOT NULL CHECK (relation IN ('own', 'rival')),
    tags          TEXT    NOT NULL DEFAULT '',     -- sorted, comma-joined
    source_chain  TEXT    NOT NULL DEFAULT '',     -- comma-joined, first first; '' = the configured default
    label         TEXT    NOT NULL DEFAULT '',
    paused        INTEGER NOT NULL DEFAULT 0,
    added_at      INTEGER NOT NULL,
    PRIMARY KEY (workspace, marketplace, asin)
) STRICT, WITHOUT ROWID;

CREATE TABLE cohorts (
    workspace    TEXT    NOT NULL DEFAULT 'main',
    name         TEXT    NOT NULL,
    marketplace  TEXT    NOT NULL,
    main_asin    TEXT    NOT NULL,
    label        TEXT    NOT NULL DEFAULT '',
    created_at   INTEGER NOT NULL,
    PRIMARY KEY (workspace, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE cohort_members (
    workspace    TEXT    NOT NULL DEFAULT 'main',
    cohort       TEXT    NOT NULL,
    marketplace  TEXT    NOT NULL,
    asin         TEXT    NOT NULL,
    role         TEXT    NOT NULL DEFAULT 'competitor',
    priority     INTEGER NOT NULL DEFAULT 0,
    label        TEXT    NOT NULL DEFAULT '',
    PRIMARY KEY (workspace, cohort, marketplace, asin),
    FOREIGN KEY (workspace, cohort) REFERENCES cohorts (workspace, name) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

-- lake ----------------------------------------------------------------------------------------------------

-- The lake's current files: readers take this list, never a directory. Swapped in one transaction.
CREATE TABLE lake_files (
    table_name    TEXT    NOT NULL,                -- core/product_metrics_daily, mart/rollups, ...
    marketplace   TEXT    NOT NULL,
    month         TEXT    NOT NULL,                -- YYYY-MM
    path          TEXT    NOT NULL,                -- relative to the lake root
    generation    INTEGER NOT NULL,
    first_day_no  INTEGER NOT NULL,
    last_day_no   INTEGER NOT NULL,
    compacted     INTEGER NOT NULL,                -- 1: the whole month in one file
    rows          INTEGER NOT NULL,
    size_bytes    INTEGER NOT NULL,
    sha256        TEXT    NOT NULL,
    PRIMARY KEY (table_name, path)
) STRICT, WITHOUT ROWID;

CREATE INDEX lake_files_by_month ON lake_files (table_name, marketplace, month);

-- mart: what is served from the database; the full history lies in the lake -----------------------------------

-- Deltas of the last publish_days days: columns as rollup::delta writes them to the lake (days as TEXT here).
CREATE TABLE deltas (
    marketplace  TEXT NOT NULL,
    asin         TEXT NOT NULL,
    day          TEXT NOT NULL,
    currency                 TEXT,
    price_basis              TEXT,
    gap_days                 INTEGER,
    price                    INTEGER,
    price_prev               INTEGER,
    price_prev_day           TEXT,
    price_delta              INTEGER,
    price_pct                REAL,
    list_price               INTEGER,
    list_price_prev          INTEGER,
    list_price_prev_day      TEXT,
    list_price_delta         INTEGER,
    list_price_pct           REAL,
    buy_box_price            INTEGER,
    buy_box_price_prev       INTEGER,
    buy_box_price_prev_day   TEXT,
    buy_box_price_delta      INTEGER,
    buy_box_price_pct        REAL,
    landed_price             INTEGER,
    landed_price_prev        INTEGER,
    landed_price_prev_day    TEXT,
    landed_price_delta       INTEGER,
    landed_price_pct         REAL,
    bsr                      INTEGER,
    bsr_prev                 INTEGER,
    bsr_prev_day             TEXT,
    bsr_delta                INTEGER,
    bsr_pct                  REAL,
    bsr_leaf                 INTEGER,
    bsr_leaf_prev            INTEGER,
    bsr_leaf_prev_day        TEXT,
    bsr_leaf_delta           INTEGER,
    bsr_leaf_pct             REAL,
    rating                   INTEGER,
    rating_prev              INTEGER,
    rating_prev_day          TEXT,
    rating_delta             INTEGER,
    rating_pct               REAL,
    ratings_count            INTEGER,
    ratings_count_prev       INTEGER,
    ratings_count_prev_day   TEXT,
    ratings_count_delta      INTEGER,
    ratings_count_pct        REAL,
    bsr_category             TEXT,
    bsr_leaf_category        TEXT,
    availability             TEXT,
    availability_prev        TEXT,
    availability_prev_day    TEXT,
    seller_id                TEXT,
    seller_prev              TEXT,
    seller_prev_day          TEXT,
    seller_is_new            INTEGER,
    seller_known_days        INTEGER,
    price_known_days         INTEGER,
    price_low_all_prev       INTEGER,
    price_high_all_prev      INTEGER,
    price_outlier_n          INTEGER,
    price_outlier_median_x2  INTEGER,
    price_outlier_mad_x4     INTEGER,
    PRIMARY KEY (marketplace, day, asin)
) STRICT, WITHOUT ROWID;

-- Each product's newest rollups: columns as rollup::window writes them to the lake. Trends: 1 increasing,
-- 0 stable, -1 decreasing (of the number itself, also for ranks).
CREATE TABLE rollups (
    marketplace  TEXT    NOT NULL,
    asin         TEXT    NOT NULL,
    window_days  INTEGER NOT NULL,
    as_of        TEXT    NOT NULL,
    observed_days        INTEGER,
    price_n              INTEGER,
    price_sum            INTEGER,
    price_min            INTEGER,
    price_max            INTEGER,
    price_first          INTEGER,
    price_last           INTEGER,
    price_median_x2      INTEGER,
    price_avg            REAL,
    price_change_pct     REAL,
    price_sumsq          INTEGER,
    price_sd             REAL,
    price_volatility     REAL,
    price_slope          REAL,
    price_trend          INTEGER,
    bsr_n                INTEGER,
    bsr_sum              INTEGER,
    bsr_min              INTEGER,
    bsr_max              INTEGER,
    bsr_first            INTEGER,
    bsr_last             INTEGER,
    bsr_median_x2        INTEGER,
    bsr_avg              REAL,
    bsr_change_pct       REAL,
    bsr_sumsq            INTEGER,
    bsr_sd               REAL,
    bsr_volatility       REAL,
    bsr_slope            REAL,
    bsr_trend            INTEGER,
    bsr_leaf_n           INTEGER,
    bsr_leaf_sum         INTEGER,
    bsr_leaf_min         INTEGER,
    bsr_leaf_max         INTEGER,
    bsr_leaf_first       INTEGER,
    bsr_leaf_last        INTEGER,
    bsr_leaf_median_x2   INTEGER,
    bsr_leaf_avg         REAL,
    bsr_leaf_change_pct  REAL,
    rating_n             INTEGER,
    rating_sum           INTEGER,
    rating_min           INTEGER,
    rating_max           INTEGER,
    rating_first         INTEGER,
    rating_last          INTEGER,
    rating_median_x2     INTEGER,
    rating_avg           REAL,
    rating_change_pct    REAL,
    rating_trend         INTEGER,
    ratings_growth       INTEGER,
    in_stock_days        INTEGER,
    known_days           INTEGER,
    in_stock_share       REAL,
    price_low            INTEGER,
    price_high           INTEGER,
    price_low_all        INTEGER,
    price_high_all       INTEGER,
    observed_30d         INTEGER,
    quality              REAL,
    PRIMARY KEY (marketplace, asin, window_days)
) STRICT, WITHOUT ROWID;

CREATE TABLE rollup_sellers (
    marketplace  TEXT    NOT NULL,
    asin         TEXT    NOT NULL,
    window_days  INTEGER NOT NULL,
    as_of        TEXT    NOT NULL,
    seller_id    TEXT    NOT NULL,                 -- '' = nobody had the buy box
    days         INTEGER NOT NULL,
    known_days   INTEGER NOT NULL,
    PRIMARY KEY (marketplace, asin, window_days, seller_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE daily_aggregates (
    marketplace  TEXT NOT NULL,
    day          TEXT NOT NULL,
    record       TEXT NOT NULL,                    -- JSON: counts, means, medians, up and down counts, data age
    PRIMARY KEY (marketplace, day)
) STRICT, WITHOUT ROWID;

CREATE TABLE category_metrics (
    marketplace  TEXT NOT NULL,
    category     TEXT NOT NULL,
    day          TEXT NOT NULL,
    record       TEXT NOT NULL,                    -- JSON: price count, mean, median, min, max; bsr; rating
    PRIMARY KEY (marketplace, category, day)
) STRICT, WITHOUT ROWID;

-- Newest comparison of each cohort: the document that `compare --cohort` prints.
CREATE TABLE comparisons (
    workspace  TEXT NOT NULL DEFAULT 'main',
    cohort     TEXT NOT NULL,
    as_of      TEXT NOT NULL,
    record     TEXT NOT NULL,                      -- JSON: members, gaps, scores, confidence
    PRIMARY KEY (workspace, cohort)
) STRICT, WITHOUT ROWID;

-- Which days the mart was (re)built for, and when: what `alert run` has not judged yet.
CREATE TABLE mart_days (
    marketplace  TEXT    NOT NULL,
    day          TEXT    NOT NULL,
    built_seq    INTEGER NOT NULL,
    PRIMARY KEY (marketplace, day)
) STRICT, WITHOUT ROWID;

CREATE TABLE reports (
    report_id      TEXT    NOT NULL PRIMARY KEY,   -- hash of (workspace, subject, as_of, format, evidence hash)
    workspace      TEXT    NOT NULL DEFAULT 'main',
    subject        TEXT    NOT NULL,               -- product key, cohort:NAME or watchlist
    as_of          TEXT    NOT NULL,
    format         TEXT    NOT NULL,
    evidence_hash  TEXT    NOT NULL,
    path           TEXT    NOT NULL,
    size_bytes     INTEGER NOT NULL,
    run_id         TEXT    NOT NULL,
    created_at     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- alerts --------------------------------------------------------------------------------------------------

CREATE TABLE alerts (
    alert_id       TEXT    NOT NULL PRIMARY KEY,   -- hash of (workspace, rule, marketplace, asin, day, object)
    workspace      TEXT    NOT NULL DEFAULT 'main',
    rule           TEXT    NOT NULL,
    severity       TEXT    NOT NULL CHECK (severity IN ('low', 'medium', 'high', 'critical')),
    marketplace    TEXT    NOT NULL,
    asin           TEXT    NOT NULL,
    day            TEXT    NOT NULL,
    object         TEXT    NOT NULL DEFAULT '',
    message        TEXT    NOT NULL,
    evidence       TEXT    NOT NULL,               -- JSON: the values the rule looked at
    state          TEXT    NOT NULL CHECK (state IN ('open', 'acknowledged', 'resolved', 'dismissed', 'snoozed')),
    historical     INTEGER NOT NULL,               -- 1: found late, listed, never delivered
    superseded     TEXT    NOT NULL DEFAULT '',    -- what a later look at the same day says instead
    run_id         TEXT    NOT NULL,
    recorded_at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX alerts_by_product ON alerts (marketplace, asin, day);
CREATE INDEX alerts_by_day ON alerts (day);

CREATE TABLE alert_changes (
    change_id   INTEGER PRIMARY KEY AUTOINCREMENT,
    alert_id    TEXT    NOT NULL REFERENCES alerts (alert_id),
    from_state  TEXT    NOT NULL,
    to_state    TEXT    NOT NULL,
    actor       TEXT    NOT NULL,
    note        TEXT    NOT NULL DEFAULT '',
    changed_at  INTEGER NOT NULL
) STRICT;

CREATE INDEX alert_changes_by_alert ON alert_changes (alert_id);

CREATE TABLE outbox_events (
    event_id    TEXT    NOT NULL PRIMARY KEY,      -- deterministic: hash of (alert, severity) and the event type
    workspace   TEXT    NOT NULL DEFAULT 'main',
    event_type  TEXT    NOT NULL,                  -- alert.opened, alert.escalated
    alert_id    TEXT    NOT NULL,
    payload     TEXT    NOT NULL,                  -- JSON, the same bytes at every attempt
    created_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX outbox_events_by_alert ON outbox_events (alert_id);

CREATE TABLE deliveries (
    event_id         TEXT    NOT NULL REFERENCES outbox_events (event_id),
    channel          TEXT    NOT NULL,
    recipient        TEXT    NOT NULL,
    state            TEXT    NOT NULL CHECK (state IN ('pending', 'claimed', 'delivered', 'dead')),
    attempts         INTEGER NOT NULL DEFAULT 0,
    next_attempt_at  INTEGER NOT NULL,
    claimed_by       TEXT    NOT NULL DEFAULT '',  -- who sends it now
    last_error       TEXT    NOT NULL DEFAULT '',
    delivered_at     INTEGER,
    PRIMARY KEY (event_id, channel, recipient)
) STRICT, WITHOUT ROWID;

CREATE INDEX deliveries_due ON deliveries (state, next_attempt_at);

-- ops -----------------------------------------------------------------------------------------------------

-- One row: what this database is. `zone` is the reporting time zone, fixed at init; `lake_epoch` changes on restore.
CREATE TABLE database_identity (
    only_row       INTEGER NOT NULL PRIMARY KEY CHECK (only_row = 1),
    database_uuid  TEXT    NOT NULL,
    lake_epoch     TEXT    NOT NULL,
    zone           TEXT    NOT NULL,
    created_at     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- While `db copy` writes this database: which one it copies, and how far each table is. Empty in every other.
CREATE TABLE copy_progress (
    table_name   TEXT    NOT NULL PRIMARY KEY,
    source_uuid  TEXT    NOT NULL,
    source_rows  INTEGER NOT NULL,                 -- of the original, when the copy began
    rows         INTEGER NOT NULL DEFAULT 0,
    last_key     TEXT,                             -- JSON array: the key of the last row that is here; null: none is
    is_whole     INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

CREATE TABLE runs (
    run_id       TEXT    NOT NULL PRIMARY KEY,
    command      TEXT    NOT NULL,
    started_at   INTEGER NOT NULL,
    finished_at  INTEGER,                          -- null: running, or killed
    exit_code    INTEGER,
    host         TEXT    NOT NULL,
    pid          INTEGER NOT NULL,
    summary      TEXT    NOT NULL DEFAULT '{}'     -- JSON: one object per stage
) STRICT, WITHOUT ROWID;

-- Named counters and marks: changed_seq, lake_exported_seq, mart_built_seq, alerts_judged_seq, generation,
-- normalized_until_v1 (the receipt up to which that version of the normalizer has read all), raw_dropped_until
-- (the observation of the newest receipt that retention dropped).
CREATE TABLE marks (
    name   TEXT    NOT NULL PRIMARY KEY,
    value  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- sources -------------------------------------------------------------------------------------------------

-- The ledger: each request to a provider that may cost something, written before it is sent. A row that is still
-- 'sent' when no run is going on was never answered as far as we know: it is resumed (a job) or counted as lost.
CREATE TABLE source_requests (
    request_id        INTEGER PRIMARY KEY AUTOINCREMENT,
    run_id            TEXT    NOT NULL,
    kept_by           TEXT    NOT NULL DEFAULT '', -- the run that looks for its answer: another one after a kill
    source            TEXT    NOT NULL,
    operation         TEXT    NOT NULL,
    marketplace       TEXT    NOT NULL,
    asins             TEXT    NOT NULL,            -- JSON array: what was asked for
    options           TEXT    NOT NULL DEFAULT '', -- JSON of what else was asked: the days of a backfill
    attempt           INTEGER NOT NULL,
    state             TEXT    NOT NULL CHECK (state IN ('sent', 'answered', 'failed', 'lost')),
    sent_at           INTEGER NOT NULL,
    finished_at       INTEGER,
    day               TEXT    NOT NULL,            -- of sent_at, in the reporting zone: what budgets are counted by
    job_id            TEXT,                        -- of an asynchronous provider
    fault             TEXT    NOT NULL DEFAULT '', -- why it failed
    detail            TEXT    NOT NULL DEFAULT '',
    estimated_units   INTEGER NOT NULL,            -- in the provider's unit
    estimated_micros  INTEGER,                     -- millionths of a dollar; null: no price is known
    cost_units        INTEGER NOT NULL DEFAULT 0,  -- as the provider says, or the estimate of a lost one
    cost_micros       INTEGER,
    answered          INTEGER NOT NULL DEFAULT 0,  -- products it told us something about
    landed            INTEGER NOT NULL DEFAULT 0   -- receipts that were new
) STRICT;

CREATE INDEX source_requests_by_day ON source_requests (source, day);
CREATE INDEX source_requests_by_run ON source_requests (run_id);
CREATE INDEX source_requests_open ON source_requests (state) WHERE state = 'sent';

-- The sums of the ledger: what budgets of days and months are counted by, requests without an answer at their estimate.
CREATE TABLE source_spending (
    source  TEXT    NOT NULL,
    day     TEXT    NOT NULL,
    units   INTEGER NOT NULL,
    micros  INTEGER NOT NULL,
    PRIMARY KEY (source, day)
) STRICT, WITHOUT ROWID;

-- When each source last answered for each product, and what it said: what is due follows from it.
CREATE TABLE fetches (
    marketplace  TEXT    NOT NULL,
    asin         TEXT    NOT NULL,
    source       TEXT    NOT NULL,
    operation    TEXT    NOT NULL,
    fetched_at   INTEGER NOT NULL,
    outcome      TEXT    NOT NULL CHECK (outcome IN ('answered', 'absent')),
    after_fault  TEXT    NOT NULL DEFAULT '',      -- why the source before it in the chain did not answer
    run_id       TEXT    NOT NULL,
    PRIMARY KEY (marketplace, asin, source, operation)
) STRICT, WITHOUT ROWID;

-- The last failure of products whose newest attempt got no answer from any source of their chain.
CREATE TABLE fetch_failures (
    marketplace  TEXT    NOT NULL,
    asin         TEXT    NOT NULL,
    source       TEXT    NOT NULL,
    fault        TEXT    NOT NULL,
    detail       TEXT    NOT NULL,
    failed_at    INTEGER NOT NULL,
    run_id       TEXT    NOT NULL,
    PRIMARY KEY (marketplace, asin)
) STRICT, WITHOUT ROWID;

-- How each source is: its circuit breaker, and what it last said of its balance.
CREATE TABLE source_states (
    source           TEXT    NOT NULL PRIMARY KEY,
    breaker          TEXT    NOT NULL CHECK (breaker IN ('closed', 'open', 'half_open')),
    failures         INTEGER NOT NULL,             -- in a row
    retry_at         INTEGER,                      -- when an open breaker lets a probe through
    cooldown_ms      INTEGER NOT NULL DEFAULT 0,
    reason           TEXT    NOT NULL DEFAULT '',
    last_success_at  INTEGER,
    last_failure_at  INTEGER,
    balance          TEXT    NOT NULL DEFAULT ''   -- as the provider's last answer put it: 1180 tokens
) STRICT, WITHOUT ROWID;

-- What is left of each rate limit: every run is a new process.
CREATE TABLE rate_buckets (
    source        TEXT    NOT NULL,
    operation     TEXT    NOT NULL,
    left_milli    INTEGER NOT NULL,                -- thousandths of a request
    told_micro    INTEGER,                         -- millionths of a request a second, where the server told its rate
    paused_until  INTEGER,                         -- the server asked for silence until then
    updated_at    INTEGER NOT NULL,
    PRIMARY KEY (source, operation)
) STRICT, WITHOUT ROWID;

-- What SQLite is to believe of the large tables: 2,500 products watched for a year. Without it the planner takes an index
-- by its number of columns, and a product's history would be looked for in all days of its marketplace. Columns: table,
-- index (of a table without row ids: its primary key), rows and rows for each value of the first n columns.
ANALYZE;
INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
    ('raw_receipts', 'sqlite_autoindex_raw_receipts_1', '1000000 500000 500000 250000 1000 1 1'),
    ('observations', 'observations', '1000000 1 1 1 1'),
    ('observations', 'observations_by_product', '1000000 500000 400 390 1'),
    ('product_metrics_daily', 'product_metrics_daily', '1000000 500000 2500 1'),
    ('product_metrics_daily', 'product_metrics_daily_by_product', '1000000 500000 400 1'),
    ('ranks', 'ranks', '2000000 1000000 5000 2 1'),
    ('products', 'products', '2500 1250 1'),
    ('products', 'products_by_asin', '2500 1 1'),
    ('quarantine', 'quarantine', '1000 1'),
    ('quarantine', 'quarantine_by_receipt', '1000 1');
ANALYZE sqlite_schema;
