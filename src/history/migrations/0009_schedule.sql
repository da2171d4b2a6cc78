-- When a pipeline was due and begun for the last time. What the rows mean is told in SCHEMA.md.
CREATE TABLE schedule (
    pipeline    TEXT PRIMARY KEY,
    expression  TEXT NOT NULL,
    last_due_ms BIGINT NOT NULL,
    progress    TEXT NOT NULL
);
