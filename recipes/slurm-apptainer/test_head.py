"""What must be true of a cluster, tried from its head: jobs of an ordinary user in containers, and nodes that break."""

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

testinfra_hosts = ["ansible://slurm_heads"]

Facts: TypeAlias = Mapping[str, CommandResult]

FUNCTIONS = Path(__file__).with_name("jobs.sh").read_text()

SCRIPT = "printf '#!/bin/sh\\n%s\\n' "
JOBS = {
    "container": f"""
        {SCRIPT} "container-job '$IMAGE' sh -c 'echo in \\$APPTAINER_CONTAINER as \\$(id -u)'" | job; id -u
        """,
    "environment": f"""
        export LADING_HEAD=leaked
        show='echo "job [$LADING_HEAD]"; apptainer exec --cleanenv "$1" sh -c "echo container [\\$LADING_HEAD]"'
        {SCRIPT} "set -- '$IMAGE'; $show" >"$BATCH_TMP/show"
        job <"$BATCH_TMP/show"
        echo "asked for:"; job --export=ALL <"$BATCH_TMP/show"
        """,
    "tmp": f"""
        first=$({SCRIPT} "for folder in /tmp /var/tmp /dev/shm; do echo mine >\\$folder/lading-mark; done
            apptainer exec '$IMAGE' cat /tmp/lading-mark" | job --mem=100)
        echo "$first"
        {SCRIPT} "ls -A /tmp /var/tmp /dev/shm | grep lading; echo looked; rm -f /tmp/lading-mark /var/tmp/lading-mark
            rm -f /dev/shm/lading-mark" | job --mem=64 --nodelist="$(echo "$first" | sed -n '1s/.* //p')"
        """,
    "memory": f"""
        told=$({SCRIPT} "apptainer exec --cleanenv '$IMAGE' sh -c 'head -c 250M /dev/zero | tail -c 250M | wc -c'
            echo the script goes on" | job --mem=100)
        echo "$told"
        node "$(echo "$told" | sed -n '1s/.* //p')"
        """,
    "missing": "srun --quiet --time=2 --mem=64 container-job /no/such/image true",
    "closed": "srun --quiet --time=2 --mem=64 container-job /root true",
    "machine": r"""
        srun --quiet --time=2 --mem=64 sh -c '
        cd /tmp && mkdir -p lading-image/bin && trap "rm -rf /tmp/lading-image" EXIT
        printf "\177ELF\2\1\1\0\0\0\0\0\0\0\0\0\2\0\267\0" >lading-image/bin/sh && container-job /tmp/lading-image true'
        """,
    "settled": "settled",
}  # fmt: skip

# Containers stand on user namespaces, and this is one node's setting: all its containers fail, and nothing else does.
BREAK = """
    command -v container-check >/dev/null || exit
    hostname --short; sysctl --values user.max_user_namespaces >/run/lading-check
    sysctl --quiet --write user.max_user_namespaces=0
    """
MEND = """
    [ -e /run/lading-check ] || exit 0
    sysctl --quiet --write "user.max_user_namespaces=$(cat /run/lading-check)"; rm /run/lading-check
    """
LOOK = "container-check"

SUBMIT = f"""
    one=$({SCRIPT} "sleep 20" | sbatch --parsable --time=5 --output=/dev/null --exclusive --nodelist="$NODE") || exit
    two=$({SCRIPT} "true" | sbatch --parsable --time=5 --output=/dev/null --exclusive --nodelist="$NODE") || exit
    tries=0; until [ "$(field "$one" JobState)" = RUNNING ] || [ $((tries += 1)) -gt 120 ]; do sleep 0.5; done
    [ "$(field "$one" JobState)" = RUNNING ] || {{ scancel "$one" "$two"; echo "Job $one did not start."; exit 1; }}
    echo "$one $two"
    """
AFTER = 'set -- $JOBS; ended "$1"; sleep 3; echo "second: $(field "$2" JobState)"; node "$NODE"'
BACK = 'set -- $JOBS; ended "$2"; echo "second: $(field "$2" JobState)"; node "$NODE"'


def said(result: CommandResult) -> str:
    """Return what a command left, for the message of a failed assertion."""
    return f"it ended with {result.rc} and said: {(result.stdout + result.stderr).strip()[-800:] or 'nothing'}"


def image(site: Site) -> str:
    return str(site.variables["slurm_container_check_image"])


def ask(host: Host, site: Site, commands: Mapping[str, str], **words: str) -> Facts:
    """Run commands as the site's user, with the functions of this recipe."""
    with_functions = {name: FUNCTIONS + command for name, command in commands.items()}
    environment = {"IMAGE": image(site), **words}
    return batch(host, with_functions, user=site.users.user, environment=environment, timeout=180)


@pytest.fixture(scope="module")
def jobs(host: Host, site: Site) -> Facts:
    return ask(host, site, JOBS)


@pytest.fixture(scope="module")
def story(host: Host, site: Site) -> dict[str, CommandResult]:
    """Return what comes of two nodes on which, one after the other, no container runs any more."""
    workers = testinfra.get_hosts(["ansible://slurm_workers"], ansible_inventory=host.backend.ansible_inventory)
    assert len(workers) > 1, "There is one node only, so nothing can be told of several."
    sick, other = workers[:2]
    told: dict[str, CommandResult] = {}

    def root(where: Host, name: str, *commands: str, **words: str) -> None:
        told[name] = batch(where, {"": FUNCTIONS + "\n".join(commands)}, environment=words, timeout=120)[""]

    root(sick, "name", "hostname --short")
    words = {"NODE": told["name"].stdout.strip()}
    told["submitted"] = ask(host, site, {"": SUBMIT}, **words)[""]
    words["JOBS"] = told["submitted"].stdout.strip()
    if not re.fullmatch(r"\d+ \d+", words["JOBS"]):
        return told
    try:
        root(sick, "broken", BREAK)
        told["after"] = ask(host, site, {"": AFTER}, **words)[""]
        root(other, "also", BREAK, LOOK + ' 2>&1; node "$(hostname --short)"', f"({MEND})", LOOK)
    finally:
        root(other, "other mended", MEND)
        root(sick, "mended", MEND)
    told["back"] = ask(host, site, {"": BACK}, **words)[""]
    root(host, "drain", 'scontrol update NodeName="$NODE" State=DRAIN Reason="a disk that an admin looks at"', **words)
    root(sick, "looked", "container-check --try", LOOK)
    root(host, "admin", 'node "$NODE"; scontrol update NodeName="$NODE" State=RESUME', **words)
    return told


def told_of(story: Mapping[str, CommandResult], name: str) -> CommandResult:
    """Return one part of the story, if it came that far."""
    assert name in story, f"No job came to run on a node that was named: {said(story['submitted'])}"
    return story[name]


def test_job_script_runs_in_a_container(jobs: Facts, site: Site) -> None:
    """A job script of an ordinary user runs in a container of the image, as that user."""
    found = re.search(r"^in (\S+) as (\d+)$", jobs["container"].stdout, re.MULTILINE)
    assert found, said(jobs["container"])
    assert found.group(1) == image(site), said(jobs["container"])
    assert found.group(2) == jobs["container"].stdout.split()[-1], said(jobs["container"])


def test_environment_of_the_head_stays_there(jobs: Facts) -> None:
    """A variable of the shell that submits is in no batch job that has not asked, and in no container in any case."""
    plain, _, asked = jobs["environment"].stdout.partition("asked for:")
    assert "job []\ncontainer []\n" in plain, said(jobs["environment"])
    assert "job [leaked]\ncontainer []\n" in asked, said(jobs["environment"])


def test_each_job_has_a_tmp_of_its_own(jobs: Facts) -> None:
    """/tmp, /var/tmp and /dev/shm of a job are seen by its container, and by no job after it on the same node."""
    lines = jobs["tmp"].stdout.splitlines()
    assert "mine" in lines, said(jobs["tmp"])
    assert "looked" in lines, said(jobs["tmp"])
    assert not any("lading-mark" in line for line in lines), said(jobs["tmp"])


def test_memory_limit_holds_in_a_container_and_names_the_job(jobs: Facts) -> None:
    """A container that takes more than its job has is killed; job and output say so, and the node goes on."""
    head, *rest = jobs["memory"].stdout.splitlines() or [""]
    found = re.match(r"job (\d+) OUT_OF_MEMORY OutOfMemory ", head)
    assert found, said(jobs["memory"])
    assert re.search(rf"oom.kill event.* in StepId={found.group(1)}\b", "\n".join(rest)), said(jobs["memory"])
    assert re.search(r"^ State=(?!\S*(?:DRAIN|DOWN|FAIL))", "\n".join(rest), re.MULTILINE), said(jobs["memory"])


def test_image_that_cannot_be_used_is_named_to_the_owner_of_the_job(jobs: Facts) -> None:
    """An image that is missing, closed or for another machine: the job's own output names it, the job and the node."""
    for name, words in {
        "missing": r"'/no/such/image' cannot be found",
        "closed": r"'/root' cannot be read",
        "machine": r"'/tmp/lading-image' is for aarch64, and this node is x86_64",
    }.items():
        assert jobs[name].rc != 0, said(jobs[name])
        assert re.search(rf"{words}.*\(job \d+, node [\w-]+\)", jobs[name].stderr), said(jobs[name])


@pytest.mark.mutates
def test_node_on_which_no_container_runs_takes_no_second_job_until_it_is_mended(
    story: Mapping[str, CommandResult], site: Site
) -> None:
    """It drains itself when its job ends, and the reason names image and error; mended, it comes back by itself."""
    after, back = told_of(story, "after"), told_of(story, "back")
    assert "second: PENDING\n" in after.stdout, said(after)
    assert re.search(r" State=\S*\+DRAIN\b", after.stdout), said(after)
    reason = rf" Reason=container-check: failing: no container runs from {re.escape(image(site))}: \S+"
    assert re.search(reason, after.stdout), said(after)
    assert "second: COMPLETED\n" in back.stdout, said(back)
    assert "DRAIN" not in back.stdout, said(back)


@pytest.mark.mutates
def test_fault_that_all_nodes_have_does_not_drain_them_all(story: Mapping[str, CommandResult]) -> None:
    """The second node of two on which no container runs says so, is not drained, and says why."""
    also = told_of(story, "also")
    assert re.search(r"2 of \d+ nodes say that they fail, so it is not this node alone", also.stdout), said(also)
    assert re.search(r" State=(?!\S*DRAIN)", also.stdout), said(also)


@pytest.mark.mutates
def test_node_that_an_admin_has_drained_stays_drained(story: Mapping[str, CommandResult]) -> None:
    """A container runs on it, the check knows, and it is nevertheless left to the admin."""
    looked, admin = told_of(story, "looked"), told_of(story, "admin")
    assert "A container runs from" in looked.stdout, said(looked)
    assert re.search(r" State=\S*\+DRAIN\b", admin.stdout), said(admin)
    assert "Reason=a disk that an admin looks at" in admin.stdout, said(admin)
