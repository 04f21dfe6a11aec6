"""Ids that were published. They stay for ever: others link to them, so one that is renamed forwards to its new name."""

import re
from collections.abc import Collection, Iterator, Mapping
from itertools import groupby, pairwise
from typing import Final

from lading import process
from lading.glossary.model import Glossary
from lading.project import Catalogue
from lading.recipe.names import did_you_mean, listed
from lading.recipe.problems import Problem
from lading.recipe.yamlfile import Document, read_text

FILE: Final = "data/glossary_ids.txt"
"""One id in a line, sorted: of every concept, and of every sense as `concept/context`."""

PUBLISH: Final = "lading glossary publish"
ID: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*(/[a-z0-9]+(-[a-z0-9]+)*)?")


def ids_of(glossary: Glossary) -> frozenset[str]:
    """Return the ids of a glossary's concepts and of their senses.

    A concept with one sense has both too, so that nothing changes for others when it gets a second one.
    """
    return frozenset(name for concept in glossary.concepts for name in _ids(glossary, concept))


def published(catalogue: Catalogue) -> frozenset[str]:
    """Return the ids that were published; none if nothing was yet.

    Raises:
        InputError: the list cannot be read.
    """
    return frozenset(_lines(catalogue))


def missing(glossary: Glossary, ledger: Collection[str]) -> list[str]:
    """Return the ids of a glossary that were not published, sorted."""
    return sorted(ids_of(glossary).difference(ledger))


def vanished(glossary: Glossary, ledger: Collection[str]) -> list[str]:
    """Return the published ids that lead nowhere any more, sorted."""
    return sorted(set(ledger) - ids_of(glossary) - glossary.renamed.keys())


def way_of(renamed: Mapping[str, str], name: str) -> list[str]:
    """Return an id and those that it was renamed to, one after another; in a circle, the last was there before.

    Example:
        ```python
        from lading.glossary.ledger import way_of

        print(way_of({"chroot": "sandbox", "sandbox": "unpacked-image"}, "chroot"))
        #> ['chroot', 'sandbox', 'unpacked-image']
        ```
    """
    way = [name]
    while (then := renamed.get(way[-1])) and way[-1] not in way[:-1]:
        way.append(then)
    return way


def publish(catalogue: Catalogue, glossary: Glossary) -> list[str]:
    """Add a glossary's ids to the list of those published, and return the new ones. No line of the list goes.

    Raises:
        InputError: the list cannot be read.
    """
    before = _lines(catalogue)
    new = missing(glossary, before)
    after = sorted({*before, *new} - {""})
    if after != before:
        (catalogue.root / FILE).write_text("".join(f"{line}\n" for line in after))
    return new


def taken_away(catalogue: Catalogue) -> list[str]:
    """Return the ids that some commit's list had and today's has not, sorted; none where there is no git repository.

    Raises:
        InputError: the list cannot be read.
        LabError: git is not installed.
    """
    words = ["log", "--format=", "--patch", "--diff-merges=separate", "--unified=0", "--no-color", "--no-ext-diff"]
    done = process.run(["git", "-C", catalogue.root, *words, "--", FILE], check=False)
    ever = {line[1:] for line in done.stdout.splitlines() if line[:1] in {"+", "-"} and ID.fullmatch(line[1:])}
    return sorted(ever - published(catalogue))


def problems(document: Document, glossary: Glossary, ledger_text: str, ledger_file: str) -> list[Problem]:
    """Return what is wrong between a glossary's ids and those that were published.

    Args:
        document: the glossary's file, for its lines.
        glossary: what it says.
        ledger_text: the list of published ids.
        ledger_file: its name in messages.
    """
    lines = ledger_text.splitlines()
    return [
        *_wrong_lines(lines, ledger_file),
        *_unpublished(document, glossary, lines, ledger_file),
        *_gone(document, glossary, lines, ledger_file),
        *_renamed(document, glossary, lines, ledger_file),
        *_same_anchor(document, glossary, lines),
    ]


def _lines(catalogue: Catalogue) -> list[str]:
    file = catalogue.root / FILE
    return read_text(file, FILE).splitlines() if file.exists() else []


def _ids(glossary: Glossary, concept: str) -> list[str]:
    return [concept, *(f"{concept}/{context}" for context in glossary.concepts[concept].senses)]


def _wrong_lines(lines: list[str], file: str) -> Iterator[Problem]:
    for number, line in enumerate(lines, 1):
        if not ID.fullmatch(line):
            yield Problem(file, number, "", f"'{line}' is no id; each line holds one, like 'image' or 'image/docker'.")
    for number, (before, line) in enumerate(pairwise(lines), 2):
        if line <= before:
            sentence = f"'{line}' stands after '{before}', but every id stands here once, sorted; '{PUBLISH}' sorts."
            yield Problem(file, number, "", sentence)


def _unpublished(document: Document, glossary: Glossary, ledger: list[str], file: str) -> Iterator[Problem]:
    new = set(missing(glossary, ledger))
    for concept in glossary.concepts:
        if names := [name for name in _ids(glossary, concept) if name in new]:
            place = ("concepts", *names[0].replace("/", "/senses/").split("/"))
            sentence = f"{listed(names)} {_are(names)} not in '{file}'; '{PUBLISH}' writes new ids there."
            yield document.problem(place, sentence)


def _are(names: list[str]) -> str:
    return "are" if len(names) > 1 else "is"


def _gone(document: Document, glossary: Glossary, ledger: list[str], file: str) -> Iterator[Problem]:
    gone = set(vanished(glossary, ledger))
    for number, name in enumerate(ledger, 1):
        if name in gone and ID.fullmatch(name):
            sentence = (
                f"'{name}' was published and is gone: bring it back, or say under 'renamed' in '{document.shown}' "
                "what it is called now."
            )
            yield Problem(file, number, "", sentence)


def _renamed(document: Document, glossary: Glossary, ledger: list[str], file: str) -> Iterator[Problem]:
    known, circles = ids_of(glossary), set[frozenset[str]]()
    for old, new in glossary.renamed.items():
        way = way_of(glossary.renamed, old)
        circle = frozenset(way[way.index(way[-1]) : -1])
        if circle and circle not in circles:
            circles.add(circle)
            steps = " → ".join(f"'{name}'" for name in way[way.index(way[-1]) :])
            yield document.problem(("renamed", old), f"the new names go in a circle: {steps}.")
        if new not in known and new not in glossary.renamed:
            sentence = f"'{old}' forwards to '{new}', which is no id of the glossary{did_you_mean(new, known)}"
            yield document.problem(("renamed", old), sentence)
        if old in known:
            sentence = f"'{old}' is renamed to '{new}', and still an id of the glossary; take one of the two away."
            yield document.problem(("renamed", old), sentence)
        elif old not in ledger:
            sentence = f"'{old}' is not in '{file}': what was never published needs no forwarding."
            yield document.problem(("renamed", old), sentence)


def _same_anchor(document: Document, glossary: Glossary, ledger: list[str]) -> Iterator[Problem]:
    """Find ids that the site could not tell apart: `image-docker` and `image/docker` are both `#image-docker`."""
    names = sorted({*ids_of(glossary), *ledger}, key=lambda name: (name.replace("/", "-"), name))
    for anchor, same in groupby(names, key=lambda name: name.replace("/", "-")):
        if len(both := list(same)) > 1:
            concept = next((name for name in both if name in glossary.concepts), both[0].partition("/")[0])
            sentence = f"{listed(both)} would share the anchor '#{anchor}' on the site; call the new one differently."
            yield document.problem(("concepts", concept), sentence)
