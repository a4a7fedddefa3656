ALTER TABLE parties ADD COLUMN address TEXT;
ALTER TABLE members ADD COLUMN address TEXT;
ALTER TABLE tokens ADD COLUMN address TEXT;
ALTER TABLE tokens ADD COLUMN claim BLOB;
ALTER TABLE receipts ADD COLUMN request TEXT;
ALTER TABLE intents ADD COLUMN owner INTEGER;
-- A claim was named by a req_id, which proves nothing any more.
DELETE FROM receipts WHERE done = '{"done":"claimed"}';

CREATE TABLE pins (
    party_id TEXT NOT NULL,
    peer_id TEXT NOT NULL,
    public_key TEXT NOT NULL,
    replaced_by TEXT,
    at INTEGER NOT NULL,
    checksum INTEGER NOT NULL,
    PRIMARY KEY (party_id, peer_id)
) STRICT, WITHOUT ROWID;
