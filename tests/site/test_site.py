"""The whole site: it builds without a warning, with both builders, and fetches nothing from elsewhere."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from lading.project import Catalogue
from tests.site.builders import BUILDERS, build

PAGE = Path("paths/compute/apptainer-unprivileged/index.html")


class Resources(HTMLParser):
    """Collects what a browser fetches for a page without being asked."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = dict(attrs)
        if tag == "link" and said.get("rel") not in {"canonical", "prev", "next", "alternate"}:
            self.found.append(said.get("href") or "")
        if tag in {"script", "img", "iframe", "source", "video", "audio", "object", "embed"}:
            self.found.append(said.get("src") or said.get("data") or "")


@pytest.mark.parametrize("builder", BUILDERS)
def test_nothing_is_fetched_from_elsewhere(sites: dict[str, Path], builder: str) -> None:
    elsewhere = []
    for page in sites[builder].rglob("*.html"):
        resources = Resources()
        resources.feed(page.read_text())
        elsewhere += [f"{page.name}: {url}" for url in resources.found if re.match(r"(?:[a-z]+:)?//", url)]
    for sheet in sites[builder].rglob("*.css"):
        fetched = re.findall(r"""(?:url\(|@import)\s*["']?((?:https?:)?//[^"')]+)""", sheet.read_text())
        elsewhere += [f"{sheet.name}: {url}" for url in fetched]
    assert elsewhere == []


def strip_of(page: Path) -> str:
    """Return the evidence strip of a built page, without differences of white space."""
    text = page.read_text()
    start = text.index('class="proof"')
    return " ".join(text[start : text.index("<h2", start)].split())


def test_both_builders_show_the_same_strip(sites: dict[str, Path]) -> None:
    strips = {builder: strip_of(site / PAGE) for builder, site in sites.items()}
    assert "Debian 13" in strips["mkdocs"]
    assert strips["mkdocs"] == strips["zensical"]


@pytest.mark.parametrize("builder", BUILDERS)
def test_both_builders_fill_in_every_marker(sites: dict[str, Path], builder: str) -> None:
    assert "test_no_unit_asks_for_a_network_namespace" in (sites[builder] / PAGE).read_text()
    assert "Not run by any route:" in (sites[builder] / PAGE).read_text()
    assert 'class="path-card"' in (sites[builder] / "index.html").read_text()
    left = [page for page in sites[builder].rglob("*.html") if re.search(r"<p>///", page.read_text())]
    assert left == []


@pytest.mark.parametrize("builder", BUILDERS)
def test_the_api_reference_is_there(sites: dict[str, Path], builder: str) -> None:
    text = (sites[builder] / "reference/python/basics/index.html").read_text()
    assert "lading.errors.UsageError" in text


@pytest.mark.parametrize("builder", BUILDERS)
def test_a_card_leads_to_its_page(sites: dict[str, Path], builder: str) -> None:
    link = re.search(r'class="path-title"><a href="([^"]+)"', (sites[builder] / "index.html").read_text())
    assert link
    assert (sites[builder] / link[1]).exists()


@pytest.mark.parametrize("builder", BUILDERS)
def test_a_wrong_marker_stops_the_build_and_is_named(catalogue: Catalogue, builder: str) -> None:
    extensions = "[lading.site.proof, lading.site.tables]"
    (catalogue.root / "mkdocs.yml").write_text(f"site_name: x\nmarkdown_extensions: {extensions}\n")
    (catalogue.docs / "index.md").write_text("# x\n\n/// proof | kettel\n")
    done = build(builder, catalogue.root)
    assert done.returncode != 0
    said = " ".join((done.stdout + done.stderr).split())
    assert "The marker '/// proof | kettel' cannot be filled in: No path is called 'kettel'; did you mean" in said
    if builder == "mkdocs":
        assert "Traceback" not in said
