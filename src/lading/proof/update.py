"""Rewrites the outputs that a page promises from a real run of what it tells a person to type."""

import difflib
from contextlib import ExitStack
from dataclasses import dataclass

from lading.lab.lab import Lab
from lading.page.model import SECTIONS
from lading.page.read import page_of
from lading.page.update import rewritten
from lading.project import Catalogue
from lading.proof.bases import foundation_of
from lading.proof.bench import opened_bench
from lading.recipe.load import LoadedRecipe
from lading.recipe.platforms import load_platforms
from lading.routes.byhand import ByHandRoute


@dataclass(frozen=True)
class Update:
    """What a run made of a page: its new text, and how that differs from the old, for people to read."""

    text: str
    diff: str


def update_page(lab: Lab, catalogue: Catalogue, loaded: LoadedRecipe, platform: str) -> Update:
    """Type a page's sections in their order on a fresh guest, and put in the outputs that were seen.

    The page itself is not written: a caller does, once all has been typed. `...` of the author's stay.

    Raises:
        PathFailed: a command ended with another exit code than the page says, or did not end.
        LabError: the lab broke.
    """
    page = page_of(catalogue, loaded)
    folder = lab.workspace.new_run_folder(f"{loaded.id}-{platform}-page")
    described = load_platforms(catalogue)[platform]
    narrator = lab.workspace.narrator
    with ExitStack() as stack:
        layers = foundation_of(catalogue, loaded, platform).layers(lab)
        bench = stack.enter_context(opened_bench(lab, loaded, platform, described, folder, layers=layers))
        route = ByHandRoute(page, bench.guests, platform, folder, timeout=bench.timeout("apply"), update=True)
        stack.callback(route.close)
        for section in SECTIONS:
            with narrator.step(f"Typing '{section}'"):
                narrator.say(f"  {route.type(section)}")
    before = loaded.page.read_text()
    text = rewritten(before, page, route.seen)
    diff = difflib.unified_diff(before.splitlines(), text.splitlines(), page.file, page.file, lineterm="", n=1)
    return Update(text, "\n".join(diff))
