"""What must be true of jobs on nodes that run them in the site's image, tried from the head."""

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
# What a pilot brings, and another image, which jobs would rather have: Debian 12.
APPTAINER = "/cvmfs/software.site.example/apptainer/bin/apptainer"
OTHER = "/cvmfs/legacy.site.example/older"
THERE = 'command -v condor_submit >/dev/null || { echo "there is no HTCondor here" >&2; exit 69; }\n'

WHERE = """
. /etc/os-release; echo "in $PRETTY_NAME"; echo "from $APPTAINER_CONTAINER at $PWD"
cut -d' ' -f5 /proc/self/mountinfo | while read -r mount; do echo "sees $mount"; done
"""
PLAIN = f"""{WHERE}
echo "before it $(cat lading-system)"; echo "staged $(cat lading-input)"; echo made >lading-output
set -- /proc/[0-9]*; echo "first process $(cat /proc/1/comm) of $#"
[ -e "$APPTAINER_CONTAINER" ] && echo "reads the image where the node has it"
"""
# HTCondor starts it itself, before the job and as its owner.
BEFORE = """#!/bin/sh
. /etc/os-release; echo "$PRETTY_NAME" >"$_CONDOR_SCRATCH_DIR/lading-system"
"""
PAYLOAD = """
. /etc/os-release; set -- /proc/[0-9]*
echo "payload in $PRETTY_NAME at $PWD; first process $(cat /proc/1/comm) of $#"
[ ! -e "$0/lading-of-the-pilot" ] || echo "sees $0/lading-of-the-pilot"
"""
# As OSG has a site try it, and as GlideinWMS does; what the outer container binds is not handed on.
PILOT = f"""{WHERE}
unset APPTAINER_BIND SINGULARITY_BIND; export APPTAINER_CONFIGDIR="$PWD/settings"
mkdir work; echo mine >lading-of-the-pilot; payload=$(cat lading-payload)
{APPTAINER} exec --contain --ipc --pid --cleanenv --bind /cvmfs {OTHER} sh -c "$payload" "$PWD"
{APPTAINER} exec --home "$PWD/work:/srv" --pwd /srv --ipc --pid --contain --bind /cvmfs {OTHER} sh -c "$payload" "$PWD"
"""
SCRIPTS = {"PLAIN": PLAIN, "BEFORE": BEFORE, "PAYLOAD": PAYLOAD, "PILOT": PILOT, "WHERE": WHERE, "OTHER": OTHER}

# All jobs are submitted before any is waited for: a job alone waits longer for its place than it runs.
JOBS = {
    "submitted": f"""{THERE}
        within 240 places
        cd "$HOME" && echo input >lading-input && printf '%s' "$PAYLOAD" >lading-payload
        printf '%s' "$BEFORE" >lading-before && chmod 755 lading-before
        plain=$(submit plain "$PLAIN" 'transfer_input_files = lading-input, lading-before
            environment = "APPTAINER_BINDPATH=/usr/share:/of-the-job"
            +PreCmd = "lading-before"')
        # HTCondor limits a job to what it asks for, and this one has a container in its container.
        pilot=$(submit pilot "$PILOT" 'transfer_input_files = lading-payload
            request_memory = 256')
        image=$(submit image "$WHERE" "universe = container
            container_image = $OTHER")
        ad=$(submit ad "$WHERE" "+SingularityImage = \\"$OTHER\\"
            +SingularityJob = false
            +SINGULARITY_JOB = false
            +WantSingularity = false
            +SingularityBind = \\"/usr/share:/of-the-ad\\"")
        set -- "$plain" "$pilot" "$image" "$ad"
        echo "$*" >"$BATCH_TMP/jobs"; condor_release "$@"; within 400 ended "$@"
        for job; do field "$job" -af ClusterId JobStatus ExitCode HoldReason; done
        """,
    "plain": 'cat "$HOME/lading-plain.out" "$HOME/lading-plain.err"; echo "came back $(cat "$HOME/lading-output")"',
    "pilot": 'cat "$HOME/lading-pilot.out" "$HOME/lading-pilot.err"',
    "image": 'cat "$HOME/lading-image.out" "$HOME/lading-image.err"',
    "ad": 'cat "$HOME/lading-ad.out" "$HOME/lading-ad.err"',
    "says": "condor_status -constraint 'HasSingularity =?= true' -af SiteImage | sort -u",
    "swept": """
        [ ! -e "$BATCH_TMP/jobs" ] || condor_rm $(cat "$BATCH_TMP/jobs") >/dev/null 2>&1; rm -rf "$HOME"/lading-*
        """,
}  # fmt: skip

# As root on a node: what it runs itself, and what the image has.
NODE = {
    "node": '. /etc/os-release; echo "$PRETTY_NAME"',
    "image": '. "$IMAGE/etc/os-release" && echo "$PRETTY_NAME"',
    "binds": 'for path in $BINDS; do [ ! -e "${path%%:*}" ] || echo "$path"; done',
}

# The image is gone: a starter reads the settings when it starts. The folder of settings stays as it is, so that
# nothing is younger than HTCondor's last look at it.
SETTINGS = "/etc/condor/config.d/90-lading-site-image.config"
GONE = "-of-last-year"
BREAK = f"""
    [ "$(condor_config_val SINGULARITY_JOB 2>/dev/null)" = True ] || exit
    hostname --fqdn; cp --preserve {SETTINGS} /run/lading-check.config
    sed "s|^\\(SINGULARITY_IMAGE_EXPR\\) = .*|\\1 = \\"$IMAGE{GONE}\\"|" /run/lading-check.config >{SETTINGS}
    """
MEND_IMAGE = f"""
    [ ! -e /run/lading-check.config ] ||
        {{ cp --preserve /run/lading-check.config {SETTINGS} && rm /run/lading-check.config; }}
    """
# Containers stand on user namespaces, and this is the node's setting.
LIMIT = """
    sysctl --values user.max_user_namespaces >/run/lading-check
    sysctl --quiet --write user.max_user_namespaces=0
    """
MEND_LIMIT = """
    [ ! -e /run/lading-check ] ||
        { sysctl --quiet --write "user.max_user_namespaces=$(cat /run/lading-check)"; rm /run/lading-check; }
    """
# A part of /proc is read-only for the unit, so that nobody in it can mount another. From this second on counts
# what the node says.
COVER = """
    date +%s
    mkdir --parents /run/systemd/system/condor.service.d
    printf '[Service]\\nProtectKernelTunables=yes\\n' >/run/systemd/system/condor.service.d/lading-check.conf
    systemctl daemon-reload && systemctl restart condor
    """
UNCOVER = """
    [ -e /run/systemd/system/condor.service.d/lading-check.conf ] || exit 0
    rm -r /run/systemd/system/condor.service.d && systemctl daemon-reload && systemctl restart condor
    """
# The lines of HTCondor's trial since it was started last.
TRIAL = "sed -n 's/.*singularity stderr.: *//p' /var/log/condor/StarterLog.testing | grep -v exit_37.sif | tail -n 4"

READY = f"{THERE} within 240 places"
SUBMIT = """
    job=$(submit one "echo ran" "requirements = TARGET.Machine == \\"$NODE\\""); condor_release "$job" >&2; echo "$job"
    """
GIVEN_BACK = """
    within 240 given_back "$JOB" "$WORDS"; sed -n -e '/^021/,/^[.]/p' -e '/^005/,/^[.]/p' "$HOME/lading-one.log"
    """
RAN = """
    within 400 ended "$JOB"; field "$JOB" -af JobStatus ExitCode
    condor_rm "$JOB" >/dev/null 2>&1; rm -f "$HOME"/lading-*
    """
LEFT = """
    within 300 node_says "$NODE" "DaemonLastReconfigTime >= $SINCE && HasSingularity =!= undefined"
    condor_status -constraint "Machine == \\"$NODE\\"" -af HasSingularity | sort -u
    """
# Some looks of the head for places: each takes ten seconds in the lab.
WAITS = """within 40 started "$JOB"; field "$JOB" -af JobStatus 'NumShadowStarts ?: 0' """


def said(result: CommandResult) -> str:
    """Return what a command left, for the message of a failed assertion."""
    return f"it ended with {result.rc} and said: {(result.stdout + result.stderr).strip()[-1200:] or 'nothing'}"


def image(site: Site) -> str:
    return str(site.variables["htcondor_site_image_path"])


def ask(host: Host, site: Site, commands: Mapping[str, str], **words: str) -> Facts:
    """Run commands as the site's user, with the functions of this recipe."""
    with_functions = {name: FUNCTIONS + command for name, command in commands.items()}
    environment = {"IMAGE": image(site), "NODES": str(len(nodes(host))), **SCRIPTS, **words}
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
def node(host: Host, site: Site) -> Facts:
    listed = site.variables["htcondor_site_image_bind"]
    binds = " ".join(str(each) for each in listed) if isinstance(listed, list) else ""
    return batch(nodes(host)[0], NODE, environment={"IMAGE": image(site), "BINDS": binds})


@pytest.fixture(scope="module")
def story(host: Host, site: Site) -> dict[str, CommandResult]:
    """Return what becomes of jobs on a node that gets no container, and then none with a /proc of its own."""
    sick = nodes(host)[0]
    told: dict[str, CommandResult] = {}
    words: dict[str, str] = {}

    def root(name: str, *commands: str) -> str:
        told[name] = batch(sick, {"": "\n".join(commands)}, environment={"IMAGE": image(site)}, timeout=400)[""]
        return str(told[name].stdout).strip()

    def user(name: str, command: str) -> str:
        told[name] = ask(host, site, {"": command}, **words)[""]
        return str(told[name].stdout).strip()

    user("ready", READY)
    try:
        words["NODE"] = root("broken", BREAK)
        if words["NODE"]:
            words |= {"JOB": user("submitted", SUBMIT), "WORDS": f"could not open image {image(site)}{GONE}"}
            user("image gone", GIVEN_BACK)
            root("limited", MEND_IMAGE, LIMIT)
            words["WORDS"] = "user namespace"
            user("given back", GIVEN_BACK)
    finally:
        root("mended", MEND_IMAGE, MEND_LIMIT)
    if "JOB" not in words:
        return told
    user("ran", RAN)
    try:
        words["SINCE"] = root("covered", COVER)
        user("left", LEFT)
        root("trial", TRIAL)
        words["JOB"] = user("submitted again", SUBMIT)
        user("waits", WAITS)
    finally:
        root("uncovered", UNCOVER)
    user("ran then", f"within 240 places; {RAN}")
    return told


def told_of(story: Mapping[str, CommandResult], name: str) -> CommandResult:
    """Return one part of the story, if it came that far."""
    assert name in story, f"The node does not run jobs in the site's image: {said(story['broken'])}"
    return story[name]


def in_the_image(jobs: Facts, node: Facts, site: Site, name: str) -> str:
    """Return what a job has said, if it ran in the site's image."""
    job, system = jobs[name], node["image"].stdout.strip()
    assert system, f"The image is no unpacked one, or not there: {said(node['image'])}"
    assert f"in {system}\nfrom {image(site)} at " in job.stdout, f"{said(job)}; {said(jobs['submitted'])}"
    return str(job.stdout)


def test_job_that_says_nothing_of_containers_runs_in_the_image_of_the_site(
    jobs: Facts, node: Facts, site: Site
) -> None:
    """A vanilla job sees the operating system of the image, which is not the node's."""
    in_the_image(jobs, node, site, "plain")
    assert jobs["says"].stdout.split() == [image(site)], f"The nodes do not say so: {said(jobs['says'])}"
    assert node["node"].stdout != node["image"].stdout, f"Image and node are one system: {said(node['node'])}"


def test_files_are_staged_into_the_container_and_out_of_it(jobs: Facts, node: Facts, site: Site) -> None:
    """A file that goes with the job is there, and one that the job makes comes back."""
    output = in_the_image(jobs, node, site, "plain")
    assert "staged input\n" in output, said(jobs["plain"])
    assert "came back made\n" in output, said(jobs["plain"])


def test_paths_that_the_site_names_are_in_the_jobs_container(jobs: Facts, node: Facts, site: Site) -> None:
    """Each path of htcondor_site_image_bind that the node has is mounted, /cvmfs among them, and can be read."""
    output = in_the_image(jobs, node, site, "plain").splitlines()
    binds = [line.split(":") for line in node["binds"].stdout.splitlines()]
    assert binds, "The site binds nothing that the node has, so nothing was looked at."
    for bind in binds:
        assert f"sees {bind[:2][-1]}" in output, f"'{bind[:2][-1]}' is not there; {said(jobs['plain'])}"
    if ["/cvmfs"] in binds and image(site).startswith("/cvmfs/"):
        assert "reads the image where the node has it" in output, said(jobs["plain"])


def test_job_sees_no_process_of_the_node(jobs: Facts, node: Facts, site: Site) -> None:
    """The container has processes of its own, and Apptainer's is the first."""
    output = in_the_image(jobs, node, site, "plain")
    assert re.search(r"^first process appinit of [2-4]$", output, re.MULTILINE), said(jobs["plain"])


def test_job_that_names_another_image_or_asks_for_none_runs_in_the_sites(jobs: Facts, node: Facts, site: Site) -> None:
    """Neither container_image nor any attribute of a job changes image or paths."""
    for name in ("image", "ad"):
        assert "of-the-ad" not in in_the_image(jobs, node, site, name), said(jobs[name])


def test_container_is_no_wall_since_a_job_can_run_a_command_before_it_and_bind_paths(
    jobs: Facts, node: Facts, site: Site
) -> None:
    """As the page says: what HTCondor starts before a job runs on the node, and a variable of the job binds a path."""
    output = in_the_image(jobs, node, site, "plain")
    assert f"before it {node['node'].stdout.strip()}\n" in output, said(jobs["plain"])
    assert "sees /of-the-job\n" in output, said(jobs["plain"])


def test_pilot_in_the_site_image_starts_a_payload_in_a_container_of_its_own_with_pid(
    jobs: Facts, node: Facts, site: Site
) -> None:
    """Both ways give a container with another system, its own processes, and no file of the pilot."""
    output = in_the_image(jobs, node, site, "pilot")
    words = r"^payload in Debian GNU/Linux 12 \(bookworm\) at (\S+); first process appinit of [2-4]$"
    found = re.findall(words, output, re.MULTILINE)
    assert len(found) == 2, said(jobs["pilot"])
    assert found[1] == "/srv", said(jobs["pilot"])
    assert "lading-of-the-pilot" not in output, said(jobs["pilot"])


@pytest.mark.mutates
def test_job_goes_back_to_the_queue_where_its_container_does_not_start(
    story: Mapping[str, CommandResult], site: Site
) -> None:
    """Its log names an image that is gone, or has Apptainer's words if it is the node; it runs when that is mended."""
    gone, back, ran = (told_of(story, name) for name in ("image gone", "given back", "ran"))
    assert re.search(rf"Singularity test failed:.*{re.escape(image(site) + GONE)}", gone.stdout), said(gone)
    assert re.search(r"Singularity test failed:.*user namespace", back.stdout), said(back)
    assert ran.stdout.strip() == "4 0", said(ran)


@pytest.mark.mutates
def test_node_that_cannot_make_pid_namespaces_takes_no_jobs(story: Mapping[str, CommandResult]) -> None:
    """Where /proc is covered a pilot could start nothing: HTCondor says why, and jobs wait until it is mended."""
    left, trial, waits = (told_of(story, name) for name in ("left", "trial", "waits"))
    assert left.stdout.strip() == "false", said(left)
    assert "mount proc->/proc error" in trial.stdout, said(trial)
    assert "operation not permitted" in trial.stdout, said(trial)
    assert waits.stdout.strip() == "1 0", said(waits)
    assert told_of(story, "ran then").stdout.strip() == "4 0", said(told_of(story, "ran then"))
