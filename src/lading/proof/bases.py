"""What a path builds on: proven before it, applied once by its playbook, and kept as a layer; and its stand-ins."""

import importlib.metadata
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial

from lading.errors import LabError, UsageError
from lading.evidence.model import Grade
from lading.evidence.status import Status, status
from lading.evidence.subject import subject_of
from lading.evidence.tree import Tree
from lading.lab.guest import Guest
from lading.lab.image import digest
from lading.lab.lab import Lab
from lading.lab.layer import Layer
from lading.lab.stand_in import CvmfsStandIn, merged
from lading.lab.workspace import Workspace
from lading.process import TimedOut
from lading.project import Catalogue
from lading.proof.bench import failure_of, lab_variables, mounted_images, stand_in_of, timeout_of
from lading.proof.records import recall
from lading.proof.signs import keep_signs
from lading.recipe.bases import bases_in_order, own_groups, takes
from lading.recipe.load import LoadedRecipe, load_recipe
from lading.recipe.model import Host
from lading.routes.playbook import PlaybookRoute, write_inventory
from lading.routes.result import PlayResult


class BaseUnproven(UsageError):
    """A path can't be proven yet: `base`, on which it builds, is not."""

    def __init__(self, base: str, message: str, hint: str) -> None:
        super().__init__(message, hint)
        self.base = base


@dataclass(frozen=True)
class Base:
    """A path that another builds on, with the digest of its subject on the platform, and the groups that it is for."""

    loaded: LoadedRecipe
    subject: str
    groups: Sequence[str]


@dataclass(frozen=True)
class Foundation:
    """All that a path builds on, on a platform, in the order in which it is applied."""

    catalogue: Catalogue
    above: LoadedRecipe
    platform: str
    bases: Sequence[Base]

    @property
    def subjects(self) -> dict[str, str]:
        """The digest of each base's subject, by its id."""
        return {base.loaded.id: base.subject for base in self.bases}

    def layers(self, lab: Lab) -> dict[str, Layer]:
        """Return what is to be done to each host of the path before anything else; hosts that need nothing have none.

        A layer raises, where it is applied, a LabError if a base's playbook fails: that says nothing of this path.
        """
        layers = {}
        for name, host in self.above.recipe.hosts.items():
            mine = [base for base in self.bases if takes(host, base.groups)]
            stand_in = self.stand_in(host)
            if not mine and not stand_in:
                continue
            told = [*(["the CVMFS stand-in"] if stand_in else []), *(f"'{base.loaded.id}'" for base in mine)]
            images = {key: of for base in mine for key, of in mounted_images(base.loaded.recipe).items()}
            groups = _groups(host, mine)
            key = _key(name, groups, mine, stand_in)
            apply = partial(self._apply, lab, mine, groups, stand_in=stand_in)
            layers[name] = Layer(" and ".join(told), key, apply, images, stand_in.drives if stand_in else {})
        return layers

    def stand_in(self, host: Host) -> CvmfsStandIn | None:
        """Return what stands in for CVMFS on a host: what the path asks for, and the bases that the host takes."""
        recipes = [base.loaded.recipe for base in self.bases if takes(host, base.groups)] + [self.above.recipe]
        asked = [found for recipe in recipes if (found := stand_in_of(recipe, host))]
        return merged(asked) if asked else None

    @property
    def stand_ins(self) -> str:
        """What was not the real thing in a proof, in words; empty if all was."""
        anywhere = any(self.stand_in(host) for host in self.above.recipe.hosts.values())
        return "CVMFS is a stand-in of autofs and squashfuse" if anywhere else ""

    def _apply(
        self,
        lab: Lab,
        bases: Sequence[Base],
        groups: Sequence[str],
        guest: Guest,
        *,
        stand_in: CvmfsStandIn | None = None,
    ) -> None:
        if stand_in:
            outages = len(lab.traffic.outages)
            try:
                stand_in.set_up(guest)
            except LabError:
                lab.require_mirror(outages)
                raise
        for base in bases:
            self._play(lab, base, groups, guest)
        # The layer is kept under what the files were before; they may be others by now.
        if foundation_of(self.catalogue, self.above, self.platform).subjects != self.subjects:
            raise LabError(
                f"Files of what '{self.above.id}' builds on changed while it was applied.",
                hint="Prove it again, and leave the files alone meanwhile.",
            )

    def _play(self, lab: Lab, base: Base, groups: Sequence[str], guest: Guest) -> None:
        path_id = base.loaded.id
        outages = len(lab.traffic.outages)
        limit = timeout_of(base.loaded.recipe, "apply")
        failed = f"The playbook of '{path_id}', on which '{self.above.id}' builds, "
        hint = (
            f"Nothing is known of '{self.above.id}'. The guest's folder with all logs: {guest.folder}\n"
            f"Prove its base again: lading verify {path_id} --platform {self.platform} --force"
        )
        try:
            result = _route(base.loaded, guest, groups).apply(path_id, limit)
        except TimedOut:
            _look_at(lab, guest, outages)
            raise LabError(f"{failed}did not end within {limit:.0f} s.", hint) from None
        if result.rc != 0:
            _look_at(lab, guest, outages)
            raise LabError(f"{failed}failed. {failure_of(result)}", f"The whole output: {result.log}\n{hint}")
        self._require_play(base, guest, groups, result)

    def _require_play(self, base: Base, guest: Guest, groups: Sequence[str], result: PlayResult) -> None:
        """Refuse a playbook that passed this host by: it would end well and leave nothing."""
        if not result.tasks:
            raise UsageError(
                f"No play of '{base.loaded.id}', on which '{self.above.id}' builds, is for the groups of "
                f"'{guest.name}' ({', '.join(groups)}).",
                hint=f"Put the host into the groups of the base's own host: {', '.join(base.groups)}.",
            )


def foundation_of(catalogue: Catalogue, loaded: LoadedRecipe, platform: str) -> Foundation:
    """Return what a path builds on; its foundation is empty if it builds on nothing.

    Raises:
        UsageError: a base's files are wrong.
    """
    tree = Tree(catalogue.root)
    bases = []
    for path_id in bases_in_order(catalogue, loaded.id):
        base = load_recipe(catalogue, path_id)
        subject = subject_of(catalogue, base, platform, tree).digest
        bases.append(Base(base, subject, own_groups(catalogue, path_id)))
    return Foundation(catalogue, loaded, platform, bases)


def require_proven(
    workspace: Workspace, catalogue: Catalogue, loaded: LoadedRecipe, platform: str, grade: Grade, today: date
) -> None:
    """Require that all that a path builds on is fully proven; for a quick proof, that it has not failed.

    What this machine has proven itself counts, even if the evidence of it is not written, as in CI.

    Raises:
        BaseUnproven: a base is not; the hint says how to prove it.
    """
    for base in foundation_of(catalogue, loaded, platform).bases:
        path_id = base.loaded.id
        if recall(workspace, path_id, platform, base.subject, "full"):
            continue
        found = status(catalogue, base.loaded, platform, today=today)
        lacks = _lacks(found, grade)
        if lacks:
            what = "has failed" if found.verdict == "failed" else "is not fully proven"
            raise BaseUnproven(
                path_id,
                f"'{loaded.id}' builds on '{path_id}', which {what} on {platform}: {lacks}.",
                hint=f"Prove it first: lading verify {path_id} --platform {platform}",
            )


def _lacks(found: Status, grade: Grade) -> str | None:
    """Return what keeps a base from being built on, in words."""
    why = f" ({found.reason})" if found.reason else ""
    if found.verdict == "failed" or (grade == "full" and found.verdict not in ("proven", "old")):
        return found.verdict + why
    if grade == "full" and found.grade != "full":
        return f"its grade is {found.grade}"
    return None


def _groups(host: Host, bases: Sequence[Base]) -> list[str]:
    """Return the groups of a host that its bases know; they are proven without the others, which come with paths above.

    So paths whose hosts differ in what they add to the same bases share a layer.
    """
    known = {group for base in bases for one in base.loaded.recipe.hosts.values() for group in one.groups}
    return [group for group in host.groups if group in known]


def _key(name: str, groups: Sequence[str], bases: Sequence[Base], stand_in: CvmfsStandIn | None) -> str:
    """Return the digest of what decides a layer: a role may ask for a host's name and groups."""
    applied = [[base.loaded.id, base.subject] for base in bases]
    decides = [name, list(groups), applied, importlib.metadata.version("ansible-core")]
    return digest([*decides, *([stand_in.key] if stand_in else [])])


def _route(base: LoadedRecipe, guest: Guest, groups: Sequence[str]) -> PlaybookRoute:
    """Return the base's playbook with its own lab variables, for this host alone."""
    inventory = write_inventory(guest.folder / "inventory.json", {guest.name: guest}, {guest.name: groups})
    variables = guest.folder / f"variables-{base.id}.json"
    variables.write_text(json.dumps(lab_variables(base.recipe), indent=1))
    return PlaybookRoute(base.playbook, inventory, variables, guest.folder)


def _look_at(lab: Lab, guest: Guest, outages: int) -> None:
    """Keep what the guest tells of itself, and raise if it was lost, or the mirror was down."""
    keep_signs({guest.name: guest})
    guest.require_health()
    lab.require_mirror(outages)
