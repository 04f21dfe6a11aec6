"""The laboratory as its users see it: ask for a guest of a platform, get one that is ready."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lading.errors import LabError
from lading.lab import machine, proxy, snapshot
from lading.lab.accel import Verdict, find_accelerator
from lading.lab.guest import Guest
from lading.lab.image import GuestImage, find_guest_image, find_test_image
from lading.lab.layer import Layer
from lading.lab.machine import Machine
from lading.lab.mirror import Mirror, find_mirror
from lading.lab.proxy import Traffic
from lading.lab.segment import Place
from lading.lab.snapshot import Snapshot
from lading.lab.workspace import Workspace
from lading.recipe.platforms import Platform

Asked = Literal["auto", "kvm", "tcg"]


@dataclass
class Lab:
    """An open laboratory: the proxy runs, and guests can be had."""

    workspace: Workspace
    mirror: Mirror
    traffic: Traffic
    asked: Asked

    def image(self, name: str, platform: Platform) -> GuestImage:
        """Return the platform's image, built if need be."""
        return find_guest_image(self.workspace, name, platform, self.mirror)

    def accelerator(self, image: GuestImage) -> Verdict:
        """Return which accelerator guests of that image run under here, and why."""
        return find_accelerator(self.workspace, image, self.asked)

    @contextmanager
    def guest(
        self,
        name: str,
        image: GuestImage,
        folder: Path,
        *,
        memory: int = 1024,
        cpus: int = 1,
        images: Mapping[str, Path] | None = None,
        place: Place | None = None,
        layer: Layer | None = None,
    ) -> Iterator[Guest]:
        """Yield a guest on which a command has run through ssh, restored from a snapshot wherever possible.

        With a `place` it is on that private segment too, and knows the names of all hosts there. With a `layer` it
        starts where that has been applied, by this call if nobody has before, and has the drives that it serves.
        """
        # First: what packs them may not be installed here, which nobody wants to hear after minutes in a guest.
        drives = {
            key: find_test_image(self.workspace, key, of, self.mirror, "squashfs")
            for key, of in (layer.drives if layer else {}).items()
        }
        spec = machine.describe(image, self.accelerator(image).accelerator, memory=memory, cpus=cpus)
        images = images or {}
        if layer:
            below = {key: path for key, path in images.items() if key in layer.images}
            found = self.layered(name, spec, image, folder, layer, images=below, drives=drives)
        else:
            found = self.snapshot(spec, image, folder)
        with Guest(name, spec, image, self.workspace, folder, images, place, drives) as guest:
            guest.restore(found.memory, found.disk)
            guest.wait_for_ssh(guest.deadline(6))
            yield guest

    def snapshot(self, spec: Machine, image: GuestImage, folder: Path) -> Snapshot:
        """Return the machine's snapshot; if there is none, boot the machine once and take it."""
        # One that is there came whole; only making one is a matter of taking turns.
        if snapshot.exists(spec, self.workspace) and (found := snapshot.find(spec, self.workspace)):
            return found
        with self.workspace.lock(f"snapshot-{spec.key}"):
            found = snapshot.find(spec, self.workspace)
            if found is not None:
                return found
            with (
                self.workspace.narrator.step(f"Booting '{image.key}' once, for a snapshot"),
                Guest("first-boot", spec, image, self.workspace, folder / "first-boot") as guest,
            ):
                guest.boot()
                return snapshot.take(guest, self.workspace)

    def layered(
        self,
        name: str,
        spec: Machine,
        image: GuestImage,
        folder: Path,
        layer: Layer,
        *,
        images: Mapping[str, Path] | None = None,
        drives: Mapping[str, Path] | None = None,
    ) -> Snapshot:
        """Return the snapshot of the machine with the layer; if there is none, apply the layer once and take it.

        It is applied to a guest of that name, without a private segment. The disks of `images` and `drives` are there
        while it is applied, since a playbook may try what lies on them, and are gone before the snapshot is taken.

        Raises:
            LadingError: the layer could not be applied; the layer says why.
        """
        if snapshot.exists(spec, self.workspace, layer) and (found := snapshot.find(spec, self.workspace, layer)):
            return found
        with self.workspace.lock(f"snapshot-{layer.on(spec)}"):
            found = snapshot.find(spec, self.workspace, layer)
            if found is not None:
                return found
            ground = self.snapshot(spec, image, folder)
            with (
                self.workspace.narrator.step(f"Applying {layer.name} once, for a snapshot"),
                Guest(
                    name, spec, image, self.workspace, folder / "layer", images=images or {}, drives=drives or {}
                ) as guest,
            ):
                guest.restore(ground.memory, ground.disk)
                guest.wait_for_ssh(guest.deadline(6))
                layer.apply(guest)
                guest.images = guest.drives = {}  # from the next boot on, which comes before the snapshot
                return snapshot.take(guest, self.workspace, layer)

    def require_mirror(self, since: int = 0) -> None:
        """Raise if a guest asked for something that the mirror could not deliver because it is down.

        `since` is how many outages there had been before.

        Raises:
            LabError: the mirror was down; a failure seen since then is no verdict about a path.
        """
        if self.traffic.outages[since:]:
            raise LabError(
                f"The Debian mirror did not answer: {self.traffic.outages[since]}.",
                hint="Nothing is known about the path. Try again when the mirror of this machine answers.",
            )


@contextmanager
def opened_lab(
    workspace: Workspace, asked: Asked = "auto", upstreams: Mapping[str, str] | None = None
) -> Iterator[Lab]:
    """Open the laboratory with the mirror that this machine's apt uses.

    `upstreams` are further hosts (and ports) that guests may reach, each with its scheme.
    """
    mirror = find_mirror()
    socket = workspace.sockets / "proxy"
    allowed = {**(upstreams or {}), **mirror.upstreams}
    with proxy.serving(socket, workspace.folder("proxy"), workspace.tmp, allowed) as traffic:
        yield Lab(workspace, mirror, traffic, asked)
