-- What a transfer has carried, and countersignatures that are about to follow their objects.
-- What the rows mean is told in SCHEMA.md.
CREATE TABLE run_bundle (
    run       TEXT NOT NULL REFERENCES run (id) ON DELETE CASCADE,
    position  BIGINT NOT NULL,
    bundle    TEXT NOT NULL,
    pipeline  TEXT,
    sequence  BIGINT,
    inventory TEXT,
    PRIMARY KEY (run, position)
);

CREATE INDEX run_bundle_by_inventory ON run_bundle (inventory);

CREATE TABLE removal (
    container TEXT NOT NULL,
    object    TEXT NOT NULL,
    version   TEXT NOT NULL,
    PRIMARY KEY (container, object)
);
