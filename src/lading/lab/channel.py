"""The root channel into a guest: a shell behind a virtio-serial port, which needs neither network nor sshd."""

import base64
import itertools
import socket
from dataclasses import dataclass

from lading.errors import LabError
from lading.lab.deadline import Deadline


@dataclass(frozen=True)
class Answer:
    """What a script in the guest left: its exit code, and its two output streams as one."""

    rc: int
    output: str


class ChannelSilent(LabError):
    """The guest did not answer in time on its root channel."""


class ChannelGone(LabError):
    """QEMU closed the channel: the guest is over."""


class Channel:
    """A connected root channel."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._buffer = b""
        self._numbers = itertools.count(1)

    def run(self, script: str, deadline: Deadline, *, check: bool = True) -> Answer:
        """Run a shell script as root and return what it left.

        Raises:
            ChannelSilent: no answer came in time.
            LabError: `check`, and the script failed.
        """
        answer = self._ask(script, deadline)
        if check and answer.rc != 0:
            raise LabError(f"The guest could not be prepared (exit {answer.rc}): {answer.output.strip()[-400:]}")
        return answer

    def wait(self, deadline: Deadline, every: float = 1.0) -> None:
        """Wait until the guest answers. What is written before its shell listens may be lost, so it is asked again."""
        while True:
            try:
                self._ask("true", Deadline.after(min(every, deadline.left())))
                return
            except ChannelSilent:
                if deadline.passed():
                    raise
                # Under load an answer takes longer than this; asked ever again as fast, a guest would never catch up.
                every *= 2

    def _ask(self, script: str, deadline: Deadline) -> Answer:
        number = str(next(self._numbers))
        line = f"{number} {base64.b64encode(script.encode()).decode()}\n"
        try:
            self._socket.settimeout(max(0.01, deadline.left()))
            self._socket.sendall(line.encode())
            while True:
                words = self._line(deadline).split(" ")
                # Answers to earlier questions, which nobody waits for any more, are passed over.
                if len(words) == 3 and words[0] == number:
                    return Answer(int(words[1]), base64.b64decode(words[2]).decode(errors="replace"))
        except TimeoutError:
            raise ChannelSilent("The guest does not answer on its root channel.") from None
        except OSError as error:
            raise ChannelGone(f"The guest's root channel is gone: {error}.") from error

    def _line(self, deadline: Deadline) -> str:
        while b"\n" not in self._buffer:
            self._socket.settimeout(max(0.01, deadline.left()))
            chunk = self._socket.recv(65536)
            if not chunk:
                raise ConnectionResetError("QEMU ended")
            self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line.decode(errors="replace").strip()
