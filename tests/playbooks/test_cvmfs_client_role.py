"""The CVMFS client's role, all of its tasks but those that need a running system, in a tree of Debian 13.

The package that it installs is the tests' own: it has the name and the files of the real one, and does nothing. It
comes from a signed repository, as the real one does.
"""

import gzip
import hashlib
import json
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from lading.lab import image
from lading.lab.mirror import find_mirror
from lading.lab.workspace import opened_workspace
from lading.project import find_catalogue
from lading.routes import playbook
from lading.state.collect import SCRIPT
from lading.state.compare import Change, compare
from lading.state.model import State
from tests.playbooks.conftest import Keys, own_keys

CATALOGUE = find_catalogue(start=Path(__file__))
RENDERED = CATALOGUE.recipes / "cvmfs-client" / "rendered"
PACKAGES = (*image.PACKAGES, "ansible-core")
HOME = "/root"

CONTROL = """Package: cvmfs
Version: 2.99-1
Architecture: all
Depends: autofs
Maintainer: alice <alice@site.example>
Description: stands in for the real one
"""
CONFFILES = {"etc/cvmfs/default.conf": "CVMFS_QUOTA_LIMIT=4000\n", "etc/auto.cvmfs": "#!/bin/sh\n"}

VARIABLES: dict[str, Any] = {
    "cvmfs_client_source": "repository",
    "cvmfs_client_repository_url": "file:///srv/cvmrepo",
    "cvmfs_client_repositories": ["atlas.cern.ch", "software.site.example"],
    "cvmfs_client_http_proxy": [["http://squid1.site.example:3128", "http://squid2.site.example:3128"], ["DIRECT"]],
    "cvmfs_client_profile": "custom",
    "cvmfs_client_quota_limit": 1000,
    "cvmfs_client_config": {"CVMFS_USE_GEOAPI": True},
}
OWN_FSTAB = "# The site's.\nUUID=1 / ext4 defaults 0 1\n"
REFUSED: dict[str, dict[str, Any]] = {
    "direct": {"cvmfs_client_http_proxy": [["DIRECT"]]},
    "wrongly-typed": {"cvmfs_client_http_proxy": [["squid1:3128"]], "cvmfs_client_repositories": ["atlas"]},
    "large": {"cvmfs_client_quota_limit": 900_000_000},
    "static": {"cvmfs_client_mount": "static", "cvmfs_client_static_repositories": ["lhcb.cern.ch"]},
}
REFUSING = """- name: Only look
  hosts: refused
  gather_facts: true
  gather_subset: [min]
  tasks:
    - name: Look
      ansible.builtin.import_role:
        name: cvmfs_client
        tasks_from: preflight.yml
"""
DRIVER = f"""
set -eu
export HOME=/root LC_ALL=C.UTF-8
export ANSIBLE_CONFIG=$HOME/ansible.cfg
cd /root
mkdir out
mv cvmrepo /srv && chmod -R a+rX /srv/cvmrepo
printf '%s' "{OWN_FSTAB}" >/etc/fstab
cp refusing.yml playbooks
look() {{
    sh state.sh >"out/$1.json"
    for file in default.local ../auto.master.d/cvmfs.autofs ../fstab; do
        mkdir -p "out/$1" && {{ cp "/etc/cvmfs/$file" "out/$1" || true; }}
    done 2>/dev/null
}}
play() {{
    name=$1 book=$2 && shift 2
    LADING_EVENTS=$HOME/out/$name.jsonl ansible-playbook --inventory inventory.json "$@" \\
        "playbooks/$book" >"out/$name.log" 2>&1 || echo "It ended with $?." >>"out/$name.log"
    look "$name"
}}
look before
play refused refusing.yml --extra-vars @common.json
play rehearsed cvmfs_client.yml --extra-vars @variables.json --check --diff
play untrusted cvmfs_client.yml --extra-vars @variables.json --extra-vars @untrusted.json
play apply cvmfs_client.yml --extra-vars @variables.json
play again cvmfs_client.yml --extra-vars @variables.json
play again-check cvmfs_client.yml --extra-vars @variables.json --check
play static cvmfs_client.yml --extra-vars @variables.json --extra-vars cvmfs_client_mount=static
play autofs cvmfs_client.yml --extra-vars @variables.json
play undo cvmfs_client.yml --extra-vars @variables.json --extra-vars cvmfs_client_state=absent
"""


def make_repository(folder: Path, keys: Keys) -> str:
    """Write a repository as upstream lays it out, in 'apt', with its keys; return the fingerprint of the right one."""
    signer, other = keys.make("packages@site.example"), keys.make("other@site.example")
    tree = folder / "package"
    for name, text in {"DEBIAN/control": CONTROL, **CONFFILES}.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(text)
    (tree / "DEBIAN/conffiles").write_text("".join(f"/{name}\n" for name in CONFFILES))
    apt = folder / "cvmrepo" / "apt"
    (apt / "pool").mkdir(parents=True)
    package = apt / "pool" / "cvmfs.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "--build", tree, package], check=True, capture_output=True)
    said = f"{CONTROL}Filename: pool/cvmfs.deb\nSize: {package.stat().st_size}\nSHA256: {_sha256(package)}\n"
    index = apt / "dists/trixie-prod/main/binary-amd64/Packages.gz"
    index.parent.mkdir(parents=True)
    index.write_bytes(gzip.compress(said.encode()))
    plain = hashlib.sha256(said.encode()).hexdigest()
    release = apt / "dists/trixie-prod/Release"
    release.write_text(
        f"Suite: trixie-prod\nCodename: trixie-prod\nDate: {datetime.now(UTC):%a, %d %b %Y %H:%M:%S} UTC\n"
        f"Architectures: amd64\nComponents: main\nSHA256:\n"
        f" {plain} {len(said.encode())} main/binary-amd64/Packages\n"
        f" {_sha256(index)} {index.stat().st_size} main/binary-amd64/Packages.gz\n"
    )
    keys.gpg("--local-user", signer, "--clearsign", "--output", str(release.with_name("InRelease")), str(release))
    keys.export(apt / "cernvm.gpg", other, signer)
    return signer


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


@dataclass(frozen=True)
class Runs:
    """What was seen in the tree: after each run its state, its events, its log and the client's files."""

    out: Path

    def log(self, run: str) -> str:
        return (self.out / f"{run}.log").read_text()

    def events(self, run: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.out / f"{run}.jsonl").read_text().splitlines()]

    def changed(self, run: str) -> list[str]:
        assert "It ended with" not in self.log(run), self.log(run)
        return [event["task"].removeprefix("cvmfs_client : ") for event in self.events(run) if event["changed"]]

    def changes(self, before: str, after: str) -> list[str]:
        states = [State.from_json((self.out / f"{step}.json").read_text()) for step in (before, after)]
        return sorted(change.item for change in compare(*states) if _of_the_tree(change))

    def read(self, run: str, name: str) -> str:
        return (self.out / run / name).read_text()


def _of_the_tree(change: Change) -> bool:
    """Say whether a change is the tree's, and not that of the machine which it shares a kernel with."""
    return change.kind in ("package", "file", "user", "group")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """The playbook refused, rehearsed, applied, applied again, switched over and undone."""
    folder = tmp_path_factory.mktemp("tree")
    with own_keys() as keys:
        variables = {**VARIABLES, "cvmfs_client_key_fingerprints": [make_repository(folder, keys)]}
    hosts = {name: {"ansible_connection": "local", **said} for name, said in REFUSED.items()}
    inventory: dict[str, Any] = {
        "workers": {"hosts": {name: {"ansible_connection": "local"} for name in ("tree",)}},
        "refused": {"hosts": hosts},
        # For the number of clients: none of these is ever spoken to.
        "clients": {"hosts": {f"node{number}": {} for number in range(5)}},
    }
    common = {"cvmfs_client_source": "repository", "cvmfs_client_group": "clients"}
    common |= {f"cvmfs_client_{key}": VARIABLES[f"cvmfs_client_{key}"] for key in ("repository_url",)}
    files = {
        "driver.sh": DRIVER,
        "state.sh": SCRIPT,
        "refusing.yml": REFUSING,
        "variables.json": json.dumps(variables),
        "common.json": json.dumps(common),
        "untrusted.json": json.dumps({"cvmfs_client_key_fingerprints": ["A" * 40]}),
        "inventory.json": json.dumps(inventory),
        "ansible.cfg": playbook.CONFIGURATION.replace(str(playbook.CALLBACKS), f"{HOME}/callback"),
    }
    for name, text in files.items():
        (folder / name).write_text(text)
    for name, said in REFUSED.items():
        rest = {key: value for key, value in VARIABLES.items() if key not in {*common, *said}}
        inventory["refused"]["hosts"][name] |= rest
    (folder / "inventory.json").write_text(json.dumps(inventory))
    (out := folder / "out").mkdir()
    copied = [CATALOGUE.playbooks, playbook.CALLBACKS, folder / "cvmrepo", *(folder / name for name in files)]
    hooks = [
        f"copy-in {' '.join(map(str, copied))} {HOME}",
        f'chroot "$1" sh {HOME}/driver.sh',
        f"sync-out {HOME}/out {out}",
    ]
    with opened_workspace() as workspace:
        sources = image._sources("trixie", find_mirror())
        image._mmdebstrap(workspace, folder, sources, PACKAGES, "minbase", hooks, {}, [])
    return Runs(out)


def test_settings_that_contradict_are_refused_and_nothing_is_changed(runs: Runs) -> None:
    told = {event["host"]: event["message"] for event in runs.events("refused") if event["outcome"] == "failed"}
    assert set(told) == set(REFUSED)
    assert "5 clients would go to the Stratum 1 servers without a proxy, and 4 may" in told["direct"]
    assert "'squid1:3128' is no proxy" in told["wrongly-typed"]
    assert "'atlas' is not the full name" in told["wrongly-typed"], "all at once"
    assert "a limit of 900000000 MB needs 1080001000" in told["large"]
    assert "Static mounts of 'lhcb.cern.ch'" in told["static"]
    assert all(said.rstrip().endswith("Nothing was changed.") for said in told.values())
    assert runs.changes("before", "refused") == []


def test_a_repository_without_the_trusted_key_is_refused_and_nothing_is_installed(runs: Runs) -> None:
    assert "It ended with" in runs.log("untrusted")
    (failed,) = [event for event in runs.events("untrusted") if event["outcome"] == "failed"]
    assert f"it has no key {'A' * 40}" in failed["message"]
    assert runs.changes("before", "untrusted") == []


def test_the_rehearsal_says_what_it_would_do_and_does_nothing(runs: Runs) -> None:
    assert runs.changes("before", "rehearsed") == []
    said = set(runs.changed("rehearsed"))
    assert said == {
        "Remember which packages were there",
        "Add the package repository",
        "Say what a rehearsal cannot look up",
        "Write the client's settings and its mounts",
    }


def test_the_package_comes_from_the_repository_whose_key_is_trusted(runs: Runs) -> None:
    assert "Install with apt" in runs.changed("apply")
    came = runs.changes("rehearsed", "apply")
    assert {"package:cvmfs", "package:autofs", "file:/etc/apt/sources.list.d/lading-cvmfs.sources"} <= set(came)


def test_the_settings_are_what_was_asked_for_and_a_shell_reads_them(runs: Runs) -> None:
    file = runs.out / "apply" / "default.local"
    said = subprocess.run(
        ["sh", "-c", '. "$1"; set', "sh", file], check=True, capture_output=True, text=True, env={}
    ).stdout
    values = dict(line.split("=", 1) for line in said.splitlines() if line.startswith("CVMFS_"))
    assert values == {
        "CVMFS_REPOSITORIES": "'atlas.cern.ch,software.site.example'",
        "CVMFS_HTTP_PROXY": "'http://squid1.site.example:3128|http://squid2.site.example:3128;DIRECT'",
        "CVMFS_CLIENT_PROFILE": "'custom'",
        "CVMFS_QUOTA_LIMIT": "'1000'",
        "CVMFS_CACHE_BASE": "'/var/lib/cvmfs'",
        "CVMFS_STRICT_MOUNT": "'no'",
        "CVMFS_USE_GEOAPI": "'yes'",
    }
    assert runs.read("apply", "cvmfs.autofs").splitlines()[-1] == "/cvmfs /etc/auto.cvmfs --timeout=300"
    assert runs.read("apply", "fstab") == OWN_FSTAB


def test_a_second_run_and_its_rehearsal_change_nothing(runs: Runs) -> None:
    assert runs.changed("again") == runs.changed("again-check") == []
    assert runs.changes("apply", "again-check") == []


def test_static_mounts_take_the_place_of_autofs_and_leave_the_admins_lines(runs: Runs) -> None:
    fstab = runs.read("static", "fstab")
    assert fstab.startswith(OWN_FSTAB)
    rows = [line.split() for line in fstab.removeprefix(OWN_FSTAB).splitlines() if not line.startswith("#")]
    assert [row[0] for row in rows] == ["cvmfs-config.cern.ch", "atlas.cern.ch", "software.site.example"]
    assert [row[3].partition("x-systemd")[2] for row in rows] == [
        "",
        *[".requires-mounts-for=/cvmfs/cvmfs-config.cern.ch"] * 2,
    ]
    assert not [line for line in runs.read("static", "cvmfs.autofs").splitlines() if line.startswith("/cvmfs")]
    assert runs.changes("again", "static") == ["file:/etc/auto.master.d/cvmfs.autofs", "file:/etc/fstab"]


def test_autofs_takes_the_place_of_static_mounts(runs: Runs) -> None:
    assert runs.changes("again", "autofs") == []


def test_undo_puts_the_tree_back(runs: Runs) -> None:
    assert runs.changed("undo")
    assert runs.changes("before", "undo") == []
