"""The heartbeat protocol over UDP (docs/protocol.md, "Over UDP"), with nothing but the standard library.

    client = DatagramClient("hub.example", 7445, key=bytes.fromhex("..."))      # 32 bytes that the server has as well
    client = DatagramClient("hub.example", 7445, greet=("hub.example", 7443))   # or a key from the server's hello over TCP or TLS

Everything else is as with Client.
"""

import hashlib
import hmac
import os
import socket
import struct
import time

from deadpeer_client import BYE, DATA, HELLO, Client, ConnectionLost, frame

FROM_CLIENT, FROM_SERVER = 0, 1
HEAD = ">BB16sQ"
HEAD_BYTES, TAG_BYTES = 26, 32
MOST_MESSAGES, MOST_BYTES = 64, 65_536
FIRST_AGAIN, MOST_AGAIN = 0.2, 5.0


def tag(key, data):
    return hmac.new(key, data, hashlib.sha256).digest()


class Channel:
    """One direction of numbers each way, under one id and one key."""

    def __init__(self, key, identity):
        self.key, self.identity = key, identity
        self.sequence = 0
        self.newest = 0
        self.seen = set()

    def seal(self, data):
        self.sequence += 1
        sealed = struct.pack(HEAD, 1, FROM_CLIENT, self.identity, self.sequence) + data
        return sealed + tag(self.key, sealed)

    def open(self, datagram):
        """The frame inside, as type and body; None for what is not the server's, or not new."""
        if len(datagram) < HEAD_BYTES + 4 + TAG_BYTES:
            return None
        sealed, given = datagram[:-TAG_BYTES], datagram[-TAG_BYTES:]
        version, direction, identity, sequence = struct.unpack_from(HEAD, sealed)
        if (version, direction, identity) != (1, FROM_SERVER, self.identity):
            return None
        if not hmac.compare_digest(tag(self.key, sealed), given):
            return None
        if sequence in self.seen or sequence <= self.newest - 64:
            return None
        self.newest = max(self.newest, sequence)
        self.seen = {one for one in self.seen | {sequence} if one > self.newest - 64}
        kind, body = sealed[HEAD_BYTES], sealed[HEAD_BYTES + 4 :]
        return (kind, body) if len(body) == int.from_bytes(sealed[HEAD_BYTES + 1 : HEAD_BYTES + 4], "big") else None


class DatagramClient(Client):
    def __init__(self, host, port, *, key=None, greet=None, **more):
        super().__init__(host, port, **more)
        self.configured, self.greet = key, greet
        self.drawn = b""
        self.channel = None
        self.again_at = self.again = 0.0

    # Connecting.

    def connect(self):
        self.channel = None
        if self.configured is None:
            self._move()
        else:
            self._meet()

    def _meet(self):
        """Both sides have a key: hello until an answer comes, and then all else under a key of the connection's own."""
        self.drawn = os.urandom(16)
        greeting = Channel(self.configured, self.drawn)
        self._open()
        kind, body = self._ask(greeting, lambda: frame(HELLO, self._own_hello()), (HELLO, BYE))
        if kind == BYE:
            self._bye(body)
        self._hello(body)

    def _move(self):
        """The key comes over a stream; with the first datagram that is answered, the stream has done its part."""
        datagrams = (self.host, self.port)
        self.host, self.port = self.greet
        try:
            super().connect()
        finally:
            self.host, self.port = datagrams
        stream = self.socket
        self._open()
        self.channel = Channel(self.key, self.session)
        got = self._ask(self.channel, lambda: frame(2, self._vital(0, b"")), None)
        stream.close()
        self.sent = 0
        self._heard(*got)
        self._pump()

    def _greeted(self, received):
        if self.configured is None:
            # Over the stream: what waits goes over datagrams.
            self._taken(received)
            return
        own = tag(self.configured, b"deadpeer datagrams 1" + self.drawn + self.key)
        self.channel = Channel(own, self.session)
        self.unanswered = 0
        self.sent = 0
        self._taken(received)
        # The server counts the session as there from now on.
        self.beat()
        self._pump()

    def _open(self):
        family, kind, protocol, _, address = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_DGRAM)[0]
        self.socket = socket.socket(family, kind, protocol)
        self.socket.connect(address)

    def _ask(self, channel, question, kinds):
        """Sends a question until something of these kinds comes; no matter what, if there are none."""
        end = time.monotonic() + 10
        wait = 0.4
        while time.monotonic() < end:
            self._transmit(channel.seal(question()))
            until = min(end, time.monotonic() + wait)
            wait *= 2
            while (got := self._receive(channel, until)) is not None:
                if kinds is None or got[0] in kinds:
                    return got
        self._lost("no answer in time")

    # Sending.

    def _transmit(self, datagram):
        try:
            self.socket.send(datagram)
        except OSError:
            pass  # One that got lost: only silence ends a session.

    def _write(self, data):
        self._transmit(self.channel.seal(data))
        self.said = time.monotonic()

    def _pump(self):
        if self.channel is None:
            return
        while self.sent < min(len(self.waiting), MOST_MESSAGES):
            payload = self.waiting[self.sent]
            if self.sent > 0 and sum(map(len, self.waiting[: self.sent + 1])) > MOST_BYTES:
                break
            self._write(frame(DATA, struct.pack(">Q", self.acknowledged + self.sent + 1) + payload))
            if self.sent == 0:
                self.again_at = time.monotonic() + max(self.again, FIRST_AGAIN)
            self.sent += 1

    def _taken(self, received):
        before = self.acknowledged
        super()._taken(received)
        if self.acknowledged > before:
            self.again = FIRST_AGAIN
            self.again_at = time.monotonic() + self.again
            self._pump()

    # Receiving.

    def _next_frame(self, deadline):
        if self.channel is None:
            return super()._next_frame(deadline)
        while True:
            if self.waiting and time.monotonic() >= self.again_at:
                # Nothing was acknowledged for a while: all of it goes again.
                self.sent = 0
                self.again = min(max(self.again, FIRST_AGAIN) * 2, MOST_AGAIN)
                self._pump()
            until = min(deadline, self.again_at) if self.waiting else deadline
            got = self._receive(self.channel, until)
            if got is not None or time.monotonic() >= deadline:
                return got

    def _receive(self, channel, deadline):
        while (left := deadline - time.monotonic()) > 0:
            self.socket.settimeout(left)
            try:
                got = channel.open(self.socket.recv(65_536))
            except TimeoutError:
                return None
            except OSError:
                time.sleep(min(left, 0.05))  # An ICMP error, which anybody can forge.
                continue
            if got is not None:
                return got
        return None

    def _gap(self):
        pass  # What is missing comes again, and what follows it too.


__all__ = ["ConnectionLost", "DatagramClient"]
