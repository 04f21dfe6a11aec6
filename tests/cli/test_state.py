"""`lading state`: what it prints, and how it ends."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from lading.cli.main import main
from lading.cli.state import KINDS
from lading.errors import ExitCode
from lading.state.model import State
from tests.state.states import state

GOLDEN = Path(__file__).parent / "golden" / "state-diff.txt"
Run = Callable[..., tuple[int, str, str]]

BEFORE = state({
    "file:/etc/fstab": {"type": "file", "mode": "0644", "sha256": "a" * 64},
    "file:/etc/localtime": {"type": "link", "target": "/usr/share/zoneinfo/Etc/UTC"},
    "package:zstd": {"version": "1.5.7", "mark": "manual"},
    "sysctl:user.max_net_namespaces": "3773",
    "unit:fstrim.timer": {"file": "enabled", "state": "active"},
})  # fmt: skip
AFTER = state({
    "file:/etc/fstab": {"type": "file", "mode": "0600", "sha256": "b" * 64},
    "module:fuse": "loaded",
    "mount:/mnt": {"source": "tmpfs", "type": "tmpfs", "options": "rw"},
    "package:zstd": {"version": "1.5.7", "mark": "automatic"},
    "socket:tcp:0.0.0.0:8000": {"program": "python3"},
    "sysctl:user.max_net_namespaces": "0",
    "unit:fstrim.timer": {"file": "disabled"},
    "user:web": {"uid": "990", "gecos": ""},
    "group:web": {"gid": "990", "members": []},
})  # fmt: skip


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*words: str | Path) -> tuple[int, str, str]:
        code = main([*map(str, words)])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    before, after = tmp_path / "before.json", tmp_path / "after.json"
    before.write_text(BEFORE.to_json())
    after.write_text(AFTER.to_json())
    return before, after


def test_differences_are_grouped_by_kind_one_in_a_line(run: Run, files: tuple[Path, Path]) -> None:
    code, out, _ = run("state", "diff", *files)
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.write_text(out)
    assert code == ExitCode.FAILED
    assert out == GOLDEN.read_text()


def test_loaded_modules_are_told_if_asked_for(run: Run, files: tuple[Path, Path]) -> None:
    _, without, _ = run("state", "diff", *files)
    _, out, _ = run("state", "diff", "--modules", *files)

    assert "fuse" in out
    assert "fuse" not in without


def test_differences_as_json_have_item_before_and_after(run: Run, files: tuple[Path, Path]) -> None:
    code, out, _ = run("state", "diff", "--json", *files)
    found = json.loads(out)

    assert code == ExitCode.FAILED
    assert found["before"] == {
        "host": "worker1",
        "system": "Debian GNU/Linux 13 (trixie)",
        "kernel": "6.12.1",
        "taken": "2026-11-21T07:00:00Z",
    }
    assert {"item": "sysctl:user.max_net_namespaces", "before": "3773", "after": "0"} in found["changes"]
    assert {change["item"].partition(":")[0] for change in found["changes"]} <= set(KINDS)


def test_equal_states_are_no_failure(run: Run, files: tuple[Path, Path]) -> None:
    assert run("state", "diff", files[0], files[0]) == (ExitCode.OK, "The states are equal.\n", "")


@pytest.mark.parametrize("content", [None, b"", b"{}", b"\xff\xfe", b"[" * 9000])
def test_a_file_that_is_no_state_is_wrong_input_and_named(
    run: Run, files: tuple[Path, Path], tmp_path: Path, content: bytes | None
) -> None:
    other = tmp_path / "notes.txt"
    if content is not None:
        other.write_bytes(content)

    code, out, err = run("state", "diff", files[0], other)

    assert (code, out) == (ExitCode.USAGE, "")
    assert f"'{other}'" in err


def test_terminal_codes_in_a_state_do_not_reach_the_terminal(
    run: Run, tmp_path: Path, files: tuple[Path, Path]
) -> None:
    wicked = tmp_path / "wicked.json"
    wicked.write_text(state({"file:/etc/\x1b]0;title\x07": {"mode": "\x1b[31m\r"}}).to_json())

    _, out, _ = run("state", "diff", files[0], wicked)

    assert not [char for char in out if char < " " and char != "\n"]


@pytest.fixture
def ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Put an ssh of our own first on the PATH, which does what its script says; return what it notes its words in."""
    noted = tmp_path / "words"

    def install(script: str) -> Path:
        program = tmp_path / "bin" / "ssh"
        program.parent.mkdir()
        program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {noted}\n{script}\n')
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
        return noted

    return install


def test_the_state_of_another_machine_is_asked_through_ssh(
    run: Run, ssh: Callable[[str], Path], files: tuple[Path, Path]
) -> None:
    noted = ssh(f"grep -q LADING_STATE && echo 'Welcome to worker1.' && tr -d '\\n' < {files[0]}")

    code, out, _ = run("state", "--host", "root@worker1", "--ssh-config", files[1])

    assert code == ExitCode.OK
    assert State.from_json(out) == BEFORE
    assert noted.read_text().splitlines() == ["-F", str(files[1]), "--", "root@worker1", "sh -s"]


@pytest.mark.parametrize(
    "script, code, words",
    [
        ("exit 77", ExitCode.USAGE, "Only root"),
        ("exit 78", ExitCode.LAB, "no python3"),
        ("echo 'Permission denied (publickey).' >&2; exit 255", ExitCode.LAB, "Permission denied"),
        ("echo Welcome; exit 0", ExitCode.LAB, "Welcome"),
        ("exit 0", ExitCode.LAB, "nothing"),
    ],
)
def test_a_host_that_does_not_tell_is_an_error_that_says_why(
    run: Run, ssh: Callable[[str], Path], script: str, code: ExitCode, words: str
) -> None:
    ssh(script)

    ended, out, err = run("state", "--host", "alice@worker1")

    assert (ended, out) == (code, "")
    assert words in err


def test_options_of_the_host_do_not_go_with_diff(run: Run, files: tuple[Path, Path]) -> None:
    assert run("state", "--host", "root@worker1", "diff", *files)[0] == ExitCode.USAGE
