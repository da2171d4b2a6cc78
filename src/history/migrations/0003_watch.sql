-- Why work was set aside, and of which versions; what a bundle was to its lane; readings that failed.
-- What the rows mean is told in SCHEMA.md.

ALTER TABLE claim ADD COLUMN blame TEXT;
ALTER TABLE claim ADD COLUMN versions TEXT;
ALTER TABLE claim ADD COLUMN decision TEXT;

CREATE TABLE failed_reading (
    container TEXT NOT NULL,
    object    TEXT NOT NULL,
    version   TEXT NOT NULL,
    since_ms  BIGINT NOT NULL,
    PRIMARY KEY (container, object)
);
