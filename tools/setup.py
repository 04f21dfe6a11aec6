"""Make this machine ready for lading: programs through apt, then a virtual environment from the lock file.

`python3 -m tools.setup [--quiet]`

Standard library only, since it runs before anything is installed. Nothing to do takes a fraction of a second.
Exit codes: 0 ready, 2 something is for you to decide or do, 3 apt or pip failed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from tools.aptsources import read_sources
from tools.environment import CannotInstall, Environment
from tools.programs import BACKPORTS_FILE, CannotPlan, Plan, find_missing, make_plan, read_os_release

ROOT = Path(__file__).resolve().parent.parent
OLDEST_PYTHON = (3, 11)


class Stop(Exception):
    """The end, with a message and an exit code."""

    def __init__(self, message: str, code: int = 2) -> None:
        super().__init__(message)
        self.code = code


def main(arguments: list[str]) -> int:
    """Do what is missing and return the exit code."""
    started = time.monotonic()
    try:
        require_python()
        done = install_programs() | make_environment()
    except Stop as stop:
        print(stop, file=sys.stderr)
        return stop.code
    if done:
        print(f"Ready after {time.monotonic() - started:.0f} s.")
    elif "--quiet" not in arguments:
        print("Ready: there was nothing to do.")
    return 0


def require_python() -> None:
    """Stop where Python is too old."""
    if sys.version_info < OLDEST_PYTHON:
        found, oldest = (".".join(map(str, version[:2])) for version in (sys.version_info, OLDEST_PYTHON))
        raise Stop(
            f"lading needs Python {oldest} or newer; '{sys.executable}' is {found}.\nTry 'make PYTHON=python3.11'."
        )


def install_programs() -> bool:
    """Install what is missing, once the user agreed; tell whether anything was."""
    needs_venv = not Environment(ROOT).python.exists()
    for_tests = bool(os.environ.get("CI"))
    missing = find_missing(needs_venv=needs_venv, for_tests=for_tests)
    if not missing:
        return False
    try:
        plan = make_plan(missing, read_os_release(), read_sources())
    except CannotPlan as error:
        raise Stop(str(error)) from None
    print(describe(plan), flush=True)
    rights = find_rights()
    if rights is None:
        raise Stop(f"You are not root and can't become it by sudo. Have an administrator type:\n\n{plan.as_shell(())}")
    require_consent(plan, rights)
    carry_out(plan, rights)
    if still := find_missing(needs_venv=needs_venv, for_tests=for_tests):
        names = ", ".join(f"'{program.name}'" for program in still)
        raise Stop(f"apt is done and {names} still can't be had. Is another one first in PATH?", code=3)
    return True


def describe(plan: Plan) -> str:
    """Say what is missing, and everything that would be done to this machine."""
    lines = ["lading needs programs that this machine does not have:"]
    lines += [f"  {program.package:16} {program.purpose}" for program in plan.missing]
    lines += ["As root, it would"]
    if plan.source is not None:
        lines += [f"  write '{BACKPORTS_FILE}':", *(f"      {line}" for line in plan.source.splitlines())]
    lines += [f"  run {' '.join(command)}" for command in plan.commands]
    return "\n".join(lines)


def find_rights() -> tuple[str, ...] | None:
    """Return what goes before a command to run it as root; None if nothing does."""
    if os.geteuid() == 0:
        return ()
    if shutil.which("sudo") is None:
        return None
    silent = subprocess.run(["sudo", "--non-interactive", "true"], capture_output=True, check=False).returncode == 0
    return ("sudo",) if silent or sys.stdin.isatty() else None


def require_consent(plan: Plan, rights: tuple[str, ...]) -> None:
    """Stop unless the user agrees; on a terminal they are asked."""
    if os.environ.get("CI") or os.environ.get("YES") == "1":
        return
    if not sys.stdin.isatty():
        raise Stop(f"Nothing was done. Set YES=1 to have it done, or type:\n\n{plan.as_shell(rights)}")
    try:
        answer = input("Go on? [y/N] ")
    except EOFError:
        answer = ""
    if answer.strip().lower() not in {"y", "yes"}:
        raise Stop("Nothing was done.")


def carry_out(plan: Plan, rights: tuple[str, ...]) -> None:
    """Run the plan; apt's own words go to the terminal."""
    if plan.source is not None:
        write = [*rights, "tee", BACKPORTS_FILE]
        if subprocess.run(write, input=plan.source, text=True, stdout=subprocess.DEVNULL, check=False).returncode:
            raise Stop(f"'{BACKPORTS_FILE}' could not be written; the reason is above.", code=3)
    for command in plan.commands:
        if subprocess.run([*rights, *command], check=False, stdin=subprocess.DEVNULL).returncode:
            raise Stop(f"'{' '.join(command)}' failed; its reason is above.", code=3)


def make_environment() -> bool:
    """Make `.venv` what the lock file says; tell whether there was anything to do."""
    environment = Environment(ROOT)
    if environment.is_ready():
        return False
    print("Setting up:", flush=True)
    try:
        environment.make()
    except CannotInstall as error:
        raise Stop(str(error), code=3) from None
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
