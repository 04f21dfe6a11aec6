"""Whether every letter of a running text is where it says."""

import re

from lading.glossary.prose import MASK, Prose


def words_of(prose: Prose) -> list[str]:
    """Return the running texts, with each stretch that is no prose shown as `~`."""
    return [re.sub(f"{MASK}+", "~", part.text) for part in prose.parts]


def misplaced(prose: Prose, text: str) -> list[tuple[str, str]]:
    """Return letters that the file has not at their places, with what it has there; blanks and masks are left out."""
    text = text.replace("\r", " ").replace("\0", "\ufffd")  # as Markdown's readers see them
    lines = text.split("\n")
    found = []
    for part in prose.parts:
        for offset, letter in enumerate(part.text):
            if letter not in (" ", MASK):
                line, column = part.place(offset)
                there = lines[line - 1][column - 1 : column]
                if there != letter:
                    found.append((letter, there))
        for start in range(0, len(part.text), 7):
            for end in range(start + 1, len(part.text) + 1, 5):
                said, span = part.text[start:end], part.span(start, end)
                if span and said != " " and text[slice(*span)] != said:
                    found.append((said, text[slice(*span)]))
    return found
