"""The Puppet route: runs the module that sites run, with Debian's agent and `puppet apply`, and reads its report."""

import base64
import io
import json
import shlex
import tarfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from lading import process
from lading.errors import LabError, LadingError, PathFailed
from lading.lab.guest import Guest
from lading.routes.puppet_report import CHANGED, failed_before, read_report
from lading.routes.result import PlayResult, TaskResult

# Everything that is the laboratory's lies here, so that /etc is the module's alone.
FOLDER: Final = "/opt/lading-lab/puppet"
REPORT: Final = f"{FOLDER}/report.yaml"
INSTALL: Final = """set -e
export DEBIAN_FRONTEND=noninteractive
apt-get -q update < /dev/null
apt-get -q -y install --no-install-recommends puppet-agent < /dev/null
"""
HIERA: Final = {
    "version": 5,
    "defaults": {"datadir": ".", "data_hash": "json_data"},
    "hierarchy": [{"name": "laboratory", "path": "variables.json"}],
}
LOST: Final = 255
"""The exit code of ssh itself."""


@dataclass(frozen=True)
class PuppetRoute:
    """A module whose class has its folder's name, on guests; the class's parameters are `variables`."""

    module: Path
    guests: Mapping[str, Guest]
    variables: Mapping[str, Any]
    folder: Path

    def prepare(self, timeout: float) -> None:
        """Install the agent in every guest, and give it the module.

        Raises:
            LabError: the agent could not be installed.
            PathFailed: Puppet cannot read the module.
            TimedOut: it did not end in `timeout` seconds.
        """
        until = time.monotonic() + timeout
        for guest in self.guests.values():
            self._prepare(guest, INSTALL, until, LabError(f"Puppet's agent could not be installed on '{guest.name}'"))
            self._prepare(guest, copying(self.module), until, LabError(f"'{guest.name}' did not take the module"))
            wrong = PathFailed(f"Puppet cannot read the module '{self.module.name}'")
            self._prepare(guest, validating(self.module.name), until, wrong)

    def _prepare(self, guest: Guest, script: str, until: float, failure: LadingError) -> None:
        log = self.folder / f"puppet-prepare-{guest.name}.log"
        done = process.run(_argv(guest), input=script, timeout=_left(until), log=log, check=False)
        if done.rc == 0:
            return
        said = log.read_text(errors="replace").strip().splitlines()
        message = f"{failure.message}: {said[-1] if said else 'it printed nothing'} (exit {done.rc})."
        kind = LabError if done.rc == LOST else type(failure)
        raise kind(message, hint=f"See '{log}'.")

    def apply(
        self, label: str, timeout: float, *, check: bool = False, variables: Mapping[str, Any] | None = None
    ) -> PlayResult:
        """Apply the class on one guest after the other; with `check` it only says what it would change.

        `variables` win over the route's. In the result `rc` is 0 if all went well, 1 if no catalogue could be made of
        the class, 4 or 6 if a resource failed, 255 with `unreachable` if a guest's ssh was lost; any other is that of a
        puppet which was ended or could not start.

        Raises:
            TimedOut: it did not end in `timeout` seconds.
        """
        log = self.folder / f"puppet-{label}.log"
        started = time.monotonic()
        until = started + timeout
        ended: list[int] = []
        tasks: list[TaskResult] = []
        for guest in self.guests.values():
            report = self.folder / f"puppet-{label}-{guest.name}.yaml"
            rc, found = self._apply(guest, {**self.variables, **(variables or {})}, until, check, log, report)
            ended.append(rc)
            tasks += found
        wrong = [rc for rc in ended if rc not in (0, CHANGED)]
        return PlayResult(wrong[0] if wrong else 0, time.monotonic() - started, tuple(tasks), log)

    def _apply(
        self, guest: Guest, variables: Mapping[str, Any], until: float, check: bool, log: Path, report: Path
    ) -> tuple[int, list[TaskResult]]:
        printed = log.stat().st_size if log.exists() else 0
        script = applying(self.module.name, variables, check=check)
        done = process.run(_argv(guest), input=script, timeout=_left(until), log=log, check=False)
        fetched = process.run(guest.ssh.argv("--", f"cat {REPORT}"), timeout=_left(until), check=False)
        if LOST in (done.rc, fetched.rc):
            message = "The connection was lost."
            return LOST, [TaskResult(guest.name, "puppet apply", "", "puppet", "unreachable", False, None, message)]
        report.write_text(fetched.stdout)
        told = log.read_bytes()[printed:].decode(errors="replace")
        return done.rc, read_report(guest.name, fetched.stdout) or failed_before(guest.name, done.rc, told)


def copying(module: Path) -> str:
    """Return the script that puts a module in place."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        archive.add(module, arcname=module.name, filter=_anonymous)
    return f"""set -e
rm -rf {FOLDER}/modules && mkdir -p {FOLDER}/modules
base64 -d <<'END' | tar -C {FOLDER}/modules -xzf -
{base64.encodebytes(packed.getvalue()).decode()}END
"""


def _anonymous(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = "root"
    return None if "__pycache__" in entry.name else entry


def validating(name: str) -> str:
    """Return the script that lets Puppet and Ruby read all of a module without doing any of it."""
    return f"""set -e
export LC_ALL=C.UTF-8
cd {FOLDER}/modules/{shlex.quote(name)}
find . -name '*.pp' -exec puppet parser validate --color=false {{}} +
find templates -name '*.epp' -exec puppet epp validate --color=false {{}} +
find lib -name '*.rb' -print0 | while IFS= read -r -d '' file; do ruby -wc "$file" > /dev/null; done
"""


def applying(name: str, variables: Mapping[str, Any], *, check: bool) -> str:
    """Return the script that applies a class, with its parameters in Hiera."""
    data = {f"{name}::{variable}": value for variable, value in variables.items()}
    return f"""set -e
export LC_ALL=C.UTF-8
cd {FOLDER}
rm -f {REPORT}
cat > hiera.yaml <<'END'
{json.dumps(HIERA, indent=1)}
END
cat > variables.json <<'END'
{json.dumps(data, indent=1)}
END
exec {shlex.join(arguments(name, check=check))}
"""


def arguments(name: str, *, check: bool) -> list[str]:
    """Return the command line of `puppet apply`; what it keeps goes into the lab's own folder."""
    places = {
        "modulepath": "modules",
        "hiera_config": "hiera.yaml",
        "confdir": "conf",
        "vardir": "var",
        "ssldir": "ssl",
        "rundir": "run",
        "publicdir": "public",
    }
    options = [*(f"--{option}={FOLDER}/{place}" for option, place in places.items()), f"--lastrunreport={REPORT}"]
    more = ["--noop"] if check else []
    return ["puppet", "apply", *options, "--no-exclude_unchanged_resources", "--detailed-exitcodes", "--show_diff",
            "--color=false", *more, "--execute", f"include {name}"]  # fmt: skip


def _argv(guest: Guest) -> list[str]:
    return guest.ssh.argv("--", "bash -s")


def _left(until: float) -> float:
    return max(0.1, until - time.monotonic())
