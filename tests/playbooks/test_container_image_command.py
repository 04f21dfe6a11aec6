"""The command `container-image` as whoever types it meets it: what it explains, and what it says when it refuses."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.playbooks.container_image import FOLDER, WrittenLayout, damage, entry, link, packed
from tests.playbooks.test_container_image_definition import written


def ended(*words: str | Path, area: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a program of its own, on an area."""
    command = [sys.executable, "-B", str(FOLDER / "main.py"), *map(str, words)]
    surroundings = {**os.environ, "CONTAINER_IMAGES": str(area), **environment}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=surroundings)


@pytest.mark.parametrize("words", [[], ["build"], ["convert"], ["verify"], ["status"]])
def test_every_command_explains_itself(tmp_path: Path, words: Sequence[str]) -> None:
    done = ended(*words, "--help", area=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: container-image")


def write_all(folder: Path) -> None:
    """Write what the refusals below are about."""
    good = WrittenLayout(folder / "good", packed(entry("x")))
    WrittenLayout(folder / "undated", packed(entry("x")), created="yesterday")
    damage(WrittenLayout(folder / "changed", packed(entry("x"))).file(good.layers[0]))
    WrittenLayout(folder / "unsafe", packed(link("l", "/etc"), entry("l/x")))
    (folder / "images").mkdir()
    written(folder / "wrong", "[image]\nsuite = trixie\npackages = Bash\n")
    written(folder / "right")
    (folder / "file").write_text("x")


@pytest.mark.parametrize(
    "words, sentence",
    [
        (["build", "none"], "none/image.ini' is not there."),
        (["build", "wrong"], "wrong/image.ini:3: 'Bash' cannot be the name of a Debian package."),
        (["convert", "Test", "good"], "'Test' cannot be an image's name"),
        (["convert", "test", "none"], "is no OCI layout"),
        (["convert", "test", "changed"], "was changed: its content has sha256:"),
        (["convert", "test", "good", "--digest", "sha256:12"], "'good' holds sha256:"),
        (["convert", "test", "undated"], "'undated' was made at 'yesterday', which is no date."),
        (["convert", "test", "unsafe"], "'l/x' below 'l', a link to '/etc', which leads out of the image."),
        (["verify", "none"], "'none/manifest.json' is missing."),
        (["verify", "file"], "'file/manifest.json' is missing."),
        (["status", "right"], "right/current/manifest.json' is missing."),
    ],
)  # fmt: skip
def test_a_refusal_is_one_sentence_and_exit_code_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: Sequence[str], sentence: str
) -> None:
    write_all(tmp_path)
    monkeypatch.chdir(tmp_path)
    done = ended(*words, area=tmp_path / "images")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("container-image: ")
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1
    assert {path.name for path in (tmp_path / "images").iterdir()} <= {".work"}
    assert {path.name for path in (tmp_path / "images").glob(".work/*")} <= {"lock"}


@pytest.mark.parametrize("place", ["none", "file"])
def test_an_area_that_is_none_is_refused(tmp_path: Path, place: str) -> None:
    write_all(tmp_path)
    done = ended("convert", "test", tmp_path / "good", area=tmp_path / place)
    assert done.returncode == 1
    assert done.stderr == (
        f"container-image: '{tmp_path / place}' is no folder that this account can write to. "
        "Make it, or build as its owner.\n"
    )


def test_a_program_that_is_missing_is_named(tmp_path: Path) -> None:
    write_all(tmp_path)
    done = ended("build", tmp_path / "right", area=tmp_path / "images", PATH=str(tmp_path))
    assert (done.returncode, done.stderr) == (1, "container-image: 'apt-get' is not installed.\n")


@pytest.mark.parametrize(
    "error, said",
    [
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device."),
        (OSError(errno.ENOSPC, "No space left on device", "/srv/x"), "'/srv/x': No space left on device."),
        (shutil.Error([("a", "b", "No space left on device")]), "No space left on device"),
    ],
)
def test_a_full_disk_is_told_in_one_sentence(
    tool: Any, monkeypatch: pytest.MonkeyPatch, error: OSError, said: str
) -> None:
    def fail(_: Any) -> None:
        raise error

    monkeypatch.setattr(tool.main, "status", fail)
    monkeypatch.setattr(sys, "argv", ["container-image", "status", "x"])
    mask = os.umask(0o022)
    with pytest.raises(SystemExit) as ended:
        tool.main.main()
    os.umask(mask)
    assert said in str(ended.value)
    assert "None" not in str(ended.value)
    assert str(ended.value).endswith(". What was published before is as it was.")


def test_what_a_program_says_last_is_told_whatever_its_bytes(tool: Any) -> None:
    with pytest.raises(tool.words.Refused, match=r"^'sh' ended with 3:\nno \ufffd$"):
        tool.words.run(["sh", "-c", r"printf 'no \344\n' >&2; exit 3"])


STUCK = """#!/bin/sh
# Interrupted, it tidies up, which takes a moment.
trap 'sleep 0.5; echo tidied >@/tidied; exit 1' INT
touch @/began
while :; do sleep 0.1; done
"""
INTERRUPTED = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background of a shell it is ignored
sys.path.insert(0, {folder!r})
import build, main
build.surroundings = lambda *_: {{"PATH": {path!r}}}
main.main()
"""


def test_an_interruption_waits_and_sweeps_and_ends_with_a_sentence_and_130(tmp_path: Path) -> None:
    write_all(tmp_path)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/apptainer").write_text(STUCK.replace("@", str(tmp_path)))
    (tmp_path / "bin/apptainer").chmod(0o755)
    program = INTERRUPTED.format(folder=str(FOLDER), path=f"{tmp_path}/bin:/usr/bin:/bin")
    command = [sys.executable, "-B", "-c", program, "convert", "test", str(tmp_path / "good")]
    surroundings = {**os.environ, "CONTAINER_IMAGES": str(tmp_path / "images")}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=surroundings, start_new_session=True
    ) as running:
        deadline = time.monotonic() + 30
        while not (tmp_path / "began").exists():
            assert running.poll() is None, running.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        os.killpg(running.pid, signal.SIGINT)
        output, complaint = running.communicate(timeout=30)
    assert (running.returncode, output) == (130, ""), complaint
    assert complaint == "container-image: It was interrupted. What was published before is as it was.\n"
    assert (tmp_path / "tidied").exists()
    assert {path.name for path in (tmp_path / "images/.work").iterdir()} == {"lock"}
    assert not (tmp_path / "images/test").exists()
