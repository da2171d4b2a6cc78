-- Repositories of a target that a lane has brought something to: only there does content count that a bundle leaves out.
CREATE TABLE filled (
    pipeline TEXT NOT NULL,
    lane TEXT NOT NULL,
    target TEXT NOT NULL,
    repository TEXT NOT NULL,
    PRIMARY KEY (pipeline, lane, target, repository)
);

-- What tags were set before this table was there says the same.
INSERT INTO filled (pipeline, lane, target, repository)
SELECT DISTINCT pipeline, lane, target, substr(reference, 1, instr(reference, ':') - 1)
FROM tag_set WHERE instr(reference, ':') > 1;
