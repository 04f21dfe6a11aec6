"""A shell that stays open, so that variables, `cd` and `$?` carry over from one command to the next.

Commands go to bash through its standard input, and nobody sits at a terminal: there is no echo, no prompt and no
colour. After each command bash prints a line that the command cannot know beforehand, with the exit code in it.
"""

import os
import secrets
import selectors
import shlex
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from lading import process

ENVIRONMENT = {"LC_ALL": "C.UTF-8", "COLUMNS": "80", "TERM": "dumb", "SHELL": "/bin/bash"}
PATHS = {
    "root": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "user": "/usr/local/bin:/usr/bin:/bin",
}
OUTPUT_LIMIT = 4 * 1024 * 1024
# How long a shell that was told to end may take; what it left behind may hold the connection open for good.
CLOSING_SECONDS = 2.0


@dataclass(frozen=True)
class Ran:
    """What a command left: its exit code, and both of its output streams as one, byte by byte."""

    rc: int
    output: bytes


class ShellOver(Exception):
    """The shell cannot be used any more; `output` is what the last command had printed until then."""

    def __init__(self, output: bytes) -> None:
        super().__init__()
        self.output = output


class ShellEnded(ShellOver):
    """The command ended the shell itself, as `exit` does; `rc` is what the shell left."""

    def __init__(self, output: bytes, rc: int) -> None:
        super().__init__(output)
        self.rc = rc


class ShellHangs(ShellOver):
    """The command did not end in its time, or printed without end."""


class ShellLost(ShellOver):
    """The connection broke."""


class Shell:
    """One bash behind a command line such as ssh's; `mark` is what that line prints once bash has ended.

    Example:
        ```python
        from pathlib import Path

        from lading.routes.shell import Shell, shell_line

        with Shell(["bash", "-c", shell_line("here", user=None)], Path("/dev/null"), mark="here") as shell:
            shell.run("cd /usr && word=bin", timeout=10)
            print(shell.run("printf '%s %s' $PWD $word", timeout=10))
            #> Ran(rc=0, output=b'/usr bin')
        ```
    """

    def __init__(self, argv: Sequence[str], log: Path, *, mark: str) -> None:
        self._mark = mark.encode()
        self._last = 0
        self._buffer = bytearray()
        self._child = process.converse(argv, log=log)
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._input, self._output = self._child.stdin, self._child.stdout
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._output, selectors.EVENT_READ)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def run(self, command: str, timeout: float) -> Ran:
        """Type a command, which may have several lines, and wait for its end, at most `timeout` seconds.

        Raises:
            ShellOver: no more can be typed; the three kinds of it say why.
        """
        token = secrets.token_hex(16)
        # A subshell is the one way to hand a command the exit code of the one before. Quoted and evaluated, text with
        # a quote too many is an error of that command, and does not swallow the line that tells its end.
        former = f"(exit {self._last}); " if self._last else ""
        line = f"{former}eval {shlex.quote(command)} < /dev/null; printf '\\n%s %d\\n' {token} $?\n"
        try:
            self._input.write(line.encode())
            self._input.flush()
        except BrokenPipeError:
            pass  # what the shell said before it went is still to be read
        ran = self._answer(token.encode(), time.monotonic() + timeout)
        self._last = ran.rc
        return ran

    def _answer(self, token: bytes, until: float) -> Ran:
        searched = 0
        while True:
            if ran := self._found(token, searched):
                return ran
            if ended := self._found(self._mark, searched):
                raise ShellEnded(ended.output, ended.rc)
            searched = max(0, len(self._buffer) - 100)
            self._receive(until)

    def _found(self, token: bytes, searched: int) -> Ran | None:
        """Take output up to the line that tells a command's end; the newline before that line is not the command's."""
        start = self._buffer.find(b"\n" + token + b" ", searched)
        end = self._buffer.find(b"\n", start + 1)
        if start < 0 or end < 0:
            return None
        ran = Ran(int(self._buffer[start:end].split()[-1]), bytes(self._buffer[:start]))
        del self._buffer[: end + 1]
        return ran

    def _receive(self, until: float) -> None:
        left = until - time.monotonic()
        if left <= 0 or len(self._buffer) > OUTPUT_LIMIT or not self._selector.select(left):
            raise ShellHangs(bytes(self._buffer))
        chunk = os.read(self._output.fileno(), 65536)
        if not chunk:
            raise ShellLost(bytes(self._buffer))
        self._buffer += chunk

    def close(self) -> None:
        """End the shell, and the connection in any case."""
        self._close_input()
        try:
            self._child.wait(CLOSING_SECONDS)
        except subprocess.TimeoutExpired:
            pass
        self.kill()

    def kill(self) -> None:
        """Stop this side's processes at once; what runs at the far end is somebody else's to stop."""
        try:
            os.killpg(self._child.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self._child.wait()
        self._close_input()
        self._selector.close()
        self._output.close()

    def _close_input(self) -> None:
        try:
            self._input.close()
        except BrokenPipeError:
            pass  # the shell has ended already


def shell_line(mark: str, *, user: str | None) -> str:
    """Return the shell line that starts bash as `user`, at home and with a fixed environment, and tells its end.

    Root starts it; with None, whoever runs the line gets a bash of their own.
    """
    become, home, name = "", '"$HOME"', '"$(id -un)"'
    if user is not None:
        become = f"runuser -u {shlex.quote(user)} -- "
        home, name = f'"$(getent passwd {shlex.quote(user)} | cut -d: -f6)"', shlex.quote(user)
    words = {"PATH": PATHS["root" if user == "root" else "user"], **ENVIRONMENT}
    told = " ".join(f"{key}={shlex.quote(value)}" for key, value in words.items())
    bash = f"env -i -C {home} HOME={home} USER={name} LOGNAME={name} {told} bash --norc --noprofile"
    return f"exec 2>&1; {become}{bash}; printf '\\n%s %d\\n' {shlex.quote(mark)} $?"
