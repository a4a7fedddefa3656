CREATE TABLE meta (
    key TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE parties (
    party_id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    host_id TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    checksum INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE members (
    party_id TEXT NOT NULL REFERENCES parties (party_id) DEFERRABLE INITIALLY DEFERRED,
    peer_id TEXT NOT NULL,
    name TEXT NOT NULL,
    public_key TEXT NOT NULL,
    nat_type TEXT NOT NULL,
    public_ip TEXT NOT NULL,
    public_port INTEGER NOT NULL,
    local_ip TEXT NOT NULL,
    local_port INTEGER NOT NULL,
    virtual_ip TEXT NOT NULL,
    owner INTEGER NOT NULL,
    keepalive TEXT NOT NULL,
    checksum INTEGER NOT NULL,
    last_seen INTEGER NOT NULL,
    PRIMARY KEY (party_id, peer_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE relays (
    relay_id TEXT NOT NULL PRIMARY KEY,
    public_ip TEXT NOT NULL,
    port INTEGER NOT NULL,
    region TEXT NOT NULL,
    capacity INTEGER NOT NULL,
    registered_at INTEGER NOT NULL,
    owner INTEGER NOT NULL,
    checksum INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
