"""A layer: applied once to a fresh guest, kept as a snapshot of its own, and whole or not at all."""

import json
import secrets
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lading.errors import LabError
from lading.lab import machine, snapshot
from lading.lab.guest import Guest
from lading.lab.image import GuestImage
from lading.lab.lab import Lab
from lading.lab.layer import Layer
from lading.lab.machine import Machine
from lading.lab.upkeep import size_of

from .conftest import forget_layer, listening, workspace_in

NewLayer = Callable[["Applied"], Layer]
SPEC = Machine("debian13-0-0", "tcg", "10.0.2", "pc-q35-10.0")


def nothing(_guest: Guest) -> None:
    """Leave the guest as it is."""


def test_a_layers_snapshot_is_of_one_machine_and_one_key() -> None:
    layer = Layer("'a'", "1", nothing)
    keys = {layer.on(SPEC), replace(layer, key="2").on(SPEC), layer.on(replace(SPEC, memory=512)), SPEC.key}
    assert len(keys) == 4
    assert replace(layer, name="'b'").on(SPEC) == layer.on(SPEC)


def test_a_layer_is_not_mistaken_for_the_machine_without_it(tmp_path: Path) -> None:
    narrator, said = listening()
    with workspace_in(tmp_path / "cache", narrator) as workspace:
        folder = workspace.folder("snapshots") / Layer("'a'", "1", nothing).on(SPEC)
        folder.mkdir()
        (folder / "machine.json").write_text(machine.canonical(SPEC))
        (folder / snapshot.LAYER).write_text(json.dumps({"name": "'a'", "key": "1"}))
        assert snapshot.find(SPEC, workspace) is None
    assert "there is no snapshot of 'debian13' yet" in said.getvalue()


class Applied:
    """What a layer does in these tests; it counts how often it did."""

    def __init__(self, then: Callable[[], None] = lambda: None) -> None:
        self.times = 0
        self.then = then

    def __call__(self, guest: Guest) -> None:
        self.times += 1
        # As Ansible does it: through a connection that is kept, with a folder for its own files.
        assert guest.ssh.run("mkdir -p ~root/.ansible/tmp; hostname > /etc/layered", 60).rc == 0
        self.then()


@pytest.fixture(scope="module")
def demonstration(lab: Lab) -> Iterator[tuple[Layer, Applied]]:
    """A layer that is made once for the tests that only look, as making one is a boot and a reboot."""
    applied = Applied()
    layer = Layer("'a demonstration'", secrets.token_hex(8), applied)
    yield layer, applied
    forget_layer(lab.workspace.cache, layer)


@pytest.fixture
def new_layer(lab: Lab) -> Iterator[Callable[[Applied], Layer]]:
    """Return a maker of layers that no cache has; they are gone after the test."""
    made: list[Layer] = []

    def make(apply: Applied) -> Layer:
        made.append(Layer("'a demonstration'", secrets.token_hex(8), apply))
        return made[-1]

    yield make
    for layer in made:
        forget_layer(lab.workspace.cache, layer)


def kept(lab: Lab, image: GuestImage, layer: Layer) -> Path:
    """Return where the layer's snapshot is, or would be."""
    return lab.workspace.folder("snapshots") / layer.on(machine.describe(image, lab.accelerator(image).accelerator))


@pytest.mark.vm
def test_a_layer_is_applied_once_and_guests_start_where_it_has_been(
    lab: Lab, image: GuestImage, tmp_path: Path, demonstration: tuple[Layer, Applied]
) -> None:
    layer, applied = demonstration
    question = "cat /etc/layered /etc/machine-id; hostname; date +%s.%N"
    told = []
    for turn in ("1", "2"):
        with lab.guest("worker1", image, tmp_path / turn, layer=layer) as guest:
            asked = time.time()
            told.append(guest.ssh.run(question, 60).stdout.split())
            assert asked - 2 < float(told[-1].pop()) < time.time() + 2
    assert applied.times == 1
    first, second = told
    assert [first[0], first[2]] == [second[0], second[2]] == ["worker1", "worker1"]
    assert first[1] != second[1], "each clone is a machine of its own"
    assert not (tmp_path / "2" / "layer").exists()


@pytest.mark.vm
def test_a_layer_needs_no_other_snapshots_disk_and_no_client_that_is_gone(
    lab: Lab, image: GuestImage, tmp_path: Path, demonstration: tuple[Layer, Applied]
) -> None:
    layer, _ = demonstration
    spec = machine.describe(image, lab.accelerator(image).accelerator)
    found = lab.layered("worker1", spec, image, tmp_path, layer)
    words = ["qemu-img", "info", "--output=json", str(found.disk)]
    info = json.loads(subprocess.run(words, check=True, capture_output=True).stdout)
    assert info["full-backing-filename"] == str(image.disk)
    with Guest("worker1", spec, image, lab.workspace, tmp_path / "clone") as guest:
        guest.restore(found.memory, found.disk)
        # Before any client connects to the clone.
        left = guest.ask("ls -A ~root/.ansible 2> /dev/null; ss -Hnt state established", check=False)
        assert left.output.split() == []
        assert guest.ask("sync; echo 3 > /proc/sys/vm/drop_caches; cat /etc/layered").output.strip() == "worker1"


@pytest.mark.vm
def test_a_layers_snapshot_does_not_hold_what_was_in_memory_once(
    lab: Lab, image: GuestImage, tmp_path: Path, new_layer: NewLayer
) -> None:
    spec = machine.describe(image, lab.accelerator(image).accelerator)
    plain = lab.snapshot(spec, image, tmp_path)

    def fill(guest: Guest) -> None:
        guest.ask("head -c 300M /dev/urandom > /var/tmp/big; rm /var/tmp/big", 60)

    layer = replace(new_layer(Applied()), apply=fill)
    found = lab.layered("worker1", spec, image, tmp_path, layer)
    assert size_of(found.memory) < size_of(plain.memory) + 100 * 1024**2
    with lab.guest("worker1", image, tmp_path / "clone", layer=layer) as guest:
        assert "Out of memory" not in guest.ask("dmesg").output


@pytest.mark.vm
def test_a_damaged_layer_is_made_again(
    lab: Lab, image: GuestImage, tmp_path: Path, demonstration: tuple[Layer, Applied]
) -> None:
    layer, applied = demonstration
    spec = machine.describe(image, lab.accelerator(image).accelerator)
    disk = lab.layered("worker1", spec, image, tmp_path / "1", layer).disk
    before = applied.times
    disk.chmod(0o600)
    with disk.open("r+b") as file:
        file.seek(-1, 2)
        last = file.read(1)
        file.seek(-1, 2)
        file.write(bytes([last[0] ^ 1]))
    narrator, said = listening()
    told = replace(lab, workspace=replace(lab.workspace, narrator=narrator))
    told.layered("worker1", spec, image, tmp_path / "2", layer)
    assert applied.times == before + 1
    assert "The snapshot with 'a demonstration' is no use: its 'disk.qcow2' is damaged" in said.getvalue()
    assert snapshot.find(spec, lab.workspace, layer) is not None


@pytest.mark.vm
def test_a_layer_that_could_not_be_applied_is_not_kept(
    lab: Lab, image: GuestImage, tmp_path: Path, new_layer: NewLayer
) -> None:
    def fail() -> None:
        raise LabError("The base failed.", hint="See its log.")

    layer = new_layer(Applied(fail))
    with pytest.raises(LabError, match=r"The base failed\."), lab.guest("worker1", image, tmp_path, layer=layer):
        pass
    assert not kept(lab, image, layer).exists()
