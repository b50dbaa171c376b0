-- Positions are row ids: SQLite has one writer at a time, so they ascend in the order of commits.
CREATE TABLE regatta_events (
    position INTEGER PRIMARY KEY,
    stream TEXT NOT NULL,
    category TEXT NOT NULL,
    version INTEGER NOT NULL,
    id TEXT NOT NULL,
    type TEXT NOT NULL,
    revision INTEGER NOT NULL,
    data TEXT NOT NULL,
    metadata TEXT NOT NULL,
    subject TEXT,
    sealed BLOB,
    recorded_at INTEGER NOT NULL -- microseconds since 1970
);
CREATE UNIQUE INDEX regatta_events_stream_version ON regatta_events (stream, version);
CREATE UNIQUE INDEX regatta_events_id ON regatta_events (id);
CREATE INDEX regatta_events_subject ON regatta_events (subject) WHERE subject IS NOT NULL;

CREATE TABLE regatta_subjects (
    subject TEXT PRIMARY KEY,
    key BLOB, -- none once the subject is erased
    erased_at INTEGER
) WITHOUT ROWID;

CREATE TABLE regatta_snapshots (
    stream TEXT PRIMARY KEY,
    version INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    state TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE regatta_checkpoints (
    name TEXT PRIMARY KEY,
    position INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE regatta_outbox (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    event TEXT NOT NULL,
    refused TEXT -- why no bus takes it
);
CREATE TABLE regatta_outbox_turn (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    relay TEXT NOT NULL,
    until INTEGER NOT NULL
);
INSERT INTO regatta_outbox_turn VALUES (1, '', 0);

CREATE TABLE regatta_inbox (
    consumer TEXT NOT NULL,
    source TEXT NOT NULL,
    id TEXT NOT NULL,
    seen_at INTEGER NOT NULL,
    PRIMARY KEY (consumer, source, id)
) WITHOUT ROWID;
CREATE INDEX regatta_inbox_seen_at ON regatta_inbox (seen_at);

CREATE TABLE regatta_projections (
    name TEXT NOT NULL,
    generation INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    stage TEXT NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (name, generation)
) WITHOUT ROWID;
