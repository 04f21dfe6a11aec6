"""The CVMFS client's role by its parts: what contradicts what, whose keys are trusted, what is run."""

import importlib.util
import subprocess
import sys
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from lading.project import find_catalogue
from tests.playbooks.conftest import Keys, own_keys
from tests.playbooks.modules import load_module

survey = load_module("cvmfs_client", "cvmfs_client_survey")
key = load_module("cvmfs_client", "cvmfs_client_key")
mounts = load_module("cvmfs_client", "cvmfs_client_mounts")
settings = sys.modules["ansible.module_utils.cvmfs_settings"]

MB = 1024 * 1024
GB = 1000 * MB
SETTINGS: dict[str, Any] = {
    "source": "host",
    "packages": ["cvmfs"],
    "repository_url": "http://mirror.site.example/cvmrepo",
    "repository_suite": "",
    "key_fingerprints": ["FD80468D49B3B24C341741FC8CE0A76C497EA957"],
    "release_url": "",
    "release_sha256": "",
    "repositories": ["atlas.cern.ch", "software.site.example"],
    "http_proxy": [["http://squid1.site.example:3128", "http://squid2.site.example:3128"], ["http://[2001:db8::1]:80"]],
    "profile": "",
    "quota_limit": 20000,
    "cache_base": "/var/lib/cvmfs",
    "config": {"CVMFS_MEMCACHE_SIZE": 64},
    "config_repository": "cvmfs-config.cern.ch",
    "strict_mount": False,
    "mount": "autofs",
    "autofs_timeout": 300,
    "static_repositories": [],
    "direct_max": 4,
}
HOST: dict[str, Any] = {
    "installed": [],
    "lists": True,
    "offered": ["cvmfs"],
    "foreign_fstab": [],
    "foreign_autofs": [],
    "cache": {"kind": "xfs", "room": 25 * GB},
}
STATIC = {"mount": "static"}
ALIEN = {"CVMFS_ALIEN_CACHE": "/gpfs/cvmfs"}


def said(changes: dict[str, Any], host: dict[str, Any] | None = None, clients: int = 500) -> list[str]:
    found: list[str] = settings.contradictions({**SETTINGS, **changes}, {**HOST, **(host or {})}, clients)
    return found


@pytest.mark.parametrize(
    "changes, clients",
    [
        ({}, 500),
        ({"http_proxy": [["DIRECT"]]}, 4),
        ({"http_proxy": [], "profile": "single"}, 1),
        ({"http_proxy": [["http://a:1"], ["DIRECT"]], "profile": "custom"}, 500),
        ({"http_proxy": [["http://a:1"], ["DIRECT"]], "config": {"CVMFS_USE_CDN": True}}, 500),
        ({"http_proxy": [["auto"], ["DIRECT"]]}, 500),
        ({"http_proxy": [["auto"]]}, 500),
        ({"quota_limit": 1000}, 500),
        ({"profile": "custom"}, 500),
        ({**STATIC, "static_repositories": ["atlas.cern.ch"]}, 500),
        ({**STATIC, "strict_mount": True, "config_repository": ""}, 500),
        ({"quota_limit": -1, "config": {**ALIEN, "CVMFS_SHARED_CACHE": False}}, 500),
        ({"source": "release", "release_url": "http://x/y.deb", "release_sha256": "0" * 64}, 500),
        ({"source": "repository", "packages": ["other"]}, 500),
    ],
)
def test_settings_that_fit_together_are_taken(changes: dict[str, Any], clients: int) -> None:
    assert said(changes, clients=clients) == []


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"source": "release"}, "needs cvmfs_client_release_url"),
        ({"source": "release", "release_url": "u", "release_sha256": "0" * 63}, "SHA-256"),
        ({"source": "repository", "key_fingerprints": ["8CE0A76C497EA957"]}, "not '8CE0A76C497EA957'"),
        ({"source": "repository", "key_fingerprints": []}, "needs fingerprints"),
        ({"source": "repository", "repository_url": "mirror/"}, "without '/' at its end"),
        (
            {"packages": ["cvmfs", "cvmfs-config-egi"]},
            "Neither installed nor offered by the host's repositories: cvmfs-config-egi",
        ),
        ({"repositories": ["atlas"]}, "'atlas' is not the full name"),
        ({"repositories": ["/cvmfs/atlas.cern.ch"]}, "not the full name"),
        ({"repositories": ["a.b", "a.b"]}, "'a.b' twice"),
        ({"repositories": []}, "is empty"),
        ({"http_proxy": ["http://a:1"]}, "a list of groups"),
        ({"http_proxy": [[]]}, "none of them empty"),
        ({"http_proxy": [["squid1.site.example:3128"]]}, "is no proxy: write http://NAME:PORT"),
        ({"http_proxy": [["http://squid1.site.example"]]}, "is no proxy"),
        ({"http_proxy": [["http://a:1", "DIRECT"]], "profile": "custom"}, "past the proxy at random"),
        ({"http_proxy": [["DIRECT"], ["http://a:1"]], "profile": "custom"}, "tried before what comes after"),
        ({"http_proxy": [["http://a:1"], ["DIRECT"]]}, "take every DIRECT out: set cvmfs_client_profile to 'custom'"),
        (
            {"http_proxy": [["auto"], ["DIRECT"]], "config": {"CVMFS_USE_CDN": False}},
            "Upstream's configuration adds fallback proxies",
        ),
        ({"profile": "single"}, "leave out either cvmfs_client_profile"),
        ({"http_proxy": []}, "neither a proxy nor the profile 'single'"),
        ({"http_proxy": [], "profile": "single"}, "for one machine, and the site has 500"),
        ({"http_proxy": [["DIRECT"]]}, "500 clients would go to the Stratum 1 servers without a proxy, and 4 may"),
        (
            {"http_proxy": [["http://a:1"], ["DIRECT"]], "config": {"CVMFS_FALLBACK_PROXY": "http://b:1"}},
            "CVMFS_FALLBACK_PROXY takes every DIRECT out",
        ),
        ({"config": {"CVMFS_QUOTA_LIMIT": 1}}, "set by cvmfs_client_quota_limit"),
        ({"config": {"CVMFS_USER": "root"}}, "fixed in default.conf"),
        ({"config": {"CVMFS_CONFIG_REPOSITORY": "a.b"}}, "can't be set in default.local"),
        ({"config": {"cvmfs nfiles": 1}}, "is no key of default.local"),
        ({"config": {"CVMFS_NFILES": "1'; reboot #"}}, "holds a quotation mark"),
        ({"static_repositories": ["atlas.cern.ch"]}, "here autofs mounts"),
        ({"autofs_timeout": -1}, "0 is never"),
        ({**STATIC, "static_repositories": ["lhcb.cern.ch"]}, "Static mounts of 'lhcb.cern.ch', which"),
        ({**STATIC, "strict_mount": True}, "'cvmfs-config.cern.ch' has to be in cvmfs_client_repositories too"),
        ({"cache_base": "cache"}, "not the full path"),
        ({"cache_base": "/var/lib/my cache"}, "not the full path"),
        ({"cache_base": "/cvmfs/cache"}, "below /cvmfs"),
        ({"quota_limit": 999}, "so low that 'cvmfs_config chksetup' warns"),
        ({"http_proxy": [], "profile": "custom"}, "neither a proxy nor the profile 'single'"),
        ({"quota_limit": 20001}, "has room for 25000 MB of a cache, and a limit of 20001 MB needs 25001"),
        ({"quota_limit": -1}, "belong together"),
        ({"config": ALIEN}, "belong together"),
        ({"config": ALIEN, "quota_limit": -1}, "needs CVMFS_SHARED_CACHE: no"),
    ],
)
def test_settings_that_contradict_each_other_are_told_in_one_sentence(changes: dict[str, Any], words: str) -> None:
    (sentence,) = said(changes)
    assert words in sentence
    assert sentence.endswith(".")


@pytest.mark.parametrize(
    "host, changes, words",
    [
        ({"foreign_fstab": ["atlas.cern.ch"]}, {}, "/etc/fstab mounts atlas.cern.ch, and autofs is to have /cvmfs"),
        ({"foreign_fstab": ["atlas.cern.ch"]}, STATIC, "lines of its own for atlas.cern.ch"),
        ({"foreign_fstab": ["cvmfs-config.cern.ch"]}, STATIC, "lines of its own for cvmfs-config.cern.ch"),
        (
            {"foreign_autofs": ["/etc/auto.master"]},
            {},
            "automount has /cvmfs by /etc/auto.master, which is this role's",
        ),
        ({"foreign_autofs": ["/etc/auto.master"]}, STATIC, "are to be mounted by /etc/fstab"),
        ({"cache": {"kind": "nfs4", "room": 99 * GB}}, {}, "on a nfs4 file system; the cache needs a local one"),
        ({"cache": {"kind": "fuse.sshfs", "room": 99 * GB}}, {}, "needs a local one"),
        ({"cache": {"kind": "tmpfs", "room": 99 * GB}}, {}, "would lie in memory"),
        ({"cache": {"kind": "overlay", "room": 99 * GB}}, {}, "a file system of its own"),
    ],
)
def test_settings_that_contradict_the_host_are_told(host: dict[str, Any], changes: dict[str, Any], words: str) -> None:
    (sentence,) = said(changes, host)
    assert words in sentence


def test_a_megabyte_is_the_clients_own() -> None:
    assert said({}, {"cache": {"kind": "xfs", "room": 25000 * 1024 * 1024}}) == []
    assert said({}, {"cache": {"kind": "xfs", "room": 25000 * 1000 * 1000}}) != []


def test_what_is_not_in_the_way_is_not_told() -> None:
    assert said({**STATIC, "static_repositories": ["atlas.cern.ch"]}, {"foreign_fstab": ["other.site.example"]}) == []
    assert said({"packages": ["other"]}, {"lists": False}) == [], "without lists nothing is known of the offer"
    assert said({"packages": ["other"]}, {"installed": ["other"]}) == []


def test_all_contradictions_are_told_at_once() -> None:
    assert len(said({"repositories": ["atlas"], "http_proxy": [["a:1"]], "quota_limit": 5})) == 3


# What the host is asked ---------------------------------------------------------------------------------------------

FSTAB = "UUID=1 / ext4 defaults 0 1\n"
LINES = "a.example /cvmfs/a.example cvmfs defaults 0 0\nb.example /cvmfs/b.example cvmfs defaults 0 0\n"
BLOCK = f"{survey.BEGIN}{LINES}{survey.END}"


def test_the_roles_own_lines_are_told_from_the_admins() -> None:
    assert survey.without_own(FSTAB + BLOCK + "# mine\n") == (FSTAB + "# mine\n", ["a.example", "b.example"])
    assert survey.without_own(FSTAB) == (FSTAB, [])
    assert survey.without_own("last line without an end") == ("last line without an end\n", [])
    assert survey.without_own("") == ("", [])


def test_a_block_whose_end_somebody_has_deleted_is_not_taken_for_the_roles() -> None:
    text = FSTAB + BLOCK.replace(survey.END, "") + "LABEL=data /data xfs defaults 0 0\n"
    assert survey.without_own(text) == (text, [])


def test_an_automount_of_somebody_elses_is_found() -> None:
    texts = {
        "/etc/auto.master": "# /cvmfs /etc/auto.cvmfs\n+dir:/etc/auto.master.d\n",
        "/etc/auto.master.d/site.autofs": "/cvmfs/ /etc/auto.site\n",
        survey.AUTOFS_FILE: "/cvmfs /etc/auto.cvmfs\n",
    }
    assert survey.automounted(texts) == ["/etc/auto.master.d/site.autofs"]


def test_a_source_is_the_wanted_one_with_its_address_its_suite_and_its_keys() -> None:
    apt = f"# Trusted: {'F' * 40}\nURIs: http://a.example/x/apt\nSuites: trixie-prod\nComponents: main\n"
    dnf = f"# Trusted: {'F' * 40}\nbaseurl=http://a.example/x/yum/cvmfs/\n"
    wanted: dict[str, Any] = {"repository_url": "http://a.example/x", "key_fingerprints": ["F" * 40]}
    assert survey.is_source(wanted, "trixie-prod", {"a.sources": apt, "b.repo": ""})
    assert survey.is_source(wanted, "-prod", {"a.sources": "", "b.repo": dnf})
    others: list[dict[str, Any]] = [{"repository_url": "http://b.example/x"}, {"key_fingerprints": ["E" * 40]}]
    assert not any(survey.is_source({**wanted, **one}, "trixie-prod", {"a.sources": apt}) for one in others)
    assert not survey.is_source(wanted, "trixie-testing", {"a.sources": apt})


def test_the_file_system_of_a_folder_is_the_nearest_above() -> None:
    told = (
        "23 22 8:2 / /var rw shared:2 - xfs /dev/sda2 rw\n22 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw\n"
        "24 22 0:5 / /var/lib/my\\040cache rw - nfs4 nas:/x rw\n25 22 0:6 / /var/li rw - tmpfs tmpfs rw\n"
    )
    assert survey.file_system(told, "/var/lib/cvmfs") == "xfs"
    assert survey.file_system(told, "/srv/cache") == "ext4"
    assert survey.file_system(told, "/var/lib/my cache/x") == "nfs4"
    assert survey.file_system(told, "/var/li/x") == "tmpfs"


def test_what_a_cache_holds_already_is_room_for_it(tmp_path: Path) -> None:
    free = survey.room_for(str(tmp_path / "not" / "there"))
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "blob").write_bytes(b"x" * 30_000_000)
    with_blob = survey.room_for(str(tmp_path / "cache"))
    assert with_blob - survey.room_for(str(tmp_path / "empty")) == pytest.approx(30_000_000, abs=100_000)
    assert with_blob == pytest.approx(free, rel=0.2)


def test_a_process_that_uses_a_folder_is_found(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "60"], cwd=tmp_path) as process:
        found = survey.users_of(f"{tmp_path}")
        process.kill()
    assert f"sleep ({process.pid})" in found


# Whose keys are trusted ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def two_keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Keys, Path, str, str]:
    """GnuPG's own idea of two keys, and the file with both."""
    with own_keys() as keys:
        one, other = keys.make("One <one@site.example>"), keys.make("Other <other@site.example>")
        return keys, keys.export(tmp_path_factory.mktemp("keys") / "both.gpg"), one, other


def test_of_several_keys_the_trusted_one_is_kept(two_keys: tuple[Keys, Path, str, str], tmp_path: Path) -> None:
    _, both, one, other = two_keys
    kept = tmp_path / "kept.asc"
    kept.write_text(key.trusted(both.read_bytes(), [one]))
    listed = subprocess.run(
        ["gpg", "--show-keys", "--with-colons", kept], check=True, capture_output=True, text=True
    ).stdout
    assert one in listed
    assert other not in listed
    assert list(key.keys(key.dearmoured(kept.read_bytes()))) == [one], "armoured keys are read too"


def test_gpgs_own_armour_is_read_and_ours_is_gpgs(two_keys: tuple[Keys, Path, str, str]) -> None:
    _, both, one, other = two_keys
    armoured = subprocess.run(["gpg", "--enarmor"], input=both.read_bytes(), check=True, capture_output=True).stdout
    armoured = armoured.replace(b"PGP ARMORED FILE", b"PGP PUBLIC KEY BLOCK")
    assert set(key.keys(key.dearmoured(armoured))) == {one, other}
    ours = key.trusted(both.read_bytes(), [one, other]).splitlines()
    assert ours[-2] in armoured.decode(), "the checksum"


def test_a_key_that_is_not_there_is_refused_with_those_that_are(two_keys: tuple[Keys, Path, str, str]) -> None:
    _, both, one, _ = two_keys
    with pytest.raises(ValueError, match=f"it has no key {'A' * 40}, but .*{one}"):
        key.trusted(both.read_bytes(), ["A" * 40])


@pytest.mark.parametrize(
    "spoil, words",
    [
        (lambda data: data[:-5], "ends in the middle"),
        (lambda _: b"<html>404</html>", "other than OpenPGP"),
        (lambda data: data[2:], "other than OpenPGP|in the middle|begin with"),
        (lambda _: b"", "but none at all"),
    ],
)
def test_what_is_no_key_is_refused(two_keys: tuple[Keys, Path, str, str], spoil: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        key.trusted(spoil(two_keys[1].read_bytes()), [two_keys[2]])


# What is run --------------------------------------------------------------------------------------------------------

ACTIVE = {"autofs": True, "autofs at boot": True, "client": True}


def run(
    mount: str, now: set[str] | None = None, active: dict[str, bool] | None = None, **wanted: list[str]
) -> list[str]:
    asked = {"repositories": [], "former": [], "written": [], **wanted}
    found = mounts.commands(deepcopy(asked), mount, now or set(), {**ACTIVE, **(active or {})})
    return [" ".join(command) for command in found]


def test_nothing_written_is_nothing_run() -> None:
    assert run("autofs") == run("static") == run("none") == []
    assert run("static", {"a.example"}, repositories=["a.example"], former=["a.example"]) == []


def test_what_was_written_is_read_again() -> None:
    assert run("autofs", written=[mounts.AUTOFS_FILE]) == ["systemctl reload autofs.service"]
    assert run("autofs", active={"autofs": False}, written=[mounts.AUTOFS_FILE]) == [
        "systemctl enable --now autofs.service"
    ]
    assert run("autofs", active={"autofs at boot": False}) == ["systemctl enable --now autofs.service"]
    assert run("autofs", {"a.example"}, written=[mounts.SETTINGS]) == ["cvmfs_config reload"]
    assert run("autofs", written=[mounts.SETTINGS]) == [], "nothing is mounted that could use them"
    assert run("none", {"a.example"}, active={"client": False}, written=[mounts.SETTINGS]) == [], "it has gone"
    assert run("none", active={"autofs": False, "client": False}, written=[mounts.AUTOFS_FILE, mounts.SETTINGS]) == []


def test_static_mounts_come_and_go_in_the_order_in_which_they_need_each_other() -> None:
    names = ["config.example", "a.example"]
    came = run("static", {"a.example"}, repositories=names, written=["/etc/fstab"])
    assert came == ["systemctl daemon-reload", "mkdir --parents /cvmfs/config.example", "mount /cvmfs/config.example"]
    went = run("none", set(names), former=names, written=["/etc/fstab"])
    assert went == ["umount /cvmfs/a.example", "umount /cvmfs/config.example", "systemctl daemon-reload"]


def test_only_repositories_count_as_mounted() -> None:
    told = (
        "1 2 0:1 / /cvmfs rw - autofs x rw\n3 1 0:2 / /cvmfs/a.example ro - fuse cvmfs2 ro\n"
        "4 3 0:3 / /cvmfs/a.example/x ro - tmpfs t ro\n"
    )
    assert mounts.mounted(told) == {"a.example"}


AUTOFS = "1 2 0:1 / /cvmfs rw shared:4 - autofs /etc/auto.cvmfs rw\n"
BY_AUTOFS = AUTOFS + "3 1 0:2 / /cvmfs/a.example ro - fuse cvmfs2 ro\n"
ROOT = "22 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw\n"


class Ended(Exception):
    """How a module ended: what it told."""


class FakeModule:
    """An Ansible module on a host of which `/proc/self/mountinfo` says one text after the other, the last for ever."""

    def __init__(self, texts: list[str], *, check_mode: bool = False, **params: Any) -> None:
        self.texts, self.check_mode = texts, check_mode
        self.ran: list[str] = []
        self.params = {"mount": "static", "repositories": [], "former": [], "written": [], **params}

    def read_text(self, _path: str) -> str:
        return self.texts.pop(0) if len(self.texts) > 1 else self.texts[0]

    def run_command(self, command: list[str]) -> tuple[int, str, str]:
        if command[1] not in ("is-active", "is-enabled"):
            self.ran.append(" ".join(command))
        return 0, "", ""

    def exit_json(self, **told: Any) -> None:
        raise Ended(told)

    def fail_json(self, **told: Any) -> None:
        raise Ended({"failed": True, **told})


def end_of(module: FakeModule, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Run the module; return what it told."""
    fakes = {"AnsibleModule": lambda **_: module, "booted": lambda: True, "read_text": module.read_text, "SECONDS": 0.1}
    for name, fake in fakes.items():
        monkeypatch.setattr(mounts, name, fake)
    monkeypatch.setattr(mounts.time, "sleep", lambda _: None)
    monkeypatch.setattr(mounts.os.path, "isdir", lambda _: False)
    with pytest.raises(Ended) as caught:
        mounts.main()
    told: dict[str, Any] = caught.value.args[0]
    return told


HANDED_OVER = [
    "systemctl reload autofs.service",
    "systemctl daemon-reload",
    "mkdir --parents /cvmfs/a.example",
    "mount /cvmfs/a.example",
]


@pytest.mark.parametrize("written", [["/etc/fstab", mounts.AUTOFS_FILE], ["/etc/fstab"]])
def test_before_static_mounts_automount_lets_go_and_what_it_mounted_counts_as_gone(
    monkeypatch: pytest.MonkeyPatch, written: list[str]
) -> None:
    module = FakeModule([BY_AUTOFS, BY_AUTOFS, AUTOFS, ROOT], repositories=["a.example"], written=written)
    told = end_of(module, monkeypatch)
    assert module.ran == told["commands"] == HANDED_OVER
    assert module.texts == [ROOT], "it waited"


def test_a_rehearsal_of_that_says_the_same_and_waits_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    written = ["/etc/fstab", mounts.AUTOFS_FILE]
    module = FakeModule([BY_AUTOFS], check_mode=True, repositories=["a.example"], written=written)
    assert end_of(module, monkeypatch) == {"changed": True, "commands": HANDED_OVER}
    assert module.ran == []


def test_an_automount_that_is_in_use_is_told_and_nothing_is_mounted(monkeypatch: pytest.MonkeyPatch) -> None:
    module = FakeModule([BY_AUTOFS], repositories=["a.example"], written=[mounts.AUTOFS_FILE])
    told = end_of(module, monkeypatch)
    assert told["failed"]
    assert "still in use: drain the node" in told["msg"]
    assert module.ran == ["systemctl reload autofs.service"]


def test_what_is_mounted_by_autofs_is_left_to_it_and_static_mounts_that_are_there_stay(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = FakeModule([BY_AUTOFS], mount="autofs", written=[mounts.SETTINGS])
    monkeypatch.setattr(mounts.shutil, "which", lambda _: "/usr/bin/cvmfs_config")
    assert end_of(module, monkeypatch)["commands"] == ["cvmfs_config reload"]
    static = FakeModule([BY_AUTOFS.removeprefix(AUTOFS)], repositories=["a.example"])
    assert end_of(static, monkeypatch) == {"changed": False, "commands": []}


# What the checks make of what the client says -----------------------------------------------------------------------


def checks() -> Any:
    """Return the recipe's checks, as a module: what they read in a text needs no client."""
    file = find_catalogue(start=Path(__file__)).recipes / "cvmfs-client" / "test_client.py"
    found = importlib.util.spec_from_file_location("cvmfs_client_checks", file)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


SERVER, PROXY = "http://s1.example:8000/cvmfs/a.example/.cvmfspublished", "http://squid1.site.example:3128"
UNREACHED = f"Warning: failed to access {SERVER} through proxy {PROXY}\n"
FALLBACK = f"Warning: failed to access {SERVER} through proxy http://b.example:3126\n"
GEO = "Warning: failed to use Geo-API with s1.example\n"
NO_MAP = "Warning: CernVM-FS map is not referenced from autofs maps (/etc/auto.master.d/cvmfs.autofs)\n"
STOPPED = "Warning: autofs service is not running\n"


def test_only_what_chksetup_says_of_the_host_itself_counts() -> None:
    complaints = checks().complaints
    assert complaints("OK\n", static=False) == complaints(UNREACHED + FALLBACK + GEO, static=False) == []
    assert complaints(NO_MAP + STOPPED, static=True) == []
    assert complaints(NO_MAP + STOPPED, static=False) == [NO_MAP.strip(), STOPPED.strip()]
    low = "Warning: cache limit for a.example is very low (below 1GB)"
    assert complaints(f"{GEO}{low}\n", static=True) == [low]
    assert complaints("Error: libcvmfs_fuse3.so not found\n", static=True) == ["Error: libcvmfs_fuse3.so not found"]


def test_a_proxy_is_dead_when_it_reaches_no_server_of_a_repository() -> None:
    dead_proxies = checks().dead_proxies
    assert dead_proxies(UNREACHED * 2 + FALLBACK, "a.example", ["s1", "s2"], [PROXY]) == [PROXY]
    assert dead_proxies(UNREACHED + FALLBACK, "a.example", ["s1", "s2"], [PROXY]) == []
    assert dead_proxies(UNREACHED * 2, "b.example", ["s1", "s2"], [PROXY]) == []
    assert dead_proxies("OK\n", "a.example", ["s1"], []) == []


def test_settings_are_read_without_quotes_and_origins() -> None:
    said = "CVMFS_HTTP_PROXY='http://a:1|http://b:1'    # from /etc/cvmfs/default.local\nCVMFS_QUOTA_LIMIT=1000\n"
    assert checks().in_force(said) == {"CVMFS_HTTP_PROXY": "http://a:1|http://b:1", "CVMFS_QUOTA_LIMIT": "1000"}
