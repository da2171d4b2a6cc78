-- The ledger, first version. What the rows mean is told in SCHEMA.md.
-- Times are milliseconds since 1970 in UTC; digests and ids are text. Nothing here is SQLite's alone,
-- apart from BLOB, which PostgreSQL calls BYTEA.

CREATE TABLE run (
    id                  TEXT PRIMARY KEY,
    kind                TEXT NOT NULL,
    pipeline            TEXT,
    run_trigger         TEXT NOT NULL,
    who                 TEXT NOT NULL,
    status              TEXT NOT NULL,
    started_ms          BIGINT NOT NULL,
    ended_ms            BIGINT,
    container           TEXT,
    target              TEXT,
    bundle              TEXT,
    set_id              TEXT,
    inventory           TEXT,
    sequence            BIGINT,
    moved_bytes         BIGINT NOT NULL DEFAULT 0,
    artifacts           BIGINT NOT NULL DEFAULT 0,
    artifacts_delivered BIGINT NOT NULL DEFAULT 0,
    artifacts_unchanged BIGINT NOT NULL DEFAULT 0,
    artifacts_kept      BIGINT NOT NULL DEFAULT 0,
    artifacts_failed    BIGINT NOT NULL DEFAULT 0,
    reason              TEXT
);

CREATE INDEX run_by_status ON run (status);

CREATE TABLE run_failure (
    run      TEXT NOT NULL REFERENCES run (id) ON DELETE CASCADE,
    position BIGINT NOT NULL,
    artifact TEXT NOT NULL,
    reason   TEXT NOT NULL,
    PRIMARY KEY (run, position)
);

CREATE TABLE pipeline (
    id         TEXT PRIMARY KEY,
    name       TEXT NOT NULL UNIQUE,
    created_ms BIGINT NOT NULL
);

CREATE TABLE exported (
    pipeline     TEXT NOT NULL REFERENCES pipeline (id),
    sequence     BIGINT NOT NULL,
    set_id       TEXT NOT NULL,
    inventory    TEXT NOT NULL,
    bundle       TEXT NOT NULL,
    run          TEXT,
    reserved_ms  BIGINT NOT NULL,
    published_ms BIGINT,
    PRIMARY KEY (pipeline, sequence)
);

CREATE TABLE accepted (
    pipeline    TEXT NOT NULL,
    lane        TEXT NOT NULL,
    target      TEXT NOT NULL,
    sequence    BIGINT NOT NULL,
    inventory   TEXT NOT NULL,
    previous    TEXT,
    accepted_ms BIGINT NOT NULL,
    run         TEXT NOT NULL,
    PRIMARY KEY (pipeline, lane, target, sequence)
);

CREATE TABLE tag_set (
    pipeline  TEXT NOT NULL,
    lane      TEXT NOT NULL,
    target    TEXT NOT NULL,
    reference TEXT NOT NULL,
    sequence  BIGINT NOT NULL,
    PRIMARY KEY (pipeline, lane, target, reference)
);

CREATE TABLE claim (
    object         TEXT PRIMARY KEY,
    state          TEXT NOT NULL,
    holder         TEXT,
    lease_until_ms BIGINT NOT NULL DEFAULT 0,
    fence          BIGINT NOT NULL DEFAULT 0,
    attempts       BIGINT NOT NULL DEFAULT 0,
    next_try_ms    BIGINT NOT NULL,
    offered_ms     BIGINT NOT NULL,
    reason         TEXT,
    run            TEXT
);

CREATE INDEX claim_by_next_try ON claim (state, next_try_ms);

CREATE TABLE upload (
    id         TEXT PRIMARY KEY,
    container  TEXT NOT NULL,
    object     TEXT NOT NULL,
    set_id     TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    upload_id  TEXT NOT NULL,
    started_ms BIGINT NOT NULL,
    UNIQUE (container, object)
);

CREATE TABLE upload_part (
    upload     TEXT NOT NULL REFERENCES upload (id) ON DELETE CASCADE,
    number     BIGINT NOT NULL,
    part_id    TEXT NOT NULL,
    size_bytes BIGINT NOT NULL,
    PRIMARY KEY (upload, number)
);

CREATE TABLE upload_entry (
    upload       TEXT NOT NULL REFERENCES upload (id) ON DELETE CASCADE,
    number       BIGINT NOT NULL,
    end_offset   BIGINT NOT NULL,
    tar_position BIGINT NOT NULL,
    row_json     TEXT NOT NULL,
    frames       BLOB NOT NULL,
    PRIMARY KEY (upload, number)
);
