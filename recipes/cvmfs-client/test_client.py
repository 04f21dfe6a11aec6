"""What must be true of a worker node that has the CVMFS client. Needs the real client: no stand-in answers these."""

import re
from collections.abc import Sequence
from typing import Any, TypeAlias

import pytest
from testinfra.backend.base import CommandResult
from testinfra.host import Host

from lading.checks.batch import batch
from lading.checks.site import Site

testinfra_hosts = ["ansible://workers"]

Facts: TypeAlias = dict[str, CommandResult]

# The first mounts fetch catalogues, from far away; and `chksetup` waits 5 s for each proxy that does not answer.
SLOW = 300

# What `chksetup` warns of although nothing is wrong with the host: servers and fallback proxies, far away, of which
# some are always down, and what static mounts do without.
FAR = r"Warning: failed to (access \S+ through proxy \S+|use Geo-API with \S+)"
WITHOUT_AUTOFS = "Warning: (CernVM-FS map is not referenced from autofs maps .*|autofs service is not running)"

READ = {
    "chksetup": "cvmfs_config chksetup",
    "probe": "cvmfs_config probe",
    "mounts": "cat /proc/self/mountinfo",
    "maps": "grep --no-filename '^/cvmfs' /etc/auto.master /etc/auto.master.d/*",
    "fstab": "grep --extended-regexp '^[^#]+ cvmfs ' /etc/fstab",
    "cache": 'du --summarize --block-size=1M "$BASE"',
}
OF_EACH = {
    "settings": 'cvmfs_config showconfig -s "$NAME"',
    "list": 'ls "/cvmfs/$NAME"',
    "write": 'touch "/cvmfs/$NAME/lading-check"',
    "proxies": 'cvmfs_talk -i "$NAME" proxy info',
}
IN_CONTAINER = 'apptainer --silent exec --bind /cvmfs "$IMAGE" ls "/cvmfs/$NAME"'
# Something that a job leaves behind, in a container whose processes end with it.
LEAVE = """
ls "/cvmfs/$NAME" >/dev/null
apptainer --silent exec --pid --bind /cvmfs "$IMAGE" sh -c 'cd "/cvmfs/$NAME" && sleep 900 >/dev/null 2>&1 & sleep 1'
"""
GONE = """
timeout "$SECONDS_LEFT" sh -c 'while grep --quiet " /cvmfs/$NAME " /proc/self/mountinfo; do sleep 1; done'
"""


def wanted(site: Site, name: str) -> Any:
    """Return a variable of the role."""
    return site.variables[f"cvmfs_client_{name}"]


@pytest.fixture(scope="module")
def host_facts(host: Host, site: Site) -> Facts:
    return batch(host, READ, environment={"BASE": str(wanted(site, "cache_base"))}, timeout=SLOW)


@pytest.fixture(scope="module")
def facts(host: Host, site: Site) -> dict[str, Facts]:
    """What each repository tells."""
    return {
        name: batch(host, OF_EACH, environment={"NAME": name}, timeout=SLOW) for name in wanted(site, "repositories")
    }


def in_force(said: str) -> dict[str, str]:
    """Return the settings that `showconfig` tells, without quotes and without the files that they are from."""
    found = re.findall(r"^(CVMFS_\w+)=(.*?)(?: +#.*)?$", said, re.MULTILINE)
    return {key: value.strip("'\"") for key, value in found}


def told(result: CommandResult) -> str:
    """Return what a command left, for the message of a failed assertion."""
    return f"it ended with {result.rc} and said: {(result.stdout + result.stderr).strip()[-600:] or 'nothing'}"


def complaints(said: str, *, static: bool) -> list[str]:
    """Return what `chksetup` says of the host itself."""
    harmless = f"{FAR}|{WITHOUT_AUTOFS}" if static else FAR
    return [line for line in said.splitlines() if line != "OK" and not re.fullmatch(harmless, line)]


def dead_proxies(said: str, name: str, servers: Sequence[str], proxies: Sequence[str]) -> list[str]:
    """Return the proxies by which `chksetup` has reached no server of a repository."""
    failed = re.findall(
        rf"^Warning: failed to access \S+/{re.escape(name)}/\S+ through proxy (\S+)$", said, re.MULTILINE
    )
    return [proxy for proxy in proxies if failed.count(proxy) >= len(servers)]


def test_client_finds_nothing_wrong(host_facts: Facts, facts: dict[str, Facts], site: Site) -> None:
    """`cvmfs_config chksetup` complains of nothing on the host, and each proxy of the site reaches a server."""
    chksetup = host_facts["chksetup"]
    assert chksetup.rc == 0, told(chksetup)
    assert complaints(chksetup.stdout, static=wanted(site, "mount") == "static") == []
    proxies = [one for group in wanted(site, "http_proxy") for one in group if one not in ("DIRECT", "auto")]
    for name, said in facts.items():
        servers = re.split("[;,]", in_force(said["settings"].stdout).get("CVMFS_SERVER_URL", ""))
        assert servers != [""], f"{name} has no server: {told(said['settings'])}"
        assert dead_proxies(chksetup.stdout, name, servers, proxies) == [], told(chksetup)


def test_settings_are_in_force(facts: dict[str, Facts], site: Site) -> None:
    """What is in force for each repository is what the site asked for, whichever file sets it."""
    proxies = ";".join("|".join(group) for group in wanted(site, "http_proxy"))
    expected = {
        "CVMFS_REPOSITORIES": ",".join(wanted(site, "repositories")),
        "CVMFS_QUOTA_LIMIT": str(wanted(site, "quota_limit")),
        "CVMFS_CACHE_BASE": str(wanted(site, "cache_base")),
        "CVMFS_STRICT_MOUNT": "yes" if wanted(site, "strict_mount") else "no",
        **({"CVMFS_HTTP_PROXY": proxies} if proxies else {}),
    }
    for name, said in facts.items():
        found = in_force(said["settings"].stdout)
        assert {key: found.get(key, "") for key in expected} == expected, f"{name}: {told(said['settings'])}"


def test_each_repository_answers(host_facts: Facts, site: Site) -> None:
    """`cvmfs_config probe` reaches each repository."""
    said = host_facts["probe"]
    answered = re.findall(r"^Probing /cvmfs/(\S+?)\.\.\. OK$", said.stdout, re.MULTILINE)
    assert sorted(answered) == sorted(wanted(site, "repositories")), told(said)
    assert said.rc == 0, told(said)


def test_each_repository_is_mounted_and_read_only(facts: dict[str, Facts], host: Host) -> None:
    """Each repository is a mount of the client, holds something, and cannot be written, by root either."""
    mounts = batch(host, {"mounts": READ["mounts"]})["mounts"].stdout
    for name, said in facts.items():
        assert re.search(rf" /cvmfs/{re.escape(name)} .* - fuse(\.\w+)? cvmfs2 ", mounts), (
            f"{name} is no mount of the client"
        )
        assert said["list"].stdout.strip(), f"{name}: {told(said['list'])}"
        assert "Read-only file system" in said["write"].stderr, f"{name}: {told(said['write'])}"


def test_proxies_of_the_site_are_used(facts: dict[str, Facts], site: Site) -> None:
    """The proxy in use is one of the first group; on a host without proxies, none."""
    groups = wanted(site, "http_proxy") or [["DIRECT"]]
    for name, said in facts.items():
        active = re.search(r"^Active proxy: \[\d+\] (\S+)", said["proxies"].stdout, re.MULTILINE)
        assert active, f"{name}: {told(said['proxies'])}"
        assert "auto" in groups[0] or active[1] in groups[0], (
            f"{name} uses {active[1]}, and the first group is {groups[0]}"
        )


def test_cache_keeps_its_limit(host_facts: Facts, site: Site) -> None:
    """The cache is there, and not larger than its limit."""
    assert host_facts["cache"].rc == 0, told(host_facts["cache"])
    size, limit = int(host_facts["cache"].stdout.split()[0]), wanted(site, "quota_limit")
    assert limit == -1 or size <= limit, f"the cache has {size} MiB, and its limit is {limit} MB"


def test_one_of_autofs_and_fstab_mounts(host_facts: Facts, site: Site) -> None:
    """Either autofs has /cvmfs or fstab has the repositories, and never both."""
    by_fstab = {line.split()[0] for line in host_facts["fstab"].stdout.splitlines()}
    automounted = re.search(r" /cvmfs .* - autofs ", host_facts["mounts"].stdout)
    if wanted(site, "mount") == "autofs":
        assert automounted, "automount does not have /cvmfs"
        assert f"--timeout={wanted(site, 'autofs_timeout')}" in host_facts["maps"].stdout, told(host_facts["maps"])
        assert not by_fstab
    else:
        assert not automounted, "automount has /cvmfs too"
        assert by_fstab >= set(wanted(site, "static_repositories") or wanted(site, "repositories")), told(
            host_facts["fstab"]
        )


def test_repositories_are_in_a_container(host: Host, site: Site) -> None:
    """An ordinary user finds each repository in a container of `--bind /cvmfs`, though its image has no `/cvmfs`."""
    for name in wanted(site, "repositories"):
        environment = {"NAME": name, "IMAGE": site.images["tiny"]}
        said = batch(host, {"ls": IN_CONTAINER}, user=site.users.user, environment=environment, timeout=SLOW)["ls"]
        assert said.rc == 0, f"{name}: {told(said)}"
        assert said.stdout.strip(), f"{name} is empty in the container"


def test_idle_repository_is_unmounted_after_a_container(host: Host, site: Site) -> None:
    """A process that a job leaves behind ends with a container of `--pid`; then autofs unmounts, and mounts again."""
    timeout = wanted(site, "autofs_timeout")
    if wanted(site, "mount") != "autofs" or not 0 < timeout <= 60:
        return  # for ever, or longer than a check may take
    name = wanted(site, "repositories")[-1]
    environment = {"NAME": name, "IMAGE": site.images["tiny"], "SECONDS_LEFT": str(4 * timeout + 20)}
    left = batch(host, {"leave": LEAVE}, user=site.users.user, environment=environment, timeout=SLOW)["leave"]
    assert left.rc == 0, told(left)
    commands = {"gone": GONE, "again": 'ls "/cvmfs/$NAME"'}
    said = batch(host, commands, environment=environment, timeout=SLOW)
    assert said["gone"].rc == 0, f"{name} is still mounted after {environment['SECONDS_LEFT']} s"
    assert said["again"].stdout.strip(), told(said["again"])
