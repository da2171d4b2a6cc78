-- What each lane of an exported pipeline has, as far as this side knows. What the rows mean is told in SCHEMA.md.
ALTER TABLE exported ADD COLUMN audience TEXT;
ALTER TABLE exported ADD COLUMN saved_bytes BIGINT NOT NULL DEFAULT 0;

CREATE TABLE delivers (
    pipeline       TEXT NOT NULL REFERENCES pipeline (id),
    digest         TEXT NOT NULL,
    repository     TEXT NOT NULL,
    first_sequence BIGINT NOT NULL,
    last_sequence  BIGINT NOT NULL,
    kind           TEXT NOT NULL,
    size_bytes     BIGINT NOT NULL,
    PRIMARY KEY (pipeline, digest, repository, first_sequence)
);

CREATE TABLE receipt (
    pipeline     TEXT NOT NULL REFERENCES pipeline (id),
    lane         TEXT NOT NULL,
    basis        TEXT NOT NULL,
    created_ms   BIGINT NOT NULL,
    sequence     BIGINT NOT NULL,
    inventory    TEXT,
    digest       TEXT,
    previous     TEXT,
    is_complete  BOOLEAN NOT NULL,
    confirmed_by TEXT NOT NULL,
    confirmed_ms BIGINT NOT NULL,
    PRIMARY KEY (pipeline, lane, basis, created_ms)
);

CREATE INDEX receipt_by_sequence ON receipt (pipeline, lane, sequence);

CREATE TABLE confirmed (
    pipeline       TEXT NOT NULL REFERENCES pipeline (id),
    lane           TEXT NOT NULL,
    digest         TEXT NOT NULL,
    repository     TEXT NOT NULL,
    kind           TEXT NOT NULL,
    size_bytes     BIGINT NOT NULL,
    since_sequence BIGINT NOT NULL,
    PRIMARY KEY (pipeline, lane, digest, repository)
);

CREATE TABLE missing (
    pipeline       TEXT NOT NULL REFERENCES pipeline (id),
    lane           TEXT NOT NULL,
    digest         TEXT NOT NULL,
    after_sequence BIGINT NOT NULL,
    reported_ms    BIGINT NOT NULL,
    PRIMARY KEY (pipeline, lane, digest)
);

-- What this side has answered to bundles that it took.
CREATE TABLE answer (
    pipeline      TEXT NOT NULL,
    lane          TEXT NOT NULL,
    target        TEXT NOT NULL,
    created_ms    BIGINT NOT NULL,
    pipeline_name TEXT NOT NULL,
    sequence      BIGINT NOT NULL,
    inventory     TEXT NOT NULL,
    is_complete   BOOLEAN NOT NULL,
    digest        TEXT,
    document      BLOB,
    PRIMARY KEY (pipeline, lane, target, created_ms)
);
