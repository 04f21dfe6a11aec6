"""What must be true of what payloads see and may use, tried by payloads that look for what is not theirs."""

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

import pytest
from testinfra.backend.base import CommandResult
from testinfra.host import Host

from lading.checks.batch import batch
from lading.checks.site import Site

testinfra_hosts = ["ansible://workers"]

Facts: TypeAlias = Mapping[str, CommandResult]

LADDER = Path(__file__).with_name("ladder.csv")
"""What the page shows of the ladder: a line for each thing that may be seen, and how each rung stands to it."""

# Jobs as a batch system starts them: below a service of root's, or as the account itself, in a folder of its own. The
# stand-in of the batch system has the name, and so the drop-in, of the service that the variables name; where that is a
# real one, which must not be disturbed, it takes over what the drop-in has come to there.
JOB = """
job() {
    systemd-run --quiet --pipe --wait --collect --property=RuntimeDirectory=payload-isolation-check \\
        --working-directory=/run/payload-isolation-check "$@"
}
of_the_service() {
    if [ "$(systemctl show --property=LoadState --value "$UNIT")" = loaded ]; then
        set -- "--property=ProtectProc=$(systemctl show --property=ProtectProc --value "$UNIT")" \\
            "--property=Delegate=$(systemctl show --property=Delegate --value "$UNIT")" "$@"
    else
        set -- --unit="$UNIT" "$@"
    fi
    job "$@"
}
as_root_starts_it() { echo 'chown "$1" . && runuser -u "$@"' | of_the_service sh -s -- "$PILOT" -- "$@"; }
"""

# What a pilot does with the control group that it was given, and what a payload tries in one of the pilot's.
DIVIDE = r"""
cd "/sys/fs/cgroup$(sed -n 's/^0:://p' /proc/self/cgroup)" && echo "slot $(cat memory.max)"
mkdir pilot payload && echo "made groups"
{ echo +memory >cgroup.subtree_control; } 2>/dev/null && echo "shared out too early"
echo $$ >pilot/cgroup.procs && echo "moved"
echo +memory >cgroup.subtree_control && echo "shared out"
echo 0 >payload/memory.swap.max
echo 128M >payload/memory.max && echo "payload $(cat payload/memory.max)"
{ echo max >memory.max; } 2>/dev/null; echo "slot still $(cat memory.max)"
apptainer=$1 image=$2
payload() {
    command=$1; shift
    sh -c 'echo $$ >payload/cgroup.procs && exec "$@"' sh \
        "$apptainer" --silent exec --containall "$@" "$image" sh -c "$command" "$PWD" </dev/null
}
payload 'head -c 400M /dev/zero | tail >/dev/null; echo "payload ended with $?"'
echo "pilot lives, $(grep '^oom_kill ' payload/memory.events)"
leave='{ echo 0 >"$0/pilot/cgroup.procs"; } 2>/dev/null; tail -n 1 /proc/self/cgroup'
echo "with sys: $(payload "$leave")"
echo "without sys: $(payload "$leave" --no-mount sys)"
"""

JOBS = {
    "ladder": "job --uid=$PILOT --property=Delegate=yes $COMMAND --json",
    "hidden": """as_root_starts_it sh -c '[ -e /proc/self ] && [ ! -e /proc/1 ] && echo "sees no init"'""",
    "contained": "as_root_starts_it $COMMAND --json -- --contain --ipc",
    "own processes": "as_root_starts_it $COMMAND --json -- --contain --ipc --pid",
    "groups": """
        echo "$DIVIDE" | of_the_service --uid=$PILOT --property=MemoryMax=512M sh -s -- "$APPTAINER" "$IMAGE"
        """,
}


@pytest.fixture(scope="module")
def seen(host: Host, site: Site) -> Facts:
    """What all these jobs said, in one round trip."""
    said = site.variables
    units = said["payload_isolation_units"]
    assert isinstance(units, list)
    environment = {
        "COMMAND": "/usr/local/bin/payload-isolation",  # by its path: where sudo comes first, root may not look there
        "APPTAINER": str(said["payload_isolation_apptainer"]),
        "IMAGE": str(said["payload_isolation_image"]),
        "UNIT": str(units[0]) if units else "payload-isolation-check.service",  # no drop-in: its jobs see all
        "PILOT": site.users.pilot,
        "DIVIDE": DIVIDE,
    }
    jobs = {name: JOB + job for name, job in JOBS.items()}
    return batch(host, jobs, environment=environment, timeout=420)


def told(result: CommandResult) -> str:
    """Return what a command left, for the message of a failed assertion."""
    return f"it ended with {result.rc} and said: {(result.stdout + result.stderr).strip()[-1500:] or 'nothing'}"


def climbed(result: CommandResult) -> dict[str, set[str]]:
    """Return what the payload of each rung saw; `?` alone where no container was started."""
    assert result.stdout.startswith("{"), f"The command has not looked around; {told(result)}"
    rungs = json.loads(result.stdout)["ladder"]
    return {rung["rung"]: {"?"} if rung["why"] else set(rung["sees"]) for rung in rungs}


def differences(found: dict[str, set[str]], *things: str) -> list[str]:
    """Return in which cells the page's table is not what came out, for some of its lines."""
    with LADDER.open(newline="") as lines:
        shown = {line.pop("sees"): line for line in csv.DictReader(lines)}
    marks = {
        thing: {rung: "?" if "?" in sees else "x" if thing in sees else "." for rung, sees in found.items()}
        for thing in things
    }
    return [
        f"{thing}, {rung}: the page says '{shown[thing].get(rung)}', and it is '{marks[thing].get(rung)}'"
        for thing in things
        for rung in {**shown[thing], **marks[thing]}
        if shown[thing].get(rung) != marks[thing].get(rung)
    ]


def test_ladder_says_who_sees_and_signals_processes(seen: Facts) -> None:
    """With each set of options a payload sees, reads and signals the processes that the page says, and no others."""
    assert not (wrong := differences(climbed(seen["ladder"]), "process", "environ", "signal", "others")), wrong


def test_ladder_says_which_files_a_payload_reaches(seen: Facts) -> None:
    """The current folder, home, the homes of others, /tmp and devices are there with the options that the page says."""
    assert not (wrong := differences(climbed(seen["ladder"]), "folder", "home", "homes", "tmp", "devices")), wrong


def test_ladder_says_what_is_handed_into_a_container(seen: Facts) -> None:
    """Variables and open files of the pilot reach its payload with the options that the page says."""
    assert not (wrong := differences(climbed(seen["ladder"]), "variable", "descriptor")), wrong


def test_ladder_says_what_payload_and_pilot_share(seen: Facts) -> None:
    """Shared memory, sockets and control groups are common to both with the options that the page says."""
    assert not (wrong := differences(climbed(seen["ladder"]), "shm", "ipc", "socket", "group")), wrong


def test_job_of_the_service_sees_no_process_of_another_account(seen: Facts) -> None:
    """Below the service a job sees no process of others; in a container not the pilot's either, but can signal it."""
    assert seen["hidden"].stdout == "sees no init\n", told(seen["hidden"])
    (sees,) = climbed(seen["contained"]).values()
    assert not sees & {"process", "environ", "others"}, told(seen["contained"])
    assert "signal" in sees, told(seen["contained"])


def test_container_with_its_own_processes_starts_below_the_service(seen: Facts) -> None:
    """Where processes are hidden Apptainer can still give a payload its own /proc, and no signal gets out of it."""
    (sees,) = climbed(seen["own processes"]).values()
    assert not sees & {"?", "process", "signal", "others"}, told(seen["own processes"])


def test_account_divides_what_its_service_is_given(seen: Facts) -> None:
    """The pilot makes control groups, moves into one and limits another; the limit of the whole it cannot lift."""
    lines = seen["groups"].stdout.splitlines()
    wanted = ["slot 536870912", "made groups", "moved", "shared out", "payload 134217728", "slot still 536870912"]
    assert lines[: len(wanted)] == wanted, told(seen["groups"])


def test_payload_over_its_limit_is_killed_and_the_pilot_lives(seen: Facts) -> None:
    """A payload that takes more memory than its control group may have is killed, and nothing else in the job is."""
    said = seen["groups"].stdout
    assert "payload ended with 137\npilot lives, oom_kill 1\n" in said, told(seen["groups"])


def test_payload_leaves_its_control_group_unless_sys_is_withheld(seen: Facts) -> None:
    """A contained payload can move itself out of its limit by way of /sys; without /sys it stays where it was put."""
    lines = [line.partition(": ") for line in seen["groups"].stdout.splitlines() if "with" in line and "0::" in line]
    ends = {name: group.rpartition("/")[2] for name, _, group in lines}
    assert ends == {"with sys": "pilot", "without sys": "payload"}, told(seen["groups"])
