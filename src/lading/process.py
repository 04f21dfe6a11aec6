"""Every external program is started here, and nothing that was started here outlives the engine.

A run marks its children with an environment variable. A `Janitor`, a small process of its own, waits for the
engine's end, however that comes (SIGKILL too), then kills every marked process and removes the run's temporary folders.
"""

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from lading.errors import LabError

RUN_MARK = "LADING_RUN"
JANITOR = Path(__file__).with_name("janitor.py")


class TimedOut(LabError):
    """A program did not end in its time and was stopped."""


@dataclass(frozen=True)
class Completed:
    """What a program left: its exit code, its output and how long it took (seconds)."""

    argv: tuple[str, ...]
    rc: int
    stdout: str
    stderr: str
    seconds: float


def paste(argv: Sequence[str]) -> str:
    """Return the command as a line to paste into a shell.

    Example:
        ```python
        from lading.process import paste

        print(paste(["ls", "-l", "a folder"]))
        #> ls -l 'a folder'
        ```
    """
    return shlex.join(argv)


def run(
    argv: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float | None = None,
    log: Path | None = None,
    input: str | None = None,
    check: bool = True,
    pass_fds: Sequence[int] = (),
) -> Completed:
    """Run a program to its end.

    Output is decoded with replacement characters, since a guest may print anything. With `log`, both streams go
    to that file (appended) and `stdout` is empty.

    Args:
        argv: the program and its arguments; never a shell line.
        cwd: the folder to run in.
        env: the whole environment; the engine's own if none is given.
        timeout: seconds; then the program's process group is killed.
        log: a file that receives the output.
        input: what the program reads; nothing if not given.
        check: whether a non-zero exit is an error.
        pass_fds: open files that the program inherits under the same numbers.

    Raises:
        LabError: the program is missing, or `check` and it ended with another code than 0.
        TimedOut: it took longer than `timeout`.
    """
    words = [os.fspath(word) for word in argv]
    started = time.monotonic()
    with _sink(log) as sink, _start(words, cwd, env, sink, input is not None, pass_fds) as child:
        try:
            out, err = child.communicate(input=input.encode() if input is not None else None, timeout=timeout)
        except subprocess.TimeoutExpired:
            _kill_group(child)
            raise TimedOut(
                f"'{words[0]}' did not end within {timeout:.0f} s and was stopped.", hint=_hint(words, log)
            ) from None
        except BaseException:
            _kill_group(child)
            raise
    done = Completed(tuple(words), child.returncode, _text(out), _text(err), time.monotonic() - started)
    if check and done.rc != 0:
        tail = (done.stderr or done.stdout).strip().splitlines()[-5:]
        raise LabError(f"'{words[0]}' ended with {done.rc}: {' / '.join(tail) or 'no output'}", hint=_hint(words, log))
    return done


@contextmanager
def _sink(log: Path | None) -> Iterator[int]:
    if log is None:
        yield subprocess.PIPE
        return
    with log.open("ab") as file:
        yield file.fileno()


def _start(
    words: list[str],
    cwd: Path | None,
    env: Mapping[str, str] | None,
    sink: int,
    has_input: bool,
    pass_fds: Sequence[int],
    errors: int | None = None,
) -> subprocess.Popen[bytes]:
    stdin = subprocess.PIPE if has_input else subprocess.DEVNULL
    if errors is None:
        errors = subprocess.PIPE if sink == subprocess.PIPE else subprocess.STDOUT
    try:
        return subprocess.Popen(
            words,
            cwd=cwd,
            env=marked(env),
            stdin=stdin,
            stdout=sink,
            stderr=errors,
            start_new_session=True,
            pass_fds=pass_fds,
        )
    except FileNotFoundError:
        raise LabError(
            f"The program '{words[0]}' is not installed.", hint="'make setup' installs what is needed."
        ) from None


def spawn(argv: Sequence[str | Path], *, log: Path) -> subprocess.Popen[bytes]:
    """Start a program that goes on beside the engine (QEMU); the caller stops it, at the latest the janitor does."""
    words = [os.fspath(word) for word in argv]
    with log.open("ab") as file:
        return _start(words, None, None, file.fileno(), False, ())


def converse(argv: Sequence[str | Path], *, log: Path) -> subprocess.Popen[bytes]:
    """Start a program to talk to: its input and output are pipes, its errors go to `log`; the caller stops it."""
    words = [os.fspath(word) for word in argv]
    with log.open("ab") as file:
        return _start(words, None, None, subprocess.PIPE, True, (), errors=file.fileno())


def marked(env: Mapping[str, str] | None) -> dict[str, str]:
    """Return the environment with this run's mark, whatever else was scrubbed from it."""
    merged = dict(os.environ if env is None else env)
    if mark := os.environ.get(RUN_MARK):
        merged[RUN_MARK] = mark
    return merged


def _hint(words: Sequence[str], log: Path | None) -> str:
    return f"The command was: {paste(words)}" + (f"\nIts log: {log}" if log else "")


def _text(raw: bytes | None) -> str:
    return (raw or b"").decode(errors="replace")


def _kill_group(child: "subprocess.Popen[bytes]") -> None:
    """Kill a child that leads its own session, and all that is still in its process group."""
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    child.wait()


def scrubbed_environment(home: Path) -> dict[str, str]:
    """Return the environment in which a recipe's code runs: no agent, no token, a home of its own."""
    home.mkdir(parents=True, exist_ok=True)
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))
    return {"PATH": path, "HOME": str(home), "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "TERM": "dumb"}


class Janitor:
    """A process that outlives the engine by a moment, to leave nothing behind.

    It holds the reading end of a pipe; when the engine ends, in whatever way, the pipe closes and the janitor kills
    what carries this run's mark and removes `folders`.
    """

    def __init__(self, run_id: str, folders: Sequence[Path]) -> None:
        clean = {key: value for key, value in os.environ.items() if key != RUN_MARK}
        words = [sys.executable, "-I", "-S", str(JANITOR), run_id, *map(str, folders)]
        # Its own session: a Ctrl-C or a kill of the engine's group must not take it along.
        self._process = subprocess.Popen(
            words, env=clean, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip

    def clean(self) -> None:
        """Clean up now, and wait until it is done."""
        self._say(b"")

    def dismiss(self) -> None:
        """Leave everything as it is: somebody wants to look at a guest."""
        self._say(b"keep\n")

    def _say(self, word: bytes) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(word)
        self._process.stdin.close()
        self._process.wait()


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Turn SIGTERM and SIGHUP into KeyboardInterrupt, once, so that every `with` block is left in order."""

    def interrupt(number: int, _frame: FrameType | None) -> None:
        for other in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(other, signal.SIG_IGN)
        raise KeyboardInterrupt(signal.Signals(number).name)

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
