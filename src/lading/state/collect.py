"""Takes states: the script that runs on a host, and its way there."""

from pathlib import Path
from typing import Final

from lading import process
from lading.errors import LabError, UsageError
from lading.process import Completed
from lading.state.ignored import IGNORED
from lading.state.model import State

COLLECTOR: Final = "lading.state.collector"
MODULES: Final = ("asking", "packages", "units", "sockets", "accounts", "files", "kernel", "take")
"""The collector's modules in the order in which one needs the other."""

TIMEOUT: Final = 300
NOT_ROOT: Final = 77
NO_PYTHON: Final = 78


def _program() -> str:
    """Return the collector as one text: the modules' sources, and the few lines that make modules of them again."""
    folder = Path(__file__).with_name("collector")
    sources = {f"{COLLECTOR}.{name}": (folder / f"{name}.py").read_text() for name in MODULES}
    return f"""
import sys, types
for name in ("lading", "lading.state", "{COLLECTOR}"):
    sys.modules[name] = types.ModuleType(name)
for name, source in {sources!r}.items():
    sys.modules[name] = types.ModuleType(name)
    exec(compile(source, name, "exec"), vars(sys.modules[name]))
sys.modules["{COLLECTOR}.take"].main({[one.pattern for one in IGNORED]!r})
"""


SCRIPT: Final = f"""if [ "$(id -u)" != 0 ]; then
  sudo -n true 2> /dev/null || exit {NOT_ROOT}
  as="sudo -n"
fi
command -v python3 > /dev/null || exit {NO_PYTHON}
exec ${{as-}} python3 -I -S -X utf8 - <<'LADING_STATE'
{_program()}
LADING_STATE
"""
"""A script for `sh` that prints the host's state as JSON; `State.from_json` reads it. It wants root, or sudo."""


def take_state(host: str | None = None, ssh_config: Path | None = None) -> State:
    """Take the state of a host that ssh reaches, or of this machine.

    Raises:
        UsageError: it takes root, and sudo without a password is not to be had.
        LabError: the host cannot be reached, or its state cannot be read.
    """
    config = ["-F", str(ssh_config)] if ssh_config else []
    words = ["ssh", *config, "--", host, "sh -s"] if host else ["sh", "-s"]
    done = process.run(words, input=SCRIPT, timeout=TIMEOUT, check=False)
    where = f"'{host}'" if host else "this machine"
    if done.rc != 0:
        raise _failure(done, where)
    # A login shell may have greeted before.
    last = (done.stdout.strip().splitlines() or ["(nothing)"])[-1]
    try:
        return State.from_json(last)
    except UsageError:
        raise LabError(f"Instead of its state, {where} told: {last[:200]}") from None


def _failure(done: Completed, where: str) -> UsageError | LabError:
    if done.rc == NOT_ROOT:
        return UsageError(
            f"Only root can read the whole state of {where}.",
            hint="Run it with sudo, or log in as root or as somebody whose sudo asks for no password.",
        )
    if done.rc == NO_PYTHON:
        return LabError(f"The state of {where} cannot be read: it has no python3.", hint="Python 3.9 or later will do.")
    told = done.stderr.strip()[-400:] or "nothing was said"
    return LabError(f"The state of {where} cannot be read: {told}", hint=f"The command was: {process.paste(done.argv)}")
