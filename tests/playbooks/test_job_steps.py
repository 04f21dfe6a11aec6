"""The command `job-steps`, with a stand-in for Apptainer."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest

from tests.playbooks.modules import ROLES, load, tree
from tests.processes import assert_ends, runs

PROGRAM = ROLES / "job_steps/files/job-steps.py"
LIMIT = 30
"""Seconds for a command that must not hang."""

# It takes the options as Apptainer does, and runs the command in the work folder, without any container. In bash, since
# dash would hear signals whoever has blocked them.
APPTAINER = """#!/bin/bash
while :; do
    case $1 in
    --mount)
        case $2 in *',"destination=/srv"') work=${2#'"type=bind","source='} work=${work%'","destination=/srv"'} ;; esac
        shift 2 ;;
    --workdir | --pwd | --bind) shift 2 ;;
    exec | --*) shift ;;
    *) break ;;
    esac
done
shift
cd "$work" && exec "$@"
"""

DEAF = "sh -c 'trap \"\" TERM; echo $$ >pid; for i in $(seq 600); do sleep 0.05; done'"
"""Hears no SIGTERM, and ends some time nevertheless, should a test be killed."""


class Place:
    """A folder with a stand-in for Apptainer, an image that can be used, and the command."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.image = folder, tree(folder / "image")
        self.apptainer = folder / "apptainer"
        self.apptainer.write_text(APPTAINER)
        self.apptainer.chmod(0o755)
        (folder / "site.ini").write_text(f"[site]\napptainer = {self.apptainer}\n")

    def describe(self, *commands: str, more: str = "", job: str = "") -> Path:
        """Write a description with a step for each command; `more` is said of the last one."""
        steps = [f"[step s{number}]\nimage = {self.image}\ncommand = {it}\n" for number, it in enumerate(commands, 1)]
        file = self.folder / "job.ini"
        file.write_text(f"[job]\n{job}\n" + "".join(steps) + more)
        return file

    def start(self, description: Path, run: str = "run", **more: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-IB", str(PROGRAM), str(description), str(self.folder / run)]
        environment = {**os.environ, "JOB_STEPS_SITE": str(self.folder / "site.ini"), **more}
        return subprocess.Popen(
            command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=self.folder
        )

    def ended(self, description: Path, run: str = "run", **more: str) -> tuple[int, str, str]:
        """Run the command; return exit code, output and complaints."""
        with self.start(description, run, **more) as process:
            out, err = process.communicate(timeout=LIMIT)
        return process.returncode, out, err

    def states(self, run: str = "run") -> list[str]:
        return [each["state"] for each in json.loads((self.folder / run / "steps.json").read_text())]

    def wait_for(self, name: str) -> str:
        """Return what a step has written into a file of its work folder, once it has."""
        file, end = self.folder / "run/work" / name, time.monotonic() + LIMIT
        while not (file.exists() and file.read_text().endswith("\n")):
            assert time.monotonic() < end, f"'{file}' does not come."
            time.sleep(0.02)
        return file.read_text().strip()


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture(scope="module")
def program() -> ModuleType:
    return load(PROGRAM, "job_steps")


def test_steps_run_in_order_and_share_the_work_folder(place: Place) -> None:
    code, out, err = place.ended(place.describe("sh -c 'echo one >a'", "cat a", "true"))
    assert (code, err) == (0, "")
    assert re.fullmatch(r"s1: done, [\d.]+ s\ns2: done, [\d.]+ s\ns3: done, [\d.]+ s\n", out)
    assert (place.folder / "run/logs/2-s2.out").read_text() == "one\n"
    assert place.states() == ["done", "done", "done"]
    assert sorted(each.name for each in (place.folder / "run").iterdir()) == ["logs", "steps.json", "work"]


def test_a_failing_step_stops_the_chain_and_its_last_words_are_told(place: Place) -> None:
    code, out, err = place.ended(place.describe("sh -c 'echo why\x1b[1m >&2; exit 3'", "touch never"))
    assert code == 1
    assert err == f"job-steps: step 's1' in '{place.image}': exit code 3.\n  why[1m\n"
    assert out.startswith("s1: exit code 3, ")
    assert place.states() == ["exit code 3", "not run"]
    assert not (place.folder / "run/work/never").exists()


def test_a_folder_is_for_one_run(place: Place) -> None:
    description = place.describe("true")
    assert place.ended(description)[0] == 0
    before = (place.folder / "run/steps.json").read_text()
    code, _, err = place.ended(description)
    assert (code, err) == (
        2,
        f"job-steps: '{place.folder}/run' holds 'steps.json' of another run. Take a new folder.\n",
    )
    assert (place.folder / "run/steps.json").read_text() == before


def test_what_a_step_leaves_in_the_background_is_killed_before_the_next(place: Place) -> None:
    left = "sh -c 'setsid sleep 300 & echo $! >pid'"
    look = "sh -c 'read pid <pid; ! grep -q \"^State:[[:space:]]*[RS]\" /proc/$pid/status'"
    code, out, err = place.ended(place.describe(left, look))
    assert (code, err) == (0, ""), out
    assert not runs(int((place.folder / "run/work/pid").read_text()))


def test_a_signal_reaches_the_step_and_tells_by_the_exit_code(place: Place) -> None:
    trap = "sh -c 'trap \"echo cleaned; exit 0\" TERM; echo $$ >pid; while :; do sleep 0.05; done'"
    with place.start(place.describe(trap, "touch never")) as process:
        place.wait_for("pid")
        process.send_signal(signal.SIGTERM)
        assert process.wait(LIMIT) == 128 + signal.SIGTERM
    assert (place.folder / "run/logs/1-s1.out").read_text() == "cleaned\n"
    assert place.states() == ["ended by signal 15", "not run"]


def test_a_step_hears_all_signals(place: Place) -> None:
    """The command itself waits for some of them, and so has them blocked."""
    assert place.ended(place.describe("grep SigBlk /proc/self/status"))[0] == 0
    assert (place.folder / "run/logs/1-s1.out").read_text().split() == ["SigBlk:", "0" * 16]


def test_a_caller_that_ignores_its_childrens_end_changes_nothing(place: Place) -> None:
    """Some daemons do, and it is inherited."""
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        process = place.start(place.describe("sh -c 'exit 3'"))
    finally:
        signal.signal(signal.SIGCHLD, before)
    with process:
        assert process.wait(LIMIT) == 1
    assert place.states() == ["exit code 3"]


def test_a_step_that_will_not_end_is_killed_when_the_grace_is_over(place: Place) -> None:
    with place.start(place.describe(DEAF, job="grace = 1s")) as process:
        pid = int(place.wait_for("pid"))
        process.send_signal(signal.SIGTERM)
        assert process.wait(LIMIT) == 128 + signal.SIGTERM
    assert not runs(pid)


def test_nobody_listening_and_a_deaf_step_cost_no_processor_and_lose_no_result(place: Place) -> None:
    """The caller has gone, so nothing can be told and nobody waits; the command itself has heard no signal yet."""
    process = place.start(place.describe(DEAF, "touch never", job="grace = 2s"))
    with process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        process.stderr.close()
        pid = int(place.wait_for("pid"))
        time.sleep(1)  # in which a busy loop would use as much processor time
        process.send_signal(signal.SIGTERM)
        time.sleep(1)  # the same, while the step does not hear
        used = sum(map(int, Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[11:13]))
        assert used / os.sysconf("SC_CLK_TCK") < 1, "It has waited in a loop."
        assert process.wait(LIMIT) == 128 + signal.SIGTERM
    assert not runs(pid)
    assert place.states() == ["ended by signal 15", "not run"]


def test_a_step_is_taken_away_although_nobody_listens(place: Place) -> None:
    process = place.start(place.describe("sh -c 'echo >begun; sleep 0.5'", "touch taken"))
    with process:
        assert process.stdout
        process.stdout.close()
        assert process.wait(LIMIT) == 0
    assert (place.folder / "run/work/taken").exists()


def test_a_full_disk_ends_no_chain_by_itself(place: Place) -> None:
    fill = "ln -s /dev/full ../steps.json.new"
    code, out, err = place.ended(place.describe(fill, "touch taken", "rm ../steps.json.new"))
    assert code == 0
    assert "steps.json' cannot be written: No space left on device." in err
    assert "s3: done" in out
    assert (place.folder / "run/work/taken").exists()
    assert place.states() == ["done", "done", "done"]


def test_what_runs_beside_a_shell_that_becomes_the_command_goes_on(place: Place) -> None:
    """A job's script may have started something before its `exec job-steps`."""
    words = [sys.executable, "-IB", str(PROGRAM), str(place.describe("true", "true")), str(place.folder / "run")]
    script = f"sleep 60 >/dev/null 2>&1 & echo $!; exec {shlex.join(words)}"
    environment = {**os.environ, "JOB_STEPS_SITE": str(place.folder / "site.ini")}
    pipe = subprocess.PIPE
    ran = subprocess.run(
        ["sh", "-c", script], env=environment, stdout=pipe, stderr=pipe, text=True, timeout=LIMIT, check=False
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    pid = int(ran.stdout.splitlines()[0])
    assert runs(pid)
    os.kill(pid, signal.SIGKILL)


def test_a_signal_that_the_caller_ignores_is_ignored(place: Place) -> None:
    """So that nohup does what it is for."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        process = place.start(place.describe("sh -c 'echo >begun; sleep 0.5'"))
    finally:
        signal.signal(signal.SIGHUP, before)
    with process:
        place.wait_for("begun")
        process.send_signal(signal.SIGHUP)
        assert process.wait(LIMIT) == 0


def test_closed_standard_files_are_no_trap(place: Place) -> None:
    """What is opened next would be taken for them, the warden's pipe too."""
    words = [sys.executable, "-IB", str(PROGRAM), str(place.describe("true", "false")), str(place.folder / "run")]
    environment = {**os.environ, "JOB_STEPS_SITE": str(place.folder / "site.ini")}
    script = f"exec {shlex.join(words)} <&- >&- 2>&-"
    assert subprocess.run(["sh", "-c", script], env=environment, timeout=LIMIT, check=False).returncode == 1
    assert place.states() == ["done", "exit code 1"]


def test_python_of_the_pilot_is_not_taken(place: Place) -> None:
    """What a job's environment says of Python is meant for other programs."""
    assert PROGRAM.read_text().startswith("#!/usr/bin/python3 -I\n")
    (place.folder / "json.py").write_text("raise SystemExit(9)")
    assert place.ended(place.describe("true"), PYTHONPATH=str(place.folder), PYTHONHOME="/nowhere")[0] == 0


def test_a_step_ends_although_the_command_itself_is_killed(place: Place) -> None:
    with place.start(place.describe("sh -c 'echo $$ >pid; exec sleep 300'")) as process:
        pid = int(place.wait_for("pid"))
        process.kill()
        process.communicate(timeout=LIMIT)  # nobody else holds its output open
    assert_ends(pid)
    assert place.states() == ["running"]


def test_a_step_over_its_time_is_ended(place: Place) -> None:
    code, _, err = place.ended(place.describe("sleep 300", more="time = 1s\n"))
    assert code == 1
    assert "step 's1'" in err
    assert place.states() == ["ended since its 1 s were over"]


def test_locked_leftovers_of_a_step_are_removed(place: Place) -> None:
    place.apptainer.write_text(
        APPTAINER.replace("--workdir |", '--workdir) cd "$2"; shift 2 ;;\n    ').replace('cd "$work" && ', "")
    )
    assert place.ended(place.describe("sh -c 'mkdir -p a/b && touch a/b/c && chmod 0 a/b a'"))[0] == 0
    assert not (place.folder / "run/scratch").exists()


def test_nothing_of_the_caller_gets_to_apptainer(place: Place) -> None:
    with (place.folder / "secret").open("w+") as secret:
        os.set_inheritable(secret.fileno(), True)
        command = "sh -c 'env; ls -l /proc/self/fd'"
        more = "environment =\n    A=$(id) b, c\n    PATH=/x\ncredentials = TOKEN_FILE\n"
        (place.folder / "token").write_text("t")
        given = {"APPTAINER_BINDPATH": "/x", "APPTAINERENV_LEAK": "l", "TOKEN_FILE": str(place.folder / "token")}
        assert place.ended(place.describe(command, more=more), **given)[0] == 0
    lines = (place.folder / "run/logs/1-s1.out").read_text().splitlines()
    assert {line.partition("=")[0] for line in lines if re.match(r"\w+=", line)} - {"PWD", "OLDPWD", "SHLVL", "_"} == {
        "PATH", "LC_ALL", "HOME", "APPTAINER_CONFIGDIR", "APPTAINER_TMPDIR", "APPTAINERENV_A", "APPTAINERENV_PATH",
        "APPTAINERENV_TOKEN_FILE",
    }  # fmt: skip
    assert "APPTAINERENV_A=$(id) b, c" in lines
    assert "APPTAINERENV_TOKEN_FILE=/run/credentials/TOKEN_FILE" in lines
    assert not [line for line in lines if "/secret" in line]


def test_containers_are_apart_and_see_what_is_named(program: ModuleType) -> None:
    step = program.Step("s", "/i", ["run", "it"], ["/a:b,c"], {}, {"T": "/t"}, 0)
    argv = program.argv_of("/apptainer", step, Path("/w"), Path("/s"))
    assert set(argv[: argv.index("--pwd")]) >= {"--userns", "--contain", "--ipc", "--pid", "--cleanenv", "--no-eval"}
    assert argv[-3:] == ["/i", "run", "it"]
    assert [argv[place + 1] for place, word in enumerate(argv) if word == "--mount"] == [
        '"type=bind","source=/w","destination=/srv"',
        '"type=bind","source=/a:b,c","destination=/a:b,c","ro"',
        '"type=bind","source=/t","destination=/run/credentials/T","ro"',
    ]


STEP = "[step s]\nimage = {image}\ncommand = true\n"


@pytest.mark.parametrize(
    "text, complaint",
    [
        ("", "has no [step NAME]"),
        ("nonsense", "is no description: "),
        ("[stop x]\n", "and not [stop x]"),
        ("[step]\n", "and not [step]"),
        ("[site]\napptainer = /x\n" + STEP, "[site] belongs into"),
        ("[step Ab]\nimage = {image}\ncommand = x\n", "a name has small letters"),
        ("[step ../a]\nimage = {image}\ncommand = x\n", "a name has small letters"),
        (STEP + STEP, "is no description: "),
        ("[step s]\ncommand = x\n", "'image' is missing"),
        ("[step s]\nimage = {image}\ncommand =\n", "'command' is missing"),
        ("[step s]\nimage = {image}\ncommand = echo 'a\n", "No closing quotation"),
        (STEP + "network = no\n", "there is no 'network'"),
        ("[step s]\nimage = docker://debian\ncommand = x\n", "'docker://debian' is no absolute path"),
        (STEP + "read = ../etc\n", "read: '../etc' is no absolute path"),
        (STEP + "read = /etc/../root\n", "is no absolute path"),
        (STEP + "time = soon\n", "time: 'soon' is no length of time"),
        (STEP + "time = 0s\n", "is no length of time"),
        (STEP + "environment = A\n", "'A' is no NAME=value"),
        (STEP + "credentials = NOT_SET\n", "NOT_SET is not set where job-steps was started"),
        (STEP + "credentials = SECRET\n", "SECRET holds no absolute path"),
    ],
)
def test_a_wrong_description_is_refused_before_anything_changes(place: Place, text: str, complaint: str) -> None:
    file = place.folder / "job.ini"
    file.write_text(text.format(image=place.image))
    code, out, err = place.ended(file, SECRET="tiptop")
    assert (code, out) == (2, "")
    assert complaint in err
    assert "Traceback" not in err
    assert "tiptop" not in err
    assert not (place.folder / "run").exists()


def test_all_that_is_not_fit_is_named_before_anything_runs(place: Place) -> None:
    tree(place.folder / "foreign", 183 if os.uname().machine != "aarch64" else 62)
    (place.folder / "empty").mkdir()
    (place.folder / "text").write_text("x" * 50)
    (place.folder / "loop/bin").mkdir(parents=True)
    (place.folder / "loop/bin/sh").symlink_to("sh")
    names = ("gone", "foreign", "empty", "text", "loop")
    more = "".join(f"[step {name}]\nimage = {place.folder}/{name}\ncommand = x\n" for name in names)
    code, out, err = place.ended(place.describe("touch ran", more=more + "read = /no/such\n"))
    assert (code, out) == (3, "")
    whys = ("cannot be reached: No such", "is for ", "holds no system", "is neither a folder nor", "holds no system")
    for name, why in zip(names, whys, strict=True):
        assert f"Step '{name}': the container image '{place.folder}/{name}' {why}" in err
    assert "'/no/such', which it is to read, is not there" in err
    assert len(err.splitlines()) == len(names) + 1
    assert not (place.folder / "run").exists()


def test_a_sif_file_is_taken_for_what_its_first_bytes_say(program: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "a.sif").write_bytes(b"#!/usr/bin/env run-singularity\n\0SIF_MAGIC\0" + bytes(100))
    assert program.unfit(tmp_path / "a.sif") == ""


@pytest.mark.parametrize(
    "target, strays",
    [
        ("a", []),
        ("sub/a", []),
        ("/srv/a", []),
        ("/cvmfs/x", []),
        ("/cvmfs", []),
        ("../token", ["link"]),
        ("sub/../../token", ["link"]),
        ("/run/credentials/T", ["link"]),
        ("/cvmfsx", ["link"]),
        ("/srv/../run", ["link"]),
    ],
)
def test_a_link_may_lead_downwards_alone(program: ModuleType, tmp_path: Path, target: str, strays: list[str]) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "link").symlink_to(target)
    assert list(program.strays(tmp_path, ["/cvmfs"])) == strays


def test_a_link_through_a_link_of_an_image_leads_elsewhere(program: ModuleType, tmp_path: Path) -> None:
    """Many an unpacked image has a /var/run that leads to /run, where the credentials of a step are."""
    image, work = tmp_path / "image", tmp_path / "work"
    (image / "var").mkdir(parents=True)
    (image / "var/run").symlink_to("/run")
    (image / "here").symlink_to("var")
    work.mkdir()
    (work / "result").symlink_to(image / "var/run/credentials/T")
    (work / "fine").symlink_to(image / "here")
    assert list(program.strays(work, [str(image)])) == ["result"]


def test_a_link_deep_in_the_work_folder_stops_a_step_with_a_credential_alone(place: Place) -> None:
    (place.folder / "token").touch()
    plant = "sh -c 'mkdir -p a/b; ln -s /run/credentials a/b/result'"
    given = {"T": str(place.folder / "token")}
    assert place.ended(place.describe(plant, "true"), "without", **given)[0] == 0
    code, _, err = place.ended(place.describe(plant, "true", more="credentials = T\n"), **given)
    assert code == 1
    assert "not started, since in the work folder 'a/b/result' leads elsewhere" in err
