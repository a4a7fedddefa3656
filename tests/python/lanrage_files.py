"""Reads the daemon's files as LANrage does.

Usage: lanrage_files.py DISCOVERY STATE PARTY...

DISCOVERY is a discovery file, STATE an exported control_state.json; both have to hold just the
PARTYs. Fails with a traceback.
"""

import json
import sys
from datetime import datetime

from lanrage_records import TIMEOUT, PartyInfo


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def check(parties, expected):
    assert parties.keys() == expected, f"{parties.keys()} instead of {expected}"
    for party_id, data in parties.items():
        party = PartyInfo.from_dict(data)
        assert party.party_id == party_id, party
        assert party.host_id in party.peers, party
        # With an offset this comparison raises.
        now = datetime.now()
        assert now - TIMEOUT < party.created_at <= now, f"{now}: {party}"
        for peer_id, peer in party.peers.items():
            assert peer.peer_id == peer_id, peer
            assert now - TIMEOUT < peer.last_seen <= now, f"{now}: {peer}"
            ports = (peer.public_port, peer.local_port)
            assert all(type(port) is int for port in ports), peer


def main():
    discovery, state, *expected = sys.argv[1:]
    text = read(discovery)
    parties = json.loads(text)
    assert json.dumps(parties, indent=2) == text, f"not as Python writes it:\n{text}"
    check(parties, set(expected))
    exported = json.loads(read(state))
    assert exported.keys() == {"parties", "my_peer_id", "my_party_id"}, exported.keys()
    check(exported["parties"], set(expected))


if __name__ == "__main__":
    main()
