"""LANrage's WebSocket client, as far as a server sees it, on a small WebSocket of its own."""

import base64
import hashlib
import json
import os
import socket
import struct

from lanrage_records import PartyInfo, PeerInfo

TEXT, CLOSE, PING, PONG = 1, 8, 9, 10
MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class WebSocket:
    """A client's side of RFC 6455, without extensions."""

    def __init__(self, address, path):
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout=20)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.stream = self.socket.makefile("rb")
        key = base64.b64encode(os.urandom(16))
        self.socket.sendall(
            f"GET {path} HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key.decode()}\r\n"
            "Sec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        status = self.stream.readline()
        assert status.split()[1] == b"101", status
        headers = {}
        while line := self.stream.readline().strip():
            name, value = line.split(b":", 1)
            headers[name.strip().lower()] = value.strip()
        accept = base64.b64encode(hashlib.sha1(key + MAGIC).digest())
        assert headers[b"sec-websocket-accept"] == accept, headers

    def send(self, payload, opcode=TEXT):
        length = len(payload)
        if length < 126:
            head = struct.pack("!BB", 0x80 | opcode, 0x80 | length)
        elif length < 65536:
            head = struct.pack("!BBH", 0x80 | opcode, 0x80 | 126, length)
        else:
            head = struct.pack("!BBQ", 0x80 | opcode, 0x80 | 127, length)
        mask = os.urandom(4)
        masked = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
        self.socket.sendall(head + mask + masked)

    def exactly(self, length):
        data = self.stream.read(length)
        assert len(data) == length, "the server is gone without a word"
        return data

    def frame(self):
        first, length = self.exactly(2)
        assert not first & 0x70 and not length & 0x80, f"reserved bits or a mask: {first:x}"
        if length == 126:
            (length,) = struct.unpack("!H", self.exactly(2))
        elif length == 127:
            (length,) = struct.unpack("!Q", self.exactly(8))
        return first & 0x80, first & 0x0F, self.exactly(length)

    def receive(self):
        """The next text; none when the server has closed. Answers pings on its way."""
        text = b""
        while True:
            final, opcode, payload = self.frame()
            if opcode == PING:
                self.send(payload, PONG)
            elif opcode == CLOSE:
                return None
            elif opcode != PONG:
                text += payload
                if final:
                    return text.decode()

    def close(self):
        """Closes and hears the server close, whatever else comes first."""
        self.send(struct.pack("!H", 1000), CLOSE)
        while self.receive() is not None:
            pass
        self.drop()

    def drop(self):
        self.stream.close()
        self.socket.close()


# What there is in a frame of each type, for a client that asked for no more.
FRAMES = {
    "party_update": {"type", "party"},
    "peer_joined": {"type", "party_id", "peer"},
    "peer_left": {"type", "party_id", "peer_id"},
    "signal": {"type", "party_id", "from_peer_id", "to_peer_id", "signal_data"},
    "error": {"type", "message"},
}


class WsClient:
    """Speaks for one peer. It waits for no answer, and does all on its own copies, too."""

    def __init__(self, address, zone):
        self.address, self.zone = address, zone
        self.parties, self.signals, self.errors = {}, [], []
        self.connect()

    def connect(self):
        self.socket = WebSocket(self.address, "/ws")
        self.send("auth", version="1.0", client="lanrage", peer_id=None)

    def reconnect(self):
        """The connection breaks off; all that is said again is the first word."""
        self.socket.drop()
        self.connect()

    def send(self, kind, **fields):
        self.socket.send(json.dumps({"type": kind} | fields).encode())

    def register_party(self, party_id, name, host):
        self.send("register_party", party_id=party_id, name=name, host_peer=host.to_dict())
        self.parties[party_id] = PartyInfo(
            party_id, name, host.peer_id, host.last_seen, {host.peer_id: host}
        )

    def join_party(self, party_id, peer):
        self.send("join_party", party_id=party_id, peer=peer.to_dict())
        # Without a copy it raises here, with the frame sent.
        self.parties[party_id].peers[peer.peer_id] = peer

    def leave_party(self, party_id, peer_id):
        self.send("leave_party", party_id=party_id, peer_id=peer_id)
        party = self.parties[party_id]
        party.peers.pop(peer_id)
        if peer_id == party.host_id or not party.peers:
            del self.parties[party_id]

    def heartbeat(self, party_id, peer_id):
        self.send("heartbeat", party_id=party_id, peer_id=peer_id)

    def handle(self):
        """Takes in the next frame, and returns its type."""
        text = self.socket.receive()
        assert text is not None, "the server has closed"
        frame = json.loads(text)
        kind = frame["type"]
        # LANrage passes over types that it does not know. None was asked for.
        assert frame.keys() == FRAMES[kind], frame
        if kind == "party_update":
            party = PartyInfo.from_dict(frame["party"])
            self.parties[party.party_id] = party
        elif kind == "peer_joined":
            peer = PeerInfo.from_dict(frame["peer"])
            self.parties[frame["party_id"]].peers[peer.peer_id] = peer
        elif kind == "peer_left":
            party = self.parties[frame["party_id"]]
            del party.peers[frame["peer_id"]]
            if not party.peers:
                del self.parties[frame["party_id"]]
        elif kind == "signal":
            members = self.parties[frame["party_id"]].peers
            assert {frame["from_peer_id"], frame["to_peer_id"]} <= members.keys(), frame
            self.signals.append(frame["signal_data"])
        else:
            self.errors.append(frame["message"])
        return kind

    def await_type(self, kind):
        while self.handle() != kind:
            pass

    def peers(self, party_id):
        return self.parties[party_id].peers if party_id in self.parties else {}

    def await_peers(self, party_id, are):
        """Listens until the party's peers are as they should be."""
        while not are(self.peers(party_id)):
            self.handle()
        return self.peers(party_id)

    def close(self):
        self.socket.close()
