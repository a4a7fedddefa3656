"""LANrage's records: made from objects that have their fields, not one more and not one less."""

import os
import time
from dataclasses import dataclass
from datetime import datetime, timedelta

# How long LANrage takes a silent peer for alive.
TIMEOUT = timedelta(minutes=5)


@dataclass
class PeerInfo:
    peer_id: str
    name: str
    public_key: str
    nat_type: str
    public_ip: str
    public_port: int
    local_ip: str
    local_port: int
    last_seen: datetime

    @classmethod
    def from_dict(cls, data):
        return cls(**data | {"last_seen": datetime.fromisoformat(data["last_seen"])})

    def to_dict(self):
        return vars(self) | {"last_seen": self.last_seen.isoformat()}


@dataclass
class PartyInfo:
    party_id: str
    name: str
    host_id: str
    created_at: datetime
    peers: dict

    @classmethod
    def from_dict(cls, data):
        peers = {key: PeerInfo.from_dict(peer) for key, peer in data["peers"].items()}
        created_at = datetime.fromisoformat(data["created_at"])
        return cls(**data | {"peers": peers, "created_at": created_at})


def now(zone):
    """The wall clock of a zone, which does not say which zone that is."""
    os.environ["TZ"] = zone
    time.tzset()
    return datetime.now()


def clean_up(peers, clock):
    """The peers that live. With an offset in a time the comparison raises."""
    return {key: peer for key, peer in peers.items() if clock - TIMEOUT < peer.last_seen <= clock}
