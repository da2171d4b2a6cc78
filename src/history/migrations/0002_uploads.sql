-- No release has written the tables for uploads yet. A changed plan is found by its pipeline, and a volume that is
-- complete can be kept whole.
DROP TABLE upload_entry;
DROP TABLE upload_part;
DROP TABLE upload;

CREATE TABLE upload (
    id         TEXT PRIMARY KEY,
    container  TEXT NOT NULL,
    object     TEXT NOT NULL,
    set_id     TEXT NOT NULL,
    pipeline   TEXT,
    created_ms BIGINT NOT NULL,
    upload_id  TEXT NOT NULL,
    started_ms BIGINT NOT NULL,
    frame      TEXT,
    inventory  TEXT,
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
