-- Which section of the configuration file a run was of, and which run it repeats. What the rows mean is told in SCHEMA.md.
ALTER TABLE run ADD COLUMN configured TEXT;
ALTER TABLE run ADD COLUMN rerun_of TEXT;
