"""`container-image` takes a definition that is right, and says of another in which line it is wrong."""

import os
from pathlib import Path
from typing import Any

import pytest

INI = "[image]\nsuite = trixie\npackages =\n    base-files\n    libstdc++6\nwithout = usr/share/doc usr/share/man/*\n"


def written(folder: Path, ini: str = INI) -> Path:
    """Write a definition."""
    folder.mkdir(parents=True)
    (folder / "image.ini").write_text(ini)
    (folder / "Containerfile").write_text("FROM scratch\nADD root.tar /\nCOPY setup /setup\n")
    (folder / "parts").mkdir()
    (folder / "parts/setup").write_text("#!/bin/sh\n")
    return folder


def refused(tool: Any, folder: Path) -> str:
    """Return the sentence with which a definition is refused."""
    with pytest.raises(tool.words.Refused) as caught:
        tool.definition.read_definition(folder)
    return str(caught.value)


def test_a_definition_is_read(tool: Any, tmp_path: Path) -> None:
    found = tool.definition.read_definition(written(tmp_path / "wlcg-test"))
    assert (found.name, found.suite, found.packages) == ("wlcg-test", "trixie", ("base-files", "libstdc++6"))
    assert found.without == ("usr/share/doc", "usr/share/man/*")


@pytest.mark.parametrize("name", ["image.ini", "Containerfile"])
def test_a_missing_file_is_named(tool: Any, tmp_path: Path, name: str) -> None:
    (written(tmp_path / "test") / name).unlink()
    assert refused(tool, tmp_path / "test").startswith(f"'{tmp_path}/test/{name}' is not there.")


@pytest.mark.parametrize(
    "ini, sentence",
    [
        (b"[image]\nsuite = trixie\npackages\n  = a\n==\n", "[line 5]"),
        (b"[image]\nsuite = trixie\nsuite = sid\npackages = bash\n", "[line 3]: option 'suite'"),
        (b"suite = trixie\n", "line: 1"),
        (b"[image]\nsuite = \xe4\n", "does not parse"),
    ],
)  # fmt: skip
def test_what_does_not_parse_is_named_with_its_line(tool: Any, tmp_path: Path, ini: bytes, sentence: str) -> None:
    (written(tmp_path / "test") / "image.ini").write_bytes(ini)
    said = refused(tool, tmp_path / "test")
    assert said.startswith(f"'{tmp_path}/test/image.ini' does not parse: ")
    assert sentence in said


@pytest.mark.parametrize(
    "ini, sentence",
    [
        (f"{INI}suit = x\n", ":7: 'suit' is unknown; known are suite, packages, without."),
        (f"{INI}Colour = x\n", ":7: 'colour' is unknown"),
        (f"{INI}# colour = none\ncolour=x\n", ":8: 'colour' is unknown"),
        ("[images]\nsuite = x\n", ":1: there is no section '[image]'."),
        ("[image]\nsuite = trixie\n", "'packages' is missing. Add a line such as 'packages = base-files"),
        ("[image]\nsuite =\npackages = a\n", "'suite' is missing. Add a line such as 'suite = trixie'."),
        (INI.replace("libstdc++6", "libstdc++6\n    Bash"), ":6: 'Bash' cannot be the name of a Debian package."),
        (INI.replace("libstdc++6", "bash,dash"), ":5: 'bash,dash' cannot be"),
        (INI.replace("libstdc++6", "--simulate"), ":5: '--simulate' cannot be"),
        (INI.replace("libstdc++6", "$(reboot)"), ":5: '$(reboot)' cannot be"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_line(tool: Any, tmp_path: Path, ini: str, sentence: str) -> None:
    said = refused(tool, written(tmp_path / "test", ini))
    assert said.startswith(f"{tmp_path}/test/image.ini:")
    assert sentence in said


@pytest.mark.parametrize(
    "path",
    ["..", "../x", "usr/../../x", "/etc", "/", "~/x", "$HOME", "a;b", "'x'", ".*", ".*/x", "usr/.*/.*/x", "-/.."],
)
def test_what_is_left_out_never_climbs_out_of_the_image(tool: Any, tmp_path: Path, path: str) -> None:
    said = refused(tool, written(tmp_path / "test", INI.replace("usr/share/doc", f"usr/x\n    {path}")))
    assert f"image.ini:7: '{path}' is no path below the image's root" in said


@pytest.mark.parametrize("path", ["usr/share/*/x", "etc/.pwd.lock", "usr/lib/lib*.so.*", "*", "var/cache/ldconfig"])
def test_a_path_below_the_root_may_be_left_out(tool: Any, tmp_path: Path, path: str) -> None:
    found = tool.definition.read_definition(written(tmp_path / "test", INI.replace("usr/share/doc", path)))
    assert path in found.without


@pytest.mark.parametrize("name", ["Test", "a--b", "-a", "a b", "a.", ".work", "ä"])
def test_a_name_that_no_registry_takes_is_refused(tool: Any, tmp_path: Path, name: str) -> None:
    assert refused(tool, written(tmp_path / name)).startswith(f"'{name}' cannot be an image's name: ")


def test_a_link_in_a_definition_is_refused(tool: Any, tmp_path: Path) -> None:
    (written(tmp_path / "test") / "parts/key").symlink_to("/etc/hostname")
    assert refused(tool, tmp_path / "test").startswith(f"'{tmp_path}/test/parts/key' is neither a file nor a folder")


def test_the_digest_is_of_what_counts(tool: Any, tmp_path: Path) -> None:
    def digest() -> str:
        return str(tool.definition.read_definition(folder).digest)

    folder = written(tmp_path / "test")
    setup, seen = folder / "parts/setup", [digest()]
    os.utime(setup, (1, 1))
    setup.chmod(0o600)
    assert digest() == seen[0]
    setup.chmod(0o700)
    seen.append(digest())
    setup.write_text("#!/bin/bash\n")
    seen.append(digest())
    setup = setup.rename(folder / "parts/set-up")
    seen.append(digest())
    (folder / os.fsdecode(b"\xe4")).write_text("a name that is not UTF-8\n")
    seen.append(digest())
    assert len(set(seen)) == len(seen)


def test_two_copies_of_a_definition_have_one_digest(tool: Any, tmp_path: Path) -> None:
    digests = {tool.definition.read_definition(written(tmp_path / name / "test")).digest for name in ("a", "b")}
    assert len(digests) == 1
