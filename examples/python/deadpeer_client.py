"""A client of the heartbeat protocol (docs/protocol.md, version 1) in Python, with nothing but the standard library.

    client = Client("hub.example", 7443)
    client.on_data = lambda payload: print(payload)
    client.connect()
    client.send(b"hello")
    client.run(10)      # reads, answers and beats for ten seconds
    client.goodbye()

A connection that is lost raises ConnectionLost; connect() then resumes the session, and what was not acknowledged is sent again.
"""

import socket
import ssl
import struct
import time

HELLO, BEAT, ANSWER, DATA, ACKNOWLEDGEMENT, BYE = 1, 2, 3, 4, 5, 6
# What a body has at least; anything less cannot be read.
LEAST = {HELLO: 28, BEAT: 16, ANSWER: 16, DATA: 8, ACKNOWLEDGEMENT: 8, BYE: 1}
UNKNOWN_SESSION = 5
LONGEST_BODY = 1_048_576 + 16
REASONS = {
    0: "done",
    1: "shutdown",
    2: "too many beats",
    3: "protocol error",
    4: "no agreement",
    5: "unknown session",
    6: "evicted",
    7: "version",
    8: "given up",
    9: "replaced",
}


class ConnectionLost(Exception):
    """The connection is gone, or the server said goodbye."""

    def __init__(self, problem, reason=None):
        super().__init__(problem)
        self.reason = reason


def frame(kind, body):
    return bytes([kind]) + len(body).to_bytes(3, "big") + body


def short(value):
    return bytes([len(value)]) + value


class Client:
    def __init__(self, host, port, *, context=None, idle=25.0, interval=5.0, count=3):
        """context: an ssl.SSLContext, for TLS. The server is asked after `idle` seconds of silence, and given up after `count`
        beats that it did not answer within `interval` each."""
        self.host, self.port, self.context = host, port, context
        self.idle, self.interval, self.count = idle, interval, count
        self.on_data = lambda payload: None
        self.on_payload = lambda payload: None
        self.session = b""
        self.token = b""
        self.resumed = False
        self.received = 0
        self.acknowledged = 0
        self.waiting = []  # given, and not acknowledged; the first has the sequence acknowledged + 1
        self.sent = 0  # of those, how many over this connection
        self.answers = 0
        self.number = 0
        self.unanswered = 0
        self.socket = None
        self.buffer = b""
        self.key = b""  # from the server's hello, for datagrams

    # Connecting.

    def connect(self):
        plain = socket.create_connection((self.host, self.port), timeout=10)
        self.socket = self.context.wrap_socket(plain, server_hostname=self.host) if self.context else plain
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        self.unanswered = 0
        self.sent = 0
        self.socket.sendall(frame(HELLO, self._own_hello()))
        kind, body = self._next_frame(time.monotonic() + 10) or self._lost("no answer in time")
        if kind == BYE:
            self._bye(body)
        if kind != HELLO or body[:4] != b"DPHB":
            self._lost("the server does not speak this protocol")
        self._hello(body)

    def _own_hello(self):
        deadline_ms = int((self.idle + self.interval * self.count) * 1000)
        return (
            b"DPHB"
            + struct.pack(">BIIIQ", 1, int(self.idle * 1000), deadline_ms, 1_048_576, self.received)
            + short(self.session)
            + short(self.token)
            + short(b"")
        )

    def _hello(self, body):
        self._check(HELLO, body)
        version, _interval, _deadline, self.max_payload, received = struct.unpack_from(">BIIIQ", body, 4)
        if version != 1:
            self._lost(f"the server speaks version {version}")
        at = 25
        fields = []
        for _ in range(3):
            length = body[at] if at < len(body) else len(body)
            if at + 1 + length > len(body):
                self._lost("a hello that ends too early")
            fields.append(body[at + 1 : at + 1 + length])
            at += 1 + length
        session, self.token, self.key = fields
        self.resumed = session == self.session
        if not self.resumed:
            # What waits goes to the new session, numbered from 1.
            self.session, self.received, self.acknowledged = session, 0, 0
        self.heard = self.said = time.monotonic()
        self._greeted(received)

    def _greeted(self, received):
        self._taken(received)
        self._pump()

    # Sending.

    def send(self, payload):
        """Keeps a message until the server has acknowledged it, and sends it now if there is a connection."""
        self.waiting.append(payload)
        if self.socket is not None:
            self._pump()

    def _pump(self):
        while self.sent < len(self.waiting):
            payload = self.waiting[self.sent]
            self._write(frame(DATA, struct.pack(">Q", self.acknowledged + self.sent + 1) + payload))
            self.sent += 1

    def _write(self, data):
        try:
            self.socket.sendall(data)
        except OSError as error:
            self._lost(str(error))
        self.said = time.monotonic()

    def _taken(self, received):
        """The server has taken everything up to here."""
        count = received - self.acknowledged
        if count > len(self.waiting):
            self._lost("the server acknowledges what was never sent")
        if count > 0:
            del self.waiting[:count]
            self.sent = max(0, self.sent - count)
            self.acknowledged = received

    def beat(self, payload=b""):
        self.number += 1
        self.unanswered += 1
        self.asked_at = time.monotonic()
        self._write(frame(BEAT, self._vital(self.number, payload)))

    def _vital(self, number, payload):
        return struct.pack(">IIQ", number, int(self.idle * 1000), self.received) + payload

    def goodbye(self):
        self._write(frame(BYE, bytes([0])))
        self._close()

    # Receiving.

    def run(self, seconds, until=lambda: False):
        """Reads, answers and beats, until the time is over or `until` holds."""
        end = time.monotonic() + seconds
        while not until():
            now = time.monotonic()
            if now >= end:
                return
            asked = self.unanswered > 0
            due = self.asked_at + self.interval if asked else min(self.heard, self.said) + self.idle
            if now >= due:
                if self.unanswered >= self.count:
                    self._lost("the server did not answer")
                self.beat()
                continue
            got = self._next_frame(min(end, due))
            if got is not None:
                self._heard(*got)

    def _check(self, kind, body):
        if len(body) < LEAST.get(kind, 0):
            self._lost("a message that is too short")

    def _heard(self, kind, body):
        self._check(kind, body)
        self.heard = time.monotonic()
        self.unanswered = 0
        if kind in (BEAT, ANSWER):
            number, _interval, received = struct.unpack_from(">IIQ", body)
            payload = body[16:]
            if kind == BEAT:
                self._write(frame(ANSWER, self._vital(number, b"")))
            else:
                self.answers += 1
            self._taken(received)
            if payload:
                self.on_payload(payload)
        elif kind == DATA:
            (sequence,) = struct.unpack_from(">Q", body)
            if sequence == self.received + 1:
                self.on_data(body[8:])
                self.received = sequence
            elif sequence > self.received:
                self._gap()
            self._write(frame(ACKNOWLEDGEMENT, struct.pack(">Q", self.received)))
        elif kind == ACKNOWLEDGEMENT:
            self._taken(struct.unpack_from(">Q", body)[0])
        elif kind == BYE:
            self._bye(body)
        # Unknown types are passed over.

    def _gap(self):
        self._lost("data with a gap")

    def _bye(self, body):
        reason = body[0] if body else 0
        if reason == UNKNOWN_SESSION:
            self.session = self.token = b""
        self._lost(f"{REASONS.get(reason, 'done')}: {body[1:].decode('utf-8', 'replace')}", reason)

    def _next_frame(self, deadline):
        """The next frame, or None if none is there by then."""
        while True:
            if len(self.buffer) >= 4:
                length = int.from_bytes(self.buffer[1:4], "big")
                if length > LONGEST_BODY:
                    self._lost("a frame that is too long")
                if len(self.buffer) >= 4 + length:
                    kind, body = self.buffer[0], self.buffer[4 : 4 + length]
                    self.buffer = self.buffer[4 + length :]
                    return kind, body
            left = deadline - time.monotonic()
            if left <= 0:
                return None
            self.socket.settimeout(left)
            try:
                chunk = self.socket.recv(65536)
            except (TimeoutError, ssl.SSLWantReadError):
                return None
            except OSError as error:
                self._lost(str(error))
            if not chunk:
                self._lost("the server closed the connection")
            self.buffer += chunk

    def _lost(self, problem, reason=None):
        self._close()
        raise ConnectionLost(problem, reason)

    def _close(self):
        if self.socket is not None:
            self.socket.close()
        self.socket = None
