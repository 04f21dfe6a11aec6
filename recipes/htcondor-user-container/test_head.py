"""What must be true of a pool, tried from its head: jobs that name their images, and nodes that break."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

import pytest
import testinfra
from testinfra.backend.base import CommandResult
from testinfra.host import Host

from lading.checks.batch import batch
from lading.checks.site import Site

testinfra_hosts = ["ansible://htcondor_heads"]

Facts: TypeAlias = Mapping[str, CommandResult]

FUNCTIONS = Path(__file__).with_name("jobs.sh").read_text()
# The first bytes of a program for another machine, as printf has them.
ARM = r"\177ELF\2\1\1\0\0\0\0\0\0\0\0\0\2\0\267\0"
OTHER = "/srv/images/older"  # Debian 12, beside the site's own known-good image

# All jobs are submitted before any is waited for: a job alone waits longer for its place than it runs.
JOBS = {
    "submitted": f"""
        command -v condor_submit >/dev/null || {{ echo "there is no HTCondor here" >&2; exit 69; }}
        within 240 places
        node=$(condor_status -constraint 'ContainerCheckOut =?= false && Cpus > 1' -af Machine | sort -u | head -n 1)
        one='. /etc/os-release; echo "in $VERSION_ID from $(date +%s)"; sleep 30; echo "until $(date +%s) as $(id -u)"'
        here="requirements = TARGET.Machine == \\"$node\\""
        cd "$HOME" && mkdir -p lading-arm/bin && printf '{ARM}' >lading-arm/bin/sh
        echo 'this is no image' >lading-junk.sif
        first=$(submit known "$IMAGE" "$one" "$here") second=$(submit older {OTHER} "$one" "$here")
        missing=$(submit missing /srv/images/no-such-image true) arm=$(submit arm lading-arm true)
        junk=$(submit junk lading-junk.sif true)
        new='/bin/for-a-newer-processor; echo "it ended with $?"'
        newer=$(submit newer {OTHER} "$new" 'requirements = TARGET.Microarch >= "x86_64-v2"')
        asks=$(submit asks {OTHER} true 'requirements = TARGET.Microarch >= "x86_64-v5"')
        set -- "$first" "$second" "$missing" "$arm" "$junk" "$newer"
        echo "$* $asks" >"$BATCH_TMP/jobs"
        condor_release "$@" "$asks"; within 450 ended "$@"
        """,
    "side": """
        set -- $(cat "$BATCH_TMP/jobs")
        for job in "$1" "$2"; do field "$job" -af JobStatus ExitCode LastRemoteHost; done
        cat "$HOME/lading-known.out" "$HOME/lading-older.out" "$HOME/lading-known.err" "$HOME/lading-older.err"; id -u
        """,
    "sent": """grep -h 'Run Bytes Received By Job' "$HOME/lading-known.log" "$HOME/lading-older.log" """,
    "level": """
        set -- $(cat "$BATCH_TMP/jobs")
        cat "$HOME/lading-newer.err" "$HOME/lading-newer.out"; field "$7" -af JobStatus 'NumShadowStarts ?: 0'
        """,
    "held": """
        set -- $(cat "$BATCH_TMP/jobs")
        for job in "$3" "$4" "$5"; do field "$job" -af JobStatus HoldReason; done
        condor_rm "$@" >/dev/null 2>&1; rm -rf "$HOME"/lading-*
        """,
}  # fmt: skip

# Containers stand on user namespaces, and this is one node's setting: all its containers fail, and nothing else does.
BREAK = """
    [ -x /usr/local/sbin/htcondor-container-check ] || exit
    hostname --fqdn; sysctl --values user.max_user_namespaces >/run/lading-check
    sysctl --quiet --write user.max_user_namespaces=0
    # The next trial by the clock comes later than the first job, which is to find it out.
    touch /run/condor/container-check/last
    """
MEND = """
    [ -e /run/lading-check ] || exit 0
    sysctl --quiet --write "user.max_user_namespaces=$(cat /run/lading-check)"; rm /run/lading-check
    """
ASK = "touch /run/condor/container-check/asked/lading"

READY = "command -v condor_status >/dev/null && within 240 places"

# Each takes the whole node, so that there is room for one.
SUBMIT = """
    whole='request_cpus = 2
    requirements = TARGET.Machine == "'$NODE'"'
    one=$(submit one "$IMAGE" "echo ran" "$whole") two=$(submit two "$IMAGE" "echo ran" "$whole")
    condor_release "$one" "$two" >&2; echo "$one $two"
    """
AFTER = """
    set -- $JOBS
    within 300 node_says "$NODE" 'ContainerCheckOut =?= true'
    node "$NODE"
    for job; do field "$job" -af JobStatus 'NumShadowStarts ?: 0' ExitCode; done
    sed -n '/^021/,/^[.]/p' "$HOME/lading-one.log" "$HOME/lading-two.log"
    """
ALSO = """within 120 node_says "$OTHER" 'regexp("of [0-9]+ nodes", ContainerCheckFailing ?: "")'; node "$OTHER" """
BACK = """
    set -- $JOBS
    within 450 ended "$@"; for job; do field "$job" -af JobStatus ExitCode; done; node "$NODE"
    condor_rm "$@" >/dev/null 2>&1; rm -f "$HOME"/lading-*
    """


def said(result: CommandResult) -> str:
    """Return what a command left, for the message of a failed assertion."""
    return f"it ended with {result.rc} and said: {(result.stdout + result.stderr).strip()[-900:] or 'nothing'}"


def image(site: Site) -> str:
    return str(site.variables["htcondor_containers_image"])


def ask(host: Host, site: Site, commands: Mapping[str, str], **words: str) -> Facts:
    """Run commands as the site's user, with the functions of this recipe."""
    with_functions = {name: FUNCTIONS + command for name, command in commands.items()}
    environment = {"IMAGE": image(site), "NODES": str(len(nodes(host))), **words}
    return batch(host, with_functions, user=site.users.user, environment=environment, timeout=900)


def nodes(host: Host) -> list[Host]:
    """Return the execution points of the inventory."""
    found: list[Host] = testinfra.get_hosts(
        ["ansible://htcondor_workers"], ansible_inventory=host.backend.ansible_inventory
    )
    return found


@pytest.fixture(scope="module")
def jobs(host: Host, site: Site) -> Facts:
    return ask(host, site, JOBS)


@pytest.fixture(scope="module")
def story(host: Host, site: Site) -> dict[str, CommandResult]:
    """Return what comes of two nodes on which, one after the other, no container runs any more."""
    workers = nodes(host)
    assert len(workers) > 1, "There is one node only, so nothing can be told of several."
    sick, other = workers[:2]
    told: dict[str, CommandResult] = {}

    def root(where: Host, name: str, *commands: str) -> str:
        told[name] = batch(where, {"": "\n".join(commands)}, timeout=60)[""]
        return str(told[name].stdout).strip()

    words = {}
    told["ready"] = ask(host, site, {"": READY})[""]
    try:
        words["NODE"] = root(sick, "broken", BREAK)
        if words["NODE"]:
            told["submitted"] = ask(host, site, {"": SUBMIT}, **words)[""]
            words["JOBS"] = told["submitted"].stdout.strip()
            told["after"] = ask(host, site, {"": AFTER}, **words)[""]
            words["OTHER"] = root(other, "also broken", BREAK, ASK)
            told["also"] = ask(host, site, {"": ALSO}, **words)[""]
    finally:
        root(other, "other mended", MEND, f"{ASK} 2>/dev/null || true")
        root(sick, "mended", MEND)
    if "JOBS" in words:
        told["back"] = ask(host, site, {"": BACK}, **words)[""]
    return told


def told_of(story: Mapping[str, CommandResult], name: str) -> CommandResult:
    """Return one part of the story, if it came that far."""
    assert name in story, f"There is no check on the node that could be told of: {said(story['broken'])}"
    return story[name]


def test_two_operating_systems_run_side_by_side_on_one_node(jobs: Facts) -> None:
    """Two jobs name two images; both run as their owner, at the same time, on the same node, each in its own system."""
    lines = jobs["side"].stdout.splitlines()
    places = re.findall(r"^4 0 slot\S*@(\S+)$", jobs["side"].stdout, re.MULTILINE)
    assert len(places) == 2, said(jobs["side"])
    assert len(set(places)) == 1, said(jobs["side"])
    spans = re.findall(r"^in (\d+) from (\d+)\nuntil (\d+) as (\d+)$", jobs["side"].stdout, re.MULTILINE)
    assert len(spans) == 2, said(jobs["side"])
    assert len({system for system, *_ in spans}) == 2, said(jobs["side"])
    assert {account for *_, account in spans} == {lines[-1]}, said(jobs["side"])
    (_, start, end, _), (_, other_start, other_end, _) = spans
    assert int(start) < int(other_end), said(jobs["side"])
    assert int(other_start) < int(end), said(jobs["side"])


def test_image_that_nodes_have_is_not_sent_with_the_job(jobs: Facts) -> None:
    """What a job gets from the head is its script and no image."""
    sizes = [int(number) for number in re.findall(r"(\d+)  -  Run Bytes Received By Job", jobs["sent"].stdout)]
    assert len(sizes) == 2, said(jobs["sent"])
    assert max(sizes) < 100_000, said(jobs["sent"])


def test_bad_image_holds_its_job_alone_and_is_named_to_its_owner(jobs: Facts) -> None:
    """An image that is missing, for another machine, or none at all: the job is held, and the reason names it."""
    for words in (
        r"'/srv/images/no-such-image' cannot be found: No such file or directory",
        r"'[^']*lading-arm' is for aarch64, and this node is x86_64",
        r"'[^']*lading-junk[.]sif' gives no container: \S+",
    ):
        assert re.search(rf"^5 .*container image {words}", jobs["held"].stdout, re.MULTILINE), said(jobs["held"])


def test_program_for_a_newer_processor_says_so_and_a_job_that_asks_for_one_waits(jobs: Facts) -> None:
    """The job's own output has the message of its loader; a job whose requirements name the level is not started."""
    words = r"^\S*for-a-newer-processor: CPU ISA level is lower than required\nit ended with 127\n1 0$"
    assert re.search(words, jobs["level"].stdout, re.MULTILINE), said(jobs["level"])


@pytest.mark.mutates
def test_node_on_which_no_container_runs_takes_no_second_job_until_it_is_mended(
    story: Mapping[str, CommandResult], site: Site
) -> None:
    """The first job goes back to the queue, the node leaves before the second; mended, it takes both by itself."""
    after, back = told_of(story, "after"), told_of(story, "back")
    assert re.search(rf"^true no container runs from {re.escape(image(site))}: \S+", after.stdout, re.MULTILINE), said(
        after
    )
    states = re.findall(r"^(\d) (\d+) \S+$", after.stdout, re.MULTILINE)
    assert [state for state, _ in states] == ["1", "1"], said(after)
    assert sorted(min(int(starts), 1) for _, starts in states) == [0, 1], said(after)
    assert "The job goes back to the queue" in after.stdout, said(after)
    assert back.stdout.splitlines()[:2] == ["4 0", "4 0"], said(back)
    assert re.search(r"^false undefined$", back.stdout, re.MULTILINE), said(back)


@pytest.mark.mutates
def test_fault_that_all_nodes_have_does_not_empty_the_pool(story: Mapping[str, CommandResult]) -> None:
    """The second node of two on which no container runs says so, stays in the pool, and says why."""
    also = told_of(story, "also")
    assert re.search(r"^false .*2 of \d+ nodes say that they fail, so it is not this node alone", also.stdout), said(
        also
    )
