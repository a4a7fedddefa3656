ALTER TABLE members ADD COLUMN owner_peer TEXT;
ALTER TABLE members ADD COLUMN utc_offset INTEGER;
ALTER TABLE relays ADD COLUMN owner_peer TEXT;

CREATE TABLE tokens (
    hash BLOB NOT NULL PRIMARY KEY,
    peer_id TEXT NOT NULL,
    issued_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    checksum INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE receipts (
    peer_id TEXT NOT NULL,
    key TEXT NOT NULL,
    at INTEGER NOT NULL,
    epoch TEXT NOT NULL,
    seq INTEGER NOT NULL,
    done TEXT NOT NULL,
    checksum INTEGER NOT NULL,
    PRIMARY KEY (peer_id, key)
) STRICT, WITHOUT ROWID;
