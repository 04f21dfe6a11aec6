"""`lading state`: what a host has, as JSON, and what is different between two of them."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import click

from lading.cli.render import clean, examples, print_json
from lading.errors import ExitCode, UsageError
from lading.state.collect import take_state
from lading.state.compare import Change, compare
from lading.state.model import State

KINDS: Final = {
    "package": "Packages",
    "unit": "Units",
    "socket": "Listening sockets",
    "user": "Users",
    "group": "Groups",
    "file": "Files",
    "sysctl": "Kernel settings",
    "mount": "Mounts",
    "module": "Kernel modules",
}
"""The kinds of items, in the order in which they are shown."""

WIDEST_NAME: Final = 60


@click.group(
    invoke_without_command=True,
    epilog=examples(
        "sudo lading state > before.json                  this machine",
        "lading state --host root@worker1 > before.json   another one, through ssh",
        "lading state diff before.json after.json         what has changed since",
    ),
)
@click.option("--host", metavar="USER@HOST", help="Take the state of another machine, through ssh.")
@click.option(
    "--ssh-config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="The configuration of ssh to use with --host.",
)
@click.pass_context
def state(ctx: click.Context, host: str | None, ssh_config: Path | None) -> None:
    """Print a host's state as JSON: packages, units, listening sockets, users, files in /etc, kernel settings, mounts.

    Nothing is changed on the host, which needs Python 3.9 or later. Reading takes root there, or sudo without a
    password.
    """
    if ctx.invoked_subcommand is None:
        click.echo(take_state(host, ssh_config).to_json(), nl=False)
    elif host or ssh_config:
        raise click.UsageError("--host and --ssh-config belong to 'lading state' itself.", ctx)


@state.command(epilog=examples("lading state diff before.json after.json", "lading state diff a.json b.json --json"))
@click.argument("before", type=click.Path(path_type=Path))
@click.argument("after", type=click.Path(path_type=Path))
@click.option("--modules", is_flag=True, help="Count loaded kernel modules, which the kernel loads on use.")
@click.option("--json", "as_json", is_flag=True, help="Print an object instead of text.")
@click.pass_context
def diff(ctx: click.Context, before: Path, after: Path, modules: bool, as_json: bool) -> None:
    """Show what differs between two states: '+' came, '-' went, '~' changed.

    Exit code 0: nothing differs. 1: something does. 2: a file is not a state.
    """
    first, second = _read(before), _read(after)
    changes = compare(first, second, modules=modules)
    if as_json:
        print_json(_data(first, second, changes))
    else:
        for line in _lines(changes):
            click.echo(clean(line))
    ctx.exit(ExitCode.FAILED if changes else ExitCode.OK)


def _read(file: Path) -> State:
    try:
        return State.from_json(file.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"'{file}' cannot be read: {getattr(error, 'strerror', None) or 'it is no text'}.") from None
    except UsageError as error:
        raise UsageError(f"'{file}': {error.message}", error.hint) from None


def _data(first: State, second: State, changes: Sequence[Change]) -> dict[str, Any]:
    return {
        "before": first.model_dump(mode="json", include={"host", "system", "kernel", "taken"}),
        "after": second.model_dump(mode="json", include={"host", "system", "kernel", "taken"}),
        "changes": [{"item": change.item, "before": change.before, "after": change.after} for change in changes],
    }


def _lines(changes: Sequence[Change]) -> Iterator[str]:
    order = list(KINDS)
    told = []
    for kind, group in groupby(
        sorted(changes, key=lambda change: order.index(change.kind)), lambda change: change.kind
    ):
        found = list(group)
        told.append(f"{KINDS[kind].lower()} {len(found)}")
        width = min(WIDEST_NAME, max(len(change.name) for change in found))
        yield KINDS[kind]
        yield from (f"  {change.sign} {change.name:{width}}  {change.what}" for change in found)
    if changes:
        yield f"{len(changes)} {'item differs' if len(changes) == 1 else 'items differ'}: {', '.join(told)}."
    else:
        yield "The states are equal."
