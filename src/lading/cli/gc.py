"""`lading gc`: tidy this machine's cache."""

import click

from lading.cli.render import examples, print_json
from lading.lab.upkeep import KEPT_DAYS, Removed, living, tidy
from lading.project import cache_root
from lading.sizes import size_text

DAYS = ", ".join(f"{kind} {days}" for kind, days in KEPT_DAYS.items())


@click.command(
    epilog=examples(
        "lading gc         end kept guests, remove what is old",
        "lading gc --all   start anew; only the records of proofs stay",
    )
)
@click.option("--all", "everything", is_flag=True, help="Remove images, snapshots, logs and packages of any age.")
@click.option("--json", "as_json", is_flag=True, help="Print what was removed as JSON.")
def gc(everything: bool, as_json: bool) -> None:
    """End guests that were kept; remove what dead runs left, and what is old."""
    removed = list(tidy(cache_root(), everything=everything))
    if as_json:
        print_json([vars(one) for one in removed])
        return
    for one in removed:
        click.echo(f"{size_text(one.size):>10}  {one.what} ({one.why})")
    click.echo(_closing(removed))
    if runs := living(cache_root()):
        click.echo(f"{len(runs)} runs are under way; the cache was left as it is for them.")


def _closing(removed: list[Removed]) -> str:
    if not removed:
        return f"Nothing to remove from {cache_root()} (kept, in days: {DAYS})."
    return f"{len(removed)} things removed, {size_text(sum(one.size for one in removed))} freed."
