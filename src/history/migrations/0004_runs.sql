-- What a person asks of a run while it goes on and afterwards. What the rows mean is told in SCHEMA.md.
ALTER TABLE run ADD COLUMN comment TEXT;
ALTER TABLE run ADD COLUMN present_bytes BIGINT NOT NULL DEFAULT 0;
-- Who has asked it to stop.
ALTER TABLE run ADD COLUMN cancel_asked_by TEXT;

CREATE INDEX run_by_pipeline ON run (pipeline);

CREATE TABLE run_repository (
    run                 TEXT NOT NULL REFERENCES run (id) ON DELETE CASCADE,
    repository          TEXT NOT NULL,
    artifacts           BIGINT NOT NULL,
    artifacts_delivered BIGINT NOT NULL,
    artifacts_unchanged BIGINT NOT NULL,
    artifacts_kept      BIGINT NOT NULL,
    artifacts_failed    BIGINT NOT NULL,
    PRIMARY KEY (run, repository)
);

CREATE TABLE run_progress (
    run           TEXT PRIMARY KEY REFERENCES run (id) ON DELETE CASCADE,
    phase         TEXT NOT NULL,
    contents      BIGINT NOT NULL,
    contents_done BIGINT NOT NULL,
    size_bytes    BIGINT NOT NULL,
    done_bytes    BIGINT NOT NULL,
    updated_ms    BIGINT NOT NULL
);

CREATE TABLE run_log (
    run      TEXT NOT NULL REFERENCES run (id) ON DELETE CASCADE,
    position BIGINT NOT NULL,
    time_ms  BIGINT NOT NULL,
    event    TEXT NOT NULL,
    text     TEXT NOT NULL,
    PRIMARY KEY (run, position)
);
