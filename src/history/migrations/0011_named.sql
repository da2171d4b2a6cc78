-- The artifacts or bundles that a run of a pipeline was asked for in place of all, as a JSON list.
ALTER TABLE run ADD COLUMN named TEXT;
