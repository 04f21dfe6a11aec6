"""What a reader sees on a path's page is what the route by hand types."""

import shutil
from pathlib import Path

import pytest

from lading.page.model import Page, Transcript
from lading.page.outline import Fence, find_blocks
from lading.page.read import page_of, read_page
from lading.project import Catalogue
from lading.recipe.load import load_all, load_recipe
from tests.site.builders import BUILDERS, ROOT, build_well, dress
from tests.site.shown import ShownBlocks, shells

PATHS = sorted(load_all(Catalogue(ROOT)))
Typed = list[tuple[str, str, list[str]]]


def typed(page: Page) -> Typed:
    """Return the run blocks as the runner has them: id, text, and what is typed into each shell."""
    return [(block.id, block.text, shells(block) if isinstance(block, Transcript) else []) for block in page.run_blocks]


def shown(site: Path, page: Path) -> Typed:
    """Return the same of a built page."""
    blocks = ShownBlocks.of((site / page.with_suffix("") / "index.html").read_text())
    return [(block.id, block.text, block.copies) for block in blocks]


@pytest.mark.parametrize("builder", BUILDERS)
@pytest.mark.parametrize("path", PATHS)
def test_a_page_shows_and_copies_what_is_typed(sites: dict[str, Path], builder: str, path: str) -> None:
    catalogue = Catalogue(ROOT)
    loaded = load_recipe(catalogue, path)
    expected = typed(page_of(catalogue, loaded))
    assert shown(sites[builder], loaded.page.relative_to(catalogue.docs)) == expected


@pytest.mark.parametrize("builder", BUILDERS)
def test_every_construct_is_shown_and_copied_as_it_is_typed(catalogue: Catalogue, builder: str) -> None:
    """A page with all that the grammar has, since the paths of today may not use it all."""
    shutil.copy(Path(__file__).parent / "everything.md", catalogue.docs / "paths/compute/kettle.md")
    dress(catalogue.root)
    expected = typed(page_of(catalogue, load_recipe(catalogue, "kettle")))
    assert len(expected) == 11
    assert shown(build_well(builder, catalogue.root), Path("paths/compute/kettle.md")) == expected


GRAMMAR = ROOT / "docs/writing-a-page.md"
EXAMPLES = [fence for fence in find_blocks(GRAMMAR.read_text()) if fence.text.startswith("``` {")]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda fence: f"line-{fence.first}")
def test_the_examples_of_the_grammar_are_right(tmp_path: Path, example: Fence) -> None:
    for name in ("recipes/demo/rendered/etc/sysctl.d/90-demo.conf", "playbooks/roles/demo/files/demo"):
        included = tmp_path / name
        included.parent.mkdir(parents=True)
        included.write_text("user.max_net_namespaces = 0\n")
    page = f"/// proof | demo\n\n## Install\n\n{example.text}\n"
    names = ["debian13", "almalinux9"]
    blocks = read_page(page, "example", root=tmp_path, hosts=["worker1"], platforms=names).blocks
    assert len(blocks) == example.text.count("``` {")
