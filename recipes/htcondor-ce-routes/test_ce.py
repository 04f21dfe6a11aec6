"""What must be true of a CE with routes by VO: jobs come with tokens, as from outside, and say where they ran."""

import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import testinfra
from testinfra.backend.base import CommandResult
from testinfra.host import Host

from lading.checks.batch import batch
from lading.checks.site import Site

testinfra_hosts = ["ansible://htcondor_ces"]

Facts: TypeAlias = Mapping[str, CommandResult]

HERE = Path(__file__).parent
FUNCTIONS = (HERE / "jobs.sh").read_text()
STRANGER = "https://dune.site.example/"  # its tokens lead to an account, and no route is for it

# After a boot the daemons come later than the host does.
TOKENS = f"""
    [ -e /etc/condor-ce/condor_config ] || {{ echo "there is no HTCondor-CE here" >&2; exit 69; }}
    home=$(getent passwd "$OWNER" | cut -d: -f6); rm -rf "$home"/lading-tokens "$home"/lading-jobs
    within 240 ce q >/dev/null 2>&1 || {{ echo "HTCondor-CE does not answer" >&2; exit 69; }}
    python3 -c {shlex.quote((HERE / "tokens.py").read_text())} /run/condor-ce/cache "$home/lading-tokens" "$OWNER" \\
        "first=$FIRST" "second=$SECOND" "stranger=$STRANGER"
    """

# All jobs are submitted before any is waited for. Where no job is routed at all there is nothing to wait for.
JOBS = {
    "submitted": r"""
        [ -e "$HOME/lading-tokens/stranger" ] || { echo "there are no tokens" >&2; exit 69; }
        pool_has_places() { condor_status -af Machine 2>/dev/null | grep -q .; }
        within 240 pool_has_places
        claims='+AuthTokenIssuer = "'$FIRST'"
        +x509UserProxyVOName = "'$VOMS'"'
        hides='+wantcontainer = True
        +CONTAINERIMAGE = "'$OTHER'"
        +wantsandboximage = True
        +SingularityImage = "'$OTHER'"'
        own="universe=container
        transfer_container=false
        container_image=$IMAGE"
        other=$(echo "$own" | sed "s#=$IMAGE#=$OTHER#") docker=$(printf 'universe=docker\ndocker_image=other')
        {
            echo "stranger=$(submit stranger stranger 0 "$claims") plain=$(submit first plain 0)"
            echo "second=$(submit second second 0) own=$(submit second own 0 "$own")"
            echo "names=$(submit first names 0 "$other") hides=$(submit first hides 0 "$hides")"
            echo "docker=$(submit first docker 0 "$docker") long=$(submit first long 900)"
        } >"$BATCH_TMP/jobs"
        . "$BATCH_TMP/jobs"
        cat "$BATCH_TMP/jobs"
        within 180 routed "$plain" "$second" "$long" || { echo "no job is routed" >&2; exit; }
        within 600 status 45 "$plain" "$second" "$names" "$hides" "$docker" "$own"
        within 90 status 5 "$stranger"
        """,
    "stranger": """
        . "$BATCH_TMP/jobs"; ce q "$stranger" -af JobStatus 'RoutedToJobId ?: "nowhere"' HoldReason
        copies "$stranger"
        """,
    "came": """
        . "$BATCH_TMP/jobs"
        ce q "$plain" -af JobStatus ExitCode
        as first transfer_data "$plain" "$names" "$hides" "$docker" >/dev/null
        as second transfer_data "$second" "$own" >/dev/null
        cd "$HOME/lading-jobs" || exit
        for job in plain second names hides docker own; do sed "s/^/$job: /" $job/out 2>/dev/null; done
        """,
    "why": "ce q -allusers -af ClusterId JobStatus HoldReason; condor_q -allusers -af ClusterId JobStatus HoldReason",
    "removed": """
        . "$BATCH_TMP/jobs"
        within 60 routed "$long" && echo "copies before: $(copies "$long" | wc -l)"
        as first rm "$long" >/dev/null && within 120 gone "$long"
        echo "copies after: $(copies "$long" | wc -l)"
        """,
}  # fmt: skip

TIDY = """
    command -v condor_rm >/dev/null && [ -e /etc/condor-ce/condor_config ] || exit 0
    CONDOR_CONFIG=/etc/condor-ce/condor_config condor_rm -all >/dev/null 2>&1
    CONDOR_CONFIG=/etc/condor-ce/condor_config condor_rm -forcex -all >/dev/null 2>&1
    condor_rm -constraint 'RoutedBy =?= "htcondor-ce"' >/dev/null 2>&1
    home=$(getent passwd "$OWNER" | cut -d: -f6); rm -rf "$home"/lading-tokens "$home"/lading-jobs
    """

# What HTCondor's own tool makes of a job with a proxy certificate: without a token, and with another VO's.
REHEARSED = r"""
    ad() { # NUMBER LINE
        printf '%s\n' 'MyType = "Job"' "ClusterId = $1" 'ProcId = 0' 'JobUniverse = 5' 'JobStatus = 1' \
            'Owner = "nobody"' 'Requirements = true' "x509UserProxyVOName = \"$VOMS\"" "$2" ''
    }
    { ad 1; ad 2 "AuthTokenIssuer = \"$STRANGER\""; } >"$BATCH_TMP/ads"
    ce job_router_info -route-jobs - -jobads "$BATCH_TMP/ads" | grep -e RouteName -e RoutedFrom -e '^ContainerImage'
    """


def said(result: CommandResult) -> str:
    """Return what a command left, for the message of a failed assertion."""
    return f"it ended with {result.rc} and said: {(result.stdout + result.stderr).strip()[-900:] or 'nothing'}"


def words_of(site: Site) -> dict[str, str]:
    """Return two VOs of the site: what their tokens say, and the container images that their routes name."""
    vos = site.variables["htcondor_ce_routes_vos"]
    assert isinstance(vos, list)
    known: list[Any] = [vo for vo in vos if isinstance(vo, dict) and vo.get("issuers") and vo.get("voms")]
    assert len(known) > 1, "There are fewer than two VOs that come with tokens, so nothing can be told of two."
    first, second = known[:2]
    return {
        "FIRST": first["issuers"][0],
        "SECOND": second["issuers"][0],
        "STRANGER": STRANGER,
        "IMAGE": first["image"],
        "OTHER": second["image"],
        "VOMS": first["voms"][0],
        "NAME": first["name"],
        "OWNER": site.users.user,
    }


@pytest.fixture(scope="module")
def words(site: Site) -> dict[str, str]:
    return words_of(site)


@pytest.fixture(scope="module")
def jobs(host: Host, site: Site, words: dict[str, str]) -> Iterator[Facts]:
    made = batch(host, {"": FUNCTIONS + TOKENS}, environment=words, timeout=400)[""]
    told = batch(
        host,
        {name: FUNCTIONS + command for name, command in JOBS.items()},
        user=site.users.user,
        environment=words,
        timeout=1400,
    )
    yield {"tokens": made, **told}
    batch(host, {"": TIDY}, environment=words)


@pytest.fixture(scope="module")
def systems(host: Host, words: dict[str, str]) -> list[str]:
    """Return the versions of the two systems, as the container images on the nodes say them."""
    nodes: list[Host] = testinfra.get_hosts(
        ["ansible://htcondor_workers"], ansible_inventory=host.backend.ansible_inventory
    )
    asked = 'for image in "$IMAGE" "$OTHER"; do (. "$image/etc/os-release"; echo "$VERSION_ID"); done'
    found: list[str] = batch(nodes[0], {"": asked}, environment=words)[""].stdout.split()
    assert len(set(found)) == 2, f"The nodes do not have two systems in the container images of the VOs: {found}."
    return found


def ran_in(jobs: Facts, job: str) -> list[str]:
    """Return in which system a job says that it ran."""
    return [str(found) for found in re.findall(rf"^{job}: in (\S+) as \d+$", jobs["came"].stdout, re.MULTILINE)]


def explained(jobs: Facts) -> str:
    """Return what is known of jobs that did not come back."""
    return "; ".join(said(jobs[name]) for name in ("tokens", "submitted", "came", "why"))


def test_two_vos_run_in_two_operating_systems(jobs: Facts, systems: list[str]) -> None:
    """A job of each VO names no container image; each runs in the one that the site has chosen for its VO."""
    assert [ran_in(jobs, "plain"), ran_in(jobs, "second")] == [[system] for system in systems], explained(jobs)


def test_output_and_exit_code_come_back_to_the_job_of_the_ce(jobs: Facts) -> None:
    """What a job was sent is there, it runs as its account, and its submitter fetches its output from the CE."""
    assert re.search(r"^4 3$", jobs["came"].stdout, re.MULTILINE), explained(jobs)
    assert "plain: from the submitter of plain\n" in jobs["came"].stdout, explained(jobs)
    assert not re.search(r"^plain: in \S+ as 0$", jobs["came"].stdout, re.MULTILINE), explained(jobs)


def test_job_cannot_choose_another_container_image_than_its_route(jobs: Facts, systems: list[str]) -> None:
    """By container universe, by attributes in other letters, by Docker universe: it runs where the site says."""
    ways = ("names", "hides", "docker")
    assert [ran_in(jobs, way) for way in ways] == [systems[:1]] * 3, explained(jobs)


def test_job_keeps_its_own_container_image_where_the_route_lets_it(jobs: Facts, systems: list[str]) -> None:
    """The second VO's route names an image for jobs that name none; this job names the first VO's."""
    assert ran_in(jobs, "own") == systems[:1], explained(jobs)


def test_job_of_another_vo_is_held_and_its_owner_reads_which_vo(jobs: Facts) -> None:
    """It claims to be of the first VO. It is held by what its token says, is not routed, and the reason names both."""
    lines = jobs["stranger"].stdout.splitlines()
    named = rf"No route of this CE is for the VO of this job, which is '{re.escape(STRANGER)}' "
    assert lines, explained(jobs)
    assert re.match(rf"5 nowhere {named}.*routes for \S", lines[0]), explained(jobs)
    assert len(lines) == 1, said(jobs["stranger"])


def test_removing_the_job_of_the_ce_removes_its_copy(jobs: Facts) -> None:
    """A job that runs has one copy in the batch system; when its owner removes it, that goes too."""
    assert jobs["removed"].stdout.splitlines() == ["copies before: 1", "copies after: 0"], said(jobs["removed"])


def test_proxy_certificate_counts_only_where_there_is_no_token(host: Host, words: dict[str, str]) -> None:
    """With a proxy certificate alone a job takes the route of its VO; beside another VO's token it takes none."""
    told = batch(host, {"": FUNCTIONS + REHEARSED}, environment=words)[""]
    assert re.findall(r'RouteName = "(\w+)"', told.stdout) == [words["NAME"]], said(told)
    assert re.findall(r'RoutedFromJobId = "(\d)\.0"', told.stdout) == ["1"], said(told)
    assert f'ContainerImage = "{words["IMAGE"]}"' in told.stdout, said(told)


def test_ce_comes_back_at_boot(host: Host) -> None:
    """HTCondor-CE runs, with its router, and starts with the system."""
    asked = "systemctl is-active condor-ce; systemctl is-enabled condor-ce; ce status -any -af MyType"
    told = batch(host, {"": FUNCTIONS + asked})[""]
    assert told.stdout.split()[:2] == ["active", "enabled"], said(told)
    assert "Job_Router" in told.stdout.split(), said(told)
