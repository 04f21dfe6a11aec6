"""The machine's description, and the command line that is made of it."""

import json
from dataclasses import asdict, replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from lading.lab.machine import Machine, Wiring, argv, canonical
from lading.lab.segment import Place

GOLDEN = Path(__file__).with_name("golden") / "argv.txt"
SPEC = Machine(image="debian13-0-0", accelerator="tcg", qemu="10.0.2", machine_type="pc-q35-10.0")


def wiring(folder: str = "/run") -> Wiring:
    place = Path(folder)
    return Wiring(
        disk=place / "disk.qcow2",
        kernel=place / "vmlinuz",
        initrd=place / "initrd",
        monitor=place / "qmp",
        channel=place / "channel",
        serial=place / "serial.log",
        proxy=place / "proxy",
        relay=("python3", "relay.py"),
    )


def test_the_command_line_is_the_golden_one() -> None:
    assert "\n".join(argv(SPEC, wiring())) + "\n" == GOLDEN.read_text()


def test_a_restore_differs_from_a_boot_by_one_option_only() -> None:
    assert argv(SPEC, wiring(), incoming=True) == [*argv(SPEC, wiring()), "-incoming", "defer"]


def test_the_guest_is_cut_off_and_its_ports_are_on_loopback_only() -> None:
    (network,) = [word for word in argv(SPEC, wiring()) if word.startswith("user,")]
    assert "restrict=on" in network
    assert "hostfwd=tcp:127.0.0.1:0-:22" in network


def test_a_card_on_a_private_segment_is_the_last_device_and_reaches_nothing_but_the_switch() -> None:
    place = Place("worker1", Path("/a,b/segment"), {"worker1": "10.99.0.11"})
    assert argv(SPEC, replace(wiring(), segment=place)) == [
        *argv(SPEC, wiring()),
        "-netdev", "stream,id=segment,server=off,addr.type=unix,addr.path=/a,,b/segment",
        "-device", "virtio-net-pci,netdev=segment,id=segment,bus=port5,mac=52:54:00:99:00:0b,romfile=",
    ]  # fmt: skip


def test_a_comma_in_a_path_does_not_end_an_option() -> None:
    words = argv(SPEC, wiring("/a,b"))
    assert "unix:/a,,b/qmp,server=on,wait=off" in words
    assert any("/a,,b/disk.qcow2" in word for word in words)
    assert any("/a,,b/proxy" in word for word in words)


def test_kvm_is_never_a_mere_wish() -> None:
    machine = argv(replace(SPEC, accelerator="kvm"), wiring())
    assert "pc-q35-10.0,accel=kvm" in machine
    assert not any("kvm:tcg" in word for word in machine)


@given(st.sampled_from(sorted(asdict(SPEC))), st.text(min_size=1, max_size=5))
def test_whatever_defines_the_machine_changes_its_key_and_is_named(name: str, value: str) -> None:
    other = Machine(**{**asdict(SPEC), name: f"other-{value}"})
    assert other.key != SPEC.key
    (difference,) = other.differences(json.loads(canonical(SPEC)))
    assert difference.startswith(f"{name} was ")


def test_equal_machines_have_one_key() -> None:
    assert replace(SPEC).key == SPEC.key
    assert SPEC.differences(json.loads(canonical(SPEC))) == []
