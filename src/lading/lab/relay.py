"""Joins a guest's connection to the proxy: QEMU starts this for each connection, with the guest on standard input.

It runs with Python's `-I -S` and imports nothing of ours: it starts once for each connection of a guest.
"""

import selectors
import socket
import sys


def main() -> None:
    """Copy bytes both ways until either side is done."""
    proxy = socket.socket(socket.AF_UNIX)
    proxy.connect(sys.argv[1])
    # slirp hands the guest's connection as a socket on standard input, which is standard output too.
    guest = socket.socket(fileno=0)
    peers = {guest: proxy, proxy: guest}
    with selectors.DefaultSelector() as selector:
        for source in peers:
            selector.register(source, selectors.EVENT_READ)
        while True:
            for key, _events in selector.select():
                sender = key.fileobj
                assert isinstance(sender, socket.socket)
                data = sender.recv(65536)
                if not data:
                    return
                peers[sender].sendall(data)


if __name__ == "__main__":
    main()
