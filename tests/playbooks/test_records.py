"""What a role remembers, and what its undo takes away again."""

import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.playbooks.modules import load_module

packages = load_module("host_record", "recorded_packages")
settings = load_module("host_record", "recorded_settings")
shared = sys.modules["ansible.module_utils.host_record"]
KEY = "user.max_net_namespaces"


class StubModule:
    """Stands for AnsibleModule: what it was told, and answers to commands."""

    def __init__(
        self, record: Path, answers: list[tuple[int, str, str]] | None = None, check_mode: bool = False
    ) -> None:
        self.params: dict[str, Any] = {"record": str(record), "programs": []}
        self.check_mode = check_mode
        self.tmpdir = str(record.parent)
        self.warnings: list[str] = []
        self.answers = answers or []
        self.commands: list[list[str]] = []

    def run_command(self, command: list[str], **_: Any) -> tuple[int, str, str]:
        self.commands.append(command)
        return self.answers.pop(0)

    def md5(self, path: str) -> str:
        return hashlib.md5(Path(path).read_bytes()).hexdigest()

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


def test_a_program_is_written_so_that_it_can_be_run_and_a_lost_bit_is_seen(host: Path) -> None:
    program = host / "bin/tool"
    module = StubModule(host / "lading" / "role.json", check_mode=False)
    module.tmpdir, module.params["programs"] = str(host), [str(program)]
    settings.Settings(module).apply({str(program): "#!/bin/sh\n"}, {})
    assert program.stat().st_mode & 0o777 == 0o755
    again = settings.Settings(module)
    again.apply({str(program): "#!/bin/sh\n"}, {})
    assert again.diffs == []
    program.chmod(0o644)
    repaired = settings.Settings(module)
    repaired.apply({str(program): "#!/bin/sh\n"}, {})
    assert repaired.diffs
    assert program.stat().st_mode & 0o777 == 0o755


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


def test_undo_removes_what_packages_left_whatever_it_holds_by_then(host: Path) -> None:
    """A version that comes back leaves its own settings file beside the edited one, as the newer version had done."""
    record = host / "lading" / "role.json"
    settings.write_record(str(record), {"files": {str(host / "a.conf.dpkg-dist"): {"former": None, "written": None}}})
    (host / "a.conf.dpkg-dist").write_text("of the older version\n")
    run(host)
    assert listing(host) == {}


def test_undo_puts_back_what_went_with_the_packages_and_leaves_what_did_not(host: Path) -> None:
    own = {"content": "the site's", "mode": "0600", "uid": os.getuid(), "gid": os.getgid()}
    entries = {"etc/own.conf": own, "bin/link": {"link": "/cvmfs/x"}, "there.conf": own}
    settings.write_record(
        str(host / "lading" / "role.json"), {"put_back": {str(host / name): entry for name, entry in entries.items()}}
    )
    (host / "there.conf").write_text("somebody's\n")
    rehearsal, _ = run(host, check_mode=True)
    assert len(rehearsal.changed_files) == 2
    run(host)
    assert (host / "bin/link").readlink() == Path("/cvmfs/x")
    (host / "bin/link").unlink()
    assert listing(host) == {"etc/own.conf": "the site's", "there.conf": "somebody's\n"}
    assert (host / "etc/own.conf").stat().st_mode & 0o777 == 0o600


def kernel(host: Path, monkeypatch: pytest.MonkeyPatch, value: str, booted: bool) -> Path:
    """Put a kernel setting into a folder, and say whether systemd runs there."""
    monkeypatch.setattr(settings, "sysctl_path", lambda key: str(host / key))
    monkeypatch.setattr(settings, "booted", lambda: booted)
    (host / KEY).write_text(value + "\n")
    return host / KEY


@pytest.mark.parametrize("booted,written", [(True, "0"), (False, "3773\n")])
def test_kernel_settings_are_written_only_where_systemd_runs(
    host: Path, monkeypatch: pytest.MonkeyPatch, booted: bool, written: str
) -> None:
    """In an image build the kernel is that of the machine that builds."""
    setting = kernel(host, monkeypatch, "3773", booted)
    applied = settings.Settings(StubModule(host / "lading" / "role.json"))
    applied.apply({}, {KEY: "0"})
    assert setting.read_text() == written
    assert bool(applied.diffs) is booted


def test_undo_in_an_image_leaves_the_kernel_of_the_machine_that_builds_it(
    host: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    setting = kernel(host, monkeypatch, "0", booted=False)
    record = {"sysctls": {KEY: {"former": "3773", "written": "0"}}}
    settings.write_record(str(host / "lading" / "role.json"), record)
    run(host)
    assert setting.read_text() == "0\n"
    assert not (host / "lading").exists()


@pytest.mark.parametrize(
    "signs,booted", [(("run/systemd/system",), True), ((), False), (("run/systemd/system", "elsewhere"), False)]
)
def test_a_tree_is_run_by_systemd_when_it_is_process_1s_and_systemd_says_so(
    tmp_path: Path, signs: tuple[str, ...], booted: bool
) -> None:
    for folder in ("proc/1", *signs):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "proc/1/root").symlink_to(tmp_path / "elsewhere" if "elsewhere" in signs else tmp_path)
    assert shared.booted(str(tmp_path)) is booted


def test_a_chroot_without_proc_is_not_run_by_systemd(tmp_path: Path) -> None:
    assert shared.booted(str(tmp_path)) is False


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


def test_what_was_asked_for_beside_the_package_is_no_dependency_and_goes_with_it(tmp_path: Path) -> None:
    record: dict[str, Any] = {"packages_before": {}}
    assert packages.settle(record, {"buildah": "1", "podman": "5", "crun": "1"}, "buildah", ["podman"]) == {"crun"}
    rows = "ii \tbuildah\t1\tcrun,,\t\nii \tpodman\t5\tcrun,,\t\nii \tcrun\t1\t,,\t\n"
    system = packages.Dpkg(StubModule(tmp_path / "r.json", [(0, rows, "")]))
    system.automatic = lambda: {"crun"}
    brought = {"buildah", "podman", "crun"}
    assert system.removable(brought, {"buildah"}, {}) == {"buildah"}
    assert system.removable(brought, {"buildah", "podman"}, {}) == brought


def test_a_package_that_was_automatic_is_remembered_as_such() -> None:
    record: dict[str, Any] = {"packages_before": {"apptainer": "1.1"}, "automatic_before": ["apptainer", "uidmap"]}
    packages.settle(record, {"apptainer": "1.4"}, "apptainer")
    assert record["packages_automatic"] == ["apptainer"]
    assert "automatic_before" not in record


def test_what_an_upgrade_leaves_beside_settings_is_the_installations() -> None:
    same, older = {"content": "1"}, {"content": "an older one"}
    record: dict[str, Any] = {"asides_before": {"/a.dpkg-dist": same, "/b.dpkg-dist": older}}
    packages.settle_asides(
        record, {"/a.dpkg-dist": same, "/b.dpkg-dist": {"content": "2"}, "/c.dpkg-dist": {"content": "3"}}
    )
    assert record == {
        "files": {
            "/b.dpkg-dist": {"former": older, "written": None},
            "/c.dpkg-dist": {"former": None, "written": None},
        }
    }


def test_what_was_there_before_the_package_is_found_but_not_what_alternatives_made(tmp_path: Path) -> None:
    (tmp_path / "etc/below").mkdir(parents=True)
    (tmp_path / "etc/below/own.conf").write_text("mine")
    (tmp_path / "link").symlink_to("/opt/singularity")
    (tmp_path / "alternative").symlink_to("/etc/alternatives/x")
    found = packages.entries_below([str(tmp_path / name) for name in ("etc", "link", "alternative", "missing")])
    assert {Path(path).name: entry.get("content", entry.get("link")) for path, entry in found.items()} == {
        "own.conf": "mine",
        "link": "/opt/singularity",
    }


def test_files_are_put_back_as_they_were_last_and_links_as_they_were_first(tmp_path: Path) -> None:
    had, edited = tmp_path / "had.conf", tmp_path / "edited.conf"
    had.write_text("edited since")
    edited.write_text("edited")
    put_back = {str(had): {"content": "before"}, str(tmp_path / "gone"): {"content": "x"}, "/link": {"link": "/y"}}
    fresh = packages.refresh(put_back, [str(edited)])
    assert {path: entry.get("content", entry.get("link")) for path, entry in fresh.items()} == {
        str(had): "edited since",
        str(tmp_path / "gone"): "x",
        "/link": "/y",
        str(edited): "edited",
    }


def test_backups_that_a_purge_would_take_count_as_edited(tmp_path: Path) -> None:
    conf = tmp_path / "a.conf"
    conf.write_text("")
    (tmp_path / "a.conf.bak").write_text("mine")
    md5 = hashlib.md5(b"").hexdigest()
    module = StubModule(tmp_path / "r.json", [(0, "", ""), (0, f" {conf} {md5}\n", "")])
    assert packages.Dpkg(module).edited({"a"}) == [f"{conf}.bak"]


def test_versions_that_no_repository_has_are_told(tmp_path: Path) -> None:
    """What apt-cache prints for a version that it has, has not, knows as removed alone, and for an unknown package."""
    answers = [
        (0, "", ""),
        (0, "Package: a\nVersion: 1-2\n\nPackage: a\nVersion: 1-1\nFilename: ./a.deb\nDescription: 1\n more\n", ""),
        (0, "", ""),
        (0, "Package: c\nStatus: deinstall ok config-files\nVersion: 1-1\n", ""),
        (100, "", "E: No packages found"),
    ]
    module = StubModule(tmp_path / "r.json", answers)
    assert list(packages.Dpkg(module).offered({"a": "1-1", "b": "1-1", "c": "1-1", "d": "1-1"})) == ["a"]


def test_what_only_the_newer_version_needs_goes_when_the_older_one_is_back(tmp_path: Path) -> None:
    rows = "ii \tapptainer\t1.4\tuidmap, libfuse,,\t\nii \tuidmap\t4\t,,\t\nii \tlibfuse\t3\t,,\t\n"
    module = StubModule(tmp_path / "r.json", [(0, rows, ""), (0, "Version: 1.1\nFilename: a\nDepends: libfuse\n", "")])
    system = packages.Dpkg(module)
    system.automatic = lambda: {"uidmap", "libfuse"}
    assert system.removable({"uidmap", "libfuse"}, {"apptainer"}, {}) == set()
    returning = system.offered({"apptainer": "1.1"})
    assert system.removable({"uidmap", "libfuse"}, {"apptainer"}, returning) == {"uidmap"}


def test_dpkg_rows_of_packages_that_are_only_configured_do_not_count() -> None:
    text = "ii \ta\t1\tx (>= 1), y | z,,\tp (= 1)\nrc \tb\t1\t,,\t\n"
    assert packages.parse_dpkg(text) == {"a": {"version": "1", "needs": {"x", "y", "z"}, "provides": {"p"}}}


def test_apt_tells_what_it_brought_in_by_itself() -> None:
    states = "Package: a\nArchitecture: amd64\nAuto-Installed: 1\n\nPackage: b\nAuto-Installed: 0\n"
    assert packages.automatic(states) == {"a"}


def test_configuration_files_are_read_with_their_digests() -> None:
    text = " /etc/a.conf 0123\n /etc/b.conf 4567 obsolete\n\n"
    assert packages.parse_conffiles(text) == {"/etc/a.conf": "0123"}


def test_a_file_that_a_package_keeps_by_ucf_counts_as_edited_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    same, edited, others = (tmp_path / name for name in ("same.conf", "edited.conf", "others.conf"))
    for path in (same, edited, others):
        path.write_text(path.name)
    md5 = hashlib.md5(b"same.conf").hexdigest()
    (tmp_path / "registry").write_text(f"a\t{same}\na\t{edited}\nb\t{others}\n")
    (tmp_path / "hashfile").write_text(f"{md5}  {same}\n0123  {edited}\n0123  {others}\n")
    monkeypatch.setattr(packages, "UCF", str(tmp_path))
    module = StubModule(tmp_path / "r.json", [(0, "", ""), (0, "", "")])
    assert packages.Dpkg(module).edited({"a"}) == [str(edited)]


def test_rpm_keeps_what_its_rehearsal_says_is_needed(tmp_path: Path) -> None:
    refusal = "error: Failed dependencies:\n\tlibfuse3.so.3()(64bit) is needed by (installed) site-tool-1-1.x86_64\n"
    answers = [
        (0, "apptainer\t1\nfuse3-libs\t2\nsite-tool\t1\n", ""),
        (1, "", refusal),
        (0, "fuse3-libs\n", ""),
        (0, "", ""),
    ]
    module = StubModule(tmp_path / "r.json", answers)
    assert packages.Rpm(module).removable({"apptainer", "fuse3-libs", "gone"}, {"apptainer"}, {}) == {"apptainer"}
    assert module.commands[-1] == ["rpm", "-e", "--test", "apptainer"]


def test_the_record_is_for_root_alone(host: Path) -> None:
    run(host, {"a.conf": "ours\n"})
    record = host / "lading" / "role.json"
    assert record.stat().st_mode & 0o777 == 0o600
    assert record.parent.stat().st_mode & 0o777 == 0o700
    assert list(json.loads(record.read_text())) == ["files", "folders"]


def test_a_setting_that_was_spoilt_since_goes_back_to_what_it_was_at_first(
    host: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    setting = kernel(host, monkeypatch, "3773", booted=True)
    applied = settings.Settings(StubModule(host / "lading" / "role.json"))
    applied.apply({str(host / "a.conf"): "ours\n"}, {}, [KEY])
    setting.write_text("0\n")
    repaired = settings.Settings(StubModule(host / "lading" / "role.json"))
    repaired.apply({}, {KEY: "15000"}, [KEY])
    assert setting.read_text() == "15000"
    run(host)
    assert setting.read_text() == "3773"
