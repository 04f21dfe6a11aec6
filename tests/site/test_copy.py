"""Copy buttons and tabs in a real browser."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from lading.page.model import FileBlock, Page, Transcript
from lading.page.read import page_of
from lading.project import Catalogue
from lading.recipe.load import load_recipe
from tests.site.browser import CHROMIUM, Browser, served
from tests.site.builders import build_well, dress
from tests.site.shown import shells

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Debian's 'chromium' is not installed.")

BUTTONS = "[...document.querySelectorAll('.run [data-clipboard-target]')]"
"""The theme's copy buttons; it makes them when the page is ready."""


@pytest.fixture
def page(catalogue: Catalogue) -> Page:
    """Return a page with all that the grammar has."""
    shutil.copy(Path(__file__).parent / "everything.md", catalogue.docs / "paths/compute/kettle.md")
    return page_of(catalogue, load_recipe(catalogue, "kettle"))


@pytest.fixture
def url(catalogue: Catalogue, page: Page) -> Iterator[str]:
    """Serve that page, as MkDocs builds it; yield its address."""
    dress(catalogue.root)
    site = build_well("mkdocs", catalogue.root)
    with served(site) as address:
        yield f"{address}{page.file.removeprefix('docs/').removesuffix('.md')}/"


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    with Browser.started(tmp_path / "profile") as browser:
        browser.call("Browser.grantPermissions", permissions=["clipboardReadWrite", "clipboardSanitizedWrite"])
        yield browser


def to_copy(page: Page) -> Iterator[str]:
    """Yield what each button has to give: the commands of one shell, or a file without its last newline."""
    for block in page.run_blocks:
        if isinstance(block, Transcript):
            yield from shells(block)
        elif isinstance(block, FileBlock):
            yield block.content.rstrip()


def copied_by(browser: Browser, deed: str) -> str:
    """Return what is in the clipboard after something was done; the clipboard lags behind."""
    browser.evaluate("navigator.clipboard.writeText('nothing')")
    browser.wait("await navigator.clipboard.readText() == 'nothing'")
    browser.evaluate(deed)
    browser.wait("await navigator.clipboard.readText() != 'nothing'")
    return str(browser.evaluate("navigator.clipboard.readText()"))


def test_what_a_button_copies_is_what_the_route_types(page: Page, url: str, browser: Browser) -> None:
    browser.open(url, f"{BUTTONS}.length")
    buttons = range(browser.evaluate(f"{BUTTONS}.length"))
    copied = [copied_by(browser, f"{BUTTONS}[{number}].click()") for number in buttons]
    assert copied == list(to_copy(page))


def test_prompts_are_left_out_of_what_a_reader_marks(url: str, browser: Browser) -> None:
    browser.open(url)
    browser.evaluate("getSelection().selectAllChildren(document.querySelector('#configure-1 code'))")
    assert copied_by(browser, "document.execCommand('copy')").strip() == "kettle --pour\ncold"


CHOSEN = "[...document.querySelectorAll('.tabbed-set input:checked')].map(i => i.labels[0].innerText)"


def test_the_platform_that_a_reader_chose_is_remembered(url: str, browser: Browser) -> None:
    browser.open(url)
    assert browser.evaluate(CHOSEN) == ["Debian 13 (trixie)"]
    browser.evaluate("[...document.querySelectorAll('.tabbed-labels label')].at(-1).click()")
    browser.wait("localStorage.length")
    browser.open(f"{url}?again")
    browser.wait(f"{CHOSEN}[0] == 'AlmaLinux 9'")
