-- Where a bundle was to become visible and what it was allowed to replace there, so that a later run can finish it;
-- and when that was given up. Rows from before do not know their container.
ALTER TABLE exported ADD COLUMN container TEXT;
ALTER TABLE exported ADD COLUMN may_replace BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE exported ADD COLUMN given_up_ms BIGINT;
