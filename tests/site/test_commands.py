"""The reference of a command line, made from its help."""

import sys
from types import ModuleType

import click
import pytest
from markdown import Markdown

from lading.site.markers import MarkerError


@click.group(epilog="\b\nExamples:\n  tea brew    <hot>")
def tea() -> None:
    """Makes tea.

    It takes
    a pot.
    """


@tea.command()
@click.option("--cups", metavar="N", help="How many **cups**.")
@click.argument("pot")
def brew(cups: str, pot: str) -> None:
    """Brews it."""


@tea.command(hidden=True)
def spill() -> None:
    """Nobody should."""


def render(marker: str) -> str:
    return Markdown(extensions=["toc", "lading.site.commands"]).convert(marker)


@pytest.fixture
def html(monkeypatch: pytest.MonkeyPatch) -> str:
    module = ModuleType("teahouse")
    module.tea = tea  # type: ignore[attr-defined] # a module made here
    monkeypatch.setitem(sys.modules, "teahouse", module)
    return render("/// commands | teahouse:tea")


def test_every_command_has_a_heading_to_link_to(html: str) -> None:
    assert '<h2 id="teahouse">teahouse</h2>' in html
    assert '<h2 id="teahouse-brew">teahouse brew</h2>' in html


def test_help_options_and_examples_are_shown_as_they_are(html: str) -> None:
    assert "<p>Makes tea.</p>\n<p>It takes a pot.</p>" in html
    assert "<code>--cups N</code></td>\n<td>How many **cups**.</td>" in html
    assert "<pre><code>Examples:\n  tea brew    &lt;hot&gt;\n</code></pre>" in html
    assert "brew [OPTIONS] POT" in html


def test_hidden_commands_stay_hidden(html: str) -> None:
    assert "spill" not in html


@pytest.mark.parametrize("name", ["lading.nothing:cli", "lading.errors:UsageError", "lading.cli.main", ""])
def test_what_is_no_command_is_an_error(name: str) -> None:
    with pytest.raises(MarkerError, match="is no command"):
        render(f"/// commands | {name}")


def test_our_own_command_line_is_shown() -> None:
    shown = render("/// commands | lading.cli.main:cli")
    assert '<h2 id="lading-evidence-check">lading evidence check</h2>' in shown
    assert "--catalogue FOLDER" in shown
