"""An Ethernet switch of the engine's own: frames go from one connection to others, and nowhere else.

QEMU's `-netdev stream` sends each frame after its length, four bytes with the highest first.
"""

import selectors
import socket
import struct
import threading
from collections.abc import Iterator

LENGTH = struct.Struct(">I")
# Destination, source and type; what is shorter is no frame.
HEADER = 14
# The longest that QEMU sends (NET_BUFSIZE in its net/net.h): a jumbo frame of 64 KiB and its headers.
LONGEST_FRAME = 69632
CHUNK = 1 << 18
# What waits for a guest that does not read. Beyond that frames are dropped, as any switch drops them.
QUEUE_BYTES = 1 << 19
# A guest may invent addresses without end; further ones are flooded instead of learned.
KNOWN_ADDRESSES = 1024


class Garbage(Exception):
    """A length that no frame has: where the next frame begins cannot be known any more."""


class Port:
    """One connection: the beginning of a frame that has not come whole, and the frames that wait to be read.

    `dropped` counts those that found the queue full.
    """

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self.connection = connection
        self.dropped = 0
        self._came = bytearray()
        self._waiting = bytearray()

    def receive(self) -> list[bytes]:
        """Return the frames that came, each with its length before it.

        Raises:
            ConnectionResetError: the other side is gone.
            Garbage: what comes is no frames.
        """
        try:
            chunk = self.connection.recv(CHUNK)
        except BlockingIOError:
            return []
        if not chunk:
            raise ConnectionResetError
        self._came += chunk
        return list(self._frames())

    def _frames(self) -> Iterator[bytes]:
        at = 0
        while len(self._came) - at >= LENGTH.size:
            (length,) = LENGTH.unpack_from(self._came, at)
            if length > LONGEST_FRAME:
                raise Garbage
            end = at + LENGTH.size + length
            if end > len(self._came):
                break
            if length >= HEADER:
                yield bytes(self._came[at:end])
            at = end
        del self._came[:at]

    def offer(self, frame: bytes) -> None:
        """Queue a frame whole, or drop it whole."""
        if len(self._waiting) + len(frame) > QUEUE_BYTES:
            self.dropped += 1
        else:
            self._waiting += frame

    def send(self) -> bool:
        """Send what the other side takes now; tell whether frames are left."""
        try:
            while self._waiting:
                del self._waiting[: self.connection.send(self._waiting)]
        except BlockingIOError:
            return True
        return False


class Switch:
    """Connections and the addresses that were seen behind them; all but `stop` belongs to one thread.

    `garbage` counts connections that were closed since what came was no frames.

    Example:
        ```python
        import socket

        from lading.lab.switch import LENGTH, Switch

        (one, its_end), (other, other_end) = socket.socketpair(), socket.socketpair()
        with one, other, Switch() as switch:
            switch.join(its_end)
            switch.join(other_end)
            one.sendall(LENGTH.pack(19) + b"to all" + b"sender" + bytes(2) + b"hello")
            switch.step(timeout=1)
            print(other.recv(100)[-5:])
            #> b'hello'
        ```
    """

    def __init__(self) -> None:
        self.garbage = 0
        self.ports: list[Port] = []
        self._places: dict[bytes, Port] = {}
        self._selector = selectors.DefaultSelector()
        self._stopped = threading.Event()
        self._bell, self._clapper = socket.socketpair()
        self._selector.register(self._bell, selectors.EVENT_READ)

    def __enter__(self) -> "Switch":
        return self

    def __exit__(self, *_exception: object) -> None:
        for port in list(self.ports):
            self._leave(port)
        self._selector.close()
        self._bell.close()
        self._clapper.close()

    def run(self) -> None:
        """Work until somebody calls `stop`."""
        while not self._stopped.is_set():
            self.step(timeout=None)

    def stop(self) -> None:
        """Let `run` return; any thread may call this."""
        self._stopped.set()
        self._clapper.send(b"!")

    def listen(self, listener: socket.socket) -> None:
        """Take in whoever connects to a listening socket."""
        listener.setblocking(False)
        self._selector.register(listener, selectors.EVENT_READ)

    def join(self, connection: socket.socket) -> None:
        """Take in a connection; the switch closes it in the end."""
        port = Port(connection)
        self.ports.append(port)
        self._selector.register(connection, selectors.EVENT_READ, port)

    def step(self, timeout: float | None) -> None:
        """Wait until something is to be done, at most `timeout` seconds, and do it."""
        for key, events in self._selector.select(timeout):
            if isinstance(key.data, Port):
                if events & selectors.EVENT_READ:
                    self._receive(key.data)
            elif key.fileobj is not self._bell:
                self._accept(key.fileobj)
        for port in list(self.ports):
            self._send(port)

    def _accept(self, listener: object) -> None:
        assert isinstance(listener, socket.socket)
        try:
            connection, _ = listener.accept()
        except BlockingIOError:
            return
        self.join(connection)

    def _receive(self, port: Port) -> None:
        try:
            for frame in port.receive():
                self._forward(frame, port)
        except Garbage:
            self.garbage += 1
            self._leave(port)
        except OSError:
            self._leave(port)

    def _forward(self, frame: bytes, came_by: Port) -> None:
        destination, source = frame[4:10], frame[10:16]
        if source in self._places or len(self._places) < KNOWN_ADDRESSES:
            self._places[source] = came_by
        # A group's address (the first byte is odd) is never a source's, so it is never known, and always flooded.
        known = self._places.get(destination) if not destination[0] & 1 else None
        for port in self.ports if known is None else [known]:
            if port is not came_by:
                port.offer(frame)

    def _send(self, port: Port) -> None:
        try:
            left = port.send()
        except OSError:
            self._leave(port)
            return
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if left else 0)
        if self._selector.get_key(port.connection).events != wanted:
            self._selector.modify(port.connection, wanted, port)

    def _leave(self, port: Port) -> None:
        self.ports.remove(port)
        self._places = {address: place for address, place in self._places.items() if place is not port}
        self._selector.unregister(port.connection)
        port.connection.close()
