"""A small synchronous client of QEMU's monitor (QMP): commands, and events in the order in which they came."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lading.errors import LabError
from lading.lab.deadline import Deadline

Message = dict[str, Any]


class Monitor:
    """A connected monitor. Every call has a deadline, since a QEMU that hangs must not hang the engine."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._buffer = b""
        self.events: list[Message] = []

    def command(self, name: str, arguments: Message | None = None, *, deadline: Deadline | None = None) -> Any:
        """Run a command and return its result.

        Raises:
            LabError: QEMU refused it, is gone, or did not answer in time.
        """
        limit = deadline or Deadline.after(30)
        message = {"execute": name, **({"arguments": arguments} if arguments else {})}
        try:
            self._socket.sendall(json.dumps(message).encode() + b"\n")
        except OSError as error:
            raise LabError(f"QEMU's monitor is gone ('{name}'): {error}.") from error
        while True:
            answer = self.receive(limit, name)
            if "error" in answer:
                raise LabError(f"QEMU refused '{name}': {answer['error']['desc']}.")
            if "return" in answer:
                return answer["return"]

    def wait_for_migration(self, deadline: Deadline) -> None:
        """Wait until an outgoing or incoming migration is complete."""
        while True:
            for event in self.events:
                if event["event"] == "MIGRATION" and event["data"]["status"] in ("completed", "failed"):
                    self.events.remove(event)
                    if event["data"]["status"] == "failed":
                        raise LabError("QEMU could not save or load the guest's memory.")
                    return
            message = self.receive(deadline, "migration")
            assert "event" in message, message

    def poll(self) -> list[Message]:
        """Return the events so far, without waiting."""
        self._socket.settimeout(0.001)
        try:
            while True:
                chunk = self._socket.recv(65536)
                if not chunk:
                    break
                self._buffer += chunk
        except OSError:  # nothing more to read, or QEMU is gone: its process tells which
            pass
        while b"\n" in self._buffer:
            self._take_line()
        return self.events

    def receive(self, deadline: Deadline, what: str) -> Message:
        """Return the next message of any kind."""
        while b"\n" not in self._buffer:
            self._socket.settimeout(max(0.01, deadline.left()))
            try:
                chunk = self._socket.recv(65536)
            except TimeoutError:
                raise LabError(f"QEMU's monitor did not answer in time ('{what}').") from None
            except OSError as error:
                raise LabError(f"QEMU's monitor is gone ('{what}'): {error}.") from error
            if not chunk:
                raise LabError(f"QEMU ended while the lab waited for it ('{what}').")
            self._buffer += chunk
        return self._take_line()

    def _take_line(self) -> Message:
        line, _, self._buffer = self._buffer.partition(b"\n")
        message: Message = json.loads(line)
        if "event" in message:
            self.events.append(message)
        return message


@contextmanager
def negotiated(connection: socket.socket, deadline: Deadline) -> Iterator[Monitor]:
    """Take a fresh connection out of its negotiation mode, and close it in the end."""
    with connection:
        monitor = Monitor(connection)
        monitor.receive(deadline, "greeting")  # the greeting is neither an answer nor an event
        monitor.command("qmp_capabilities", deadline=deadline)
        yield monitor


def prepare_migration(monitor: Monitor) -> None:
    """Ask for events, and for a memory file whose pages lie at fixed places (mapped-ram, QEMU 9.0 and newer)."""
    wanted = [{"capability": name, "state": True} for name in ("events", "mapped-ram")]
    monitor.command("migrate-set-capabilities", {"capabilities": wanted})
