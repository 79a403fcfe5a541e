"""Drives the clients of examples/python against a server, step by step, and prints what happens. Arguments: the folder, how (tcp, tls,
udp with a key, udp with a key from tcp), the port of the stream, that of datagrams, and the CA."""

import ssl
import sys

folder, how, port, udp_port, ca = sys.argv[1:6]
sys.path.insert(0, folder)
from deadpeer_client import Client, ConnectionLost  # noqa: E402
from deadpeer_datagrams import DatagramClient  # noqa: E402

times = {"idle": 0.2, "interval": 0.2}


def new_client():
    if how == "udp with a key":
        return DatagramClient("127.0.0.1", int(udp_port), key=bytes([7] * 32), **times)
    if how == "udp with a key from tcp":
        return DatagramClient("127.0.0.1", int(udp_port), greet=("127.0.0.1", int(port)), **times)
    context = ssl.create_default_context(cafile=ca) if how == "tls" else None
    return Client("localhost", int(port), context=context, **times)


client = new_client()
heard = []
client.on_data = lambda payload: heard.append(payload.decode())
loads = []
client.on_payload = lambda payload: loads.append(payload.decode())
client.send(b"before the connection")
client.connect()
print("connected", client.session.hex(), client.resumed)
client.send(b"1")
client.run(10, lambda: "one" in heard and not client.waiting)
print("heard", *heard)
client.run(10, lambda: client.answers >= 2 and loads)
print("beats answered, with", loads[0])
# The server cuts it off at this word; what follows is lost on the way, and goes again.
client.send(b"cut")
try:
    while True:
        client.send(b"on its way")
        client.run(0.05)
except ConnectionLost as lost:
    print("lost", lost.reason)
client.send(b"while away")
client.connect()
print("connected again", client.session.hex(), client.resumed)
client.run(10, lambda: "meanwhile" in heard and not client.waiting)
print("heard", *heard)
client.goodbye()
stranger = new_client()
stranger.session, stranger.token = client.session, bytes(32)
try:
    stranger.connect()
except ConnectionLost as lost:
    print("refused", lost.reason)
