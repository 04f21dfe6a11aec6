"""The role `container_binds`: what its command says of containers, what sessions get, what its checks hold on to."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from lading.project import find_catalogue
from lading.recipe.load import load_recipe
from tests.playbooks.modules import ROLES, load
from tests.playbooks.test_image_checks import checks

ROLE = ROLES / "container_binds"
command = load(ROLE / "files/container-binds.py", "lading_container_binds")
VARS = yaml.safe_load((ROLE / "vars/main.yml").read_text())
RECIPE_FOLDER = ROLES.parents[1] / "recipes/autofs-and-binds"
RECIPE = load_recipe(find_catalogue(start=Path(__file__)), "autofs-and-binds").recipe
CHECKS = checks("autofs-and-binds", "test_binds")

ROOT = "29 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw"
SITE = "257 226 0:108 / /site rw,nosuid {} - autofs /etc/auto.site rw,fd=7"
INSIDE = ["mount " + SITE.format("master:44"), "answers /site/data"]

# Runs the script at once, on the machine itself: 'apptainer --silent exec --cleanenv IMAGE /bin/sh -c SCRIPT sh ...'.
RUNS = '#!/bin/sh\nshift 4\nexec "$@"\n'

Try = Callable[..., tuple[int, str]]


def mounts(*lines: str) -> list[Any]:
    found: list[Any] = command.mounts_of(lines)
    return found


def told(said: list[str], outside: list[Any], complaint: str = "") -> list[str]:
    trial = command.Trial("apptainer", [], ["/site"], ["/site/data"], 1)
    return list(command.findings(trial, 255 if complaint else 0, said, complaint, outside))


@pytest.fixture
def try_it(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Try:
    """Run the command with a program in the place of Apptainer; return its exit code and what it printed."""

    def run(program: str, *words: str, session: str = "/etc,/usr:/of", **settings: Any) -> tuple[int, str]:
        apptainer = tmp_path / "apptainer"
        apptainer.write_text(program)
        apptainer.chmod(0o755)
        file = tmp_path / "settings.json"
        said = {
            "apptainer": str(apptainer),
            "images": ["/i"],
            "paths": ["/etc", "/usr:/of"],
            "probes": [],
            "seconds": 20,
        }
        file.write_text(json.dumps(said | settings))
        monkeypatch.setenv("APPTAINER_BINDPATH", session)
        code = command.main(["--settings", str(file), *words])
        return code, capsys.readouterr().out

    return run


def test_all_is_well_where_containers_get_later_mounts() -> None:
    outside = mounts(ROOT, SITE.format("shared:7"))
    assert told(INSIDE, outside) == [
        "ok: /site is in the container",
        "ok: /site gets what autofs mounts later",
        "ok: /site/data answers",
    ]


@pytest.mark.parametrize("inside", ["master:44", ""])
def test_a_private_session_is_told_from_a_private_automount_point(inside: str) -> None:
    """In a private session Apptainer may make a peer group that begins in the container: that helps nobody."""
    said = ["mount " + SITE.format(inside)]
    private = SITE.format("")
    assert command.SESSION in told(said, mounts(ROOT.replace("shared:1 ", ""), private))[1]
    assert command.NODE in told(said, mounts(ROOT, private))[1]


def test_settings_of_apptainer_are_the_cause_where_the_session_has_all() -> None:
    said = ["mount " + SITE.format(""), "silent ls: cannot access '/site/data/.': " + command.TOO_MANY]
    assert told(said, mounts(ROOT, SITE.format("shared:7")))[1:] == [
        f"trouble: /site gets nothing that autofs mounts later: {command.SLAVE}.",
        f"trouble: cannot access '/site/data/.': {command.TOO_MANY}",
    ]


@pytest.mark.parametrize(
    "complaint,meaning",
    [
        ("mount source /site/x doesn't exist", "/site/x is not on the node"),
        ("destination /no/such doesn't exist in container", "the image has no /no/such"),
        ("could not mount /site/x: too many levels of symbolic links", "this session gets no mounts"),
        ("could not mount /site/x: not a directory", "a folder is bound onto a file"),
    ],
)
def test_messages_of_apptainer_are_explained(complaint: str, meaning: str) -> None:
    (line,) = told([], [], f"WARNING: x\nFATAL:   container creation failed: {complaint}")
    assert line.startswith("trouble: no container started (exit code 255): WARNING: x / FATAL:")
    assert meaning in line


def test_a_path_that_is_no_mount_of_the_container_is_trouble() -> None:
    assert told([f"mount {ROOT}"], mounts(ROOT)) == ["trouble: /site is not in the container."]


def test_probes_are_looked_at_where_the_container_has_them(try_it: Try) -> None:
    code, said = try_it(RUNS, probes=["/etc/ssl", "/usr/bin", "/srv/of/nobody"])
    assert code == 1  # nothing is bound, since this is no Apptainer
    assert "trouble: /of is not in the container." in said
    assert "ok: /etc/ssl answers" in said
    assert "trouble: cannot access '/of/bin/.': No such file or directory" in said
    assert "nobody" not in said


def test_what_the_session_does_not_name_is_trouble_and_is_tried_still(try_it: Try) -> None:
    code, said = try_it(RUNS, session="/etc")
    assert code == 1
    assert said.startswith("trouble: APPTAINER_BINDPATH of this session does not name /usr:/of.\nimage /i\n")


def test_an_apptainer_that_is_not_there_is_told(try_it: Try) -> None:
    code, said = try_it(RUNS, apptainer="/no/such/apptainer")
    assert code == 1
    assert "trouble: no container started (exit code 127): /no/such/apptainer: No such file or directory" in said


def test_a_container_that_hangs_is_told(try_it: Try) -> None:
    code, said = try_it("#!/bin/sh\nexec sleep 20\n", seconds=1)
    assert code == 1
    assert "it did not end in 1 s" in said


def test_idle_waits_for_mounts_alone_and_not_for_folders(try_it: Try) -> None:
    """What is no mount cannot be unmounted, so nobody waits for it."""
    _, said = try_it(RUNS, "--idle", "15", probes=["/etc/ssl"])
    assert said.count("ok: /etc/ssl answers") == 1
    assert "unmounted" not in said


def test_wrong_settings_are_told_and_end_with_2(
    try_it: Try, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert try_it(RUNS, images=[])[0] == 2
    assert command.main(["--settings", f"{tmp_path}/none"]) == 2
    (tmp_path / "bad").write_text("{}")
    assert command.main(["--settings", f"{tmp_path}/bad"]) == 2
    said = capsys.readouterr().err
    assert "cannot be read: No such file or directory." in said
    assert "is not what the role writes: 'apptainer'." in said


@pytest.mark.parametrize(
    "before,after", [(None, "/site,/cvmfs"), ("/a:/b", "/a:/b,/site,/cvmfs"), ("/cvmfs", "/cvmfs,/site")]
)
def test_a_session_keeps_what_it_names_and_gets_the_rest_once(before: str | None, after: str) -> None:
    script = RECIPE_FOLDER / "rendered/etc/profile.d/container-binds.sh"
    environment = {"PATH": os.environ["PATH"], **({"APPTAINER_BINDPATH": before} if before else {})}
    line = f'. {script}; . {script}; echo "$APPTAINER_BINDPATH|$SINGULARITY_BINDPATH"'
    ran = subprocess.run(["sh", "-euc", line], env=environment, capture_output=True, text=True, check=True)
    assert ran.stdout == f"{after}|{after}\n"


def asked(tmp_path: Path, settings: str) -> list[str]:
    """Return what the question to the host finds of Apptainer's settings and of a path."""
    conf, apptainer = tmp_path / "apptainer.conf", tmp_path / "apptainer"
    conf.write_text(settings)
    apptainer.write_text(f"#!/bin/sh\necho {conf}\n")
    apptainer.chmod(0o755)
    private = VARS["container_binds_is_private"]
    question = VARS["container_binds_question_host"].replace("{{ container_binds_is_private }}", private)
    question = question.replace("{{ container_binds_record }}", str(tmp_path / "record"))
    argv = ["sh", "-c", question, "sh", "/site", str(apptainer), "5", "no-such-account", "/etc", "", "0"]
    ran = subprocess.run(argv, capture_output=True, text=True, check=True)
    return [line.split(" ")[0] for line in ran.stdout.splitlines() if line != "root private"]


@pytest.mark.parametrize(
    "settings,found",
    [
        ("mount slave = yes\nenable overlay = yes\nenable underlay = yes\n", []),
        ("mount slave = no\n", ["slave"]),
        ("# mount slave = no\nenable overlay = no\nenable underlay = yes\n", []),
        ("enable overlay=no\n enable underlay = no \nuser bind control = no\n", ["layers", "control"]),
    ],
)
def test_settings_that_spoil_binds_are_found(tmp_path: Path, settings: str, found: list[str]) -> None:
    assert asked(tmp_path, settings) == ["account", *found]


def test_each_finding_has_a_sentence() -> None:
    tasks = yaml.safe_load((ROLE / "tasks/preflight.yml").read_text())
    sentences = set(tasks[-1]["vars"]["container_binds_sentences"])
    question = VARS["container_binds_question_host"]
    words = {line.split('echo "')[1].split(" ")[0] for line in question.split("\n") for _ in [0] if 'echo "' in line}
    assert words - {"missing"} <= sentences


@pytest.mark.parametrize(
    "mounted,code,said", [("/site/data", 1, "umount: busy\n/site/data is not let go.\n"), ("/site2/data", 0, "")]
)
def test_undo_refuses_only_what_is_mounted_still(tmp_path: Path, mounted: str, code: int, said: str) -> None:
    """An unmount by autofs in between is fine: what umount(8) says then is no refusal."""
    mounts = tmp_path / "mounts"
    mounts.write_text(f"server:/data {mounted} nfs4 rw 0 0\n")
    umount = tmp_path / "umount"
    umount.write_text("#!/bin/sh\necho 'umount: busy' >&2; exit 32\n")
    umount.chmod(0o755)
    script = VARS["container_binds_unmount"].replace("/proc/self/mounts", str(mounts))
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    ran = subprocess.run(["sh", "-c", script, "/site"], env=environment, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (code, said)


def test_a_node_is_undrained_only_after_containers_have_run() -> None:
    assert yaml.safe_load((ROLE / "tasks/present.yml").read_text())[-1]["name"].startswith("Refuse to go on")


def test_the_page_shows_the_files_that_the_lab_installs() -> None:
    lab = {name: variable.in_lab for name, variable in RECIPE.variables.items()}
    shown = json.loads((RECIPE_FOLDER / "rendered/etc/container-binds.json").read_text())
    folder = lab["container_binds_folder"]
    assert shown["paths"] == [folder, *lab["container_binds_paths"]]
    assert shown["images"] == lab["container_binds_images"]
    own = [f"{folder}/{name}" for name in lab["container_binds_automounts"]]
    assert shown["probes"] == own + lab["container_binds_probes"]
    assert (shown["apptainer"], shown["seconds"]) == (
        lab["container_binds_apptainer"],
        lab["container_binds_try_seconds"],
    )
    map_shown = (RECIPE_FOLDER / "rendered/etc/auto.container-binds").read_text()
    assert all(f"\n{name} {entry}\n" in map_shown for name, entry in lab["container_binds_automounts"].items())
    assert (
        f"--timeout={lab['container_binds_idle']}\n"
        in (RECIPE_FOLDER / "rendered/etc/auto.master.d/container-binds.autofs").read_text()
    )


def test_the_lab_serves_what_its_variables_name() -> None:
    assert RECIPE.stand_ins.cvmfs
    served = RECIPE.stand_ins.cvmfs.repositories
    named = [*RECIPE.variables["container_binds_images"].in_lab, *RECIPE.variables["container_binds_probes"].in_lab]
    for path in (path for path in named if path.startswith("/cvmfs/")):
        _, _, repository, *inside = path.split("/")
        assert not inside or inside[0] in " ".join(RECIPE.images[served[repository]].setup)
