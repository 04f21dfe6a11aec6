"""The command `payload-isolation` and its role: what it tells and refuses, and that page, table and check are one."""

import csv
import getpass
import inspect
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader  # type: ignore[import-untyped]  # it has no type hints
from ansible.template import Templar, trust_as_template  # type: ignore[import-untyped]  # neither has this

from lading.project import find_catalogue
from lading.recipe.load import load_recipe
from tests.playbooks.modules import ROLES
from tests.playbooks.test_image_checks import checks

CATALOGUE = find_catalogue(start=Path(__file__))
RECIPE = load_recipe(CATALOGUE, "payload-isolation").recipe
ROLE = ROLES / "payload_isolation"
PROGRAM = ROLE / "files/payload-isolation.py"
DROP_IN = ROLE / "files/90-payload-isolation.conf"
VARIABLES = yaml.safe_load((ROLE / "vars/main.yml").read_text())
PAGE = (CATALOGUE.root / "docs/paths/compute/payload-isolation.md").read_text()
LIMIT = 60


def program() -> ModuleType:
    """Return the program as a module."""
    module = ModuleType("payload_isolation")
    sys.modules[module.__name__] = module  # NamedTuple looks there
    exec(compile(PROGRAM.read_text(), str(PROGRAM), "exec"), module.__dict__)
    return module


def ladder() -> dict[str, dict[str, str]]:
    """Return the file that page and check are held to: for each thing, how each rung stands to it."""
    with (CATALOGUE.root / "recipes/payload-isolation/ladder.csv").open(newline="") as lines:
        return {line.pop("sees"): line for line in csv.DictReader(lines)}


def cells(line: str) -> list[str]:
    return [cell.strip().replace("`", "") for cell in line.strip("|\n").split("|")]


def table(title: str) -> list[list[str]]:
    """Return a table of the page, head first, without the line of dashes."""
    lines = PAGE[PAGE.index(f"| {title} |") :].split("\n\n")[0].splitlines()
    return [cells(line) for line in lines if not line.startswith("| ---")]


def asked(*words: str) -> list[str]:
    """Return what the role's question says."""
    script = VARIABLES["payload_isolation_question"].replace('runuser -u "$account" --', "env")
    script = "systemctl() { echo not-found; }\n" + script.replace("[ -d /run/systemd/system ]", "true")
    ran = subprocess.run(["sh", "-c", script, "sh", *words], capture_output=True, text=True, check=False, timeout=LIMIT)
    assert ran.stderr == ""
    return [line for line in ran.stdout.splitlines() if line != "no groups"]


def test_the_file_has_the_rungs_and_the_things_of_the_command() -> None:
    known = program()
    assert list(ladder()) == list(known.SEES)
    for line in ladder().values():
        assert list(line) == [rung.title for rung in known.LADDER]
        assert set(line.values()) <= {"x", ".", "?"}


def test_every_attempt_succeeds_without_a_container() -> None:
    """Else a point in the table would say nothing of the option above it."""
    assert {line["no container"] for line in ladder().values()} == {"x"}


def test_the_page_shows_what_the_file_holds() -> None:
    known, shown = program(), ladder()
    head, *rows = table("What the payload reaches")
    assert [row[0] for row in rows] == list(known.SEES.values())
    for name, row in zip(known.SEES, rows, strict=True):
        wanted = [{"x": "yes", ".": "–"}[shown[name][rung]] for rung in head[1:]]
        assert row[1:] == wanted, f"'{row[0]}': the file says {wanted}, and the page {row[1:]}."


def test_the_page_tells_what_each_option_takes_away() -> None:
    known, shown = program(), ladder()
    _, *rows = table("Option")
    single = [rung.title for rung in known.LADDER if rung.options and " --" not in rung.options and not rung.closes]
    assert [option for option, _ in rows] == [rung for rung in single if rung != "--containall"]
    for option, text in rows:
        gone = [known.SEES[name] for name, line in shown.items() if (line["no option"], line[option]) == ("x", ".")]
        assert text == "; ".join(gone)


def test_why_a_container_does_not_start_is_told_without_colours(tmp_path: Path) -> None:
    """Apptainer's starter writes them even where nobody sees colours, as in a job's log."""
    known, apptainer = program(), tmp_path / "apptainer"
    apptainer.write_text("#!/bin/sh\nprintf '\\033[91mERROR : no more\\033[0m\\n' >&2\nexit 255\n")
    apptainer.chmod(0o755)
    rung, where = known.LADDER[1], {"folder": str(tmp_path), "token": "none"}
    assert known.seen(str(apptainer), "image", rung, where, 10) == (set(), "ERROR : no more")


def test_the_transcript_of_the_page_is_the_file() -> None:
    known, shown = program(), ladder()
    found = [({name for name, line in shown.items() if line[rung.title] == "x"}, "...") for rung in known.LADDER]
    found = [
        (sees, why if shown["socket"][rung.title] == "?" else "")
        for rung, (sees, why) in zip(known.LADDER, found, strict=True)
    ]
    told = [line for line in known.table(known.LADDER, found) if "does not start" not in line]
    typed = [line for line in PAGE.splitlines() if not line.startswith("   does not start")]
    assert "\n".join(told) in "\n".join(typed)


@pytest.mark.skipif(os.getuid() != 0, reason="only root is refused")
def test_root_is_refused() -> None:
    argv = [sys.executable, "-I", str(PROGRAM), "--image", "/"]
    ran = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=LIMIT)
    assert ran.returncode == 2
    assert "Root sees everything" in ran.stderr


def test_a_signal_is_told_from_none() -> None:
    known = program()
    with known.process() as (pid, name):
        assert Path(f"/proc/{pid}/comm").read_text() == f"{name}\n"
        assert not known.signalled(pid)
        os.kill(pid, known.signal.SIGUSR1)
        assert known.signalled(pid)


def test_what_is_laid_out_is_taken_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    known = program()
    with known.planted() as where:
        files = [Path(where[name]) for name in ("folder", "home", "tmp", "shm")]
        assert all(file.stat().st_mode & 0o777 == 0o600 for file in files)
        assert f"@{where['token']}" in Path("/proc/net/unix").read_text()
        assert where["segment"] in Path("/proc/sysvipc/shm").read_text()
    assert not any(file.exists() for file in files)
    assert where["segment"] not in Path("/proc/sysvipc/shm").read_text()


def test_the_payload_sees_all_where_nothing_is_contained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    known = program()
    with known.planted() as where:
        sees, why = known.seen("none", "none", known.Rung(None), where, LIMIT)
        closed, _ = known.seen("none", "none", known.Rung(None, closes=True), where, LIMIT)
    assert why == ""
    assert {"process", "environ", "signal", "variable", "folder", "home", "tmp", "shm", "ipc", "socket"} <= sees
    assert "descriptor" in sees
    assert "descriptor" not in closed


def test_the_role_asks_for_what_is_missing_and_what_is_strange(tmp_path: Path) -> None:
    (tmp_path / "command").touch()
    (tmp_path / "image").mkdir()
    record, command, image = (str(tmp_path / name) for name in ("record", "command", "image"))
    me = getpass.getuser()
    said = asked("20", record, "/bin/sh", f"{image}/gone", "a.service", command, "--", me, "no such account")
    wanted = [f"strange {command}", "no account no such account", "no unit a.service"]
    assert said == [*wanted, f"missing {image}/gone (asked as {me})"]
    Path(record).write_text(json.dumps({"files": {command: {}}}))
    assert asked("20", record, "/bin/sh", image, "", command, "--", me) == []


@pytest.mark.parametrize(
    "path, odd", [("/cvmfs/a b/image", False), ("", True), ("image", True), ("/a\n[x]", True), ("/a\n", True)]
)
def test_the_role_refuses_what_is_no_path(path: str, odd: bool) -> None:
    given = {"payload_isolation_apptainer": "/a", "payload_isolation_image": path}
    templar = Templar(loader=DataLoader(), variables=given)
    assert templar.template(trust_as_template(VARIABLES["payload_isolation_odd"])) == ([path] if odd else [])


@pytest.mark.parametrize(
    "given, unfit",
    [
        ({}, []),
        ({"payload_isolation_units": ["slurmd"]}, ["slurmd"]),
        ({"payload_isolation_units": ["a.service\n"]}, ["a.service\n"]),
        ({"payload_isolation_accept": ["all"]}, ["all"]),
        ({"payload_isolation_accounts": ["pilot01", "root"]}, ["root"]),
        ({"payload_isolation_try_seconds": 0}, [0]),  # for timeout(1) that would be for ever
    ],
)
def test_the_role_refuses_before_a_change_what_would_fail_after_it(
    given: dict[str, object], unfit: list[object]
) -> None:
    defaults = yaml.safe_load((ROLE / "defaults/main.yml").read_text())
    tasks = {task["name"]: task for task in yaml.safe_load((ROLE / "tasks/preflight.yml").read_text())}
    expression = tasks["Refuse paths and names that are none"]["vars"]["payload_isolation_unfit"]
    templar = Templar(loader=DataLoader(), variables={**defaults, "payload_isolation_odd": [], **given})
    assert templar.template(trust_as_template(expression)) == unfit


def test_each_service_gets_the_drop_in() -> None:
    given = {"payload_isolation_units": ["a.service", "b@1.service"]}
    templar = Templar(loader=DataLoader(), variables=given)
    paths = templar.template(trust_as_template(VARIABLES["payload_isolation_drop_ins"]))
    assert paths == [f"/etc/systemd/system/{unit}.d/90-payload-isolation.conf" for unit in ("a.service", "b@1.service")]


def test_faults_of_the_recipe_change_the_drop_in(tmp_path: Path) -> None:
    """A fault that no longer fits the file would be made, and turn nothing red."""
    copy = tmp_path / "drop-in"
    text = DROP_IN.read_text()
    for fault in RECIPE.sabotage[:-1]:
        expression = shlex.split(fault.run)[2]
        copy.write_text(text)
        subprocess.run(["sed", "--in-place", expression, str(copy)], check=True)
        assert copy.read_text() != text, f"'{expression}' changes nothing."
        text = copy.read_text()


def test_the_fault_of_the_forgetful_apptainer_forgets_every_option_that_contains() -> None:
    pattern = re.search(r"case \$word in (\S+)\)", RECIPE.sabotage[-1].run)
    assert pattern
    words = {word for rung in program().LADDER for word in (rung.options or "").split() if word.startswith("--")}
    kept = words - {"--no-mount", "--net", "--network"}  # these it hands on, with their values
    for word in kept:
        ran = subprocess.run(["sh", "-c", f"case {word} in {pattern[1]}) ;; *) exit 1 ;; esac"], check=False)
        assert ran.returncode == 0, f"'{word}' is not forgotten."


def test_the_checks_ask_for_every_line_of_the_file() -> None:
    source = inspect.getsource(checks("payload-isolation", "test_isolation"))
    asked_for = {name for call in re.findall(r'differences\(climbed\(seen\["ladder"\]\), (.*?)\)\)', source)
                 for name in re.findall(r'"(\w+)"', call)}  # fmt: skip
    assert asked_for == set(ladder())


def test_a_node_is_undrained_only_after_a_payload_has_run() -> None:
    tasks = yaml.safe_load((ROLE / "tasks/main.yml").read_text())
    assert tasks[-1]["name"] == "Run a contained payload as each pilot account"


def test_drop_ins_are_loaded_even_if_no_payload_runs() -> None:
    """Else a second run would find the files as they should be, and tell systemd nothing."""
    tasks = yaml.safe_load((ROLE / "tasks/main.yml").read_text())
    assert tasks[-2]["ansible.builtin.meta"] == "flush_handlers"
