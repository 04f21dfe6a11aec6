"""What must be true of the steps of a job, tried as the pilot's account by steps that look for what is not theirs."""

from collections.abc import Mapping
from typing import TypeAlias

import pytest
from testinfra.backend.base import CommandResult
from testinfra.host import Host

from lading.checks.batch import batch
from lading.checks.site import Site

testinfra_hosts = ["ansible://workers"]

Facts: TypeAlias = Mapping[str, CommandResult]

# What a step does that wants more than it is given; it needs no program but those that every image has. The first lines
# tell what it finds, the last ones leave something for the step that comes next.
LOOK = r"""
echo "system $(cat /etc/debian_version)"
for process in /proc/[0-9]*; do echo "process $(tr '\0' ' ' 2>/dev/null <"$process/cmdline")"; done
for path in "$@"; do [ ! -e "$path" ] || echo "sees $path"; done
for path in ~ /tmp /var/tmp /dev/shm; do for file in $(ls -A "$path"); do echo "finds $path/$file"; done; done
env | while read -r line; do echo "variable $line"; done
for file in /proc/self/fd/*; do cat "$file" 2>/dev/null </dev/null; done
for file in "$TOKEN_FILE" /run/credentials/*; do [ ! -f "$file" ] || echo "credential $file $(cat "$file")"; done
for path in ~ /tmp /var/tmp /dev/shm; do echo secret >"$path/left-by-a-step"; done
[ ! -e alive ] || { before=$(cat alive); sleep 0.7; [ "$before" = "$(cat alive)" ] || echo "alive"; }
(while [ $((number += 1)) -lt 300 ]; do echo "$number" >alive; sleep 0.1; done </dev/null >/dev/null 2>&1 &)
sleep 0.3
"""

# What stands for the pilot: a process, an open file, files in its home and in /tmp, and variables that Apptainer reads.
PILOT = """
cd "$BATCH_TMP" && echo the-open-file >open && echo the-token >token && chmod 600 token
export TOKEN_FILE="$BATCH_TMP/token" PILOT_SECRET=of-the-pilot APPTAINERENV_PILOT_SECRET=of-the-pilot
export APPTAINER_BINDPATH="$BATCH_TMP:/of-the-pilot"
mine=$(mktemp ~/of-the-pilot.XXXXXX) && echo secret >"$mine"
sleep 600 & pilot=$!
trap 'rm -f "$mine"; kill "$pilot" 2>/dev/null; true' EXIT
step() { printf '[step %s]\\nimage = %s\\ncommand = %s\\n' "$1" "$2" "$3"; shift 3; for line; do echo "$line"; done; }
"""

# Waits until a file has something in it, or what runs in the background has ended.
UNTIL = 'until_said() { until [ -s "$1" ] || [ ! -e "/proc/$!/exe" ]; do sleep 0.1; done; }\n'

JOBS = {
    "chain": PILOT + """
        mkdir -p chain/work && printf '%s' "$LOOK" >chain/work/look
        look="sh look $mine $BATCH_TMP $BATCH_TMP/token $BATCH_TMP/chain/logs /of-the-pilot"
        step stage-in "$OTHER" "sh -c 'echo events >input; exec $look'" "credentials = TOKEN_FILE" >chain.ini
        step run "$IMAGE" "sh -c 'tr a-z A-Z <input >output; exec $look'" >>chain.ini
        step stage-out "$OTHER" "sh -c 'cat output; exec $look'" "credentials = TOKEN_FILE" >>chain.ini
        exec 9<open; job-steps chain.ini chain; echo "exit code $?"
        """,
    "first": "cat $BATCH_TMP/chain/logs/1-stage-in.out",
    "second": "cat $BATCH_TMP/chain/logs/2-run.out",
    "third": "cat $BATCH_TMP/chain/logs/3-stage-out.out",
    "failing": PILOT + """
        step one "$IMAGE" "sh -c 'echo before; echo why it failed >&2; exit 3'" >failing.ini
        step two "$OTHER" true >>failing.ini
        job-steps failing.ini failing; echo "exit code $?"
        tail -n 5 failing/logs/*; grep '"state"' failing/steps.json
        """,
    "link": PILOT + """
        step one "$IMAGE" "ln -s /run/credentials/TOKEN_FILE result" >link.ini
        step two "$OTHER" "cat result" "credentials = TOKEN_FILE" >>link.ini
        job-steps link.ini link; echo "exit code $?"; cat link/logs/2-two.out
        """,
    "signal": PILOT + UNTIL + """
        step one "$IMAGE" "sh -c 'trap \\"echo ended well; exit 0\\" TERM; echo begun; sleep 600 & wait'" >signal.ini
        step two "$OTHER" true >>signal.ini
        job-steps signal.ini signal & until_said signal/logs/1-one.out
        kill -TERM $!; wait $!; echo "exit code $?"; cat signal/logs/1-one.out; grep '"state"' signal/steps.json
        """,
    "killed": PILOT + UNTIL + """
        step one "$IMAGE" "sh -c 'trap : TERM; for i in \\$(seq 600); do echo >>alive; sleep 0.1; done'" >killed.ini
        job-steps killed.ini killed & until_said killed/work/alive
        kill -KILL $!; wait $!; echo "exit code $?"; sleep 1; before=$(wc -l <killed/work/alive)
        sleep 0.7; [ "$before" = "$(wc -l <killed/work/alive)" ] && echo "it has ended"
        """,
    "images": PILOT + """
        mkdir -p empty other/bin locked && chmod 0 locked && cp "$IMAGE/bin/sh" other/bin/sh
        machine=$(od -An -tu1 -j18 -N1 other/bin/sh); [ $machine = 183 ] && code='\\076' || code='\\267'
        printf "$code" | dd of=other/bin/sh bs=1 seek=18 conv=notrunc status=none
        step good "$IMAGE" "touch ran" >images.ini
        for image in gone empty locked other; do step "$image" "$BATCH_TMP/$image" true; done >>images.ini
        job-steps images.ini images; echo "exit code $?"; ls images; chmod 700 locked
        """,
}  # fmt: skip


@pytest.fixture(scope="module")
def seen(host: Host, site: Site) -> Facts:
    """What all these jobs said, in one round trip."""
    images = site.variables["job_steps_images"]
    assert isinstance(images, list)
    assert images, "job_steps_images names no image, so nothing can be run."
    environment = {"IMAGE": str(images[-1]), "OTHER": str(images[0]), "LOOK": LOOK}
    return batch(host, JOBS, user=site.users.pilot, environment=environment, timeout=120)


def told(result: CommandResult) -> str:
    """Return what a command left, for the message of a failed assertion."""
    return f"it ended with {result.rc} and said: {(result.stdout + result.stderr).strip()[-1500:] or 'nothing'}"


def said(result: CommandResult, word: str) -> list[str]:
    """Return the rest of the lines that begin with a word, of a step that ran to its end."""
    assert "system " in result.stdout, f"The step has not run; {told(result)}"
    return [line.partition(" ")[2] for line in result.stdout.splitlines() if line.split(" ")[0] == word]


def each(seen: Facts) -> dict[str, CommandResult]:
    """Return the logs of the steps that have looked around."""
    assert "exit code 0" in seen["chain"].stdout, told(seen["chain"])
    return {name: seen[name] for name in ("first", "second", "third")}


def test_each_step_runs_in_its_own_image_and_shares_the_work_folder(seen: Facts, site: Site) -> None:
    """Stage-in, run and stage-out each start from the image that they name, and hand on files in the work folder."""
    steps = each(seen)
    systems = [said(step, "system") for step in steps.values()]
    assert systems[0] == systems[2] != [], told(seen["chain"])
    images = site.variables["job_steps_images"]
    assert isinstance(images, list)
    assert systems[0] != systems[1] or images[0] == images[-1], f"All of them are one system: {systems}."
    assert steps["third"].stdout.startswith("EVENTS\n"), told(steps["third"])


def test_step_sees_no_process_but_its_own(seen: Facts) -> None:
    """In /proc a step finds appinit and what it has started itself, and nothing of the pilot or of another step."""
    for step in each(seen).values():
        found = [process.strip() for process in said(step, "process") if process.strip()]
        assert found[:1] == ["appinit"], told(step)
        strange = [
            process for process in found if process.split(" ")[0].rpartition("/")[2] not in {"appinit", "sh", "tr"}
        ]
        assert not strange, f"A step sees {strange}."


def test_step_sees_no_file_of_the_pilot_or_of_another_step(seen: Facts) -> None:
    """Home, /tmp, /var/tmp and /dev/shm are empty at each start; the pilot's files, open ones too, are not there."""
    for step in each(seen).values():
        assert said(step, "sees") == [], told(step)
        assert said(step, "finds") == [], told(step)
        assert "the-open-file" not in step.stdout, told(step)


def test_nothing_of_the_pilots_environment_gets_in(seen: Facts) -> None:
    """A variable of the pilot does not get in, not even by a name that Apptainer hands on; nor do the pilot's binds."""
    for step in each(seen).values():
        assert [line for line in said(step, "variable") if line.startswith("PATH=")], told(step)
        assert "of-the-pilot" not in "\n".join(said(step, "variable")), told(step)


def test_credential_is_given_to_the_steps_that_name_it_alone(seen: Facts) -> None:
    """Stage-in and stage-out can read the token at the path that their variable names; the payload finds neither."""
    steps = each(seen)
    for name in ("first", "third"):
        assert "/run/credentials/TOKEN_FILE the-token" in said(steps[name], "credential"), told(steps[name])
    assert said(steps["second"], "credential") == [], told(steps["second"])
    assert "TOKEN" not in "\n".join(said(steps["second"], "variable")), told(steps["second"])


def test_what_a_step_starts_ends_with_it(seen: Facts) -> None:
    """A process that a step has left in the background no longer runs when the next step begins."""
    for step in each(seen).values():
        assert said(step, "alive") == [], told(step)


def test_failing_step_stops_the_chain_and_its_log_survives(seen: Facts) -> None:
    """After a step that fails none is started; its log is kept, and the image and its last words are told."""
    failing = seen["failing"]
    assert "exit code 1\n" in failing.stdout, told(failing)
    assert "before\n" in failing.stdout, told(failing)
    assert failing.stdout.count("why it failed") == 1, told(failing)
    assert "'one' in '/" in failing.stderr, told(failing)
    assert "why it failed" in failing.stderr, told(failing)
    assert '"state": "exit code 3"' in failing.stdout, told(failing)
    assert '"state": "not run"' in failing.stdout, told(failing)


def test_step_with_a_credential_does_not_follow_a_planted_link(seen: Facts) -> None:
    """A payload cannot have the stage-out take its own credential for a result: that step is not started."""
    link = seen["link"]
    assert "exit code 1\n" in link.stdout, told(link)
    assert "'result' leads elsewhere" in link.stderr, told(link)
    assert "the-token" not in link.stdout, told(link)


def test_signal_of_the_batch_system_ends_the_step_and_leaves_its_log(seen: Facts) -> None:
    """SIGTERM reaches the program in the container, which can finish; the log is kept, and the exit code is 143."""
    ended = seen["signal"]
    assert "exit code 143\nbegun\nended well\n" in ended.stdout, told(ended)
    assert '"state": "ended by signal 15"' in ended.stdout, told(ended)
    assert '"state": "not run"' in ended.stdout, told(ended)


def test_step_ends_though_job_steps_itself_is_killed(seen: Facts) -> None:
    """SIGKILL of job-steps leaves no step behind that goes on alone."""
    assert seen["killed"].stdout.startswith("exit code 137\nit has ended\n"), told(seen["killed"])


def test_image_that_cannot_be_used_is_named_before_anything_runs(seen: Facts) -> None:
    """An image that is missing, holds no system, cannot be read or is for another machine is named; no step is run."""
    images = seen["images"]
    assert images.stdout == "exit code 3\n", told(images)
    for name, why in {
        "gone": "cannot be reached: No such file or directory",
        "empty": "holds no system",
        "locked": "cannot be read: Permission denied",
        "other": "is for ",
    }.items():
        assert f"/{name}' {why}" in images.stderr, told(images)
