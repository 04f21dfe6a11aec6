"""A private segment: guests know and reach each other there, and neither this machine nor anything else."""

import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from lading.errors import LabError
from lading.lab.guest import Guest
from lading.lab.image import GuestImage
from lading.lab.lab import Lab
from lading.lab.segment import Segment, opened_segment
from lading.lab.switch import LONGEST_FRAME
from lading.lab.workspace import Workspace, opened_workspace
from lading.narrator import quiet

FRAME = b"\xff" * 6 + b"sender" + b"\x08\x00hello"


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    monkeypatch.setenv("LADING_CACHE", str(tmp_path / "cache"))
    with opened_workspace(quiet()) as workspace:
        yield workspace


def plugged(segment: Segment, host: str) -> socket.socket:
    """Return a connection to a segment, as a guest's QEMU makes it."""
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(20)
    connection.connect(str(segment.places[host].socket))
    return connection


def test_each_host_has_its_own_address_and_card_and_the_same_ones_each_time(workspace: Workspace) -> None:
    with (
        opened_segment(workspace, ["server1", "worker1"]) as one,
        opened_segment(workspace, ["server1", "worker1"]) as two,
    ):
        assert one.places["server1"].socket != two.places["server1"].socket
        for segment in (one, two):
            assert {name: (place.address, place.mac) for name, place in segment.places.items()} == {
                "server1": ("10.99.0.11", "52:54:00:99:00:0b"),
                "worker1": ("10.99.0.12", "52:54:00:99:00:0c"),
            }
        assert one.places["worker1"].hosts_file().splitlines() == [
            "10.99.0.11 server1.site.example server1",
            "10.99.0.12 worker1.site.example worker1",
        ]


def test_more_hosts_than_addresses_are_refused(workspace: Workspace) -> None:
    with (
        pytest.raises(LabError, match="room for 244 hosts, not for 245"),
        opened_segment(workspace, [f"worker{number}" for number in range(245)]),
    ):
        pass


def test_a_segment_joins_its_own_guests_and_ends_with_its_block(workspace: Workspace) -> None:
    with opened_segment(workspace, ["a", "b"]) as segment, opened_segment(workspace, ["a", "b"]) as other:
        with plugged(segment, "a") as one, plugged(segment, "b") as two, plugged(other, "b") as stranger:
            one.sendall(struct.pack(">I", len(FRAME)) + FRAME)
            assert two.recv(1000)[4:] == FRAME
            stranger.settimeout(0.1)
            with pytest.raises(TimeoutError):
                stranger.recv(1)
        segment.require_health()
    assert not segment.places["a"].socket.exists()
    assert not [thread for thread in threading.enumerate() if thread.name == "segment"]
    assert workspace.sockets.stat().st_mode & 0o777 == 0o700


def test_a_card_that_sends_nonsense_and_a_switch_that_is_gone_are_no_verdict(workspace: Workspace) -> None:
    with opened_segment(workspace, ["a", "b"]) as segment:
        with plugged(segment, "a") as broken:
            broken.sendall(struct.pack(">I", LONGEST_FRAME + 1))
            assert broken.recv(1) == b""
        with pytest.raises(LabError, match="what is no frame"):
            segment.require_health()
    with pytest.raises(LabError, match="private network broke"):
        segment.require_health()


def test_a_socket_that_cannot_be_made_is_no_verdict(tmp_path: Path) -> None:
    far = cast(Any, type("Far", (), {"sockets": tmp_path / ("x" * 100)})())
    with pytest.raises(LabError, match=r"private network's socket .* can't be made: AF_UNIX path too long"), \
            opened_segment(far, ["a", "b"]):  # fmt: skip
        pass


# The image has no ping. An echo request (type 8) of four bytes; the answer's type, in the 21st byte, is 0.
PING = """python3 - <<'END'
import socket
with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as echo:
    echo.settimeout(20)
    echo.sendto(bytes.fromhex("0800f7ff00000000"), ("{name}", 0))
    answer, (address, _) = echo.recvfrom(100)
    print(address, answer[20])
END
"""


def reaches(guest: Guest, other: Guest) -> None:
    """Require that a guest reaches another by both of its names, with a ping and with TCP."""
    assert other.place is not None
    names = (other.name, f"{other.name}.site.example")
    assert [guest.ask(PING.format(name=name)).output.split() for name in names] == [[other.place.address, "0"]] * 2
    greeting = guest.ask(f"timeout 20 bash -c 'head -c 8 < /dev/tcp/{other.name}/22'")
    assert greeting.output.strip() == "SSH-2.0-"


def on_the_segment(guest: Guest) -> str:
    """Return what the guest's card on the segment is."""
    return guest.ask("cat /sys/class/net/eth1/address; ip -brief address show dev eth1; hostname -f").output


def tries(places: list[tuple[str, int]]) -> str:
    """Return a script that prints for each place whether it answers."""
    return "\n".join(
        f"timeout 8 bash -c 'echo > /dev/tcp/{host}/{port}' 2> /dev/null && echo open {host} || echo shut {host} &"
        for host, port in places
    ) + "\nwait"  # fmt: skip


@pytest.mark.vm
def test_guests_reach_each_other_by_name_and_nobody_else(lab: Lab, image: GuestImage, tmp_path: Path) -> None:
    with (
        opened_segment(lab.workspace, ["server1", "worker1", "worker2"]) as segment,
        lab.guest("server1", image, tmp_path / "1", place=segment.places["server1"]) as server,
    ):
        with lab.guest("worker1", image, tmp_path / "2", place=segment.places["worker1"]) as worker:
            reaches(server, worker)
            reaches(worker, server)
            with socket.create_server(("0.0.0.0", 0)) as listener:
                port = listener.getsockname()[1]
                worker.ask("echo 1 > /proc/sys/net/ipv4/ip_forward")
                # Straight onto the segment, and by way of a neighbour that would pass everything on.
                server.ask(
                    "ip route add 10.0.2.2/32 via 10.99.0.12 && ip route add 10.0.2.3/32 dev eth1 && "
                    "ip route add 192.0.2.1/32 via 10.99.0.12 && ip route add 192.0.2.2/32 dev eth1"
                )
                places = [("10.0.2.2", port), ("10.0.2.3", port), ("192.0.2.1", 80), ("192.0.2.2", 80),
                          ("10.99.0.1", port), ("10.99.0.13", 22)]  # fmt: skip
                told = server.ask(tries([*places, ("10.0.2.100", 3128)]), 20).output.strip().splitlines()
            assert sorted(told) == sorted([*(f"shut {host}" for host, _ in places), "open 10.0.2.100"])
            before = on_the_segment(worker)
            assert before.split()[:3] == ["52:54:00:99:00:0c", "eth1", "UP"]
            assert before.split()[3:] == ["10.99.0.12/24", "worker1.site.example"]
            worker.reboot()
            assert on_the_segment(worker) == before
            reaches(server, worker)
        with lab.guest("worker2", image, tmp_path / "3", place=segment.places["worker2"]) as late:
            reaches(server, late)
            reaches(late, server)
        segment.require_health()
