"""What `container-image` has other programs do, and the hook that works on the packages before they are packed."""

import hashlib
import os
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.playbooks.test_container_image_definition import FAMILY, family, written

DPKG_DEB = '#!/bin/sh\ncase $2 in *broken*) exit 2 ;; esac\necho "Package: from-the-control-file"\n'


DEB = "var/cache/apt/archives/libfit1_1.0-1_amd64.deb"


def recorded(tool: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Return the programs that a build of a definition runs."""
    calls: list[list[str]] = []

    def run(arguments: list[str], *_: Any, **__: Any) -> str:
        calls.append(arguments)
        return ""

    monkeypatch.setattr(tool.build, "run", run)
    monkeypatch.setattr(tool.build, "remove", lambda *_: None)
    work = folder.parent / "work"
    work.mkdir()
    tool.build.build_oci(tool.definition.read_definition(folder), ["deb x trixie main"], 1700000000, work)
    return [call for call in calls if call[0] != "apt-config"]


def option(call: Sequence[str], name: str) -> str:
    """Return what an option of a command says, written either way."""
    found = [word.removeprefix(f"{name}=") for word in call if word.startswith(f"{name}=")]
    return found[0] if found else call[call.index(name) + 1]


def test_one_image_is_the_last_stage(tool: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unpack, build = recorded(tool, written(tmp_path / "fit"), monkeypatch)
    assert unpack[0] == "mmdebstrap"
    assert option(unpack, "--include") == "base-files,libstdc++6"
    work = tmp_path / "work"
    assert option(unpack, "--extract-hook") == f'sh {work}/hook "$1"'
    assert unpack[-3:] == ["trixie", f"{work}/context/root.tar", f"{work}/sources"]
    assert build[0] == "buildah"
    assert "--target" not in build
    assert option(build, "--tag") == f"oci:{work}/fit/oci:fit"
    assert {"--timestamp=1700000000", "--build-arg=SOURCE_DATE_EPOCH=1700000000"} <= set(build)


def test_each_image_of_several_is_its_stage(tool: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = recorded(tool, family(tmp_path / "fit"), monkeypatch)
    unpacked, built = calls[:2], calls[2:]  # the user's has no packages of its own
    work = tmp_path / "work"
    context = work / "context"
    assert [option(call, "--include") for call in unpacked] == ["base-files", "base-files,gcc,gdb"]
    assert [call[-2] for call in unpacked] == [f"{context}/root.tar", f"{context}/developer.tar"]
    assert option(unpacked[1], "--extract-hook") == f'sh {work}/hook "$1" {context}/root.tar'
    assert [option(call, "--target") for call in built] == ["runtime", "developer", "user"]
    assert [option(call, "--tag").rpartition(f"{work}/")[2] for call in built] == [
        "fit/oci:fit", "fit-developer/oci:fit-developer", "fit-user/oci:fit-user",
    ]  # fmt: skip


def test_a_folder_with_a_blank_is_one_word_of_the_hook(
    tool: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a b").mkdir()
    calls = recorded(tool, family(tmp_path / "a b/fit", FAMILY), monkeypatch)
    assert option(calls[1], "--extract-hook").endswith(f""" "$1" '{tmp_path / "a b" / "work"}/context/root.tar'""")


class Unpacked:
    """A tree of unpacked packages, and the hook to run on it."""

    def __init__(self, tool: Any, folder: Path) -> None:
        self.tool, self.tree, self.programs = tool, folder / "tree", folder / "programs"
        for name in ("usr/bin/tool", "usr/share/doc/tool/readme", DEB):
            self.add(name)
        self.programs.mkdir()
        (self.programs / "dpkg-deb").write_text(DPKG_DEB)
        (self.programs / "dpkg-deb").chmod(0o755)

    def add(self, name: str) -> None:
        (self.tree / name).parent.mkdir(parents=True, exist_ok=True)
        (self.tree / name).write_text(name)

    def hook(self, *below: Path, without: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
        text = self.tool.build.HOOK + "".join(f"leave_out ./{path}\n" for path in without)
        environment = {**os.environ, "PATH": f"{self.programs}:{os.environ['PATH']}"}
        command = ["sh", "-c", text, "hook", str(self.tree), *map(str, below)]
        return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)

    @property
    def files(self) -> set[str]:
        return {str(path.relative_to(self.tree)) for path in self.tree.rglob("*") if not path.is_dir()}


@pytest.fixture
def unpacked(tool: Any, tmp_path: Path) -> Unpacked:
    return Unpacked(tool, tmp_path)


STATUS = "var/lib/dpkg/status.d/libfit1"


def test_the_hook_notes_each_package_with_its_sum(unpacked: Unpacked) -> None:
    assert unpacked.hook().returncode == 0
    assert unpacked.files == {"usr/bin/tool", "usr/share/doc/tool/readme", STATUS}
    found = hashlib.sha256(DEB.encode()).hexdigest()
    assert (unpacked.tree / STATUS).read_text() == f"Package: from-the-control-file\nSHA256: {found}\n"


def test_a_package_that_cannot_be_read_stops_the_hook(unpacked: Unpacked) -> None:
    unpacked.add("var/cache/apt/archives/broken_1_amd64.deb")
    assert unpacked.hook().returncode != 0


def test_what_is_left_out_may_be_missing_from_one_image(unpacked: Unpacked) -> None:
    done = unpacked.hook(without=["usr/share/doc", "usr/libexec/*/lto1", "nowhere/at/all"])
    assert (done.returncode, done.stderr) == (0, "")
    assert unpacked.files == {"usr/bin/tool", STATUS}


def test_what_is_left_out_never_lies_outside(unpacked: Unpacked, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/file").write_text("the host's")
    (unpacked.tree / "out").symlink_to(tmp_path / "outside")
    done = unpacked.hook(without=["out/file"])
    assert done.returncode != 0
    assert "'./out/file' cannot be left out: it leads out of the image." in done.stderr
    assert (tmp_path / "outside/file").exists()


def test_what_an_image_builds_on_is_not_packed_again(unpacked: Unpacked, tmp_path: Path) -> None:
    odd = "usr/share/odd \N{LATIN SMALL LETTER A WITH DIAERESIS} 'name'\\n"
    for name in (odd, "usr/bin/more", "-rf"):
        unpacked.add(name)
    (unpacked.tree / "bin").symlink_to("usr/bin")
    archives = []
    for number, names in enumerate([["usr/bin/tool", odd], ["bin", "-rf", "usr/bin/gone"]]):
        archives.append(tmp_path / f"{number} below.tar")
        with tarfile.open(archives[-1], "w") as archive:
            for name in names:
                archive.addfile(tarfile.TarInfo(f"./{name}"))
    folder = tarfile.TarInfo("./usr/share")
    folder.type = tarfile.DIRTYPE
    with tarfile.open(archives[0], "a") as archive:
        archive.addfile(folder)
    unpacked.add("usr/share/doc/tool/readme")
    done = unpacked.hook(*archives)
    assert (done.returncode, unpacked.files) == (0, {"usr/bin/more", "usr/share/doc/tool/readme", STATUS}), done.stderr


TARGETS = (
    "\x1etrixie\x1fhttp://a.example\x1ftrixie main\x1f$(SIGNED_BY)\n"
    "\x1etrixie-security\x1fhttp://b.example\x1ftrixie-security main\x1f/k.gpg,/l.gpg\n"
    "\x1e$(CODENAME)\x1fhttp://flat.example\x1f./ $(COMPONENT)\x1f$(SIGNED_BY)\n"
)
INSIDE = "-----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mQINBGAEHQwBEAC7\n -----END PGP PUBLIC KEY BLOCK-----"


@pytest.fixture
def lists(tool: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x_InRelease").write_text("Codename: trixie\nDate: Sat, 21 Nov 2026 10:00:00 UTC\n")
    monkeypatch.setattr(tool.build, "LISTS", tmp_path)


@pytest.mark.usefixtures("lists")
def test_sources_without_a_key_of_their_own_name_none(tool: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = f"\x1esid\x1fhttp://c.example\x1fsid main\x1f{INSIDE}\n"  # it is none of ours
    monkeypatch.setattr(tool.build, "run", lambda _: TARGETS + inside)
    sources, epoch = tool.build.package_sources("trixie")
    assert sources == [
        "deb [signed-by=/k.gpg,/l.gpg] http://b.example trixie-security main",
        "deb http://a.example trixie main",
    ]
    assert epoch == 1795255200


@pytest.mark.usefixtures("lists")
def test_a_source_with_its_key_inside_is_refused_with_a_sentence(tool: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = f"\x1etrixie\x1fhttp://c.example\x1ftrixie main\x1f{INSIDE}\n"
    monkeypatch.setattr(tool.build, "run", lambda _: TARGETS + inside)
    with pytest.raises(tool.words.Refused, match=r"^apt's source 'http://c\.example' has its key inside") as refused:
        tool.build.package_sources("trixie")
    assert "\n" not in str(refused.value)


UNSHARE = """#!/bin/sh
[ "$1" = unshare ] && [ -d "$XDG_RUNTIME_DIR" ] && [ -d "$HOME" ] || exit 1
mkdir "$XDG_RUNTIME_DIR/libpod" && shift && exec "$@"
"""
"""Stands in for buildah, which looks into both folders, and leaves something there."""


@pytest.mark.parametrize("works", [True, False])
def test_rests_go_whatever_the_caller_has_for_a_home(
    tool: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], works: bool
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/buildah").write_text(UNSHARE)
    (tmp_path / "bin/buildah").chmod(0o755 if works else 0o644)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH'] if works else ''}")
    for name in ("HOME", "XDG_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "nowhere"))
    (tmp_path / "work").mkdir()
    rests, file, link = (tmp_path / "work" / name for name in ("storage", "file", "link"))
    (rests / "vfs").mkdir(parents=True)
    file.touch()
    link.symlink_to(tmp_path)
    real = tool.build.shutil.rmtree
    # Files of subordinate users are nothing that this account could remove.
    monkeypatch.setattr(
        tool.build.shutil, "rmtree", lambda path, **more: None if Path(path) == rests else real(path, **more)
    )
    tool.build.remove(rests, file, link, tmp_path / "work/none")
    assert list((tmp_path / "work").iterdir()) == ([] if works else [rests])
    told = f"container-image: '{rests}' could not be removed; remove it as root.\n"
    assert capsys.readouterr().err == ("" if works else told)
    assert (tmp_path / "bin").is_dir()


def compiled(source: Path, name: str, head: bytes) -> None:
    """Write a compiled file of a source, with that beginning."""
    (source.parent / name).parent.mkdir(exist_ok=True)
    (source.parent / name).write_bytes(head + bytes(20))


def test_a_python_source_keeps_the_time_that_its_compiled_file_names(
    tool: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree, time = tmp_path / "tree", 1600000000
    (tree / ".singularity.d").mkdir(parents=True)
    (tree / ".singularity.d/labels.json").write_text("{}")
    written = time.to_bytes(4, "little")
    magic, plain, hashed = b"\xcb\r\r\n", bytes(4), b"\x03\0\0\0"
    forms = {
        "now.py": ("__pycache__/now.cpython-313.pyc", magic + plain + written),
        "optimised.py": ("__pycache__/optimised.cpython-313.opt-1.pyc", magic + plain + written),
        "old.py": ("old.pyc", b"\x03\xf3\r\n" + written),
        "stale.py": ("__pycache__/stale.cpython-313.pyc", magic + plain + (time - 1).to_bytes(4, "little")),
        "hashed.py": ("__pycache__/hashed.cpython-313.pyc", magic + hashed + b"12345678"),
        "empty.py": ("__pycache__/empty.cpython-313.pyc", b""),
        "other.py": ("__pycache__/another.cpython-313.pyc", magic + plain + written),
        "text.txt": ("__pycache__/text.cpython-313.pyc", magic + plain + written),
    }
    for name, (beside, head) in forms.items():
        (tree / name).write_text("x = 1\n")
        os.utime(tree / name, (time, time))
        compiled(tree / name, beside, head[: len(head)])
    monkeypatch.setattr(tool.build, "run", lambda *_: "")
    (tmp_path / "tmp").mkdir()
    tool.build.build_tree(tmp_path, 1700000000)
    kept = {name for name in forms if (tree / name).stat().st_mtime == time}
    assert kept == {"now.py", "optimised.py", "old.py"}
    others = {path.lstat().st_mtime for path in tree.rglob("*") if path.name not in kept}
    assert others == {1700000000}


def test_python_takes_what_was_compiled_before_the_tree_got_its_date(
    tool: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = tmp_path / "tree"
    (tree / ".singularity.d").mkdir(parents=True)
    (tree / ".singularity.d/labels.json").write_text("{}")
    (tree / "answer.py").write_text("print('compiled once')\n")
    python = [sys.executable, "-c", "import answer"]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    environment.pop("SOURCE_DATE_EPOCH", None)  # with it Python notes a digest, and no time
    subprocess.run(python, check=True, cwd=tree, env=environment, capture_output=True)
    (made,) = (tree / "__pycache__").iterdir()
    before = made.read_bytes()
    monkeypatch.setattr(tool.build, "run", lambda *_: "")
    tool.build.build_tree(tmp_path, 1700000000)
    said = subprocess.run([*python[:1], "-v", *python[1:]], check=True, cwd=tree, env=environment, capture_output=True)
    assert b"answer.cpython" in said.stderr
    assert b"matches" in said.stderr
    assert b"wrote" not in said.stderr
    assert made.read_bytes() == before


def test_packing_leaves_files_the_times_that_they_have(
    tool: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[list[str], dict[str, str]]] = []

    def run(arguments: list[str], environment: dict[str, str]) -> str:
        calls.append((arguments, environment))
        (tmp_path / "tmp/squashfs").touch()
        return ""

    monkeypatch.setattr(tool.build, "run", run)
    tool.build.build_sif(tmp_path, "fit", 1000)  # as old as an image without a date of its own
    packing = [call for call in calls if call[0][0] == "mksquashfs"]
    its = [(call[call.index("-mkfs-time") + 1], "SOURCE_DATE_EPOCH" in environment) for call, environment in packing]
    assert its == [("1000", False)]
    assert len(calls) == 4
