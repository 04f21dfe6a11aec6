"""The pytest plugin of checks: the fixture `site`, the marker `mutates`, and a report that tells failed from error.

Loaded with `-p lading.checks.plugin`. A check has *failed* only if it said so itself: an assertion, or `pytest.fail`,
in the test's own body. Everything else (a lost connection, a fixture that broke) is an *error* and no verdict.
"""

import json
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from testinfra.host import Host

from lading.checks.batch import HostLost
from lading.checks.report import WORST_FIRST, Outcome
from lading.checks.site import Site, load_site
from lading.errors import LadingError

LONGEST_MESSAGE = 4000
KEY = pytest.StashKey[list[tuple[Outcome, float, str]]]()
LOST = pytest.StashKey[bool]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options by which `run_checks` hands over its files."""
    group = parser.getgroup("lading")
    group.addoption("--lading-site", type=Path, metavar="FILE", help="the site's facts, as JSON")
    group.addoption("--lading-report", type=Path, metavar="FILE", help="write one line of JSON for each test")


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, and begin an empty report."""
    config.addinivalue_line("markers", "mutates: the check changes the host; it is left out on a reader's own nodes")
    if file := config.getoption("lading_report"):
        file.write_text("")


@pytest.fixture(scope="session")
def site(request: pytest.FixtureRequest) -> Site:
    """The site's facts: users, test images and the role's variables in force."""
    file = request.config.getoption("lading_site")
    if file is None:
        raise pytest.UsageError("The fixture 'site' needs --lading-site=FILE.")
    try:
        return load_site(file)
    except LadingError as error:
        raise pytest.UsageError(error.message) from None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Gather what each phase of a test came to, and write its line after the last."""
    report = yield
    phases = item.stash.setdefault(KEY, [])
    if call.excinfo is not None and isinstance(call.excinfo.value, HostLost):
        item.stash[LOST] = True
    phases.append((classify(report, call.excinfo), report.duration, _message(report, item)))
    if report.when == "teardown" and (file := item.config.getoption("lading_report")):
        with file.open("a") as lines:
            lines.write(json.dumps(_line(item, phases)) + "\n")
    return report


def classify(report: pytest.TestReport, excinfo: pytest.ExceptionInfo[BaseException] | None) -> Outcome:
    """Return what one phase of a test (setup, call, teardown) came to."""
    if report.passed:
        return "passed"
    if report.skipped:
        return "skipped"
    said_so = excinfo is not None and isinstance(excinfo.value, AssertionError | pytest.fail.Exception)
    return "failed" if said_so and report.when == "call" else "error"


def check_id(item: pytest.Item) -> str:
    """Return the check's id (`test_worker.py::test_x`): without its folder, and without the host that it ran on."""
    parameters = f"[{item.callspec.id}]" if hasattr(item, "callspec") else ""
    _, _, name = item.nodeid.partition("::")
    return f"{item.path.name}::{name.removesuffix(parameters)}"


def _line(item: pytest.Item, phases: list[tuple[Outcome, float, str]]) -> dict[str, Any]:
    return {
        "check": check_id(item),
        "outcome": min((outcome for outcome, _, _ in phases), key=WORST_FIRST.index),
        "seconds": round(sum(seconds for _, seconds, _ in phases), 3),
        "message": "\n".join(message for _, _, message in phases if message)[:LONGEST_MESSAGE],
        "mutates": item.get_closest_marker("mutates") is not None,
        "lost": item.stash.get(LOST, False),
    }


def _message(report: pytest.TestReport, item: pytest.Item) -> str:
    """Return the assertion's text, with the name of the host on which it did not hold."""
    if report.passed:
        return ""
    crash = getattr(report.longrepr, "reprcrash", None)
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longreprtext
    text = crash.message if crash is not None else reason
    host = getattr(item, "funcargs", {}).get("host")
    where = f"{host.backend.get_hostname()}: " if isinstance(host, Host) else ""
    phase = "" if report.when == "call" else f"({report.when}) "
    return f"{where}{phase}{text}".strip()
