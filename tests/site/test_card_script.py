"""Cards in a real browser: by mouse, keyboard and touch, and without a script."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lading.project import Catalogue
from tests.site.browser import CHROMIUM, PATIENCE, Browser, served
from tests.site.builders import build_well, dress

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Debian's 'chromium' is not installed.")

PAGE = """\
# Start

A kettle, on a worker node.

<p style="height: 3000px">Nothing.</p>

## End

A kettle.
"""
CARD = "document.querySelector('#term-card')"
OPEN = f"({CARD} && !{CARD}.hidden)"
CLOSED = f"(!{CARD} || {CARD}.hidden)"
DESCRIBED = "document.querySelectorAll('a.term[aria-describedby=term-card]').length"


@pytest.fixture
def url(worded: Catalogue) -> Iterator[str]:
    """Serve a page with words of the glossary, as MkDocs builds it; yield its address."""
    (worded.docs / "index.md").write_text(PAGE)
    dress(worded.root)
    with served(build_well("mkdocs", worded.root)) as address:
        yield address


@pytest.fixture
def browser(tmp_path: Path, url: str) -> Iterator[Browser]:
    with Browser.started(tmp_path / "profile") as browser:
        browser.call("Emulation.setDeviceMetricsOverride", width=900, height=600, deviceScaleFactor=1, mobile=False)
        browser.open(url, "document.querySelectorAll('a.term').length == 3")
        yield browser


def middle(browser: Browser, selector: str) -> dict[str, float]:
    """Return where an element is in the window."""
    script = f"(r => ({{x: r.x + r.width / 2, y: r.y + r.height / 2}}))({selector}.getBoundingClientRect())"
    found: dict[str, float] = browser.evaluate(script)
    return found


def term(number: int) -> str:
    return f"document.querySelectorAll('a.term')[{number}]"


def move(browser: Browser, x: float, y: float) -> None:
    browser.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)


def press(browser: Browser, key: str) -> None:
    code = {"Tab": 9, "Escape": 27}[key]
    for kind in ("rawKeyDown", "keyUp"):
        browser.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code)


def click(browser: Browser, point: dict[str, float]) -> None:
    for kind in ("mousePressed", "mouseReleased"):
        browser.call("Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, **point)


def poll(ready: Callable[[], bool]) -> None:
    """Wait for what the browser alone can tell: a page that is being left, or runs no scripts, tells nothing."""
    deadline = time.monotonic() + PATIENCE
    while not ready():
        assert time.monotonic() < deadline
        time.sleep(0.05)  # no event of the protocol says when


def arrive(browser: Browser, end: str) -> None:
    """Wait until the address ends so."""
    poll(lambda: str(browser.call("Target.getTargetInfo")["targetInfo"]["url"]).endswith(end))


def tap(browser: Browser, selector: str) -> None:
    browser.call("Emulation.setTouchEmulationEnabled", enabled=True)
    point = middle(browser, selector)
    browser.call("Input.dispatchTouchEvent", type="touchStart", touchPoints=[point])
    browser.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])


def text(browser: Browser) -> str:
    return " ".join(str(browser.evaluate(f"{CARD}.innerText")).split())


def test_a_pointer_that_rests_on_a_word_opens_its_card(browser: Browser) -> None:
    move(browser, **middle(browser, term(0)))
    browser.wait(OPEN)
    assert text(browser) == 'kettle It <boils> "water" & *more*, &amp; so on. In the vocabulary'
    assert browser.evaluate(f"{CARD}.getAttribute('role')") == "tooltip"
    assert browser.evaluate(f"{term(0)}.getAttribute('aria-describedby')") == "term-card"


def test_a_pointer_that_passes_opens_nothing(browser: Browser) -> None:
    move(browser, **middle(browser, term(0)))
    move(browser, 5, 500)
    browser.evaluate("new Promise(done => setTimeout(done, 600))")
    assert browser.evaluate(CLOSED)


def test_a_card_stays_while_the_pointer_is_on_it_and_leads_on(browser: Browser) -> None:
    move(browser, **middle(browser, term(0)))
    browser.wait(OPEN)
    more = middle(browser, f"{CARD}.querySelector('a')")
    move(browser, **more)
    browser.evaluate("new Promise(done => setTimeout(done, 600))")
    assert browser.evaluate(OPEN)
    click(browser, more)
    arrive(browser, "/vocabulary/#kettle")


def test_a_card_closes_when_the_pointer_leaves(browser: Browser) -> None:
    move(browser, **middle(browser, term(0)))
    browser.wait(OPEN)
    move(browser, 5, 500)
    browser.wait(CLOSED)
    assert browser.evaluate(DESCRIBED) == 0


def test_the_keyboard_opens_a_card_and_escape_closes_it(browser: Browser) -> None:
    for _ in range(40):
        press(browser, "Tab")
        if browser.evaluate(f"document.activeElement == {term(0)}"):
            break
    browser.wait(OPEN)
    press(browser, "Tab")
    assert browser.evaluate(f"document.activeElement == {term(1)}")
    browser.wait(f"{OPEN} && {CARD}.innerText.includes('A host that runs jobs.')")
    assert browser.evaluate(DESCRIBED) == 1
    press(browser, "Escape")
    assert browser.evaluate(CLOSED)
    assert browser.evaluate(f"document.activeElement == {term(1)}")


def test_the_first_tap_opens_a_card_and_the_link_in_it_leads_on(browser: Browser, url: str) -> None:
    tap(browser, term(0))
    browser.wait(OPEN)
    assert browser.evaluate("location.href") == url
    tap(browser, f"{CARD}.querySelector('a')")
    arrive(browser, "/vocabulary/#kettle")


def test_a_tap_elsewhere_closes_a_card(browser: Browser) -> None:
    tap(browser, term(0))
    browser.wait(OPEN)
    tap(browser, "document.querySelector('h1')")
    browser.wait(CLOSED)


def test_a_tap_on_another_word_opens_its_card(browser: Browser) -> None:
    tap(browser, term(0))
    browser.wait(OPEN)
    tap(browser, term(1))
    browser.wait(f"{OPEN} && {CARD}.innerText.includes('A host that runs jobs.')")


def test_a_mouse_follows_a_link_at_once(browser: Browser) -> None:
    point = middle(browser, term(0))
    move(browser, **point)
    click(browser, point)
    arrive(browser, "/vocabulary/#kettle")


@pytest.mark.parametrize("width", [320, 900])
@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_card_lies_within_the_window(browser: Browser, width: int, number: int) -> None:
    browser.call("Emulation.setDeviceMetricsOverride", width=width, height=500, deviceScaleFactor=1, mobile=False)
    browser.wait(f"innerWidth == {width}")
    browser.evaluate(f"{term(number)}.scrollIntoView({{block: {number} == 2 ? 'end' : 'center'}})")
    browser.evaluate("new Promise(r => requestAnimationFrame(() => requestAnimationFrame(r))).then(() => true)")
    move(browser, **middle(browser, term(number)))
    browser.wait(OPEN)
    box = browser.evaluate(f"(r => [r.left, r.top, r.right, r.bottom])({CARD}.getBoundingClientRect())")
    assert min(box) >= 0
    assert box[2] <= browser.evaluate("document.documentElement.clientWidth")
    assert box[3] <= 500


def test_without_a_script_words_are_plain_links(browser: Browser, url: str) -> None:
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    browser.call("Page.navigate", url=f"{url}?plain")
    arrive(browser, "?plain")
    poll(lambda: bool(browser.evaluate("document.readyState == 'complete'")))
    assert browser.evaluate(f"{term(0)}.getAttribute('href')") == "vocabulary/#kettle"
    point = middle(browser, term(0))
    move(browser, **point)
    click(browser, point)
    arrive(browser, "/vocabulary/#kettle")
