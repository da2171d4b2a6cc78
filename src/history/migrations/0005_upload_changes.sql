-- When an upload last grew: one that has run for days and got a part a minute ago is not abandoned.
ALTER TABLE upload ADD COLUMN changed_ms BIGINT NOT NULL DEFAULT 0;
UPDATE upload SET changed_ms = started_ms;
