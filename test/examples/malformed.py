"""Servers that answer the client in Python with what the protocol does not allow: each is a lost connection, and nothing else."""

import socket
import struct
import sys
import threading

sys.path.insert(0, sys.argv[1])
from deadpeer_client import Client, ConnectionLost, frame  # noqa: E402

HELLO = b"DPHB" + struct.pack(">BIIIQ", 1, 0, 40_000, 1 << 20, 0)
GREETED = frame(1, HELLO + b"\x10" + b"s" * 16 + b"\0\0")


def serve(answer):
    listener = socket.create_server(("127.0.0.1", 0))

    def once():
        connection, _ = listener.accept()
        connection.recv(4096)
        connection.sendall(answer)
        connection.close()

    threading.Thread(target=once, daemon=True).start()
    return listener.getsockname()[1]


for what, answer in [
    ("nothing", b""),
    ("no hello", frame(1, b"")),
    ("half a hello", frame(1, HELLO[:9])),
    ("a hello without its last fields", frame(1, HELLO)),
    ("a hello that lies about a length", frame(1, HELLO + b"\xff\0\0\0")),
    ("another version", frame(1, b"DPHB\x09" + HELLO[5:] + b"\0\0\0")),
    ("a short beat", GREETED + frame(2, b"abc")),
    ("a short answer", GREETED + frame(3, b"abc")),
    ("short data", GREETED + frame(4, b"a")),
    ("a short acknowledgement", GREETED + frame(5, b"")),
    ("a bye without a reason", GREETED + frame(6, b"")),
]:
    client = Client("127.0.0.1", serve(answer))
    try:
        client.connect()
        client.run(10)
        print(what, "no problem")
    except ConnectionLost:
        assert client.socket is None
