"""The surveys: what a host's own answers are read as."""

import sys
from pathlib import Path

import pytest

from tests.playbooks.modules import load_module

namespaces = load_module("worker_namespaces", "worker_namespaces_survey")
unit_files = sys.modules["ansible.module_utils.unit_files"]
sysctl_files = sys.modules["ansible.module_utils.sysctl_files"]
apptainer = load_module("apptainer", "apptainer_survey")
OWN = "/etc/sysctl.d/90-max_net_namespaces.conf"

SHOWN = """\
PrivateNetwork=yes
Id=systemd-hostnamed.service
LoadState=loaded
DropInPaths=/etc/systemd/system/systemd-hostnamed.service.d/90-lading-network.conf

PrivateNetwork=yes
Id=job@lading.service
LoadState=loaded
DropInPaths=

PrivateNetwork=yes
Id=gone.service
LoadState=masked

PrivateNetwork=no
Id=cron.service
LoadState=loaded
"""


def test_units_with_a_network_namespace_are_found_under_the_name_of_their_file() -> None:
    found = namespaces.private_units(namespaces.parse_show(SHOWN))
    assert list(found) == ["systemd-hostnamed.service", "job@.service"]
    assert found["systemd-hostnamed.service"].endswith("90-lading-network.conf")


def test_only_units_that_can_have_a_namespace_are_asked(tmp_path: Path) -> None:
    for name in ("a.service", "b@.socket", "c.timer", "d.mount", "e.service.d"):
        (tmp_path / name).touch()
    assert namespaces.units_on_disk([str(tmp_path), "/nonexistent"]) == ["a.service", "b@.socket", "d.mount"]


@pytest.fixture
def tree(tmp_path: Path) -> tuple[str, str]:
    """An admin's and a vendor's folder of units."""
    etc, usr = tmp_path / "etc", tmp_path / "usr"
    for folder in (etc, usr):
        folder.mkdir()
    return str(etc), str(usr)


def write(folder: str, name: str, text: str = "[Service]\nPrivateNetwork=yes\n") -> None:
    (Path(folder) / name).parent.mkdir(exist_ok=True)
    (Path(folder) / name).write_text(text)


def wanting(tree: tuple[str, str]) -> dict[str, str]:
    found: dict[str, str] = namespaces.private_units(unit_files.unit_blocks(tree))
    return found


def test_without_systemd_unit_files_are_read_and_the_admins_win(tree: tuple[str, str]) -> None:
    etc, usr = tree
    for name in ("a.service", "b.service", "masked.service", "job@.service", "s.socket"):
        write(usr, name)
    write(etc, "b.service", "[Service]\n# PrivateNetwork=yes\n")
    (Path(etc) / "masked.service").symlink_to("/dev/null")
    assert list(wanting(tree)) == ["a.service", "job@.service"]


def test_without_systemd_an_alias_is_the_unit_that_it_stands_for(tree: tuple[str, str]) -> None:
    write(tree[1], "real.service")
    (Path(tree[1]) / "dbus-org.example.service").symlink_to("real.service")
    (Path(tree[0]) / "gone.service").symlink_to("nowhere.service")
    assert list(wanting(tree)) == ["real.service"]


def test_without_systemd_drop_ins_count_in_the_order_of_their_names(tree: tuple[str, str]) -> None:
    etc, usr = tree
    write(usr, "grid-job.service", "[Service]\nExecStart=/bin/a \\\n PrivateNetwork=yes\n")
    assert wanting(tree) == {}
    write(usr, "grid-.service.d/10-vendor.conf")
    assert wanting(tree) == {"grid-job.service": f"{usr}/grid-.service.d/10-vendor.conf"}
    write(usr, "grid-job.service.d/20-off.conf", "[Service]\nPrivateNetwork=no\n")
    assert wanting(tree) == {}
    write(etc, "service.d/30-site.conf")
    assert list(wanting(tree)) == ["grid-job.service"]
    (Path(etc) / "grid-job.service.d").mkdir()
    (Path(etc) / "grid-job.service.d/30-site.conf").symlink_to("/dev/null")
    assert wanting(tree) == {}


def test_what_runs_on_the_machine_that_builds_an_image_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(namespaces, "namespaces_of_processes", lambda _units: ["net:[1] of 'dockerd' (process 1)"])
    monkeypatch.setattr(
        namespaces, "engines_in_use", lambda _active, processes: {"docker": processes} if processes else {}
    )
    assert namespaces.in_use([], set(), running=False) == {}
    assert set(namespaces.in_use([], set(), running=True)) == {"docker", "network-namespaces"}


def test_of_an_image_the_files_tell_whether_user_namespaces_are_off_at_boot() -> None:
    texts = {"/etc/sysctl.d/10-hard.conf": "user.max_user_namespaces = 0\n", "/etc/sysctl.conf": ""}
    values = sysctl_files.values_at_boot(texts)
    assert sysctl_files.settings({}, set(), values) == {
        "user.max_net_namespaces": "0",
        "user.max_user_namespaces": "15000",
    }
    values = sysctl_files.values_at_boot({**texts, "/etc/sysctl.conf": "user.max_user_namespaces = 9\n"})
    assert sysctl_files.settings({}, set(), values) == {"user.max_net_namespaces": "0"}


def test_a_setting_that_the_role_made_stays_where_the_kernel_knows_it() -> None:
    own = {"user.max_user_namespaces": "15000", "kernel.unprivileged_userns_clone": "1"}
    wanted = sysctl_files.settings(own, set(), {"user.max_user_namespaces": "15000"})
    assert wanted == {"user.max_net_namespaces": "0", "user.max_user_namespaces": "15000"}


def test_links_that_give_way_are_told_but_not_the_packages_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    targets = {"site": "/cvmfs/x/bin/singularity", "debian": "/etc/alternatives/singularity", "el": "apptainer"}
    for name, target in targets.items():
        (tmp_path / name).symlink_to(target)
    monkeypatch.setattr(apptainer, "FORMER_COMMANDS", [str(tmp_path / name) for name in (*targets, "missing")])
    assert apptainer.taken_over() == [f"{tmp_path}/site -> /cvmfs/x/bin/singularity"]


@pytest.mark.parametrize("unit,section", [("a.service", "Service"), ("b@.socket", "Socket"), ("c.mount", "Mount")])
def test_a_drop_in_has_the_section_of_its_unit(unit: str, section: str) -> None:
    assert f"\n[{section}]\nPrivateNetwork=no\n" in namespaces.drop_in_content(unit)


@pytest.mark.parametrize(
    "path,line,conflict",
    [
        ("/etc/sysctl.d/95-site.conf", "user.max_net_namespaces = 5", True),
        ("/etc/sysctl.d/95-site.conf", "-user/max_net_namespaces=5", True),
        ("/usr/lib/sysctl.d/99-vendor.conf", "user.max_*_namespaces = 0", True),
        ("/etc/sysctl.conf", "user.max_net_namespaces = 5", True),
        ("/etc/sysctl.d/99-userns.conf", "kernel.unprivileged_userns_clone = 0", True),
        ("/etc/sysctl.d/10-site.conf", "user.max_net_namespaces = 5", False),
        ("/etc/sysctl.d/95-site.conf", "user.max_net_namespaces = 0", False),
        ("/etc/sysctl.d/95-site.conf", "# user.max_net_namespaces = 5", False),
        ("/etc/sysctl.d/95-site.conf", "user.max_user_namespaces = 20000", False),
        ("/etc/sysctl.d/95-site.conf", "= 5", False),
    ],
)
def test_a_sysctl_line_conflicts_when_it_comes_later_and_says_otherwise(path: str, line: str, conflict: bool) -> None:
    assert bool(namespaces.conflicts(OWN, {path: line + "\n"})) is conflict


def test_a_conflict_names_file_and_line() -> None:
    (said,) = namespaces.conflicts(OWN, {"/etc/sysctl.d/95-site.conf": "\nuser.max_net_namespaces=7\n"})
    assert said == "/etc/sysctl.d/95-site.conf:2: user.max_net_namespaces = 7"


def test_network_namespaces_without_a_process_are_found_by_their_mount() -> None:
    mountinfo = (
        "341 25 0:4 net:[4026532201] /run/netns/x rw shared:5 - nsfs nsfs rw\n25 1 0:22 / /run rw - tmpfs t rw\n"
    )
    assert namespaces.named_namespaces(mountinfo) == ["/run/netns/x"]


@pytest.mark.parametrize(
    "cgroups,unit",
    [
        ("0::/system.slice/polkit.service\n", "polkit.service"),
        ("4:memory:/x\n1:name=systemd:/system.slice/cron.service\n", "cron.service"),
        ("0::/user.slice/user-1000.slice/session-1.scope\n", ""),
    ],
)
def test_a_process_belongs_to_the_unit_of_its_cgroup(cgroups: str, unit: str) -> None:
    assert namespaces.unit_of(cgroups) == unit


DEB822 = """\
# a comment
Types: deb deb-src
URIs: https://mirror.example/debian
Suites: trixie trixie-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Enabled: no
Types: deb
URIs: https://off.example/debian
Suites: trixie
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 -----END PGP PUBLIC KEY BLOCK-----
"""


def test_the_source_of_the_hosts_release_is_found_in_both_formats() -> None:
    key = "/usr/share/keyrings/debian-archive-keyring.gpg"
    (entry,) = apptainer.deb822_sources(DEB822)
    assert entry == {"uri": "https://mirror.example/debian", "suites": "trixie trixie-updates", "signed_by": key}
    lines = list(apptainer.one_line_sources("deb http://sec.example x-security main\ndeb http://m.example x main\n"))
    assert apptainer.release_source(lines, "x")["uri"] == "http://m.example"
    assert apptainer.release_source(lines, "y") == {}


def test_a_key_inside_a_source_keeps_its_lines() -> None:
    (entry,) = [e for e in apptainer.deb822_sources(DEB822.replace("Enabled: no\n", "")) if "off" in e["uri"]]
    assert entry["signed_by"].endswith("\n -----END PGP PUBLIC KEY BLOCK-----")
