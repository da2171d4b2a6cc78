-- What manifests say of artifacts, by digest; and by which rule a watch has taken a bundle up, as a digest.
-- What the rows mean is told in SCHEMA.md.
CREATE TABLE fact (
    digest        TEXT PRIMARY KEY,
    created       TEXT,
    platforms     TEXT NOT NULL,
    artifact_type TEXT,
    has_created   BOOLEAN NOT NULL,
    has_platforms BOOLEAN NOT NULL,
    used_ms       BIGINT NOT NULL
);

CREATE INDEX fact_by_use ON fact (used_ms);

ALTER TABLE claim ADD COLUMN rule TEXT;
