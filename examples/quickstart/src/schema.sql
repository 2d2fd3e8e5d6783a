CREATE TABLE countries (
    code      TEXT PRIMARY KEY,
    name      TEXT NOT NULL,
    continent TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE cities (
    id         INTEGER PRIMARY KEY,
    name       TEXT    NOT NULL,
    country    TEXT    NOT NULL REFERENCES countries (code),
    latitude   REAL    NOT NULL,
    longitude  REAL    NOT NULL,
    population INTEGER NOT NULL CHECK (population >= 0),
    timezone   TEXT    NOT NULL
) STRICT;

CREATE INDEX cities_by_country ON cities (country, population);
CREATE INDEX cities_by_population ON cities (population);
