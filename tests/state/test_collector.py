"""What the collector makes of a host's files and of its programs' words."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import lading.state.collector
from lading.errors import UsageError
from lading.state.collect import MODULES, SCRIPT, take_state
from lading.state.collector import accounts, asking, files, kernel, packages, sockets, take, units
from lading.state.ignored import IGNORED
from lading.state.model import State

FOLDER = Path(lading.state.collector.__file__).parent
OLDEST_PYTHON = (3, 9)
LARGEST_ARGUMENT = 90_000
"""The script travels as one argument of a command line, of which Linux takes 128 KiB."""

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can read all of a host's state")


def lasting(items: dict[str, Any]) -> dict[str, Any]:
    """Return the items that stay as they are on a machine that works."""
    return {name: item for name, item in items.items() if name.startswith(("package:", "user:", "group:", "unit:"))}


def nothing(_item: str) -> bool:
    return False


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.py")), ids=lambda file: file.name)
def test_a_module_needs_no_more_than_the_oldest_python_and_those_that_come_before_it(file: Path) -> None:
    tree = ast.parse(file.read_text(), feature_version=OLDEST_PYTHON)
    earlier = (
        {f"lading.state.collector.{name}" for name in MODULES[: MODULES.index(file.stem)]}
        if file.stem in MODULES
        else set()
    )
    imported = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    imported |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert {name for name in imported if name.partition(".")[0] not in sys.stdlib_module_names} <= earlier


def test_the_script_holds_every_module_and_fits_into_an_argument() -> None:
    assert set(MODULES) == {file.stem for file in FOLDER.glob("*.py")} - {"__init__"}
    assert len(SCRIPT.encode()) < LARGEST_ARGUMENT


@needs_root
def test_the_script_tells_this_machines_state() -> None:
    here = State.from_json(
        subprocess.run(["sh", "-s"], input=SCRIPT, capture_output=True, text=True, check=True).stdout
    )

    assert here.items["user:root"]["uid"] == "0"
    assert here.items["file:/etc/passwd"]["mode"] == "0644"
    assert "sha256" not in here.items["file:/etc/passwd"]
    assert here.items["sysctl:kernel.osrelease"] == os.uname().release
    assert here.items["mount:/"]["options"]
    assert "file:/etc/machine-id" not in here.items
    assert not [name for name in here.items if name.startswith("sysctl:kernel.random.")]
    assert lasting(take_state().items) == lasting(here.items)
    assert lasting(take.take([one.pattern for one in IGNORED])["items"]) == lasting(here.items)


@pytest.fixture
def somebody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Become somebody who is not root: programs of that folder come first."""
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    (tmp_path / "id").write_text("#!/bin/sh\necho 1000\n")
    (tmp_path / "id").chmod(0o755)
    return tmp_path


def test_without_root_and_sudo_nothing_is_read(somebody: Path) -> None:
    (somebody / "sudo").write_text("#!/bin/sh\necho a password is required >&2; exit 1\n")
    (somebody / "sudo").chmod(0o755)

    with pytest.raises(UsageError, match="Only root can read the whole state of this machine"):
        take_state()


@needs_root
def test_sudo_that_asks_for_no_password_will_do(somebody: Path) -> None:
    (somebody / "sudo").write_text(f'#!/bin/sh\necho "$*" >> {somebody}/asked\nshift; exec "$@"\n')
    (somebody / "sudo").chmod(0o755)

    assert take_state().items["user:root"]["uid"] == "0"
    assert (somebody / "asked").read_text().splitlines()[-1].startswith("-n python3 ")


def test_packages_have_a_mark_and_a_hold_and_those_of_other_architectures_their_own_name() -> None:
    listing = (
        "dpkg\tamd64\t1.22\tinstall\tinstalled\n"
        "libc6\tamd64\t2.41\tinstall\tinstalled\n"
        "libc6\ti386\t2.41\tinstall\tinstalled\n"
        "adduser\tall\t3.1\thold\tinstalled\n"
        "puppet\tall\t8\tdeinstall\tconfig-files\n"
        "ghost\tamd64\t\tunknown\tnot-installed\n"
    )
    states = (
        "Package: libc6\nArchitecture: i386\nAuto-Installed: 1\n\n"
        "Package: adduser\nArchitecture: amd64\nAuto-Installed: 1\n\n"
        "Package: dpkg\nArchitecture: amd64\nAuto-Installed: 0\n"
    )

    found = packages.dpkg_packages(listing, states)

    assert list(found) == ["package:dpkg", "package:libc6", "package:libc6:i386", "package:adduser", "package:puppet"]
    assert found["package:dpkg"] == {
        "version": "1.22",
        "architecture": "amd64",
        "status": "installed",
        "mark": "manual",
    }
    assert found["package:libc6"]["mark"] == "manual"
    assert found["package:libc6:i386"]["mark"] == "automatic"
    assert found["package:adduser"]["mark"] == "automatic"
    assert found["package:adduser"]["held"] == "yes"
    assert found["package:puppet"] == {"version": "8", "architecture": "all", "status": "config-files"}


def test_an_rpm_of_several_versions_tells_them_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "native_architecture", lambda: "x86_64")

    found = packages.rpm_packages("kernel\tx86_64\t5.14-2\nkernel\tx86_64\t5.14-1\nglibc\ti686\t2.34-1\n")

    assert found["package:kernel"]["version"] == "5.14-1 5.14-2"
    assert found["package:glibc:i686"]["version"] == "2.34-1"


def unit(name: str, **properties: str) -> str:
    said = {"Id": name, "ActiveState": "active", "UnitFileState": "enabled", "Type": "notify", **properties}
    return "\n".join(f"{key}={value}" for key, value in said.items()) + "\n\n"


@pytest.mark.parametrize(
    "properties, told",
    [
        ({}, True),
        ({"ActiveState": "reloading"}, True),
        ({"UnitFileState": "disabled"}, True),
        ({"Type": "oneshot", "RemainAfterExit": "yes"}, True),
        ({"BusName": "org.freedesktop.network1"}, True),
        ({"TriggeredBy": "a.socket"}, True),
        ({"ActiveState": "inactive"}, False),
        ({"UnitFileState": "static"}, False),
        ({"UnitFileState": "transient"}, False),
        ({"UnitFileState": "disabled", "TriggeredBy": "a.socket"}, False),
        ({"UnitFileState": "disabled", "BusName": "org.site.example"}, False),
        ({"Type": "oneshot", "RemainAfterExit": "no"}, False),
        ({"Id": "any-wait-online.service", "Type": "oneshot", "RemainAfterExit": "yes"}, False),
    ],
)
def test_a_unit_is_told_to_be_active_only_if_that_does_not_come_and_go(properties: dict[str, str], told: bool) -> None:
    items = units.unit_files("a.service enabled enabled\n")
    units.add_active(items, unit("a.service", **properties), "")

    assert [item["state"] for item in items.values() if "state" in item] == (["active"] if told else [])


def test_a_failed_unit_is_told_whatever_it_is() -> None:
    items = units.unit_files("b.service static -\nonce.service transient -\n")
    units.add_active(
        items,
        unit("b.service", UnitFileState="static", ActiveState="failed"),
        "b.service loaded failed failed B\nx.mount loaded failed failed X\n",
    )

    assert items == {"unit:b.service": {"file": "static", "state": "failed"}, "unit:x.mount": {"state": "failed"}}


def test_a_unit_that_waits_for_a_reload_says_so_and_a_silent_instance_is_no_item() -> None:
    items = units.unit_files("a.service static -\n")
    shown = unit("a.service", UnitFileState="static", NeedDaemonReload="yes") + unit(
        "modprobe@fuse.service", UnitFileState="static"
    )
    units.add_active(items, shown, "")

    assert items == {"unit:a.service": {"file": "static", "reload": "needed"}}


def test_listening_sockets_are_read_from_the_kernels_tables() -> None:
    table = (
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
        "   0: 0100007F:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 5521 1\n"
        "   1: 0F02000A:0016 0202000A:B1C2 01 00000000:00000000 00:00000000 00000000     0        0 5522 1\n"
        "   2: 00000000000000000000000001000000:1F40 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 5523 1\n"
    )

    assert list(sockets.listening(table, "0A")) == [("127.0.0.1", 22, "5521"), ("[::1]", 8000, "5523")]


@pytest.fixture
def etc(tmp_path: Path) -> str:
    (tmp_path / "passwd").write_text(
        "root:x:0:0:root:/root:/bin/bash\nalice:x:1000:1000:A:/home/alice:/bin/sh\n+::::::\n"
    )
    (tmp_path / "shadow").write_text(
        "root:*:20000:0:99999:7:::\nalice:$y$secret:20001:0:99999:7::20500:\nbob:!:1::::::\n"
    )
    (tmp_path / "subuid").write_text("alice:100000:65536\nalice:300000:10\n")
    (tmp_path / "group").write_text("adm:x:4:bob,alice\nwww:x:800:\n")
    (tmp_path / "gshadow").write_text("adm:*:root:bob,alice\n")
    return str(tmp_path)


def test_users_are_told_with_what_belongs_to_them_but_no_password(etc: str) -> None:
    found = accounts.users(etc)

    assert found["user:alice"]["subuid"] == ["100000:65536", "300000:10"]
    assert found["user:alice"]["ageing"] == "0:99999:7::20500"
    assert found["user:alice"]["password"].startswith("set ")
    assert "secret" not in json.dumps(found)
    assert found["user:root"]["password"] == "locked"
    assert found["user:bob"]["password"] == "locked"  # a line that somebody forgot is seen, though there is no user
    assert found["user:+"]["shell"] == ""


def test_another_password_shows_and_the_day_of_its_change_does_not(etc: str, tmp_path: Path) -> None:
    before = accounts.users(etc)
    shadow = tmp_path / "shadow"
    shadow.write_text(shadow.read_text().replace(":20001:", ":20002:"))
    assert accounts.users(etc) == before
    shadow.write_text(shadow.read_text().replace("secret", "secrot"))
    assert accounts.users(etc) != before


def test_members_of_a_group_have_no_order(etc: str) -> None:
    assert accounts.groups(etc)["group:adm"] == {
        "gid": "4", "members": ["alice", "bob"], "password": "locked", "administrators": ["root"],
    }  # fmt: skip


def test_what_makes_users_is_found_in_files_of_packages() -> None:
    assert accounts.declared("#Type\nu www 800 - - -\ng! adm -\nm www adm\nr - 500-900\n") == {"www", "adm"}
    script = "MUNGE=munge\nadduser --system --quiet \\\n  --ingroup '_ssh' $MUNGE\necho web >&2\n"
    assert {"munge", "_ssh"} <= accounts.created(script)
    assert "web" not in accounts.created(script)
    assert accounts.created("web=web\necho web\n") == set()


def test_files_tell_mode_owner_content_and_target(tmp_path: Path) -> None:
    (tmp_path / "b").write_text("b\n")
    (tmp_path / "b").chmod(0o4750)
    (tmp_path / "a").symlink_to("../else")
    (tmp_path / "c").mkdir()
    os.mkfifo(tmp_path / "c" / "fifo")

    told = {Path(path).name: files.content(path, facts) for path, facts in files.walk(str(tmp_path), nothing)}

    assert list(told) == ["a", "b", "c", "fifo"]
    assert told["a"] == {"type": "link", "target": "../else"}
    assert told["b"]["mode"] == "4750"
    assert told["b"]["sha256"].startswith("0263829989b6fd95")
    assert (told["c"]["type"], told["fifo"]["type"]) == ("folder", "special")


def test_a_large_file_tells_its_size_instead_of_its_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "LARGEST_DIGESTED", 3)
    (tmp_path / "large").write_text("four")

    [(path, facts)] = files.walk(str(tmp_path), nothing)

    assert files.content(path, facts) == {"type": "file", "mode": format(facts.st_mode & 0o7777, "04o"), "size": 4}


def test_a_name_that_is_no_text_is_told_by_its_bytes(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"caf\xe9")).touch()

    [(path, _)] = files.walk(str(tmp_path), nothing)

    assert asking.shown(path).endswith("caf\\xe9")


def test_a_folder_on_the_ignore_list_is_not_entered(tmp_path: Path) -> None:
    (tmp_path / "cache" / "deep").mkdir(parents=True)
    (tmp_path / "kept").mkdir()

    assert [Path(path).name for path, _ in files.walk(str(tmp_path), lambda item: "cache" in item)] == ["kept"]


MOUNTINFO = r"""24 29 0:22 / /sys rw,nosuid shared:6 - sysfs sysfs rw
30 29 0:40 / /cvmfs rw,relatime shared:9 - autofs /etc/auto.cvmfs rw,fd=7,pgrp=612,timeout=300
31 30 0:41 / /cvmfs/atlas.cern.ch ro,nosuid shared:10 - fuse cvmfs2 ro,user_id=0
32 29 0:42 / /srv/a\040b rw,relatime - tmpfs tmpfs rw,size=512k,mode=755
33 29 0:43 net:[4026] /run/x rw - nsfs nsfs rw
34 29 0:44 / /srv/a\040b ro,relatime - ext4 /dev/vdb rw
"""


def test_mounts_that_somebodys_look_has_made_are_left_out_and_the_last_on_a_place_counts() -> None:
    found = kernel.mounts(MOUNTINFO, nothing)

    assert list(found) == ["mount:/sys", "mount:/cvmfs", "mount:/srv/a b"]
    assert found["mount:/cvmfs"]["options"] == "relatime,rw,timeout=300"
    assert found["mount:/srv/a b"] == {"source": "/dev/vdb", "type": "ext4", "options": "relatime,ro,rw"}


def test_a_program_that_fails_ends_the_collector_since_half_a_state_would_mislead() -> None:
    with pytest.raises(SystemExit, match=r"'ls /nowhere' ended with 2: .*No such file"):
        asking.ask("ls", "/nowhere")


def test_systemd_is_waited_for_as_long_as_any_program() -> None:
    assert asking.ask("sh", "-c", 'echo "$SYSTEMD_BUS_TIMEOUT"') == f"{asking.PROGRAM_SECONDS}s\n"
