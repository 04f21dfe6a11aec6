"""Measure the vocabulary's lint and what its cards cost the site: `make bench ARGS=--words`.

Text and terms are generated, so that both can be made ten times as many.
"""

import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

from lading.glossary.lint import lint
from lading.glossary.load import read_glossary
from lading.glossary.loaded import LoadedGlossary
from lading.glossary.markdown import read_markdown
from lading.glossary.model import Concept, Sense
from lading.project import find_catalogue

ROOT: Final = find_catalogue().root
BIN: Final = Path(sys.executable).parent
SIZE: Final = 1_000_000
"""Letters of generated text."""
ROUNDS: Final = 3
"""The best of so many counts: what else the machine does only ever slows it."""
FILLER: Final = ("the", "of", "and", "to", "in", "is", "by", "which", "node", "runs", "file", "start", "often", "with")
"""Words between those of the glossary: prose has more of them."""
CARDS: Final = "lading.site.cards"


@dataclass(frozen=True)
class Promise:
    """A figure with its unit, and the least or the most that it may be."""

    title: str
    figure: float
    unit: str
    at_least: float | None = None
    at_most: float | None = None

    @property
    def kept(self) -> bool:
        """Whether the figure is within what was promised."""
        low = self.at_least is None or self.figure >= self.at_least
        return low and (self.at_most is None or self.figure <= self.at_most)

    def __str__(self) -> str:
        said = ""
        if self.at_least is not None:
            said = f"  promised: at least {self.at_least:g} {self.unit}"
        if self.at_most is not None:
            said = f"  promised: at most {self.at_most:g} {self.unit}"
        return f"{self.title:52} {self.figure:8.2f} {self.unit:5}{said}{'' if self.kept else '  NOT KEPT'}".rstrip()


def text_of(loaded: LoadedGlossary, letters: int) -> str:
    """Return Markdown of that length, of words that the glossary has and of others; the same each time."""
    chance = random.Random(1)  # noqa: S311 - no secret: the same text each time
    words = [*loaded.words, *FILLER * 20]
    paragraphs: list[str] = []
    length = 0
    while length < letters:
        lead = chance.choice(["", "", "- ", "## ", "> "])
        paragraphs.append(lead + " ".join(chance.choice(words) for _ in range(60)) + ", `code` and [a link](x.md).")
        length += len(paragraphs[-1]) + 2
    return "\n\n".join(paragraphs)[:letters]


def multiplied(loaded: LoadedGlossary, times: int) -> LoadedGlossary:
    """Return a glossary with so many times as many terms."""
    concepts = dict(loaded.glossary.concepts)
    for number in range(1, times):
        for name, concept in loaded.glossary.concepts.items():
            senses = {context: _renamed(sense, number) for context, sense in concept.senses.items()}
            concepts[f"{name}-{number}"] = Concept(group=concept.group, senses=senses)
    return LoadedGlossary(loaded.glossary.model_copy(update={"concepts": concepts}), loaded.document)


def _renamed(sense: Sense, number: int) -> Sense:
    return Sense(
        definition=sense.definition, preferred=f"{sense.preferred} {number}x",
        admitted=[f"{term} {number}x" for term in sense.admitted],
    )  # fmt: skip


def best(action: Callable[[], object]) -> float:
    """Return the seconds of the fastest of some rounds."""
    times = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        action()
        times.append(time.perf_counter() - started)
    return min(times)


def measure_lint() -> Iterator[Promise]:
    """Measure the lint over generated text, over ten times as much, and with ten times the terms."""
    loaded = read_glossary(find_catalogue())
    small, large = text_of(loaded, SIZE // 10), text_of(loaded, SIZE)
    many = multiplied(loaded, 10)
    prose = read_markdown(large, "large.md")
    words, more = loaded.words, many.words  # compiled before the clock runs
    short = best(lambda: lint(loaded, read_markdown(small, "small.md")))
    long = best(lambda: lint(loaded, read_markdown(large, "large.md")))
    few_terms = best(lambda: [words.occurrences(part.text) for part in prose.parts])
    many_terms = best(lambda: [more.occurrences(part.text) for part in prose.parts])
    judged = best(lambda: lint(loaded, prose))
    yield Promise("words found in generated text", SIZE / few_terms / 1e6, "MB/s", at_least=1)
    yield Promise("words found and judged in generated text", SIZE / judged / 1e6, "MB/s", at_least=1)
    yield Promise("the same, with Markdown read", SIZE / long / 1e6, "MB/s")
    yield Promise("ten times the text takes", long / short, "times", at_most=13)
    yield Promise("ten times the terms takes", many_terms / few_terms, "times", at_most=1.5)


def measure_repository() -> Iterator[Promise]:
    """Measure `lading glossary check` over this repository, less the start of Python and of the command line."""
    alone = best(lambda: _run([str(BIN / "lading"), "--version"]))
    whole = best(lambda: _run([str(BIN / "lading"), "glossary", "check"]))
    yield Promise("lint of the repository, beside the program's start", whole - alone, "s", at_most=1)


def measure_site() -> Iterator[Promise]:
    """Measure what the cards cost a build of the site: with and without, in turn, the best of each."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        for part in ("data", "docs", "evidence", "playbooks", "recipes", "src"):
            shutil.copytree(ROOT / part, place / part)
        for name in ("glossary.yml", "mkdocs.yml", "README.md"):
            shutil.copy(ROOT / name, place)
        _run(["git", "init", "--quiet", folder])
        settings = yaml.safe_load((place / "mkdocs.yml").read_text())
        plain = [name for name in settings["markdown_extensions"] if name != CARDS]
        (place / "plain.yml").write_text(yaml.safe_dump({**settings, "markdown_extensions": plain}))
        times: dict[str, list[float]] = {"mkdocs.yml": [], "plain.yml": []}
        for _ in range(ROUNDS):
            for name, seconds in times.items():
                before = _spent()
                _run([str(BIN / "mkdocs"), "build", "--quiet", "--config-file", name], place)
                seconds.append(_spent() - before)
    with_cards, without = min(times["mkdocs.yml"]), min(times["plain.yml"])
    yield Promise("the site's build is slower by its cards by", 100 * (with_cards / without - 1), "%", at_most=10)


def _spent() -> float:
    """Return the seconds of processor that ended children have used: a busy machine lengthens nothing of it."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _run(argv: list[str], folder: Path = ROOT) -> None:
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    subprocess.run(
        argv, cwd=folder, env=environment, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )  # fmt: skip


def main() -> int:
    """Measure, print, and end with 1 if a promise was not kept."""
    promises = []
    for measure in (measure_lint, measure_repository, measure_site):
        for promise in measure():
            print(promise, flush=True)
            promises.append(promise)
    return 0 if all(promise.kept for promise in promises) else 1
