"""`lading`: what all commands share, and how they end."""

import importlib
import importlib.util
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click

from lading import __version__
from lading.cli.render import clean, examples
from lading.errors import ExitCode, LadingError
from lading.project import Catalogue, find_catalogue
from lading.recipe.names import did_you_mean

COMMANDS: Final = {
    "list": "lading.cli.list:list_paths",
    "show": "lading.cli.show:show",
    "verify": "lading.cli.verify:verify",
    "page": "lading.cli.page:page",
    "evidence": "lading.cli.evidence:evidence",
    "glossary": "lading.cli.glossary:glossary",
    "state": "lading.cli.state:state",
    "doctor": "lading.cli.doctor:doctor",
    "gc": "lading.cli.gc:gc",
}
"""Every command and where it is: `module:name`. A module that does not exist is left out."""

INTERRUPTED: Final = 130

EPILOG: Final = (
    examples(
        "lading list                             what is known, and how well it is proven",
        "lading show apptainer-unprivileged      one path",
        "lading verify apptainer-unprivileged    prove it again, in throwaway VMs",
        "lading evidence check --strict          what a release asks for",
    )
    + "\n\nExit codes: 0 well; 1 a path failed; 2 wrong usage or input; 3 the laboratory broke: no verdict."
)


class Commands(click.Group):
    """Commands that are imported when they are needed: `lading list` does not load what boots machines."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return [name for name, place in COMMANDS.items() if importlib.util.find_spec(place.partition(":")[0])]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in self.list_commands(ctx):
            return None
        module, _, attribute = COMMANDS[name].partition(":")
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if not name.startswith("-") and self.get_command(ctx, name) is None:
            raise click.UsageError(f"No command is called '{name}'{did_you_mean(name, self.list_commands(ctx))}", ctx)
        return super().resolve_command(ctx, args)


class Settings:
    """What was said before the command. The catalogue is looked for when it is first used."""

    def __init__(self, catalogue: Path | None, debug: bool) -> None:
        self._explicit = catalogue
        self.debug = debug

    @property
    def catalogue(self) -> Catalogue:
        return find_catalogue(self._explicit)


@click.group(cls=Commands, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--catalogue",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="The knowledge base to work on; otherwise the one that the working folder is in.",
)
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.version_option(__version__, prog_name="lading")
@click.pass_context
def cli(ctx: click.Context, catalogue: Path | None, debug: bool) -> None:
    """Proves deployment guides for containers at WLCG sites in throwaway virtual machines."""
    ctx.obj = Settings(catalogue, debug)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code; whatever goes wrong is told in a sentence, on stderr."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        ended = cli.main(args=words, prog_name="lading", standalone_mode=False)
        return ended if isinstance(ended, int) else ExitCode.OK
    except (click.Abort, KeyboardInterrupt):
        click.echo("lading: interrupted", err=True)
        return INTERRUPTED
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return ExitCode.USAGE
    except click.ClickException as error:
        return _tell(error.format_message(), _usage_hint(error), ExitCode.USAGE)
    except Exception as error:  # noqa: BLE001 (a user gets a sentence, whatever went wrong)
        if _wants_traceback(words):
            traceback.print_exc()
        if isinstance(error, LadingError):
            return _tell(error.message, error.hint, error.exit_code)
        return _tell(
            f"{type(error).__name__}: {error}", "This is a fault of lading; --debug shows where.", ExitCode.LAB
        )


def _tell(message: str, hint: str | None, code: int) -> int:
    click.echo(clean(f"lading: error: {message}"), err=True)
    for line in (hint or "").splitlines():
        click.echo(clean(f"  {line}"), err=True)
    return code


def _usage_hint(error: click.ClickException) -> str | None:
    if isinstance(error, click.UsageError) and error.ctx:
        return f"'{error.ctx.command_path} --help' tells how it is used."
    return None


def _wants_traceback(words: Sequence[str]) -> bool:
    """Say whether `--debug` was given before the command; the context is gone by now."""
    for word in words:
        if word == "--debug":
            return True
        if word in COMMANDS:
            break
    return False


if __name__ == "__main__":
    sys.exit(main())
