"""What settings of the client contradict each other, or the host: questions that need nothing but their answers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

Settings = dict[str, Any]
Host = dict[str, Any]

REPOSITORY = re.compile(r"[a-z0-9][a-z0-9-]*([.][a-z0-9-]+)+")
PROXY = re.compile(r"https?://(\[[0-9A-Fa-f:]+\]|[A-Za-z0-9.-]+):[0-9]{1,5}")
FINGERPRINT = re.compile(r"[0-9A-F]{40}")
# Set by other variables of the role, by default.conf for good, or refused by `cvmfs_config chksetup` in default.local.
OWN_KEYS = {
    "CVMFS_REPOSITORIES": "cvmfs_client_repositories",
    "CVMFS_HTTP_PROXY": "cvmfs_client_http_proxy",
    "CVMFS_CLIENT_PROFILE": "cvmfs_client_profile",
    "CVMFS_QUOTA_LIMIT": "cvmfs_client_quota_limit",
    "CVMFS_CACHE_BASE": "cvmfs_client_cache_base",
    "CVMFS_STRICT_MOUNT": "cvmfs_client_strict_mount",
}
FIXED_KEYS = ("CVMFS_USER", "CVMFS_MOUNT_DIR", "CVMFS_RELOAD_SOCKETS", "CVMFS_BASE_ENV")
# File systems that other hosts write too, or that are gone after a reboot or made of memory.
REMOTE = ("nfs", "nfs4", "cifs", "smb3", "lustre", "gpfs", "ceph", "beegfs", "glusterfs", "afs", "9p")
MEMORY = ("tmpfs", "ramfs")
# The client's own: it multiplies CVMFS_QUOTA_LIMIT by this.
MB = 1024 * 1024
# Below it `cvmfs_config chksetup` warns.
SMALLEST = 1000


def contradictions(settings: Settings, host: Host, clients: int) -> list[str]:
    """Return, a sentence each, all that is wrong with settings on a host of a site with so many clients."""
    found = [
        *_source(settings, host),
        *_repositories(settings),
        *_proxies(settings, clients),
        *_further(settings),
        *_mounts(settings, host),
        *_cache(settings, host),
    ]
    return list(dict.fromkeys(found))


def _source(settings: Settings, host: Host) -> Iterator[str]:
    source = settings["source"]
    pinned = settings["release_url"] and re.fullmatch(r"[0-9a-f]{64}", settings["release_sha256"])
    if source == "release" and not pinned:
        yield (
            "The source 'release' needs cvmfs_client_release_url and the file's SHA-256 in cvmfs_client_release_sha256."
        )
    if source == "repository":
        wrong = [said for said in settings["key_fingerprints"] if not FINGERPRINT.fullmatch(said)]
        if wrong or not settings["key_fingerprints"]:
            yield (
                "The source 'repository' needs fingerprints of keys in cvmfs_client_key_fingerprints, each of 40 "
                f"digits and capital letters without blanks{', not ' + listed(wrong) if wrong else ''}."
            )
        if not re.match(r"(https?|file)://", settings["repository_url"]) or settings["repository_url"].endswith("/"):
            yield (
                "cvmfs_client_repository_url is an address such as http://mirror.site.example/cvmrepo, without '/' at "
                "its end."
            )
    missing = [name for name in settings["packages"] if name not in host["installed"]]
    if source == "host" and missing and host["lists"] and not set(missing) <= set(host["offered"]):
        unknown = sorted(set(missing) - set(host["offered"]))
        yield (
            f"Neither installed nor offered by the host's repositories: {', '.join(unknown)}. Set cvmfs_client_source "
            "to 'repository' or 'release'."
        )


def _repositories(settings: Settings) -> Iterator[str]:
    repositories = settings["repositories"]
    for name in [*repositories, *settings["static_repositories"]]:
        if not REPOSITORY.fullmatch(name):
            yield f"'{name}' is not the full name of a repository, such as atlas.cern.ch."
    if twice := sorted({name for name in repositories if repositories.count(name) > 1}):
        yield f"cvmfs_client_repositories has {listed(twice)} twice."
    if not repositories:
        yield (
            "cvmfs_client_repositories is empty, so no command would know what to probe, and a strict mount would "
            "mount nothing."
        )


def _proxies(settings: Settings, clients: int) -> Iterator[str]:
    groups = settings["http_proxy"]
    if not all(isinstance(group, list) and group for group in groups):
        yield "cvmfs_client_http_proxy is a list of groups, each a list of proxies and none of them empty."
        return
    proxies = [str(proxy) for group in groups for proxy in group]
    words = {"DIRECT", "auto"}
    for proxy in proxies:
        if proxy not in words and not PROXY.fullmatch(proxy):
            yield f"'{proxy}' is no proxy: write http://NAME:PORT, DIRECT or auto."
    for group in groups:
        if "DIRECT" in group and len(group) > 1:
            yield (
                "DIRECT shares a group with a proxy, so clients would go past the proxy at random; give it a group "
                "of its own, the last."
            )
    if "DIRECT" in proxies[:-1]:
        yield "DIRECT is not the last of cvmfs_client_http_proxy, and it is tried before what comes after it."
    yield from _single_and_direct(settings, proxies, clients)


def _single_and_direct(settings: Settings, proxies: list[str], clients: int) -> Iterator[str]:
    single = settings["profile"] == "single"
    if single and proxies and proxies != ["DIRECT"]:
        yield (
            "The profile 'single' is for one machine without a proxy: leave out either cvmfs_client_profile or "
            "cvmfs_client_http_proxy."
        )
    if not proxies and not single:
        yield "There is neither a proxy nor the profile 'single', and without CVMFS_HTTP_PROXY nothing can be mounted."
    if clients > settings["direct_max"]:
        if single and not proxies:
            yield f"The profile 'single' is for one machine, and the site has {clients}."
        if proxies == ["DIRECT"]:
            yield (
                f"{clients} clients would go to the Stratum 1 servers without a proxy, and {settings['direct_max']} "
                "may (cvmfs_client_direct_max). Set up a proxy, better two."
            )
    if "DIRECT" in proxies and settings["config"].get("CVMFS_FALLBACK_PROXY"):
        yield "CVMFS_FALLBACK_PROXY takes every DIRECT out of the list of proxies: leave out one of the two."
    elif "DIRECT" in proxies and _gets_fallback(settings, proxies):
        yield (
            "Upstream's configuration adds fallback proxies to yours, and these take every DIRECT out: set "
            "cvmfs_client_profile to 'custom', or leave DIRECT out."
        )


def _gets_fallback(settings: Settings, proxies: list[str]) -> bool:
    """Say whether upstream's common.conf sets CVMFS_FALLBACK_PROXY: without a CDN, and unless the profile is custom."""
    said = settings["config"].get("CVMFS_USE_CDN", "")
    cdn = said in (True, "yes") or (said == "" and proxies in (["DIRECT"], ["auto", "DIRECT"]))
    return settings["profile"] != "custom" and not cdn


def _further(settings: Settings) -> Iterator[str]:
    for key, value in settings["config"].items():
        if key in OWN_KEYS:
            yield f"{key} is set by {OWN_KEYS[key]}, not in cvmfs_client_config."
        elif key in FIXED_KEYS:
            yield f"{key} is fixed in default.conf and can't be set."
        elif key == "CVMFS_CONFIG_REPOSITORY":
            yield (
                "CVMFS_CONFIG_REPOSITORY can't be set in default.local, only in default.conf and default.d: install "
                "another package of configuration by cvmfs_client_packages."
            )
        elif not re.fullmatch(r"[A-Z][A-Za-z0-9_]*", key):
            yield f"'{key}' is no key of default.local."
        if re.search(r"['\n]", str(value)):
            yield f"The value of {key} holds a quotation mark or a new line."


def _mounts(settings: Settings, host: Host) -> Iterator[str]:
    static, listed_ones = settings["static_repositories"], settings["repositories"]
    if settings["mount"] == "autofs":
        if static:
            yield "cvmfs_client_static_repositories is for cvmfs_client_mount 'static'; here autofs mounts."
        if host["foreign_fstab"]:
            yield (
                f"/etc/fstab mounts {', '.join(host['foreign_fstab'])}, and autofs is to have /cvmfs: a repository has "
                "one process. Take the lines out, or set cvmfs_client_mount to 'static'."
            )
        if settings["autofs_timeout"] < 0:
            yield "cvmfs_client_autofs_timeout is a number of seconds; 0 is never."
    else:
        if unlisted := [name for name in static if name not in listed_ones]:
            yield f"Static mounts of {listed(unlisted)}, which cvmfs_client_repositories does not have."
        again = sorted(set(host["foreign_fstab"]) & {*(static or listed_ones), settings["config_repository"]})
        if again:
            yield f"/etc/fstab has lines of its own for {', '.join(again)}: take them out."
        config = settings["config_repository"]
        if settings["strict_mount"] and config and config not in listed_ones:
            yield (
                f"With strict mounts '{config}' has to be in cvmfs_client_repositories too, or "
                "cvmfs_client_config_repository be empty: the others wait for it."
            )
    if host["foreign_autofs"]:
        what = (
            "which is this role's"
            if settings["mount"] == "autofs"
            else "and the repositories are to be mounted by /etc/fstab"
        )
        yield f"automount has /cvmfs by {', '.join(host['foreign_autofs'])}, {what}: take the line out."


def _cache(settings: Settings, host: Host) -> Iterator[str]:
    base, limit, disk = settings["cache_base"], settings["quota_limit"], host["cache"]
    if not re.fullmatch(r"/[A-Za-z0-9._/-]+", base):
        yield f"cvmfs_client_cache_base '{base}' is not the full path of a folder."
        return
    if base == "/cvmfs" or base.startswith("/cvmfs/"):
        yield "The cache cannot lie below /cvmfs."
    if disk["kind"] in REMOTE or disk["kind"].startswith("fuse"):
        yield f"{base} is on a {disk['kind']} file system; the cache needs a local one, which no other host writes."
    if disk["kind"] in MEMORY:
        yield f"{base} is on a {disk['kind']} file system: the cache would lie in memory and be gone at the next boot."
    if disk["kind"] == "overlay":
        yield f"{base} is on an overlay, as of a node without a disk: give the cache a file system of its own."
    alien = bool(settings["config"].get("CVMFS_ALIEN_CACHE"))
    if alien != (limit == -1):
        yield (
            "CVMFS_ALIEN_CACHE and cvmfs_client_quota_limit -1 belong together: an alien cache, and no other, has "
            "no limit."
        )
    shared = str(settings["config"].get("CVMFS_SHARED_CACHE", "yes")).lower() not in ("no", "off", "false", "0")
    if alien and limit == -1 and shared:
        yield "CVMFS_ALIEN_CACHE needs CVMFS_SHARED_CACHE: no."
    if limit != -1 and limit < SMALLEST:
        yield f"A limit of {limit} MB is so low that 'cvmfs_config chksetup' warns of it: give {SMALLEST} or more."
    elif not alien and (room := disk["room"] // MB) < limit * 1.2 + 1000:
        yield (
            f"The file system of {base} has room for {room} MB of a cache, and a limit of {limit} MB needs "
            f"{int(limit * 1.2) + 1000}: a fifth more, and 1000 MB."
        )


def listed(names: list[str]) -> str:
    """Return names in quotes."""
    return ", ".join(f"'{name}'" for name in names)
