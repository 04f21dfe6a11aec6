"""How the site says dates, times, states and counts."""

from collections.abc import Iterable
from datetime import date
from typing import Final

from lading.evidence.status import FRESH_DAYS, NEVER_RUN, Status
from lading.page.model import Page
from lading.recipe.model import Recipe

PRODUCERS: Final = {"workstation": " on a workstation", "ci": " by continuous integration"}


def day(moment: date) -> str:
    """Return a date that stays true on a page that is read years later.

    Example:
        ```python
        from datetime import date

        from lading.site.words import day

        print(day(date(2026, 11, 21)))
        #> 21 November 2026
        ```
    """
    return f"{moment.day} {moment:%B %Y}"


def duration(seconds: float) -> str:
    """Return seconds as people say them.

    Example:
        ```python
        from lading.site.words import duration

        print(duration(9.6), duration(301.2), duration(60))
        #> 10 s 5 min 1 s 1 min
        ```
    """
    minutes, rest = divmod(round(seconds), 60)
    said = [f"{minutes} min"] if minutes else []
    return " ".join(said + ([f"{rest} s"] if rest or not minutes else []))


def sentence(status: Status) -> str:
    """Return what a status means, with absolute dates."""
    when = f"on {day(status.date)}{producer(status)}" if status.date else ""
    match status.verdict:
        case "proven":
            return f"Ran and held {when}."
        case "stale":
            return f"Last proven {when}; since then the path has changed ({status.reason})."
        case "old":
            return f"Last proven {when}, more than {FRESH_DAYS} days before this page was built."
        case "failed":
            return f"Failed {when} ({status.reason})."
        case "not-verified":
            return "This path has never run there." if status.reason == NEVER_RUN else status.reason or ""


def producer(status: Status) -> str:
    """Return who ran the proof, as the end of a sentence."""
    if status.evidence is None:
        return ""
    made = status.evidence.run.producer
    return PRODUCERS.get(made.kind) or f" by {made.submitter or 'somebody'} ({made.url or 'no address given'})"


def coverage(page: Page, recipe: Recipe, statuses: Iterable[Status]) -> str:
    """Return how much of a page a proof types, or would type; nothing for a page without blocks.

    Blocks for a platform that no proof can reach are not typed; the page says so beside them. `statuses` are those on
    all platforms: without evidence on any of them, nothing has been typed yet.
    """
    idle = {name for name, use in recipe.platforms.items() if use.not_verified and not use.needs}
    total, typed = len(page.blocks), sum(block.platform not in idle for block in page.run_blocks)
    if not total:
        return ""
    count = "every block" if typed == total else f"{typed or 'none'} of the {total} blocks"
    if typed and all(status.evidence is None for status in statuses):
        return f"A proof would type {count} on this page; none has run."
    if typed == total:
        return f"A proof types {count} on this page."
    others = "each other one" if typed else "each"
    return f"A proof types {count} on this page; {others} says why not."
