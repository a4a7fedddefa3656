"""A frontend that knows the protocol's description and Python's standard library, nothing else.

Usage: life.py SOCKET STATE DISCOVERY PARTY...

Drives a party's whole life through the daemon's SOCKET. It expects the daemon to hold the PARTYs of
the LANrage file STATE, and to show those of the LANrage file DISCOVERY. Fails with a traceback.
"""

import json
import socket
import sys
from datetime import datetime


class Refused(Exception):
    """An error reply; what a program goes by is its code."""

    def __init__(self, error):
        super().__init__(error["message"])
        self.code = error["data"]["code"]


class Daemon:
    """One connection."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(20)
        self.socket.connect(path)
        self.lines = self.socket.makefile("r", encoding="utf-8", newline="\n")
        self.last_id = 0
        self.events = []

    def read(self):
        line = self.lines.readline()
        assert line.endswith("\n"), f"the connection ended: {line!r}"
        return json.loads(line)

    def call(self, method, **params):
        self.last_id += 1
        request = {"jsonrpc": "2.0", "id": self.last_id, "method": method, "params": params}
        self.socket.sendall(json.dumps(request).encode() + b"\n")
        while True:
            message = self.read()
            assert message["jsonrpc"] == "2.0", message
            if message.get("id") == self.last_id:
                if "error" in message:
                    raise Refused(message["error"])
                return message["result"]
            self.events.append(message)

    def refused(self, method, **params):
        try:
            result = self.call(method, **params)
        except Refused as refused:
            return refused.code
        raise AssertionError(f"{method} was not refused: {result}")

    def event(self):
        message = self.events.pop(0) if self.events else self.read()
        assert message["method"] == "event", message
        return message["params"]

    def close(self):
        self.lines.close()
        self.socket.close()


def peer(peer_id, **changes):
    return {
        "peer_id": peer_id,
        "name": f"Spieler „{peer_id}“",
        "public_key": "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
        "nat_type": "restricted_cone",
        "public_ip": "2001:db8::5",
        "public_port": 51820,
        "local_ip": "192.168.0.5",
        "local_port": 51820,
    } | changes


class Watch:
    """A subscription, whose numbers have to be contiguous, as have those of each party."""

    def __init__(self, daemon, **params):
        self.daemon = daemon
        subscribed = daemon.call("events.subscribe", **params)
        self.name, self.seq = subscribed["subscription"], subscribed["seq"]
        self.snapshot = subscribed["snapshot"]
        self.parties = {party["party_id"]: party["seq"] for party in self.snapshot["parties"]}

    def expect(self, kind, **expected):
        event = self.daemon.event()
        data = event["data"]
        assert event["kind"] == kind, event
        assert (event["subscription"], event["seq"]) == (self.name, self.seq + 1), event
        self.seq += 1
        if "seq" in data:
            party_id = data.get("party_id") or data["party"]["party_id"]
            last = self.parties.get(party_id, 0)
            assert data["seq"] == last + 1, f"{last} -> {event}"
            self.parties[party_id] = data["seq"]
        for key, value in expected.items():
            assert data[key] == value, f"{key}: {event}"
        return data


def instant(text):
    """A time with an offset as it is, one without by the local clock."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone()


def imported(daemon, records):
    """What the daemon took in says what LANrage said."""
    parties = {party["party_id"]: party for party in daemon.call("party.list")["parties"]}
    assert parties.keys() == records.keys(), f"{parties.keys()} instead of {records.keys()}"
    for party_id, record in records.items():
        party = parties[party_id]
        assert (party["name"], party["host_id"]) == (record["name"], record["host_id"]), party
        difference = instant(party["created_at"]) - instant(record["created_at"])
        assert abs(difference.total_seconds()) < 0.001, (party, record)
        assert party["peers"].keys() == record["peers"].keys(), party
        for peer_id, told in record["peers"].items():
            member = party["peers"][peer_id]
            for field in told.keys() - {"last_seen"}:
                assert member[field] == told[field], f"{field}: {member} instead of {told}"
            assert member["connected"] is False, member
        assert party["peers"][party["host_id"]]["virtual_ip"] == "10.66.0.1", party


def announced(daemon, foreign, own):
    """What the discovery file shows: LANrage's, as it stands there, and the daemon's own."""
    found = {party["party_id"]: party for party in daemon.call("party.discover")["parties"]}
    assert found.keys() == foreign.keys() | own, found.keys()
    assert all(party.pop("source") == "file" for party in found.values())
    for party_id, record in foreign.items():
        shown = found[party_id]
        for member in [*shown["peers"].values(), *record["peers"].values()]:
            member["last_seen"] = instant(member["last_seen"])
        assert shown == record, f"{shown} instead of {record}"


def life(socket_path):
    """From the first registration to the last leave, with a watcher."""
    host, guest, watcher = Daemon(socket_path), Daemon(socket_path), Daemon(socket_path)
    watch = Watch(watcher)
    known = {party["party_id"] for party in host.call("party.list")["parties"]}
    assert {party["party_id"] for party in watch.snapshot["parties"]} == known

    party = host.call("party.register", name="Zock ’n’ Roll", host=peer("ann"))["party"]
    party_id = party["party_id"]
    assert party_id not in known and party["seq"] == 1, party
    assert watch.expect("party.registered")["party"]["name"] == "Zock ’n’ Roll"
    assert guest.refused("party.join", party_id="nowhere", peer=peer("ben")) == "party_not_found"
    party = guest.call("party.join", party_id=party_id, peer=peer("ben"))["party"]
    addresses = {name: member["virtual_ip"] for name, member in party["peers"].items()}
    assert addresses == {"ann": "10.66.0.1", "ben": "10.66.0.2"}, addresses
    watch.expect("peer.joined", party_id=party_id)

    moved = peer("ben", public_ip="198.51.100.9", public_port=4000, nat_type="open")
    changed = guest.call("peer.update", party_id=party_id, peer=moved)["peer"]
    assert changed == changed | moved, changed
    told = watch.expect("peer.updated", party_id=party_id)
    assert told["peer"]["public_port"] == 4000 and told["peer"]["virtual_ip"] == "10.66.0.2", told
    assert guest.refused("peer.update", party_id=party_id, peer=peer("eve")) == "peer_not_found"
    bad = peer("ben", public_port=65536)
    assert guest.refused("peer.update", party_id=party_id, peer=bad) == "invalid_params"
    peers = host.call("peer.list", party_id=party_id)["peers"]
    assert peers.keys() == {"ann", "ben"} and peers["ben"]["public_port"] == 4000, peers
    found = host.call("peer.discover", party_id=party_id, peer_id="ben")["peer"]
    assert found["public_ip"] == "198.51.100.9" and found["connected"], found

    offer = {"type": "offer", "sdp": "v=0\r\n„ü“", "candidates": [1, 2.5, None, {"a": []}]}
    for sender, receiver in [("ann", "ben"), ("ben", "ann")]:
        sent = host.call("signal.send", party_id=party_id, from_peer_id=sender,
                         to_peer_id=receiver, signal_data=offer)
        assert sent == {"queued": True}, sent
        watch.expect("signal.received", from_peer_id=sender, to_peer_id=receiver)
        signals = guest.call("signal.poll", party_id=party_id, peer_id=receiver)["signals"]
        assert [(signal["from_peer_id"], signal["signal_data"]) for signal in signals] == [
            (sender, offer)], signals
        assert guest.call("signal.poll", party_id=party_id, peer_id=receiver) == {"signals": []}
    alive = guest.call("peer.heartbeat", party_id=party_id, peer_id="ben")
    assert alive["expires_in_ms"] > 0, alive

    # Gone without a word, and back at the same address.
    guest.close()
    assert watch.expect("peer.updated")["peer"]["connected"] is False
    guest = Daemon(socket_path)
    back = guest.call("party.join", party_id=party_id, peer=moved)["party"]["peers"]["ben"]
    assert back["connected"] and back["virtual_ip"] == "10.66.0.2", back
    assert watch.expect("peer.updated")["peer"]["connected"] is True

    left = guest.call("party.leave", party_id=party_id, peer_id="ben")
    assert left == {"status": "left"}, left
    watch.expect("peer.left", peer_id="ben", reason="left")
    guest.call("party.join", party_id=party_id, peer=peer("cem"))
    watch.expect("peer.joined")
    left = host.call("party.leave", party_id=party_id, peer_id="ann")
    assert left == {"status": "party_deleted"}, left
    watch.expect("peer.left", peer_id="ann", reason="left")
    watch.expect("peer.left", peer_id="cem", reason="host_left")
    watch.expect("party.removed", party_id=party_id, reason="host_left")
    assert guest.refused("party.get", party_id=party_id) == "party_not_found"
    assert {party["party_id"] for party in guest.call("party.list")["parties"]} == known


def returning(socket_path, party_id, record):
    """A peer that LANrage knew goes on in its party."""
    daemon = Daemon(socket_path)
    watch = Watch(daemon, party_id=party_id)
    before = watch.snapshot["parties"][0]["peers"]
    for peer_id, told in record["peers"].items():
        own = {field: value for field, value in told.items() if field != "last_seen"}
        party = daemon.call("party.join", party_id=party_id, peer=own)["party"]
        member = party["peers"][peer_id]
        assert member["connected"], member
        assert member["virtual_ip"] == before[peer_id]["virtual_ip"], (member, before)
        watch.expect("peer.updated", party_id=party_id)
    daemon.close()


def load(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def main():
    socket_path, state, discovery, *expected = sys.argv[1:]
    records = load(state)["parties"]
    records = {party_id: records[party_id] for party_id in expected}

    daemon = Daemon(socket_path)
    hello = daemon.call("hello", client={"name": "life.py", "version": "1"},
                        protocol={"min": 1, "max": 1}, features=["telepathy"])
    assert (hello["protocol"], hello["role"]) == (1, "admin"), hello
    methods = {method["name"] for method in daemon.call("rpc.discover")["methods"]}
    assert {"hello", "party.register", "events.subscribe"} <= methods, methods
    assert daemon.refused("party.dance") == "unknown_method"
    assert daemon.call("connection.get")["state"] == "local"
    imported(daemon, records)
    announced(daemon, load(discovery), records.keys())
    life(socket_path)
    announced(daemon, load(discovery), records.keys())
    for party_id, record in records.items():
        returning(socket_path, party_id, record)


if __name__ == "__main__":
    main()
