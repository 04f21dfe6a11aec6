"""A long file that a page includes, in a real browser: a box that scrolls, and on paper all of it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lading.project import Catalogue
from tests.site.browser import CHROMIUM, Browser, served
from tests.site.builders import build_well, dress

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Debian's 'chromium' is not installed.")

TOOL = "".join(f"print({number}, {'x' * 200!r})\n" if number == 7 else f"print({number})\n" for number in range(300))
PAGE = """# A kettle on a worker node

/// proof | kettle

## Install

``` { .file path=/opt/pour.py mode=0755 include=playbooks/roles/kettle/files/pour.py }
```
"""
BOX = "document.querySelector('.run-scroll')"
REM = "parseFloat(getComputedStyle(document.documentElement).fontSize)"


@pytest.fixture
def browser(catalogue: Catalogue, tmp_path: Path) -> Iterator[Browser]:
    """Yield a browser that looks at a page with a long file."""
    tool = catalogue.playbooks / "roles/kettle/files/pour.py"
    tool.parent.mkdir(parents=True)
    (catalogue.playbooks / "kettle.yml").write_text("- {hosts: workers, roles: [kettle]}\n")
    tool.write_text(TOOL)
    (catalogue.docs / "paths/compute/kettle.md").write_text(PAGE)
    dress(catalogue.root)
    site = build_well("mkdocs", catalogue.root)
    with served(site) as address, Browser.started(tmp_path / "profile") as browser:
        browser.call("Browser.grantPermissions", permissions=["clipboardReadWrite", "clipboardSanitizedWrite"])
        browser.open(f"{address}paths/compute/kettle/", "document.querySelector('[data-clipboard-target]')")
        yield browser


@pytest.mark.parametrize("width", [1280, 390])
def test_the_box_scrolls_and_the_page_does_not_grow(browser: Browser, width: int) -> None:
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.call("Emulation.setDeviceMetricsOverride", **size)
    assert browser.evaluate(f"{BOX}.clientHeight <= 24 * {REM}")
    assert browser.evaluate(f"{BOX}.scrollHeight > {BOX}.clientHeight && {BOX}.scrollWidth > {BOX}.clientWidth")
    assert browser.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_keyboard_reaches_the_box_and_scrolls_it(browser: Browser) -> None:
    assert browser.evaluate(f"{BOX}.tabIndex") == 0  # Chromium alone reaches a box that scrolls without it
    browser.evaluate(f"{BOX}.focus()")
    assert browser.evaluate(f"document.activeElement == {BOX}")
    for kind in ("rawKeyDown", "keyUp"):
        browser.call("Input.dispatchKeyEvent", type=kind, key="PageDown", code="PageDown", windowsVirtualKeyCode=34)
    browser.wait(f"{BOX}.scrollTop > 0")


def test_the_button_copies_all_of_it(browser: Browser) -> None:
    browser.evaluate("document.querySelector('.run [data-clipboard-target]').click()")
    browser.wait("(await navigator.clipboard.readText()).length > 9")
    assert browser.evaluate("navigator.clipboard.readText()") == TOOL.rstrip()


def test_on_paper_nothing_is_hidden(browser: Browser) -> None:
    browser.call("Emulation.setEmulatedMedia", media="print")
    browser.wait(f"{BOX}.scrollHeight == {BOX}.clientHeight")
    assert browser.evaluate(f"{BOX}.scrollWidth == {BOX}.clientWidth && {BOX}.clientHeight > 300 * 10")
