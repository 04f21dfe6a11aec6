"""Checks run in a pytest of their own, and what they come to is told apart."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from lading.checks.report import CheckReport
from lading.checks.run import run_checks
from lading.errors import LabError, UsageError
from lading.process import TimedOut

SITE = {
    "users": {"user": "alice", "other": "bob", "pilot": "pilot01"},
    "images": {"tiny": "/srv/images/tiny"},
    "variables": {"role_variable": True},
}

Run = Callable[..., CheckReport]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Write a check file for this host, and return what runs it."""
    (tmp_path / "site.json").write_text(json.dumps(SITE))
    (tmp_path / "inventory.yml").write_text("workers: {hosts: {worker1: {ansible_connection: local}}}\n")

    def run_text(text: str, *, file: str = "test_worker.py", timeout: float = 60, **options: object) -> CheckReport:
        path = tmp_path / "recipe" / file
        path.parent.mkdir(exist_ok=True)
        path.write_text('import pytest\n\ntestinfra_hosts = ["local://"]\n\n\n' + dedent(text))
        return run_checks(
            [path], tmp_path / "inventory.yml", tmp_path / "site.json", tmp_path / "out",
            timeout=timeout, environment=dict(os.environ), **options,  # type: ignore[arg-type] # options by keyword
        )  # fmt: skip

    return run_text


CHECKS = """
    @pytest.fixture
    def broken(host):
        raise RuntimeError("ssh is gone")

    @pytest.fixture
    def asserts(host):
        assert 1 == 2

    @pytest.fixture
    def breaks_later(host):
        yield
        raise OSError("cannot clean up")

    def test_passes(host, site):
        assert host.run("echo %s", site.users.user).stdout == "alice\\n"
        assert site.images["tiny"] == "/srv/images/tiny"
        assert site.variables["role_variable"] is True

    @pytest.mark.mutates
    def test_fails(host):
        assert host.run("true").rc == 1, "true is not false"

    def test_says_so(host):
        pytest.fail("it is not so")

    def test_loses_the_host(host):
        raise RuntimeError("255")

    def test_needs_what_is_broken(broken):
        pass

    def test_needs_a_fixture_that_asserts(asserts):
        pass

    def test_breaks_at_its_end(breaks_later):
        pass

    def test_is_skipped(host):
        pytest.skip("not here")
    """


def test_failed_and_error_are_told_apart(run: Run, tmp_path: Path) -> None:
    report = run(CHECKS)
    assert {found.check.partition("::")[2]: found.outcome for found in report.results} == {
        "test_passes": "passed",
        "test_fails": "failed",
        "test_says_so": "failed",
        "test_loses_the_host": "error",
        "test_needs_what_is_broken": "error",
        "test_needs_a_fixture_that_asserts": "error",
        "test_breaks_at_its_end": "error",
        "test_is_skipped": "skipped",
    }
    messages = {found.check.partition("::")[2]: found.message for found in report.results}
    assert messages["test_passes"] == ""
    assert "true is not false" in messages["test_fails"]
    assert "ssh is gone" in messages["test_needs_what_is_broken"]
    assert [found.check for found in report.results if found.mutates] == ["test_worker.py::test_fails"]
    assert (tmp_path / "out/junit.xml").exists()
    assert (tmp_path / "out/pytest.log").exists()
    assert not list((tmp_path / "recipe").glob("**/__pycache__"))


def test_checks_that_change_the_host_can_be_left_out(run: Run) -> None:
    report = run(
        """
        @pytest.mark.mutates
        def test_restarts(host): ...

        def test_looks(host): ...
        """,
        mutating=False,
    )
    assert [found.check for found in report.results] == ["test_worker.py::test_looks"]


def test_only_the_chosen_checks_run(run: Run) -> None:
    report = run(CHECKS, select=["test_worker.py::test_says_so", "test_worker.py::test_passes"])
    assert sorted(found.check for found in report.results) == [
        "test_worker.py::test_passes",
        "test_worker.py::test_says_so",
    ]


def test_nothing_that_changes_the_host_among_the_chosen_is_an_empty_report(run: Run) -> None:
    assert run(CHECKS, select=["test_worker.py::test_fails"], mutating=False).results == ()


def test_a_check_is_named_without_parameters(run: Run) -> None:
    report = run(
        """
        class TestMore:
            @pytest.mark.parametrize("number", [1, 2])
            def test_number(self, host, number):
                assert number == 1
        """
    )
    assert [(found.check, found.outcome) for found in report.results] == [
        ("test_worker.py::TestMore::test_number", "failed")
    ]


def test_hosts_of_a_group_are_found_in_the_inventory(run: Run) -> None:
    report = run('testinfra_hosts = ["ansible://workers"]\n\ndef test_it(host):\n    assert host.run("true").rc == 1\n')
    assert report.failed[0].check == "test_worker.py::test_it"
    assert report.failed[0].message.startswith("worker1: ")


def test_the_machine_around_the_checks_is_not_read(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --no-such-option\n")
    (tmp_path / "conftest.py").write_text("raise RuntimeError\n")
    monkeypatch.setenv("PYTEST_ADDOPTS", "--no-such-option")
    assert run("def test_it(host): ...").all_passed


def test_an_unknown_check_is_refused_with_the_nearest_name(run: Run) -> None:
    with pytest.raises(UsageError, match=r"No check is called 'test_worker\.py::test_passed'") as caught:
        run(CHECKS, select=["test_worker.py::test_passed"])
    assert caught.value.hint == "Did you mean 'test_worker.py::test_passes'?"


@pytest.mark.parametrize(
    "text, words",
    [
        ("def helper(): ...", r"test_worker\.py' has no tests"),
        ("def test_x(:", r"test_worker\.py:6: the check file is not Python"),
        ("import no_such_module\n\ndef test_x(): ...", r"test_worker\.py.*No module named 'no_such_module'"),
        ("@pytest.mark.no_such_mark\ndef test_x(): ...", "'no_such_mark' not found"),
    ],
)
def test_a_file_that_cannot_be_run_is_wrong_input(text: str, words: str, run: Run) -> None:
    with pytest.raises(UsageError, match=words):
        run(text)


def test_a_missing_file_is_wrong_input(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        run_checks([tmp_path / "test_x.py"], tmp_path, tmp_path, tmp_path, timeout=1, environment={})


@pytest.mark.parametrize(
    "facts, words", [("{}", "users: Field required"), ('{"user": 1', "Invalid JSON"), (None, "cannot be read")]
)
def test_wrong_facts_of_a_site_are_wrong_input(facts: str | None, words: str, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "site.json"
    file.unlink() if facts is None else file.write_text(facts)
    with pytest.raises(UsageError, match=words):
        run("def test_x(): ...")


def test_checks_that_take_too_long_are_no_verdict(run: Run) -> None:
    with pytest.raises(TimedOut):
        run("def test_x():\n    __import__('time').sleep(60)", timeout=2)


def test_a_pytest_that_dies_is_no_verdict(run: Run) -> None:
    with pytest.raises(LabError, match="pytest ended with -9"):
        run("def test_x():\n    import os\n    os.kill(os.getpid(), 9)")
