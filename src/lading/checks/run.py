"""Runs a recipe's checks in a pytest of their own and reads what they found."""

import difflib
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from lading import process
from lading.checks.listing import list_checks
from lading.checks.report import CheckReport, read_report
from lading.checks.site import load_site
from lading.errors import LabError, UsageError

ENDED = {0, 1, 5}
"""pytest's exit codes of a run that took place: all passed, some did not, nothing was selected."""

BROKEN_FILE = 2


def run_checks(
    check_files: Sequence[Path],
    inventory: Path,
    site: Path,
    out: Path,
    *,
    select: Sequence[str] | None = None,
    mutating: bool | None = None,
    timeout: float,
    environment: Mapping[str, str],
) -> CheckReport:
    """Run the checks against the hosts of an inventory.

    Leaves `report.jsonl`, `junit.xml` and `pytest.log` in `out`.

    Args:
        check_files: files of testinfra tests; each must hold some.
        inventory: Ansible's inventory, with everything that ssh needs.
        site: the site's facts as JSON, see `lading.checks.site`.
        out: the folder for what pytest leaves; made if it is missing.
        select: ids of checks (`test_worker.py::test_x`); by default all.
        mutating: only the checks that change the host, or only those that don't; by default both.
        timeout: seconds for all of them together.
        environment: the whole environment of the checks. It is code from a recipe: give it no token and no agent.

    Raises:
        UsageError: a file is not Python, cannot be imported or has no tests, `select` names no check of it,
            or the site's facts are wrong.
        TimedOut: they did not end in their time.
        LabError: pytest itself broke.
    """
    inventory, site, out = inventory.resolve(), site.resolve(), out.resolve()
    chosen = _chosen(check_files, select)
    load_site(site)
    out.mkdir(parents=True, exist_ok=True)
    report, log = out / "report.jsonl", out / "pytest.log"
    # An empty configuration in `out`: neither this repository's own nor one above the checks is read.
    (out / "pytest.ini").write_text("[pytest]\n")
    root = Path(os.path.commonpath([file.resolve().parent for file in check_files]))
    argv = pytest_argv(chosen, root, inventory, site, out, mutating)
    ran = process.run(argv, cwd=root, env=_environment(environment), timeout=timeout, log=log, check=False)
    if ran.rc == BROKEN_FILE:
        raise UsageError(f"pytest cannot read the checks in '{root}': {_complaint(log)}.", hint=f"See '{log}'.")
    if ran.rc not in ENDED:
        raise LabError(f"pytest ended with {ran.rc}: {_complaint(log)}", hint=f"See '{log}'.")
    return read_report(report, ran.seconds)


def pytest_argv(
    chosen: Sequence[str], root: Path, inventory: Path, site: Path, out: Path, mutating: bool | None
) -> list[str]:  # fmt: skip
    """Return the command that runs the chosen checks and is told nothing by the machine that it runs on."""
    marks = [] if mutating is None else ["-m", "mutates" if mutating else "not mutates"]
    return [
        sys.executable, "-m", "pytest", "--disable-plugin-autoload",
        "-p", "testinfra.plugin", "-p", "lading.checks.plugin", "-p", "no:cacheprovider",
        "-c", str(out / "pytest.ini"), "-o", "addopts=", f"--rootdir={root}", f"--confcutdir={root}",
        "--import-mode=importlib", "--strict-markers", "--tb=short", "--color=no", "-v",
        f"--junitxml={out / 'junit.xml'}", f"--ansible-inventory={inventory}",
        f"--lading-site={site}", f"--lading-report={out / 'report.jsonl'}", *marks, *chosen,
    ]  # fmt: skip


def _chosen(check_files: Sequence[Path], select: Sequence[str] | None) -> list[str]:
    by_id = {check.id: f"{file.resolve()}::{check.id.partition('::')[2]}"
             for file in check_files for check in list_checks(file)}  # fmt: skip
    if select is None:
        return [str(file.resolve()) for file in check_files]
    for name in select:
        if name not in by_id:
            near = difflib.get_close_matches(name, by_id, n=1)
            raise UsageError(f"No check is called '{name}'.", hint=f"Did you mean '{near[0]}'?" if near else None)
    return [by_id[name] for name in select]


def _environment(given: Mapping[str, str]) -> dict[str, str]:
    """Return the environment with what pytest and testinfra themselves need: ansible-inventory on the PATH."""
    tools = str(Path(sys.executable).parent)
    kept = {name: value for name, value in given.items() if not name.startswith("PYTEST_")}
    path = os.pathsep.join(filter(None, (tools, kept.get("PATH", os.defpath))))
    # Bytecode beside the checks would be a file in the author's checkout that nobody asked for.
    return {**kept, "PATH": path, "PYTHONDONTWRITEBYTECODE": "1"}


def _complaint(log: Path) -> str:
    """Return what pytest said last, in a few words: the files that are broken, then why."""
    lines = log.read_text(errors="replace").splitlines()
    files = [line.removeprefix("ERROR ") for line in lines if line.startswith("ERROR ")]
    reasons = [line[1:].strip() for line in lines if line.startswith("E   ")]
    return " / ".join([*files[:3], *reasons[:3]]) or (lines[-1] if lines else "it said nothing")
