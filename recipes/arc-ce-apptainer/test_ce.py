"""What must be true of a CE, tried as its users do: jobs of two VOs, sent and fetched with ARC's client."""

from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

import pytest
from testinfra.backend.base import CommandResult
from testinfra.host import Host

from lading.checks.batch import batch
from lading.checks.site import Site

testinfra_hosts = ["ansible://arc_ces"]

Facts: TypeAlias = Mapping[str, CommandResult]

FUNCTIONS = Path(__file__).with_name("jobs.sh").read_text()
NO_IMAGE = "/srv/images/of-nobody"

SEND = """
    cd "$BATCH_TMP" && globus=$HOME/.globus && export HOME=$PWD
    command -v arcsub >/dev/null || { echo "There is no ARC client." >&2; exit 1; }
    proxies "$globus" "$ONE" "$OTHER" || exit
    script >job.sh
    own='(executable="job.sh")(inputfiles=("job.sh" "job.sh"))(outputfiles=("result" ""))'
    description one "$own"
    description other "$own"
    description program "(executable=\\"/opt/bio/where\\")(runtimeenvironment=\\"SITE/CONTAINER\\" \\"$IMAGE\\")"
    description missing "$own(runtimeenvironment=\\"SITE/CONTAINER\\" \\"$NO_IMAGE\\")"
    description refused "$own(runtimeenvironment=\\"SITE/CONTAINER\\" \\"/root\\")"
    send "$ONE" one program missing refused
    send "$OTHER" other
    fetch "$ONE" one program missing refused
    fetch "$OTHER" other
    """
NAMES = ("one", "other", "program", "missing", "refused")
BACK = 'cd "$BATCH_TMP"; came {name}; cat {name}.sent >&2'
NODE = {
    "units": "systemctl is-active arc-arex arc-arex-ws; systemctl is-enabled arc-arex arc-arex-ws",
}


def said(result: CommandResult) -> str:
    """Return what a command left, for the message of a failed assertion."""
    return f"it ended with {result.rc} and said: {(result.stdout + result.stderr).strip()[-800:] or 'nothing'}"


def images(site: Site) -> dict[str, str]:
    """Return VO to container image, for the first two VOs."""
    found = site.variables["arc_containers_images"]
    assert isinstance(found, dict)
    assert len(found) > 1, "There is one VO only, so nothing can be told of several."
    return {vo: str(found[vo]) for vo in sorted(found)[:2]}


@pytest.fixture(scope="module")
def jobs(host: Host, site: Site) -> Facts:
    """Return what came back of each job, by its name, and their numbers; all are sent before any is waited for."""
    (one, _), (other, image) = images(site).items()
    words = {"ONE": one, "OTHER": other, "IMAGE": image, "NO_IMAGE": NO_IMAGE}
    commands = {"all": SEND, **{name: BACK.format(name=name) for name in NAMES}}
    commands["numbers"] = 'cd "$BATCH_TMP"; for name in ' + " ".join(NAMES) + '; do echo "$name $(cat $name.id)"; done'
    with_functions = {name: FUNCTIONS + command for name, command in commands.items()}
    return batch(host, with_functions, user=site.users.user, environment=words, timeout=1800)


@pytest.fixture(scope="module")
def accounts(host: Host, jobs: Facts) -> Facts:
    """Return what the accounting has of each job."""
    numbers = dict(line.split(" ", 1) for line in jobs["numbers"].stdout.splitlines() if " " in line)
    ask = {name: FUNCTIONS + f"accounted '{numbers.get(name, '').strip()}'" for name in NAMES}
    return batch(host, ask, timeout=120)


def test_each_vo_gets_its_own_image(jobs: Facts, site: Site) -> None:
    """A job that says nothing of containers runs in the container image of the VO that it is sent for."""
    for name, image in zip(("one", "other"), images(site).values(), strict=True):
        assert f"out: image [{image}]\n" in jobs[name].stdout, said(jobs[name])


def test_output_that_was_made_in_the_container_comes_back(jobs: Facts, site: Site) -> None:
    """ARC's client fetches a file that the job has written inside."""
    image = next(iter(images(site).values()))
    assert f"result: made in [{image}]\n" in jobs["one"].stdout, said(jobs["one"])


def test_job_runs_as_the_account_of_its_vo(jobs: Facts, site: Site) -> None:
    """Two jobs of one user for two VOs run as two accounts, inside as outside."""
    accounts = site.variables["arc_ce_vos"]
    assert isinstance(accounts, dict)
    for name, vo in zip(("one", "other"), images(site), strict=True):
        assert f"out: account [{accounts[vo]}]\n" in jobs[name].stdout, said(jobs[name])


def test_environment_of_the_node_stays_outside(jobs: Facts) -> None:
    """A variable of the job's description is in its container; those of the node's batch system are not."""
    assert "out: run [7 of 9]\n" in jobs["one"].stdout, said(jobs["one"])
    assert "out: slurm [0]\n" in jobs["one"].stdout, said(jobs["one"])


def test_program_that_only_the_image_has_runs(jobs: Facts, site: Site) -> None:
    """A job may choose an image, and run a program of it that the node has not, nor its interpreter."""
    image = list(images(site).values())[1]
    assert f"out: program of [{image}]\n" in jobs["program"].stdout, said(jobs["program"])


def test_bad_image_fails_that_job_alone_and_its_owner_reads_which(jobs: Facts) -> None:
    """The job's own errors name the image that is missing, the job and the node; jobs sent with it come back well."""
    missing = jobs["missing"].stdout
    assert f"err: arc-container: the container image '{NO_IMAGE}' cannot be found or reached. (job " in missing, said(
        jobs["missing"]
    )
    assert "log/failed: LRMS error: (66)" in missing, said(jobs["missing"])
    assert "result: made in [" in jobs["other"].stdout, said(jobs["other"])


def test_image_that_no_job_may_choose_is_refused_and_the_owner_told(jobs: Facts) -> None:
    """A job that asks for an image elsewhere does not run, in no container and outside of one; its errors say why."""
    refused = jobs["refused"]
    assert "err: SITE/CONTAINER: this site lets no job choose the container image '/root'." in refused.stdout, said(
        refused
    )
    assert "out:" not in refused.stdout, said(refused)


def test_accounting_names_the_image(accounts: Facts, site: Site) -> None:
    """The record of each job has the container image in which it ran, of one that failed too."""
    for name, image in zip(("one", "other"), images(site).values(), strict=True):
        assert f"Wninstance: {image}\n" in accounts[name].stdout, said(accounts[name])
    assert f"Wninstance: {NO_IMAGE}\n" in accounts["missing"].stdout, said(accounts["missing"])


def test_ce_comes_back_at_boot(host: Host) -> None:
    """Both services of the CE run, and start with the system."""
    units = batch(host, NODE)["units"]
    assert units.stdout.split() == ["active", "active", "enabled", "enabled"], said(units)
