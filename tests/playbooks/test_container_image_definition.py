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
    (image,) = found.images
    assert (found.name, found.suite, image.name, image.stage) == ("wlcg-test", "trixie", "wlcg-test", None)
    assert (image.packages, image.archive, image.below) == (("base-files", "libstdc++6"), "root.tar", ())
    assert found.without == ("usr/share/doc", "usr/share/man/*")
    assert found.of(image) == ""


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
        (f"{INI}suit = x\n", ":7: 'suit' is unknown; known are suite, packages, without, stage."),
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


STAGES = """\
# The run-time image, with FROM nothing AS a comment
FROM scratch AS runtime
ADD root.tar /

FROM runtime AS tools
RUN <<EOF
FROM scratch AS heredoc
EOF

from --platform=linux/amd64 tools as Developer
ADD developer.tar /

FROM runtime AS user
COPY --from=developer /a /a
RUN echo \\
FROM scratch AS continued
"""
FAMILY = """\
[image]
suite = trixie
stage = runtime
packages = base-files
[image.user]
[image.developer]
packages = gcc
    gdb
"""


def family(folder: Path, ini: str = FAMILY, containerfile: str = STAGES) -> Path:
    """Write a definition of several images."""
    written(folder, ini)
    (folder / "Containerfile").write_text(containerfile)
    return folder


def test_several_images_are_read_in_the_order_of_their_stages(tool: Any, tmp_path: Path) -> None:
    found = tool.definition.read_definition(family(tmp_path / "fit"))
    assert [(image.name, image.stage) for image in found.images] == [
        ("fit", "runtime"), ("fit-developer", "developer"), ("fit-user", "user"),
    ]  # fmt: skip
    assert [image.packages for image in found.images] == [
        ("base-files",), ("base-files", "gcc", "gdb"), ("base-files",),
    ]  # fmt: skip
    assert [(image.archive, image.below) for image in found.images] == [
        ("root.tar", ()), ("developer.tar", ("root.tar",)), (None, ("root.tar",)),
    ]  # fmt: skip
    assert found.of(found.images[1]) == " of 'fit-developer'"


def test_packages_add_up_along_the_stages(tool: Any, tmp_path: Path) -> None:
    ini = FAMILY.replace("[image.user]", "[image.tools]\npackages = make\n[image.user]")
    found = tool.definition.read_definition(family(tmp_path / "fit", ini))
    developer = next(image for image in found.images if image.stage == "developer")
    assert developer.packages == ("base-files", "make", "gcc", "gdb")
    assert developer.below == ("root.tar", "tools.tar")
    found = tool.definition.read_definition(family(tmp_path / "bare", ini.replace("packages = make\n", "")))
    developer = next(image for image in found.images if image.stage == "developer")
    assert developer.below == ("root.tar",)  # that stage brings no archive


def test_one_image_may_name_its_stage(tool: Any, tmp_path: Path) -> None:
    folder = family(tmp_path / "fit", INI.replace("suite", "stage = tools\nsuite"))
    (image,) = tool.definition.read_definition(folder).images
    assert (image.name, image.stage, image.archive) == ("fit", "tools", "root.tar")


@pytest.mark.parametrize(
    "ini, containerfile, sentence",
    [
        (
            f"{FAMILY}[image.debugger]\n",
            STAGES,
            "image.ini:9: 'debugger' is no stage of the Containerfile; it has runtime, tools, developer, user.",
        ),
        (
            FAMILY.replace("= runtime", "= run-time"),
            STAGES,
            "image.ini:3: 'run-time' is no stage of the Containerfile; it has runtime, ",
        ),
        (f"{FAMILY}[image.heredoc]\n", STAGES, "image.ini:9: 'heredoc' is no stage"),
        (f"{FAMILY}[image.continued]\n", STAGES, "image.ini:9: 'continued' is no stage"),
        (f"{FAMILY}[image.]\n", STAGES, "image.ini:9: '' is no stage"),
        (FAMILY, "FROM scratch\n", "image.ini:3: 'runtime' is no stage of the Containerfile; it has none."),
        (FAMILY.replace("stage = runtime\n", ""), STAGES, "image.ini:1: '[image]' has no 'stage'"),
        (f"{FAMILY}[imag.user]\n", STAGES, "image.ini:9: '[imag.user]' is unknown; write '[image]' or"),
        (f"{FAMILY}suite = sid\n", STAGES, "image.ini:9: 'suite' is unknown; known are packages."),
        (f"{FAMILY}    Make\n", STAGES, "image.ini:9: 'Make' cannot be the name of a Debian package."),
        (
            FAMILY,
            STAGES.replace("FROM runtime AS user", "FROM runtme AS user"),
            "Containerfile:13: 'runtme' is neither 'scratch' nor a stage above.",
        ),
        (
            FAMILY,
            STAGES.replace("FROM runtime AS tools", "FROM developer AS tools"),
            "Containerfile:5: 'developer' is neither 'scratch' nor a stage above.",
        ),
        (FAMILY, STAGES.replace("AS runtime", "AS a--b").replace("runtime", "a--b"), "'runtime' is no stage"),
    ],
)
def test_a_stage_that_is_wrong_is_told_with_its_line(
    tool: Any, tmp_path: Path, ini: str, containerfile: str, sentence: str
) -> None:
    assert sentence in refused(tool, family(tmp_path / "fit", ini, containerfile))


def test_the_line_is_that_of_its_own_section(tool: Any, tmp_path: Path) -> None:
    ini = FAMILY.replace("= base-files", "= make").replace("gdb", "gdb Make")
    assert ":8: 'Make' cannot be" in refused(tool, family(tmp_path / "fit", ini))


def test_two_definitions_never_claim_one_name(tool: Any, tmp_path: Path) -> None:
    family(tmp_path / "fit-user")
    assert refused(tool, family(tmp_path / "fit")).endswith(
        "image.ini:5: 'fit-user' is a definition of its own already."
    )


def test_a_stage_whose_name_no_registry_takes_is_refused(tool: Any, tmp_path: Path) -> None:
    ini, containerfile = (text.replace("user", "us--er") for text in (FAMILY, STAGES))
    assert "'fit-us--er' cannot be an image's name" in refused(tool, family(tmp_path / "fit", ini, containerfile))


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
