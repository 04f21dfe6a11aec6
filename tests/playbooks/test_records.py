"""What a role remembers, and what its undo takes away again."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.playbooks.modules import load_module

packages = load_module("host_record", "recorded_packages")
settings = load_module("host_record", "recorded_settings")


class StubModule:
    """Stands for AnsibleModule: what it was told, and answers to commands."""

    def __init__(
        self, record: Path, answers: list[tuple[int, str, str]] | None = None, check_mode: bool = False
    ) -> None:
        self.params = {"record": str(record)}
        self.check_mode = check_mode
        self.tmpdir = str(record.parent)
        self.warnings: list[str] = []
        self.answers = answers or []
        self.commands: list[list[str]] = []

    def run_command(self, command: list[str], **_: Any) -> tuple[int, str, str]:
        self.commands.append(command)
        return self.answers.pop(0)

    def warn(self, message: str) -> None:
        self.warnings.append(message)

    def atomic_move(self, source: str, target: str) -> None:
        Path(source).replace(target)


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that stands for the host, where the owner of a file need not be root."""
    monkeypatch.setattr(settings.os, "chown", lambda *_: None)
    return tmp_path


def run(host: Path, files: dict[str, str] | None = None, check_mode: bool = False) -> tuple[Any, StubModule]:
    """Apply the files, or undo when there are none."""
    module = StubModule(host / "lading" / "role.json", check_mode=check_mode)
    module.tmpdir = str(host)
    run = settings.Settings(module)
    if files is None:
        run.undo()
    else:
        run.apply({str(host / name): text for name, text in files.items()}, {})
    return run, module


def listing(host: Path) -> dict[str, str]:
    return {str(path.relative_to(host)): path.read_text() for path in sorted(host.rglob("*")) if path.is_file()}


def test_undo_restores_a_file_and_removes_what_was_made(host: Path) -> None:
    (host / "had.conf").write_text("the site's\n")
    (host / "had.conf").chmod(0o600)
    run(host, {"had.conf": "ours\n", "unit.d/new.conf": "ours\n"})
    assert listing(host)["had.conf"] == "ours\n"
    run(host)
    assert listing(host) == {"had.conf": "the site's\n"}
    assert (host / "had.conf").stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in host.iterdir()) == ["had.conf"]


def test_a_second_run_changes_nothing(host: Path) -> None:
    run(host, {"a.conf": "ours\n"})
    again, _ = run(host, {"a.conf": "ours\n"})
    assert again.diffs == []


def test_the_first_state_is_what_comes_back_however_often_the_role_ran(host: Path) -> None:
    (host / "a.conf").write_text("the site's\n")
    (host / "a.conf").chmod(0o644)
    for text in ("ours 1\n", "ours 2\n"):
        run(host, {"a.conf": text})
    run(host)
    assert listing(host) == {"a.conf": "the site's\n"}


def test_undo_leaves_a_file_that_was_edited_since_and_says_so(host: Path) -> None:
    run(host, {"a.conf": "ours\n"})
    (host / "a.conf").write_text("edited\n")
    _, module = run(host)
    assert listing(host) == {"a.conf": "edited\n"}
    assert "was edited" in module.warnings[0]


def test_a_file_that_was_there_just_so_is_not_the_roles(host: Path) -> None:
    (host / "a.conf").write_text("ours\n")
    (host / "a.conf").chmod(0o644)
    run(host, {"a.conf": "ours\n"})
    run(host)
    assert listing(host) == {"a.conf": "ours\n"}


def test_check_mode_tells_and_leaves_everything(host: Path) -> None:
    rehearsal, _ = run(host, {"a.conf": "ours\n"}, check_mode=True)
    assert [diff["after"] for diff in rehearsal.diffs] == ["ours\n"]
    assert listing(host) == {}
    run(host, {"a.conf": "ours\n"})
    before = listing(host)
    rehearsal, _ = run(host, check_mode=True)
    assert rehearsal.diffs
    assert listing(host) == before


def facts(needs: str = "", provides: str = "") -> dict[str, Any]:
    return {"version": "1", "needs": packages.package_names(needs), "provides": packages.package_names(provides)}


def test_a_package_that_something_else_needs_stays_with_what_it_needs_itself() -> None:
    installed = {
        "apptainer": facts("squashfs-tools, uidmap"),
        "squashfs-tools": facts("liblzo2-2"),
        "liblzo2-2": facts(),
        "uidmap": facts(provides="idmap"),
        "site-tool": facts("other | squashfs-tools (>= 4)"),
    }
    brought = {"apptainer", "squashfs-tools", "liblzo2-2", "uidmap"}
    assert packages.needed(brought, installed, set()) == {"squashfs-tools", "liblzo2-2"}
    installed["pod"] = facts("idmap")
    assert "uidmap" in packages.needed(brought, installed, set())


def test_a_package_that_an_admin_asked_for_since_stays() -> None:
    installed = {"apptainer": facts("uidmap"), "uidmap": facts()}
    assert packages.needed({"apptainer", "uidmap"}, installed, {"uidmap"}) == {"uidmap"}


def test_what_an_installation_did_is_told_from_before_and_after() -> None:
    record: dict[str, Any] = {"packages_before": {"libc6": "2", "apptainer": "1.1", "apptainer-suid": "1.1"}}
    came = packages.settle(record, {"libc6": "3", "apptainer": "1.4", "uidmap": "4"}, "apptainer")
    assert came == {"uidmap"}
    assert record == {"packages_added": ["uidmap"], "packages_replaced": {"apptainer": "1.1", "apptainer-suid": "1.1"}}
    assert packages.settle(record, {}, "apptainer") == set()


def test_dpkg_rows_of_packages_that_are_only_configured_do_not_count() -> None:
    text = "ii \ta\t1\tx (>= 1), y | z,,\tp (= 1)\nrc \tb\t1\t,,\t\n"
    assert packages.parse_dpkg(text) == {"a": {"version": "1", "needs": {"x", "y", "z"}, "provides": {"p"}}}


def test_apt_tells_what_it_brought_in_by_itself() -> None:
    states = "Package: a\nArchitecture: amd64\nAuto-Installed: 1\n\nPackage: b\nAuto-Installed: 0\n"
    assert packages.automatic(states) == {"a"}


def test_configuration_files_are_read_with_their_digests() -> None:
    text = " /etc/a.conf 0123\n /etc/b.conf 4567 obsolete\n\n"
    assert packages.parse_conffiles(text) == {"/etc/a.conf": "0123"}


def test_rpm_keeps_what_its_rehearsal_says_is_needed(tmp_path: Path) -> None:
    refusal = "error: Failed dependencies:\n\tlibfuse3.so.3()(64bit) is needed by (installed) site-tool-1-1.x86_64\n"
    answers = [
        (0, "apptainer\t1\nfuse3-libs\t2\nsite-tool\t1\n", ""),
        (1, "", refusal),
        (0, "fuse3-libs\n", ""),
        (0, "", ""),
    ]
    module = StubModule(tmp_path / "r.json", answers)
    assert packages.Rpm(module).removable({"apptainer", "fuse3-libs", "gone"}, "apptainer") == {"apptainer"}
    assert module.commands[-1] == ["rpm", "-e", "--test", "apptainer"]


def test_the_record_is_for_root_alone(host: Path) -> None:
    run(host, {"a.conf": "ours\n"})
    record = host / "lading" / "role.json"
    assert record.stat().st_mode & 0o777 == 0o600
    assert record.parent.stat().st_mode & 0o777 == 0o700
    assert list(json.loads(record.read_text())) == ["files", "folders"]
