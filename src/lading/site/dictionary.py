"""The glossary as the site needs it: read once for many pages, and where on the site its senses stand."""

import posixpath
from functools import lru_cache
from typing import Final

from lading.glossary.load import FILE, read_glossary
from lading.glossary.loaded import LoadedGlossary
from lading.glossary.model import GENERAL
from lading.glossary.words import SenseRef
from lading.project import Catalogue

VOCABULARY: Final = "vocabulary/index.md"
"""The page with all senses, below the folder of pages."""


def glossary_of(catalogue: Catalogue) -> LoadedGlossary | None:
    """Return a catalogue's glossary, None if it has none; a process reads the same file once.

    Its sentences, ids and witnesses are not tried, so that pages can be looked at before `lading glossary check` does.

    Raises:
        InputError: the glossary is wrong; the message tells every problem.
    """
    try:
        found = (catalogue.root / FILE).stat()
    except FileNotFoundError:
        return None
    return _load(catalogue, found.st_mtime_ns, found.st_size)


@lru_cache(maxsize=4)
def _load(catalogue: Catalogue, _changed: int, _size: int) -> LoadedGlossary:
    return read_glossary(catalogue)


def link_to(anchor: str, page: str) -> str:
    """Return a link to an anchor of the vocabulary from a page; both builders follow it like an author's.

    Example:
        ```python
        from lading.site.dictionary import link_to

        print(link_to("image-docker", "paths/compute/kettle.md"))
        #> ../../vocabulary/index.md#image-docker
        print(link_to("image-docker", "vocabulary/index.md"))
        #> #image-docker
        ```
    """
    return f"{_way_from(page)}#{anchor}"


@lru_cache(maxsize=4)
def _way_from(page: str) -> str:
    return "" if page == VOCABULARY else posixpath.relpath(VOCABULARY, posixpath.dirname(page) or ".")


def anchor_in(loaded: LoadedGlossary, ref: SenseRef) -> str:
    """Return where readers are led to for a sense: its concept, if that has no other."""
    return ref.concept if len(loaded.glossary.concepts[ref.concept].senses) == 1 else ref.anchor


def context_label(loaded: LoadedGlossary, context: str) -> str:
    """Return how the site names a context; the general one has no name there."""
    return "" if context == GENERAL else loaded.glossary.contexts[context].label
