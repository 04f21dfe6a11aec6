"""The pages that show the glossary."""

import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest
from markdown import Markdown

from lading.project import Catalogue
from lading.site.markers import MarkerError
from tests.site.builders import BUILDERS, build_well, dress
from tests.site.conftest import TODAY, Proof
from tests.site.glossary import VOCABULARY
from tests.site.shown import EMPTY

Fill = Callable[[str], str]


class Texts(HTMLParser):
    """Collects the text of each element with an id."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: dict[str, str] = {}
        self.order: list[str] = []
        self._open: list[tuple[str, str]] = []

    @classmethod
    def of(cls, html: str) -> dict[str, str]:
        parser = cls()
        parser.feed(html)
        assert len(parser.order) == len(set(parser.order)), "an id stands twice"
        return {anchor: " ".join(text.split()) for anchor, text in parser.texts.items()}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        anchor = dict(attrs).get("id") or ""
        if anchor:
            self.order.append(anchor)
            self.texts[anchor] = ""
        if tag not in EMPTY:
            self._open.append((tag, anchor))

    def handle_endtag(self, tag: str) -> None:
        while tag not in EMPTY and self._open and self._open.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        for _, anchor in self._open:
            if anchor:
                self.texts[anchor] += data


@pytest.fixture
def fill(worded: Catalogue) -> Fill:
    """Return what turns the Markdown of a vocabulary's page into HTML."""
    options: dict[str, dict[str, object]] = {
        "lading.site.vocabulary": {"root": str(worded.root), "today": TODAY.isoformat()}
    }

    def convert(text: str) -> str:
        return Markdown(extensions=["toc", *options], extension_configs=options).convert(text)

    return convert


def test_a_concept_shows_its_senses_in_the_order_of_the_glossary(fill: Fill) -> None:
    html = fill("/// concepts | images")
    found = Texts.of(html)
    assert [anchor for anchor in found if "/" not in anchor] == [
        "picture", "drawing", "image", "image-docker", "picture-docker", "image-apptainer", "image-cvmfs", "layer",
        "layer-docker",
    ]  # fmt: skip
    assert found["image"] == "image"
    assert "worker-node" not in html


def test_a_sense_tells_all_that_the_glossary_says(fill: Fill) -> None:
    found = Texts.of(fill("/// concepts | images"))
    docker, apptainer = found["image-docker"], found["image-apptainer"]
    assert docker.startswith("Docker Docker image also: image Layers and a manifest, which docker pull fetches.")
    assert "Say Docker image, no longer Docker picture. Nobody says so. Right in: the Docker picture book." in docker
    assert "Kinds layer See kettle Source The book of <tea>, read on 1 November 2026" in docker
    assert "Former names Singularity image: 2021, when the project was renamed (source)" in apptainer
    assert "A kind of Docker image" in found["layer-docker"]


def test_a_ban_says_whether_the_word_was_ever_right(fill: Fill) -> None:
    assert "Say worker node, not slave. It hurts." in Texts.of(fill("/// concepts | grid"))["worker-node-general"]


def test_the_only_sense_of_a_concept_does_not_say_its_term_twice(fill: Fill) -> None:
    assert Texts.of(fill("/// concepts | project"))["kettle-general"].startswith(
        'General It <boils> "water" & *more*, &amp; so on.'
    )


def test_what_the_glossary_says_stays_text(fill: Fill) -> None:
    html = fill("/// concepts | images\n\n/// all-contexts\n\n/// concepts | project")
    assert "It is **not** a &lt;b&gt;tree&lt;/b&gt;." in html
    assert "The book of &lt;tea&gt;" in html
    assert "Docker and its &lt;kin&gt;." in html
    assert 'It &lt;boils&gt; "water" &amp; *more*, &amp;amp; so on.' in html
    assert not re.search("<(b|tea|kin|boils)>|<em>more", html)


def test_a_relation_leads_to_its_sense_or_concept(fill: Fill) -> None:
    html = fill("/// concepts | images")
    assert '<dt>A kind of</dt>\n<dd><a href="#image-docker">Docker image</a></dd>' in html
    assert '<dt>See</dt>\n<dd><a href="#kettle">kettle</a></dd>' in html


def test_former_ids_and_ids_of_exports_lead_to_the_same_place(fill: Fill) -> None:
    html = fill("/// concepts | images")
    before = html[: html.index("<h3")]
    assert 'id="picture"' in before
    assert 'id="drawing"' in before, "a name that was changed twice"
    sense = html[html.index('id="image-docker"') : html.index("Layers and a manifest")]
    assert 'id="image/docker"' in sense
    assert 'id="picture/docker"' in sense
    assert 'id="picture-docker"' in sense


def test_a_witness_tells_what_its_evidence_is_worth(fill: Fill, worded: Catalogue, prove: Proof) -> None:
    assert "test_water_boils Kettle ? It has never run." in Texts.of(fill("/// concepts | images"))["image-apptainer"]
    prove()
    proven = Texts.of(fill("/// concepts | images"))["image-apptainer"]
    assert "The water boils. test_water_boils Kettle ✓Debian 13 (trixie): proven 21 November 2026" in proven
    assert "AlmaLinux" not in proven
    (worded.playbooks / "kettle.yml").write_text("- name: Other\n  hosts: workers\n  tasks: []\n")
    assert "≠Debian 13 (trixie): stale 21 November 2026" in Texts.of(fill("/// concepts | images"))["image-apptainer"]


def test_a_sense_tells_where_it_is_used(fill: Fill, worded: Catalogue) -> None:
    (worded.docs / "index.md").write_text("# The <start>\n\nThe kettle, two kettle.\n")
    kettle = Texts.of(fill("/// concepts | project"))["kettle-general"]
    assert re.search(r"Used \d+ times in \d+ texts", kettle)
    assert "The <start> 2 times" in kettle
    assert '<a href="../index.md">The &lt;start&gt;</a>' in fill("/// concepts | project")
    images = Texts.of(fill("/// concepts | images"))
    assert "Used nowhere yet." in images["layer-docker"]
    node = Texts.of(fill("/// concepts | grid"))["worker-node-general"]
    assert node.endswith("Used once recipes/kettle/recipe.yml once")


def test_all_words_are_listed_from_a_to_z(fill: Fill) -> None:
    html = fill("/// words")
    words = [" ".join(re.sub("<[^>]*>", "", item).split()) for item in re.findall("<li>(.*?)</li>", html, re.DOTALL)]
    assert words == [
        "Apptainer image", "Docker image", "Docker picture → say Docker image", "image: Docker, Apptainer, CVMFS",
        "image tree", "kettle", "layer", "SIF", "slave → say worker node", "WN", "worker node",
    ]  # fmt: skip
    assert '<a href="#image-apptainer">SIF</a>' in html
    assert '<a href="#worker-node">WN</a>' in html


def test_a_word_with_several_senses_is_compared(fill: Fill) -> None:
    html = fill("/// compare")
    assert Texts.of(html).keys() == {"compare-image"}
    rows = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL) for row in html.split("<tr>")[1:]]
    assert rows[0][1:] == ["Docker", "Apptainer", "CVMFS"]
    assert rows[1] == ["In full", "Docker image", "Apptainer image", "image tree"]
    assert rows[2][0] == "Meaning"
    assert rows[4] == ["Not", "Docker picture", "", ""]
    assert rows[-1][1] == '<a href="index.md#image-docker">Docker image</a>'


def test_a_context_in_which_a_compared_word_is_wrong_is_told(fill: Fill, worded: Catalogue) -> None:
    glossary = worded.root / "glossary.yml"
    ban = "forbidden: {image: {say: kettle, because: A kettle is no picture}}"
    text = glossary.read_text().replace("preferred: kettle\n", f"preferred: kettle\n        {ban}\n")
    glossary.write_text(text)
    assert "General: Say kettle, not image. A kettle is no picture." in re.sub("<[^>]*>", "", fill("/// compare"))


def test_what_the_glossary_lacks_is_counted(fill: Fill, worded: Catalogue) -> None:
    text = "# Start\n\n/// contexts | docker\n\nABC and TLA. ABC.\n\nABC ABC: an image, a kettle.\n"
    (worded.docs / "index.md").write_text(text)
    html = fill("/// vocabulary-coverage")
    said = " ".join(re.sub("<[^>]*>", " ", html).split())
    assert "ABC docs/index.md:5 , docs/index.md:5 , docs/index.md:7 and 1 more" in said
    assert "TLA" not in said
    assert said.partition("Concepts that no text uses")[2].partition("Senses without")[0].strip() == "layer"
    assert "Apptainer image" in said.partition("Senses without a source")[2].partition("Texts with")[0]
    assert re.search("Start 1", said.partition("Texts with ambiguous words")[2])


@pytest.mark.parametrize("marker", ["words", "all-contexts", "acronyms", "concepts | images", "compare"])
def test_a_catalogue_without_a_glossary_has_no_vocabulary(fill: Fill, worded: Catalogue, marker: str) -> None:
    (worded.root / "glossary.yml").unlink()
    with pytest.raises(MarkerError, match=r"This catalogue has no 'glossary\.yml'"):
        fill(f"/// {marker}")


def test_a_group_that_there_is_not_is_refused(fill: Fill) -> None:
    with pytest.raises(MarkerError, match="There is no group 'imagse'; did you mean 'images'"):
        fill("/// concepts | imagse")


def test_a_glossary_that_changed_is_read_again(fill: Fill, worded: Catalogue) -> None:
    assert "teapot" not in fill("/// words")
    glossary = worded.root / "glossary.yml"
    glossary.write_text(glossary.read_text().replace("preferred: kettle", "preferred: teapot"))
    assert "teapot" in fill("/// words")


@pytest.mark.parametrize("builder", BUILDERS)
def test_both_builders_show_the_vocabulary(worded: Catalogue, builder: str) -> None:
    dress(worded.root)
    site = build_well(builder, worded.root)
    words = Texts.of((site / "vocabulary/index.html").read_text())
    assert {"image", "image-docker", "image/docker", "picture", "kettle-general"} <= words.keys()
    assert "Say worker node, not slave." in words["worker-node-general"]
    compared = (site / "vocabulary/compare/index.html").read_text()
    assert 'id="compare-image"' in compared
    assert 'href="../#image-cvmfs"' in compared
    assert len(VOCABULARY) == len(list((site / "vocabulary").rglob("index.html")))


@pytest.mark.parametrize("builder", BUILDERS)
def test_this_repositorys_vocabulary_is_whole(sites: dict[str, Path], builder: str) -> None:
    """Every link within the vocabulary leads to an anchor, and no anchor stands twice."""
    html = (sites[builder] / "vocabulary/index.html").read_text()
    anchors = Texts.of(html)
    assert len(re.findall('class="sense"', html)) >= 60
    assert set(re.findall(r'href="#([^"]+)"', html)) - {"__comments"} <= anchors.keys()
    compared = (sites[builder] / "vocabulary/compare/index.html").read_text()
    assert {"compare-image", "compare-container"} <= Texts.of(compared).keys()
    assert set(re.findall(r'href="\.\./#([^"]+)"', compared)) <= anchors.keys()
