-- The state as the newest migration leaves it; a test keeps the two equal.
--
-- Times are whole microseconds since 1970, UTC. Every text and number is decoded through the
-- checked vocabulary on the way in and out. `checksum` covers the other columns (nulls do not
-- count), because SQLite itself does not notice a bit that flips inside a value. `last_seen` alone
-- is volatile, and not covered.

-- `epoch`: the stretch of history that the parties' `seq` count in.
CREATE TABLE meta (
    key TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- `origin`: `remote`, or null for a party that lives here. `address`: of the client that registered
-- it, an IPv6 address without its interface part.
CREATE TABLE parties (
    party_id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    host_id TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    checksum INTEGER NOT NULL
, origin TEXT, address TEXT) STRICT, WITHOUT ROWID;

-- `owner` is a uid, or -1 for the peer in `owner_peer`, or -2 for whoever has the relay key,
-- or -3 for whoever the control server knows.
-- `utc_offset`: of the wall clock of the member's program, in minutes.
-- `address`: of the client that entered, as in `parties`.
-- The reference is checked at the commit, so that the rows of one may come in any order.
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
    last_seen INTEGER NOT NULL, owner_peer TEXT, utc_offset INTEGER, address TEXT,
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
, owner_peer TEXT) STRICT, WITHOUT ROWID;

-- `hash`: the SHA-256 of the token. The token itself is nowhere. `address`: of the client that asked
-- for it, as in `parties`. `claim`: the SHA-256 of the claim secret that it was issued for.
CREATE TABLE tokens (
    hash BLOB NOT NULL PRIMARY KEY,
    peer_id TEXT NOT NULL,
    issued_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    checksum INTEGER NOT NULL
, address TEXT, claim BLOB) STRICT, WITHOUT ROWID;

-- What a request did that its peer calls `key`: `seq` of its party in `epoch`, `done` as JSON.
-- `request`: its kind, its party and the SHA-256 of its parsed body, as JSON.
CREATE TABLE receipts (
    peer_id TEXT NOT NULL,
    key TEXT NOT NULL,
    at INTEGER NOT NULL,
    epoch TEXT NOT NULL,
    seq INTEGER NOT NULL,
    done TEXT NOT NULL,
    checksum INTEGER NOT NULL, request TEXT,
    PRIMARY KEY (peer_id, key)
) STRICT, WITHOUT ROWID;

-- What the control server has not been told yet: `deed` of a peer that may have left since, as the
-- party may have ended, under the name `key`.
CREATE TABLE intents (
    party_id TEXT NOT NULL,
    peer_id TEXT NOT NULL,
    deed TEXT NOT NULL,
    key TEXT NOT NULL,
    at INTEGER NOT NULL,
    checksum INTEGER NOT NULL, owner INTEGER,
    PRIMARY KEY (party_id, peer_id)
) STRICT, WITHOUT ROWID;

-- What proves to a control server that a peer is one of this machine's: the token itself,
-- or `claim NAME` while the answer to the claim of that name has not come.
CREATE TABLE credentials (
    server TEXT NOT NULL,
    peer_id TEXT NOT NULL,
    token TEXT NOT NULL,
    renew_at INTEGER NOT NULL,
    owner INTEGER NOT NULL,
    checksum INTEGER NOT NULL,
    PRIMARY KEY (server, peer_id)
) STRICT, WITHOUT ROWID;

-- The control server that is followed, what the configuration said when it was chosen, and the
-- stretch of its history that it was in.
CREATE TABLE server_choice (
    id INTEGER NOT NULL PRIMARY KEY CHECK (id = 0),
    server TEXT,
    configured TEXT,
    checksum INTEGER NOT NULL
, epoch TEXT) STRICT, WITHOUT ROWID;

-- The public key of a member from another machine as it was first seen or accepted last, and a key
-- that is in force since though nobody accepted it. A pin outlives the membership, not the party.
CREATE TABLE pins (
    party_id TEXT NOT NULL,
    peer_id TEXT NOT NULL,
    public_key TEXT NOT NULL,
    replaced_by TEXT,
    at INTEGER NOT NULL,
    checksum INTEGER NOT NULL,
    PRIMARY KEY (party_id, peer_id)
) STRICT, WITHOUT ROWID;
