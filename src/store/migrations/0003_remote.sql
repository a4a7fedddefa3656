ALTER TABLE parties ADD COLUMN origin TEXT;

CREATE TABLE intents (
    party_id TEXT NOT NULL,
    peer_id TEXT NOT NULL,
    deed TEXT NOT NULL,
    key TEXT NOT NULL,
    at INTEGER NOT NULL,
    checksum INTEGER NOT NULL,
    PRIMARY KEY (party_id, peer_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE credentials (
    server TEXT NOT NULL,
    peer_id TEXT NOT NULL,
    token TEXT NOT NULL,
    renew_at INTEGER NOT NULL,
    owner INTEGER NOT NULL,
    checksum INTEGER NOT NULL,
    PRIMARY KEY (server, peer_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE server_choice (
    id INTEGER NOT NULL PRIMARY KEY CHECK (id = 0),
    server TEXT,
    configured TEXT,
    checksum INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
