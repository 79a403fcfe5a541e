"""Drives examples/python/deadpeer_client.py against a server, step by step, and prints what happens. Arguments: folder, port, CA or -."""

import ssl
import sys

folder, port, ca = sys.argv[1:4]
sys.path.insert(0, folder)
from deadpeer_client import Client, ConnectionLost  # noqa: E402

context = None if ca == "-" else ssl.create_default_context(cafile=ca)
client = Client("localhost", int(port), context=context, idle=0.2, interval=0.2)
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
stranger = Client("localhost", int(port), context=context)
stranger.session, stranger.token = client.session, bytes(32)
try:
    stranger.connect()
except ConnectionLost as lost:
    print("refused", lost.reason)
