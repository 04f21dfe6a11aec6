"""What must be true of a pilot in a container, tried by pilots that look for what is not theirs."""

import re
from collections.abc import Mapping
from typing import TypeAlias

import pytest
from testinfra.backend.base import CommandResult
from testinfra.host import Host

from lading.checks.batch import batch
from lading.checks.site import Site

testinfra_hosts = ["ansible://workers"]

Facts: TypeAlias = Mapping[str, CommandResult]

# What a pilot or a payload does that wants more than it is given; it needs no program but those that every image has.
LOOK = r"""
. /etc/os-release; echo "system $ID $VERSION_ID, in $PWD"
for process in /proc/[0-9]*; do echo "process $(tr '\0' ' ' 2>/dev/null <"$process/cmdline")"; done
for path in "$@" /srv/pilot-in-container.*/*; do [ ! -e "$path" ] || echo "sees $path"; done
for path in ~ /tmp /var/tmp /dev/shm; do for file in $(ls -A "$path"); do echo "finds $path/$file"; done; done
cut -d ' ' -f 5 /proc/self/mountinfo | while read -r mount; do echo "mount $mount"; done
env | while read -r line; do echo "variable $line"; done
case $(tr '\0' ' ' </proc/1/environ) in
*"$(cat "${BEARER_TOKEN_FILE:-/proc/version}")"*) echo "variable the-token, of the first process" ;;
esac
for file in /proc/self/fd/*; do cat "$file" 2>/dev/null </dev/null; done
for file in "$X509_USER_PROXY" "$BEARER_TOKEN_FILE" /run/credentials/*; do
    [ ! -f "$file" ] || echo "credential $file $(cat "$file")"
done
"""

# The pilot: it looks around, leaves something of its own, and starts a container for its payload, which looks, too.
PILOT = r"""
apptainer=$1 image=$2; shift 2
sh /srv/look "$@" >of-the-pilot 2>&1
touch /tmp/left-by-the-pilot ~/left-by-the-pilot && mkdir payload && cp look payload
sleep 600 &
"$apptainer" exec --contain --ipc --pid --cleanenv --bind /cvmfs --bind "$PWD/payload:/srv" --pwd /srv "$image" \
    sh look "$@" /run/pilot-in-container /srv/pilot >of-the-payload 2>&1
echo "The payload is done."
exit 7
"""

# What stands for the batch system: the job's folder, and files, a process and variables that are not the pilot's.
JOB = """
cd "$(mktemp -d "$BATCH_TMP/job.XXXXXX")" && umask 077
export TMPDIR="$BATCH_TMP/tmp" && mkdir -p "$TMPDIR"
token=$(od -An -v -tx1 -N12 /dev/urandom | tr -d ' ')
echo the-proxy >"$BATCH_TMP/proxy" && echo "$token" >"$BATCH_TMP/token" && echo the-open-file >"$BATCH_TMP/open"
export JOB_SECRET=of-the-job APPTAINERENV_JOB_SECRET=of-the-job PYTHONPATH=/of-the-job LD_LIBRARY_PATH=/of-the-job
export APPTAINER_BINDPATH="$BATCH_TMP:/of-the-job" X509_USER_PROXY="$BATCH_TMP/proxy"
"""

# Waits until a file has something in it, or what runs in the background has ended.
UNTIL = 'until_said() { until [ -s "$1" ] || [ ! -e "/proc/$!/exe" ]; do sleep 0.1; done; }\n'
ALONE = "--payload-image none"  # where no container for a payload is of interest, none is tried
# In a user namespace of its own whoever has the account may set limits and cover files, and the node stays as it is.
APART = "unshare --user --map-current-user --keep-caps --mount --propagation slave sh -c"

JOBS = {
    "run": JOB + """
        mine=$(mktemp ~/of-the-job.XXXXXX) && echo secret >"$mine"
        printf '%s' "$LOOK" >look && printf '%s' "$PILOT" >pilot
        sleep 600 & other=$!
        trap 'rm -f "$mine" ~/left-by-the-pilot /tmp/left-by-the-pilot; kill "$other" 2>/dev/null; true' EXIT
        exec 9<"$BATCH_TMP/open"; export TMPDIR="$PWD"
        export BEARER_TOKEN=$token LADING_HANDED='in; $(id)'
        LD_PRELOAD=/of-the-job.so pilot-in-container --pass LADING_HANDED sh pilot "$APPTAINER" "$PAYLOAD_IMAGE" \
            "$mine" "$BATCH_TMP" "$BATCH_TMP/token" "/proc/$other" /of-the-job &
        while [ -e "/proc/$!/exe" ]; do
            ! grep -qasf "$BATCH_TMP/token" /proc/[0-9]*/cmdline || echo "The token is in the list."
            sleep 0.3
        done
        wait $!; echo "exit code $?"; sed "s/$token/the-token/" of-the-pilot >"$BATCH_TMP/of-the-pilot"
        sed "s/$token/the-token/" of-the-payload >"$BATCH_TMP/of-the-payload"
        """,
    "pilot": "cat $BATCH_TMP/of-the-pilot",
    "payload": "cat $BATCH_TMP/of-the-payload",
    # Both take seconds in which nothing happens, so they run side by side.
    "renewed": JOB + UNTIL + f"""
        mkdir -p killed && cd killed
        pilot-in-container {ALONE} sh -c 'for _ in $(seq 600); do echo again >>alive; sleep 0.1; done' 2>/dev/null &
        until_said alive; kill -KILL $!; wait $!; echo "exit code $?"; cd ..
        export BEARER_TOKEN_FILE="$BATCH_TMP/token"
        pilot-in-container {ALONE} sh -c 'cat "$BEARER_TOKEN_FILE" >begun; tries=0
            until [ "$(cat "$BEARER_TOKEN_FILE")" = renewed ] || [ $((tries += 1)) -gt 90 ]; do sleep 0.1; done
            cat "$BEARER_TOKEN_FILE"' &
        until_said begun; echo renewed >"$BATCH_TMP/new" && mv "$BATCH_TMP/new" "$BATCH_TMP/token"; wait $!
        over() {{
            before=$(wc -l <killed/alive); sleep 1; [ "$before" = "$(wc -l <killed/alive)" ] || return 1
            ! ls -d "$TMPDIR"/pilot-in-container.* >/dev/null 2>&1
        }}
        tries=0; until over || [ $((tries += 1)) -gt 12 ]; do :; done
        [ $tries -gt 12 ] || echo "it has ended"
        """,
    "signal": JOB + UNTIL + f"""
        pilot-in-container {ALONE} sh -c 'trap "echo ended well; exit 3" TERM; echo begun >begun; sleep 10 & wait' &
        until_said begun; kill -TERM $!; wait $!; echo "exit code $?"
        """,
    "images": JOB + """
        mkdir -p empty other/bin locked && chmod 0 locked && cp "$IMAGE/bin/sh" other/bin/sh
        machine=$(od -An -tu1 -j18 -N1 other/bin/sh); [ $machine = 183 ] && code='\\076' || code='\\267'
        printf "$code" | dd of=other/bin/sh bs=1 seek=18 conv=notrunc status=none
        for image in gone empty locked other; do
            pilot-in-container --image "$PWD/$image" touch ran; echo "$image: exit code $?"
        done
        [ ! -e ran ] || echo "A pilot ran."; chmod 700 locked
        """,
    "unbound": JOB + """
        printf '%s\\n' "apptainer = $APPTAINER" "image = $IMAGE" >settings
        pilot-in-container --settings settings touch ran; echo "exit code $?"; ls ran
        """,
    "limited": JOB + f"""
        {APART} 'echo 1 >/proc/sys/user/max_user_namespaces && pilot-in-container touch ran'; echo "exit code $?"
        ls ran
        """,
    "covered": JOB + f"""
        {APART} 'mount --bind /dev/null /proc/version && pilot-in-container touch ran'; echo "exit code $?"; ls ran
        """,
}  # fmt: skip


@pytest.fixture(scope="module")
def seen(host: Host, site: Site) -> Facts:
    """What all these pilots said, in one round trip."""
    named = {name: str(site.variables[f"pilot_wrapper_{name.lower()}"]) for name in ("APPTAINER", "IMAGE")}
    payload = str(site.variables["pilot_wrapper_payload_image"])
    environment = {**named, "PAYLOAD_IMAGE": payload if payload.startswith("/") else named["IMAGE"]}
    return batch(
        host,
        JOBS,
        user=site.users.pilot,
        environment={**environment, "LOOK": LOOK, "PILOT": PILOT},
        timeout=120,
    )


def told(result: CommandResult) -> str:
    """Return what a command left, for the message of a failed assertion."""
    return f"it ended with {result.rc} and said: {(result.stdout + result.stderr).strip()[-1500:] or 'nothing'}"


def said(result: CommandResult, word: str) -> list[str]:
    """Return the rest of the lines that begin with a word, of one who has looked around to the end."""
    assert "system " in result.stdout, f"It has not run; {told(result)}"
    return [line.partition(" ")[2] for line in result.stdout.splitlines() if line.split(" ")[0] == word]


def programs(result: CommandResult) -> list[str]:
    """Return the names of the programs that it has found in /proc."""
    found = [process.split(" ")[0] for process in said(result, "process") if process.strip()]
    return [name.rpartition("/")[2] for name in found]


def site_binds(site: Site) -> list[str]:
    """Return where in a container the paths are that the site binds, without /cvmfs."""
    bound = site.variables["pilot_wrapper_bind"]
    paths = [str(path).split(":")[:2][-1] for path in bound] if isinstance(bound, list) else []
    return [path for path in paths if path != "/cvmfs"]


def test_pilot_runs_in_the_container_and_its_exit_code_comes_back(seen: Facts) -> None:
    """The pilot works in /srv, which is the job's own folder, and the exit code is its own."""
    run = seen["run"]
    assert said(seen["pilot"], "system")[0].endswith(", in /srv"), told(seen["pilot"])
    assert "The payload is done.\n" in run.stdout, told(run)
    assert "exit code 7\n" in run.stdout, told(run)
    assert "the pilot ended with exit code 7" in run.stderr, told(run)


def test_nothing_of_the_jobs_environment_reaches_the_pilot(seen: Facts) -> None:
    """A variable reaches the pilot by its name in the settings alone, and its value is not read as a shell would."""
    variables = "\n".join(said(seen["pilot"], "variable"))
    assert "PATH=" in variables, told(seen["pilot"])
    assert "LADING_HANDED=in; $(id)\n" in variables, told(seen["pilot"])
    assert "of-the-job" not in variables, told(seen["pilot"])
    assert not re.search(r"^(LD_PRELOAD|PYTHONPATH|BEARER_TOKEN|JOB_SECRET)=", variables, re.MULTILINE), (
        f"The pilot has {variables}"
    )


def test_credentials_are_handed_in_as_files_and_in_no_other_way(seen: Facts) -> None:
    """Proxy and token are files below /run/credentials; a token is in no variable inside and in no command line."""
    pilot = seen["pilot"]
    assert "/run/credentials/X509_USER_PROXY the-proxy" in said(pilot, "credential"), told(pilot)
    assert "/run/credentials/BEARER_TOKEN_FILE the-token" in said(pilot, "credential"), told(pilot)
    assert "the-token" not in "\n".join(said(pilot, "variable")), told(pilot)
    assert "The token is in the list." not in seen["run"].stdout, told(seen["run"])


def test_pilot_sees_no_file_of_the_node_but_what_is_bound(seen: Facts, site: Site) -> None:
    """Home, /tmp, /var/tmp and /dev/shm are the container's own; open files are closed; the site's binds are there."""
    pilot = seen["pilot"]
    assert said(pilot, "sees") == [], told(pilot)
    assert [file for file in said(pilot, "finds") if not file.endswith("/.apptainer")] == [], told(pilot)
    assert "the-open-file" not in pilot.stdout, told(pilot)
    assert set(site_binds(site)) <= set(said(pilot, "mount")), told(pilot)


def test_pilot_sees_no_process_of_the_node(seen: Facts) -> None:
    """In /proc the pilot finds appinit, itself and what it has started."""
    found = programs(seen["pilot"])
    assert found[:1] == ["appinit"], told(seen["pilot"])
    assert set(found) <= {"appinit", "sh", "tr"}, f"The pilot sees {found}."


def test_payload_in_a_nested_container_sees_neither_pilot_nor_credential(seen: Facts, site: Site) -> None:
    """A payload's container runs in the pilot's, from its own image, and finds what pilot and site give it, no more."""
    payload = seen["payload"]
    same = site.variables["pilot_wrapper_payload_image"] in {"", "none", site.variables["pilot_wrapper_image"]}
    assert said(payload, "system") != said(seen["pilot"], "system") or same, f"Both are one system: {told(payload)}"
    assert programs(payload)[:1] == ["appinit"], told(payload)
    assert set(programs(payload)) <= {"appinit", "sh", "tr"}, f"The payload sees {programs(payload)}."
    assert said(payload, "credential") == said(payload, "sees") == said(payload, "finds") == [], told(payload)
    assert set(site_binds(site)) <= set(said(payload, "mount")), told(payload)


def test_renewed_credential_reaches_a_pilot_that_runs(seen: Facts) -> None:
    """A token that is replaced by a new file is read by the running pilot some seconds later."""
    assert "\nrenewed\n" in seen["renewed"].stdout, told(seen["renewed"])


def test_signal_of_the_batch_system_reaches_the_pilot(seen: Facts) -> None:
    """SIGTERM to the wrapper is the pilot's to hear: it can finish, and its exit code is told."""
    assert seen["signal"].stdout == "ended well\nexit code 3\n", told(seen["signal"])


def test_pilot_ends_though_the_wrapper_is_killed(seen: Facts) -> None:
    """SIGKILL of the wrapper leaves no pilot behind that goes on alone, and no copy of a credential."""
    assert seen["renewed"].stdout.startswith("exit code 137\n"), told(seen["renewed"])
    assert seen["renewed"].stdout.endswith("it has ended\n"), told(seen["renewed"])


def test_image_that_cannot_be_used_is_named(seen: Facts) -> None:
    """An image that is missing, holds no system, cannot be read or is for another machine is named; no pilot runs."""
    images = seen["images"]
    codes = "".join(f"{image}: exit code 125\n" for image in ("gone", "empty", "locked", "other"))
    assert images.stdout == codes, told(images)
    for line in (
        "/gone' on .* cannot be reached: No such file or directory",
        "/empty' on .* does not look like an unpacked image",
        "/locked' cannot be read on .*: Permission denied",
        "/other' is for .*, and .* is ",
    ):
        assert re.search(line, images.stderr), f"'{line}' is not said; {told(images)}"


def test_payload_that_could_not_start_is_told_before_the_pilot_starts(seen: Facts) -> None:
    """Without /cvmfs inside, a second user namespace or all of /proc, a sentence says what to change."""
    for name, line in {
        "unbound": r"there is no '/.*', so no container could start for a payload\. Add .*'bind = /cvmfs'",
        "limited": r"in the pilot's container no container starts from '/.*raise user\.max_user_namespaces",
        "covered": r"/proc cannot be mounted for --pid, .*'systempaths=unconfined', or 'procMount: Unmasked'",
    }.items():
        assert seen[name].stdout == "exit code 125\n", f"{name}: {told(seen[name])}"
        assert re.search(line, seen[name].stderr), f"{name}: {told(seen[name])}"
