"""The whole life of a party with two of LANrage's clients, on a server that both reach.

Usage: lanrage_party.py ADDRESS HOST GUEST

HOST and GUEST are KIND@ZONE: http or ws, and what the client's wall clock shows. Fails with a
traceback.
"""

import dataclasses
import sys
from datetime import timedelta

from lanrage_http import ControlPlaneError, HttpClient
from lanrage_records import PeerInfo, clean_up, now
from lanrage_ws import WsClient

# Times are told in milliseconds, and the zone's clock may be a little behind another's.
SLACK = timedelta(seconds=1)


def peer(peer_id, zone):
    return PeerInfo(
        peer_id=peer_id,
        name=f"Spieler „{peer_id}“ 🎲",
        public_key="MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
        nat_type="restricted_cone",
        public_ip="2001:db8::5",
        public_port=51820,
        local_ip="192.168.0.5",
        local_port=51820,
        last_seen=now(zone),
    )


class Player:
    """A client and its user."""

    def __init__(self, address, name, kind_and_zone):
        kind, zone = kind_and_zone.split("@")
        self.id, self.zone = f"peer_{name}", zone
        self.is_http = kind == "http"
        self.client = HttpClient(address, zone) if self.is_http else WsClient(address, zone)
        if self.is_http:
            answer = self.client.register_peer(self.id)
            assert answer["peer_id"] == self.id and len(answer["token"]) == 43, answer
        self.info = peer(self.id, zone)

    def register(self, party_id, name):
        if self.is_http:
            return self.client.register_party(name, self.info).party_id
        self.client.register_party(party_id, name, self.info)
        self.client.await_type("party_update")
        return party_id

    def join(self, party_id):
        self.info.last_seen = now(self.zone)
        if self.is_http:
            assert self.id in self.client.join_party(party_id, self.info).peers
            return
        try:
            self.client.join_party(party_id, self.info)
            copied = True
        except KeyError:
            copied = False
        self.client.await_type("party_update")
        if not copied:
            self.client.join_party(party_id, self.info)
            self.client.await_type("party_update")

    def sees(self, party_id, *players):
        """The party has just these members, each as it said, alive by this one's clock."""
        expected = {player.id: player.info for player in players}

        def say(peer, **changes):
            return dataclasses.replace(peer, last_seen=None, **changes)

        def are(peers):
            return {key: say(peer) for key, peer in peers.items()} == {
                key: say(peer) for key, peer in expected.items()
            }

        peers = self.client.await_peers(party_id, are)
        clock = now(self.zone) + SLACK
        assert clean_up(peers, clock) == peers, f"{clock}: {peers}"
        # No other peer is more than moments old either.
        for seen in peers.values():
            assert clock - seen.last_seen < timedelta(minutes=1), f"{clock}: {seen}"

    def hears_the_end(self, party_id):
        if self.is_http:
            assert self.client.party(party_id) is None
            assert self.client.peers(party_id) == {}
        else:
            self.client.await_peers(party_id, lambda peers: not peers)

    def comes_back(self, party_id):
        """Its connection breaks off. Until the server knows, its signs of life are refused."""
        if self.is_http:
            return
        self.client.reconnect()
        self.client.parties.clear()
        while not self.client.parties:
            self.client.heartbeat(party_id, self.id)
            self.client.handle()


def refused(status, act, *arguments):
    try:
        answer = act(*arguments)
    except ControlPlaneError as error:
        assert error.status == status, error
        return error.detail
    raise AssertionError(f"not refused: {answer}")


def mistakes_over_http(address, player, party_id):
    """Each is told in JSON, with a detail."""
    client, stranger = player.client, HttpClient(address, "UTC")
    path = f"/parties/{party_id}"
    assert refused(401, stranger.party, party_id) == "Missing authorization header"
    stranger.token = "no token"
    assert refused(401, stranger.party, party_id) == "Invalid or expired token"
    assert stranger.token is None
    assert refused(409, stranger.register_peer, player.id) == "Peer id is already registered"
    name = f"{player.id}_stranger"
    stranger.register_peer(name)
    mismatch = "Token peer_id does not match "
    refusal = refused(403, stranger.leave_party, party_id, player.id)
    assert refusal == mismatch + "requested peer_id", refusal
    refusal = refused(403, stranger.heartbeat, party_id, player.id)
    assert refusal == mismatch + "requested peer_id", refusal
    refusal = refused(403, stranger.join_party, party_id, player.info)
    assert refusal == mismatch + "peer_info.peer_id", refusal
    refusal = refused(403, stranger.register_party, "LAN", player.info)
    assert refusal == mismatch + "host_peer_info.peer_id", refusal
    refusal = refused(404, stranger.leave_party, party_id, name)
    assert refusal == f"Peer {name} not in party", refusal
    assert client.party("nowhere") is None
    assert client.peer(party_id, "nobody") is None
    assert client.peer(party_id, player.id).name == player.info.name
    # Not even what no client of LANrage's asks breaks the rule.
    assert refused(404, client.request, "GET", "/nowhere") == "Not Found"
    assert refused(405, client.request, "PUT", path) == "Method Not Allowed"
    (missing,) = refused(422, client.request, "POST", "/auth/register")
    assert (missing["type"], missing["loc"]) == ("missing", ["query", "peer_id"]), missing
    assert refused(422, client.request, "POST", "/parties", {"name": ""})


def mistakes_over_ws(player):
    client = player.client
    for kind in ("heartbeat", "leave_party"):
        client.send(kind, party_id="nowhere", peer_id=player.id)
        client.await_type("error")
    client.send("nonsense")
    client.await_type("error")
    client.send("join_party", party_id="nowhere", peer={"peer_id": player.id})
    client.await_type("error")
    client.errors.clear()


def main():
    address, *kinds = sys.argv[1:]
    host, guest = (Player(address, *who) for who in zip(("host", "guest"), kinds))
    party_id = host.register("lan", "LAN-Party 🎮")
    host.sees(party_id, host)
    guest.join(party_id)
    for player in (host, guest):
        player.sees(party_id, host, guest)

    # A member changes; joining again is how it says so.
    guest.info = dataclasses.replace(guest.info, nat_type="symmetric", public_port=4242)
    guest.join(party_id)
    for player in (host, guest):
        player.sees(party_id, host, guest)
        player.client.heartbeat(party_id, player.id)
        if player.is_http:
            mistakes_over_http(address, player, party_id)
        else:
            mistakes_over_ws(player)
    if not (host.is_http or guest.is_http):
        offer = {"sdp": "v=0 …", "candidates": [1, None]}
        host.client.send("signal", party_id=party_id, from_peer_id=host.id,
                         to_peer_id=guest.id, signal_data=offer)
        guest.client.await_type("signal")
        assert guest.client.signals == [offer]

    # A guest leaves, and is there again; then its connection breaks off.
    left = guest.client.leave_party(party_id, guest.id)
    assert left == ("left" if guest.is_http else None), left
    host.sees(party_id, host)
    guest.join(party_id)
    host.sees(party_id, host, guest)
    guest.comes_back(party_id)
    guest.sees(party_id, host, guest)

    ended = host.client.leave_party(party_id, host.id)
    assert ended == ("party_deleted" if host.is_http else None), ended
    for player in (host, guest):
        player.hears_the_end(party_id)
        if not player.is_http:
            player.client.close()


if __name__ == "__main__":
    main()
