"""LANrage's HTTP client, as far as a server sees it."""

import http.client
import json
import time

from lanrage_records import PartyInfo, PeerInfo

# Before the second and the third try.
WAITS = (1, 2)


class ControlPlaneError(Exception):
    """What the server refuses, with its own words."""

    def __init__(self, status, detail):
        super().__init__(f"{status}: {detail}")
        self.status, self.detail = status, detail


class HttpClient:
    """Speaks for one peer."""

    def __init__(self, address, zone):
        self.address, self.zone = address, zone
        self.token = None

    def request(self, method, path, body=None, headers=None):
        headers = {"Accept": "application/json"} | (headers or {})
        if self.token:
            headers.setdefault("Authorization", f"Bearer {self.token}")
        if body is not None:
            body = json.dumps(body)
            headers["Content-Type"] = "application/json"
        status, answer = self.send(method, path, body, headers)
        # Whatever is wrong is said in JSON: plain text raises here, as it does in LANrage.
        answer = json.loads(answer)
        if status >= 400:
            if status == 401:
                # It does not come back to life by itself.
                self.token = None
            raise ControlPlaneError(status, answer["detail"])
        assert status == 200, (status, answer)
        return answer

    def send(self, method, path, body, headers):
        for wait in (*WAITS, None):
            connection = http.client.HTTPConnection(self.address, timeout=10)
            try:
                connection.request(method, path, body, headers)
                response = connection.getresponse()
                return response.status, response.read()
            except OSError:
                if wait is None:
                    raise
                time.sleep(wait)
            finally:
                connection.close()

    def find(self, path):
        """Like a read, where nothing found is none."""
        try:
            return self.request("GET", path)
        except ControlPlaneError as error:
            if error.status != 404:
                raise
            return None

    def register_peer(self, peer_id):
        # The id as it is, not escaped.
        answer = self.request("POST", f"/auth/register?peer_id={peer_id}")
        assert answer.keys() == {"token", "peer_id", "expires_at"}, answer
        self.token = answer["token"]
        return answer

    def register_party(self, name, host):
        body = {"name": name, "host_peer_info": host.to_dict()}
        answer = self.request("POST", "/parties", body)
        party = PartyInfo.from_dict(answer["party"])
        assert party.party_id == answer["party_id"], answer
        return party

    def join_party(self, party_id, peer):
        body = {"party_id": party_id, "peer_info": peer.to_dict()}
        answer = self.request("POST", f"/parties/{party_id}/join", body)
        return PartyInfo.from_dict(answer["party"])

    def leave_party(self, party_id, peer_id):
        return self.request("DELETE", f"/parties/{party_id}/peers/{peer_id}")["status"]

    def heartbeat(self, party_id, peer_id):
        answer = self.request("POST", f"/parties/{party_id}/peers/{peer_id}/heartbeat")
        assert answer == {"status": "ok"}, answer

    def party(self, party_id):
        answer = self.find(f"/parties/{party_id}")
        return answer and PartyInfo.from_dict(answer["party"])

    def peers(self, party_id):
        answer = self.find(f"/parties/{party_id}/peers") or {"peers": {}}
        return {key: PeerInfo.from_dict(peer) for key, peer in answer["peers"].items()}

    def peer(self, party_id, peer_id):
        answer = self.find(f"/parties/{party_id}/peers/{peer_id}")
        return answer and PeerInfo.from_dict(answer["peer"])

    def await_peers(self, party_id, are):
        """Asks until the party's peers are as they should be."""
        until = time.monotonic() + 20
        while not are(peers := self.peers(party_id)):
            assert time.monotonic() < until, f"never came: {peers}"
        return peers
