"""What setup says, asks and does; nothing is installed here."""

import subprocess
import sys

import pytest

from tools import setup
from tools.programs import PROGRAMS, Plan, Program
from tools.setup import Stop, describe, find_rights, main, require_consent, require_python

PLAN = Plan(
    PROGRAMS[:1],
    "Types: deb\nSuites: bookworm-backports\n",
    (("apt-get", "update"), ("apt-get", "install", "qemu-system-x86")),
)


class Machine:
    """A machine on which nothing is really run; `ran` holds what would have been."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.patch = patch
        self.ran: list[str] = []
        self.failing: str | None = None
        patch.setattr(subprocess, "run", self.run)
        patch.setattr(setup, "make_environment", lambda: False)
        patch.setattr(setup, "make_plan", lambda *_: PLAN)
        for name in ("CI", "YES"):
            patch.delenv(name, raising=False)
        self.terminal(None)
        self.user(uid=0, sudo=False)
        self.missing([])

    def run(self, argv: list[str], **_options: object) -> "subprocess.CompletedProcess[str]":
        self.ran.append(" ".join(argv))
        failed = self.failing is not None and self.failing in self.ran[-1]
        return subprocess.CompletedProcess(argv, int(failed), "", "")

    def missing(self, *looks: list[Program]) -> None:
        """Let these be missing at the first look and at the second."""
        left = list(looks)
        self.patch.setattr(setup, "find_missing", lambda **_: left.pop(0) if len(left) > 1 else left[0])

    def user(self, *, uid: int, sudo: bool) -> None:
        self.patch.setattr("os.geteuid", lambda: uid)
        self.patch.setattr("shutil.which", lambda _: "sudo" if sudo else None)

    def terminal(self, answer: str | None) -> None:
        """Sit at a terminal and answer that; None: no terminal."""
        self.patch.setattr("sys.stdin.isatty", lambda: answer is not None, raising=False)
        self.patch.setattr("builtins.input", lambda _: answer)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch)


def test_nothing_to_do_is_said_in_one_line_or_not_at_all(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert capsys.readouterr().out == "Ready: there was nothing to do.\n"
    assert main(["--quiet"]) == 0
    assert capsys.readouterr().out == ""
    assert machine.ran == []


@pytest.mark.parametrize("name,value", [("CI", "true"), ("YES", "1")])
def test_it_installs_without_a_question_where_that_was_said(machine: Machine, name: str, value: str) -> None:
    machine.missing([PROGRAMS[0]], [])
    machine.patch.setenv(name, value)

    assert main([]) == 0
    assert machine.ran == [
        "tee /etc/apt/sources.list.d/lading-backports.sources",
        "apt-get update",
        "apt-get install qemu-system-x86",
    ]


@pytest.mark.parametrize("answer,code", [("y", 0), ("Yes", 0), ("n", 2), ("", 2)])
def test_on_a_terminal_it_asks(machine: Machine, answer: str, code: int) -> None:
    machine.missing([PROGRAMS[0]], [])
    machine.terminal(answer)

    assert main([]) == code
    assert bool(machine.ran) == (code == 0)


def test_without_a_terminal_nothing_is_done_and_the_commands_are_shown(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.missing([PROGRAMS[0]])

    assert main([]) == 2
    assert "YES=1" in (said := capsys.readouterr().err)
    assert said.endswith("apt-get install qemu-system-x86\n")
    assert machine.ran == []


def test_who_may_not_install_gets_the_commands_to_hand_on(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    machine.missing([PROGRAMS[0]])
    machine.user(uid=1000, sudo=False)
    machine.patch.setenv("YES", "1")

    assert main([]) == 2
    assert PLAN.as_shell(()) in capsys.readouterr().err
    assert machine.ran == []


def test_sudo_goes_before_every_command(machine: Machine) -> None:
    machine.missing([PROGRAMS[0]], [])
    machine.user(uid=1000, sudo=True)
    machine.patch.setenv("YES", "1")

    assert main([]) == 0
    assert machine.ran[0] == "sudo --non-interactive true"
    assert all(line.startswith("sudo ") for line in machine.ran)


def test_sudo_that_asks_for_a_password_needs_a_terminal(machine: Machine) -> None:
    machine.user(uid=1000, sudo=True)
    machine.failing = "--non-interactive"

    assert find_rights() is None
    machine.terminal("y")
    assert find_rights() == ("sudo",)


@pytest.mark.parametrize("failing", ["tee", "apt-get update", "apt-get install"])
def test_a_step_that_fails_ends_it_with_3(machine: Machine, failing: str, capsys: pytest.CaptureFixture[str]) -> None:
    machine.missing([PROGRAMS[0]])
    machine.patch.setenv("YES", "1")
    machine.failing = failing

    assert main([]) == 3
    assert failing in machine.ran[-1]
    assert "above" in capsys.readouterr().err


def test_what_is_still_missing_after_apt_is_told(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    machine.missing([PROGRAMS[0]])
    machine.patch.setenv("YES", "1")

    assert main([]) == 3
    assert "'qemu-system-x86_64' still" in capsys.readouterr().err


def test_everything_is_said_before_it_is_done() -> None:
    assert describe(PLAN) == (
        "lading needs programs that this machine does not have:\n"
        "  qemu-system-x86  runs the guests; QEMU 10 or newer\n"
        "As root, it would\n"
        "  write '/etc/apt/sources.list.d/lading-backports.sources':\n"
        "      Types: deb\n"
        "      Suites: bookworm-backports\n"
        "  run apt-get update\n"
        "  run apt-get install qemu-system-x86"
    )


def test_the_end_of_input_is_a_no(machine: Machine) -> None:
    def ended(_prompt: str) -> str:
        raise EOFError

    machine.terminal("y")
    machine.patch.setattr("builtins.input", ended)

    with pytest.raises(Stop, match="Nothing was done"):
        require_consent(PLAN, ())


def test_an_old_python_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 9, 21))

    with pytest.raises(Stop, match=r"needs Python 3\.11 or newer; '.*' is 3\.9"):
        require_python()
