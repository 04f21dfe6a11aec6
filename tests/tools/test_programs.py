"""What is missing on a machine, and what would be done about it."""

import importlib.util
import sys
from pathlib import Path

import pytest

from tools import programs
from tools.aptsources import Source
from tools.programs import PROGRAMS, VENV, CannotPlan, find_missing, make_plan, parse_qemu_version, read_os_release

BOOKWORM = {"ID": "debian", "VERSION_ID": "12", "VERSION_CODENAME": "bookworm", "PRETTY_NAME": "Debian 12"}
TRIXIE = {**BOOKWORM, "VERSION_ID": "13", "VERSION_CODENAME": "trixie"}
ARCHIVE = Source(("http://m.example/debian",), ("bookworm", "bookworm-updates"), ("main",), "/a.gpg")
BACKPORTS = Source(("http://m.example/debian",), ("bookworm-backports",), ("main",), "/a.gpg")
EVERYTHING = list(PROGRAMS)
INSTALL = "env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends"


def lines(missing: list[programs.Program], system: dict[str, str], *sources: Source) -> list[str]:
    return [" ".join(command) for command in make_plan(missing, system, list(sources)).commands]


def test_on_debian_12_qemu_comes_from_backports_and_the_rest_does_not() -> None:
    assert lines(EVERYTHING, BOOKWORM, ARCHIVE, BACKPORTS) == [
        "apt-get update",
        f"{INSTALL} mmdebstrap squashfs-tools uidmap e2fsprogs openssh-client git",
        f"{INSTALL} --target-release bookworm-backports qemu-system-x86 qemu-utils",
    ]


def test_backports_are_added_only_where_they_are_needed_and_missing() -> None:
    assert make_plan(EVERYTHING, BOOKWORM, [ARCHIVE, BACKPORTS]).source is None
    assert make_plan(EVERYTHING[2:], BOOKWORM, [ARCHIVE]).source is None
    made = make_plan(EVERYTHING, BOOKWORM, [ARCHIVE]).source
    assert made is not None
    assert "Suites: bookworm-backports\n" in made
    assert "Signed-By: /a.gpg\n" in made


def test_on_debian_13_everything_is_in_the_release() -> None:
    assert lines(EVERYTHING, TRIXIE) == [
        "apt-get update",
        f"{INSTALL} qemu-system-x86 qemu-utils mmdebstrap squashfs-tools uidmap e2fsprogs openssh-client git",
    ]


def test_debian_12_without_a_known_source_says_what_to_add() -> None:
    with pytest.raises(CannotPlan, match="bookworm-backports"):
        make_plan(EVERYTHING, BOOKWORM, [])


@pytest.mark.parametrize(
    "system",
    [
        {"ID": "ubuntu", "ID_LIKE": "debian", "VERSION_ID": "24.04", "VERSION_CODENAME": "noble"},
        {"ID": "almalinux", "VERSION_ID": "9.6", "PRETTY_NAME": "AlmaLinux 9.6"},
        {**BOOKWORM, "VERSION_ID": "11", "VERSION_CODENAME": "bullseye"},
        {},
    ],
)
def test_another_system_is_told_what_it_needs(system: dict[str, str]) -> None:
    with pytest.raises(CannotPlan) as caught:
        make_plan(EVERYTHING, system, [])

    for program in PROGRAMS:
        assert f"  {program.name}: " in str(caught.value)


def test_the_plan_can_be_pasted_into_a_shell() -> None:
    plan = make_plan(EVERYTHING[:2], BOOKWORM, [ARCHIVE])

    assert plan.as_shell(("sudo",)) == (
        "sudo tee /etc/apt/sources.list.d/lading-backports.sources >/dev/null <<'END'\n"
        "Types: deb\n"
        "URIs: http://m.example/debian\n"
        "Suites: bookworm-backports\n"
        "Components: main\n"
        "Signed-By: /a.gpg\n"
        "END\n"
        "sudo apt-get update\n"
        f"sudo {INSTALL} --target-release bookworm-backports qemu-system-x86 qemu-utils"
    )


def test_a_python_that_is_not_debians_gets_no_debian_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "base_prefix", "/opt/python")
    with pytest.raises(CannotPlan, match="ensurepip"):
        make_plan([VENV], BOOKWORM, [])

    monkeypatch.setattr(sys, "base_prefix", "/usr")
    assert lines([VENV], BOOKWORM)[1].endswith(" python3-venv")


@pytest.mark.parametrize("version,missing", [(7, ["qemu-system-x86", "qemu-utils"]), (10, []), (11, [])])
def test_a_qemu_that_is_too_old_counts_as_missing(
    monkeypatch: pytest.MonkeyPatch, version: int, missing: list[str]
) -> None:
    monkeypatch.setattr(programs, "find_program", lambda name: name)
    monkeypatch.setattr(programs, "qemu_version", lambda: version)

    assert [program.package for program in find_missing(needs_venv=False)] == missing


def test_every_program_is_missing_on_an_empty_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "find_program", lambda _: None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)

    assert find_missing(needs_venv=True) == [*PROGRAMS, VENV]
    assert find_missing(needs_venv=False) == [*PROGRAMS]


@pytest.mark.parametrize(
    "said,version", [("QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg)", 7), ("version 11.0.0", 11), ("", 0)]
)
def test_qemu_says_its_version(said: str, version: int) -> None:
    assert parse_qemu_version(said) == version


def test_os_release_is_read_without_quotes(tmp_path: Path) -> None:
    file = tmp_path / "os-release"
    file.write_text('PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n\nID=debian\nVERSION_ID="12"\n')

    assert read_os_release(file) == {
        "PRETTY_NAME": "Debian GNU/Linux 12 (bookworm)", "ID": "debian", "VERSION_ID": "12",
    }  # fmt: skip
    assert read_os_release(tmp_path / "missing") == {}


def test_what_tests_alone_need_is_asked_for_with_them_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "find_program", lambda name: None if name == "chromium" else f"/usr/bin/{name}")
    monkeypatch.setattr(programs, "qemu_version", lambda: 10)
    assert find_missing(needs_venv=False) == []
    assert [program.name for program in find_missing(needs_venv=False, for_tests=True)] == ["chromium"]
