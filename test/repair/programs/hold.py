"""Opens connections and holds them: python3 hold.py (idle|sending ADDRESS PORT)..."""

import socket
import sys
import threading
import time


def hold(use: str, address: str, port: str) -> None:
    with socket.create_connection((address, int(port))) as connection:
        try:
            while use == "sending":
                connection.sendall(b".")
                time.sleep(0.1)
            connection.recv(1)
        except OSError:
            pass


arguments = sys.argv[1:]
while arguments:
    threading.Thread(target=hold, args=arguments[:3]).start()
    del arguments[:3]
