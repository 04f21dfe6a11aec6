"""Expected output brought up to date with what was seen, with as little change as can be.

Both are aligned as texts are for a diff, but `...` takes in what it stands for, and stays. A line that changed is
aligned in the same way, word by word, so that `...` within it stays where it still fits.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import groupby
from typing import Final

from lading.page.model import ANYTHING
from lading.page.wildcards import fits_lines, fits_text, is_anything

INSERTED: Final = 5
CHANGED: Final = 10
"""For a token that is like the old one; up to twice that for one that is not."""
DROPPED: Final = 25
"""More than any change: what was expected seldom goes without a successor, which `...` beside it would take in."""

KEEP, CHANGE, PASS, DROP, TAKE, INSERT = range(6)
"""Steps: the old token fits, or changes; `...` ends, or the old token goes; a new one falls to `...`, or is added."""

Unlike = Callable[[str, str], float]
"""How unlike two tokens are: 0 if the old one fits, else up to 1."""


def aligned_lines(expected: Sequence[str], actual: Sequence[str]) -> list[str]:
    """Return the output to expect from now on: it fits `actual`, and keeps each line of `expected` that still does.

    Letters that nobody can see become `...`.

    Example:
        ```python
        from lading.page.align import aligned_lines

        print(aligned_lines(["version 1.4 of ...", "...", "done"], ["version 1.5 of x", "a", "b", "ready"]))
        #> ['version 1.5 of ...', '...', 'ready']
        ```
    """
    lines = [_line(old, new) for old, new in _aligned(expected, actual, _unlike_lines)]
    assert fits_lines(lines, actual)
    return lines


def _line(old: str, new: str | None) -> str:
    """Return a line for the page: the old one if it stays, else the new one with the old one's `...`."""
    if new is None:
        return old
    if ANYTHING in old:
        words = _aligned(_words(old), _words(new), _unlike_words)
        kept = "".join(before if after is None else after for before, after in words)
        if kept.isprintable() and not is_anything(kept) and fits_text(kept, new):
            return kept
    runs = groupby(new, key=str.isprintable)
    visible = "".join("".join(run) if printable else ANYTHING for printable, run in runs)
    return visible if fits_text(visible, new) else ANYTHING


def _words(line: str) -> list[str]:
    return re.findall(r"\.\.\.|\w+|\s+|.", line)


def _unlike_words(old: str, new: str) -> float:
    return float(old != new)


def _unlike_lines(old: str, new: str) -> float:
    if fits_text(old, new):
        return 0
    before, after = _word_set(old), _word_set(new)
    # Never 0, which would say that the line fits.
    return max(0.01, 1 - len(before & after) / max(1, len(before | after)))


@cache
def _word_set(line: str) -> frozenset[str]:
    return frozenset(line.split())


def _aligned(old: Sequence[str], new: Sequence[str], unlike: Unlike) -> list[tuple[str, str | None]]:
    """Return the tokens to have: an old one and None if it stays, else the old one, or nothing, and the new one."""
    pairs: list[tuple[str, str | None]] = []
    steps, i, j = _cheapest_steps(old, new, unlike), len(old), len(new)
    while i or j:
        step = steps[i][j]
        i, j = i - (step in (KEEP, CHANGE, PASS, DROP)), j - (step in (KEEP, CHANGE, TAKE, INSERT))
        if step in (KEEP, PASS):
            pairs.append((old[i], None))
        elif step in (CHANGE, INSERT):
            pairs.append((old[i] if step == CHANGE else "", new[j]))
    return pairs[::-1]


def _cheapest_steps(old: Sequence[str], new: Sequence[str], unlike: Unlike) -> list[bytearray]:
    """Return, for each number of old and of new tokens, the last step of the cheapest way that uses that many."""
    above: list[float] = []
    steps = []
    for i in range(len(old) + 1):
        row: list[float] = []
        last = bytearray(len(new) + 1)
        for j in range(len(new) + 1):
            ways = list(_ways(old, new, unlike, i, j, above, row)) or [(0.0, KEEP)]
            cost, last[j] = min(ways)
            row.append(cost)
        above = row
        steps.append(last)
    return steps


def _ways(
    old: Sequence[str], new: Sequence[str], unlike: Unlike, i: int, j: int, above: list[float], row: list[float]
) -> Iterator[tuple[float, int]]:
    """Yield the cost of each way to `i` old and `j` new tokens, with its last step."""
    if i and is_anything(old[i - 1]):
        yield above[j], PASS
    elif i:
        yield above[j] + DROPPED, DROP
        if j:
            strange = unlike(old[i - 1], new[j - 1])
            yield above[j - 1] + (CHANGED * (1 + strange) if strange else 0), CHANGE if strange else KEEP
    if j:
        taken = i < len(old) and is_anything(old[i])
        yield (row[j - 1], TAKE) if taken else (row[j - 1] + INSERTED, INSERT)
