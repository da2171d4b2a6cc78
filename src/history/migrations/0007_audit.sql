-- What happened to which artifact, for good. What the rows mean, and how `hash` is computed, is told in SCHEMA.md.
CREATE TABLE audit (
    number       BIGINT NOT NULL PRIMARY KEY,
    time_ms      BIGINT NOT NULL,
    kind         TEXT NOT NULL,
    run          TEXT,
    who          TEXT NOT NULL,
    comment      TEXT,
    run_trigger  TEXT NOT NULL,
    pipeline     TEXT,
    source       TEXT,
    target       TEXT,
    digest       TEXT,
    replaced     TEXT,
    rollback_tag TEXT,
    bundle       TEXT,
    inventory    TEXT,
    sequence     BIGINT,
    reason       TEXT,
    artifacts    TEXT,
    past         TEXT,
    previous     TEXT,
    hash         TEXT NOT NULL
);

CREATE INDEX audit_by_digest ON audit (digest);
CREATE INDEX audit_by_source ON audit (source);
CREATE INDEX audit_by_target ON audit (target);
CREATE INDEX audit_by_inventory ON audit (inventory);

-- A guard against accidents, in the dialect of SQLite. What proves is the chain.
CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit
BEGIN
    SELECT RAISE(ABORT, 'records of the audit log are not changed');
END;

CREATE TRIGGER audit_is_not_deleted BEFORE DELETE ON audit
BEGIN
    SELECT RAISE(ABORT, 'records of the audit log are not deleted');
END;
