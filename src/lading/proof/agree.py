"""The stage 'agree': the routes' end states are equal, item by item, and a page is told where it says otherwise."""

from lading.errors import PathFailed
from lading.page.model import FileBlock, Page, Place, Transcript
from lading.proof.judge import SHOWN, Delta, disagreements
from lading.recipe.model import Recipe
from lading.state.compare import Change


def require_agreement(recipe: Recipe, page: Page | None, playbook: Delta | None, other: Delta | None) -> str:
    """Require that another route ends where the playbook does; `page` is what that route typed, if it typed one.

    Raises:
        PathFailed: items differ, or one of the two never deployed.
    """
    if playbook is None or other is None:
        which = "The playbook" if playbook is None else "This route"
        raise PathFailed(f"{which} came to no end state, so there is nothing to compare.")
    found = list(disagreements(recipe, playbook, other))
    if found:
        told = [_told(page, change) for change in found]
        more = f" (and {len(told) - 1} more items)" if len(told) > 1 else ""
        raise PathFailed(f"{told[0]}{more}", hint="\n".join(told[:SHOWN]))
    compared = sum(len(state.items) for state in playbook.after.values())
    return f"equal to what the playbook leaves, {compared} items compared"


def _told(page: Page | None, change: Change) -> str:
    place = place_of(page, change.item, change.host) if page else None
    where = f"{place}: " if place else ""
    return (
        f"{where}This ends otherwise than the playbook's way (before: the playbook's, after: this route's): {change}."
    )


def place_of(page: Page, item: str, host: str = "") -> Place | None:
    """Return where a page says what an item of the state becomes: the file's block, else a command that names it.

    With a `host`, only what is typed there counts.
    """
    name = item.partition(":")[2]
    blocks = [block for block in page.run_blocks if host in ("", block.host)]
    for block in blocks:
        if isinstance(block, FileBlock) and block.path == name:
            return block.place
    for block in blocks:
        if isinstance(block, Transcript):
            for command in block.commands:
                if name and name in command.text:
                    return command.place
    return None
