"""What a proof is about: one digest over everything that decides its outcome and is kept in git.

The inputs are the recipe's folder; the run blocks of its page; the playbook and all that it is made of
(`lading.recipe.playbook`), with what Ansible reads beside it; its Puppet module; the shared helpers of checks; the
platform's definition; the subjects of the paths that this one builds on; and the engine's `PROTOCOL`. What a run
meets by chance (package versions, kernel, accelerator) is `resolved` in the evidence, beside the subject.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import lading
from lading.errors import UsageError
from lading.evidence.canonical import canonical_json, sha256_of
from lading.evidence.tree import Entry, Tree, entry_of
from lading.page.model import FileBlock, RunBlock, Transcript
from lading.page.read import page_of
from lading.project import Catalogue
from lading.recipe.load import LoadedRecipe, load_recipe
from lading.recipe.names import did_you_mean
from lading.recipe.playbook import playbook_closure
from lading.recipe.yamlfile import read_yaml

BESIDE_PLAYBOOKS: Final = (
    "group_vars", "host_vars", "library", "module_utils", "filter_plugins", "lookup_plugins", "test_plugins",
    "action_plugins", "callback_plugins", "ansible.cfg",
)  # fmt: skip
"""What Ansible takes from the playbook's folder without being told to."""

DATA: Final = "data"
"""The mode of an input that is no file."""


@dataclass(frozen=True)
class Subject:
    """The digest of a path on a platform, and the inputs it was made from, sorted by name."""

    path: str
    platform: str
    digest: str
    inputs: tuple[Entry, ...]

    @property
    def name(self) -> str:
        """The name in evidence: `apptainer-unprivileged/debian13`."""
        return f"{self.path}/{self.platform}"


def subject_of(catalogue: Catalogue, loaded: LoadedRecipe, platform: str, tree: Tree | None = None) -> Subject:
    """Return the subject of a path on a platform. Give the same `tree` to many calls: files are then read once.

    Raises:
        UsageError: git is missing or does not know the catalogue; the platform is unknown; the playbook's closure
            can't be known.
    """
    tree = tree or Tree(catalogue.root)
    inputs = {entry.name: entry for entry in _inputs(catalogue, loaded, platform, tree)}
    ordered = tuple(inputs[name] for name in sorted(inputs))
    return Subject(loaded.id, platform, digest_of(ordered), ordered)


def digest_of(inputs: tuple[Entry, ...]) -> str:
    """Return one SHA-256 over inputs, whatever their order."""
    return sha256_of(canonical_json(sorted([entry.name, entry.mode, entry.sha256] for entry in inputs)))


def _inputs(catalogue: Catalogue, loaded: LoadedRecipe, platform: str, tree: Tree) -> Iterator[Entry]:
    yield from tree.below(loaded.folder)
    yield _page(catalogue, loaded)
    yield from _playbook(catalogue, loaded, tree)
    if loaded.puppet is not None:
        yield from tree.below(loaded.puppet)
    yield from _check_helpers()
    yield _platform(catalogue, platform)
    for base in loaded.recipe.builds_on:
        digest = subject_of(catalogue, load_recipe(catalogue, base), platform, tree).digest
        yield Entry(f"builds_on/{base}", DATA, digest)
    yield Entry("lading/PROTOCOL", DATA, sha256_of(canonical_json(lading.PROTOCOL)))


def _page(catalogue: Catalogue, loaded: LoadedRecipe) -> Entry:
    """Return the page's run blocks, files that they include too; where on the page they stand does not count."""
    page = page_of(catalogue, loaded)
    blocks = [_said_in(block) for block in page.run_blocks]
    return Entry(f"{page.file}#run-blocks", DATA, sha256_of(canonical_json(blocks)))


def _said_in(block: RunBlock) -> list[Any]:
    what: list[Any] = [block.section, block.host, block.platform]
    if isinstance(block, Transcript):
        commands = [[command.user, command.text, *command.expected] for command in block.commands]
        return [*what, commands, block.exit, block.expect, block.timeout, block.until, block.reboot]
    assert isinstance(block, FileBlock)
    return [*what, block.path, block.mode, block.content]


def _playbook(catalogue: Catalogue, loaded: LoadedRecipe, tree: Tree) -> Iterator[Entry]:
    closure = playbook_closure(catalogue, loaded.playbook)
    beside = (catalogue.playbooks / name for name in BESIDE_PLAYBOOKS)
    yield from tree.below(*closure.files, *closure.roles.values(), *beside)


def _check_helpers() -> Iterator[Entry]:
    """Yield the helpers that all recipes' checks share: those of the engine that runs, which runs the checks too."""
    folder = Path(lading.__file__).parent / "checks"
    for file in sorted(folder.rglob("*.py")):
        yield entry_of(file, f"src/lading/checks/{file.relative_to(folder)}")


def _platform(catalogue: Catalogue, platform: str) -> Entry:
    entries = read_yaml(catalogue.data / "platforms.yml", "data/platforms.yml").data
    if platform not in entries:
        raise UsageError(f"No platform is called '{platform}'{did_you_mean(platform, entries)}")
    return Entry(f"data/platforms.yml#{platform}", DATA, sha256_of(canonical_json(entries[platform])))
