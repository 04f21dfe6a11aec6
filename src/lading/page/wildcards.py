"""`...` in expected output: a line of it stands for any lines, within a line it stands for any characters."""

from collections.abc import Sequence

from lading.page.model import ANYTHING


def is_anything(line: str) -> bool:
    """Say whether a line stands for any lines."""
    return line.rstrip() == ANYTHING


def fits_text(expected: str, actual: str) -> bool:
    """Say whether a line is as expected; blanks at the end of either don't count.

    Example:
        ```python
        from lading.page.wildcards import fits_text

        print(fits_text("apptainer version 1...", "apptainer version 1.4.5-2"))
        #> True
        ```
    """
    expected, actual = expected.rstrip(), actual.rstrip()
    first, *rest = expected.split(ANYTHING)
    if not rest:
        return expected == actual
    *middle, last = rest
    end = len(actual) - len(last)
    if not actual.startswith(first) or not actual.endswith(last) or len(first) > end:
        return False
    return _find(middle, actual, len(first), end)


def contains_text(expected: str, actual: str) -> bool:
    """Say whether a line has the expected text somewhere in it."""
    return _find(expected.split(ANYTHING), actual, 0, len(actual))


def _find(parts: Sequence[str], text: str, start: int, end: int) -> bool:
    """Say whether the parts stand in the text one after the other; the first place of each is as good as any."""
    for part in parts:
        found = text.find(part, start, end)
        if found < 0:
            return False
        start = found + len(part)
    return True


def fits_lines(expected: Sequence[str], actual: Sequence[str]) -> bool:
    """Say whether lines are as expected.

    Example:
        ```python
        from lading.page.wildcards import fits_lines

        print(fits_lines(["Reading…", "...", "Done"], ["Reading…", "one", "two", "Done"]))
        #> True
        ```
    """
    first, *rest = _split(expected)
    if not rest:
        return len(first) == len(actual) and _all_fit(first, actual)
    *middle, last = rest
    start, end = len(first), len(actual) - len(last)
    if start > end or not _all_fit(first, actual) or not _all_fit(last, actual[end:]):
        return False
    for part in middle:
        places = (place for place in range(start, end - len(part) + 1) if _all_fit(part, actual[place:]))
        found = next(places, None)
        if found is None:
            return False
        start = found + len(part)
    return True


def _split(lines: Sequence[str]) -> list[list[str]]:
    """Return the runs of lines between lines of `...`."""
    parts: list[list[str]] = [[]]
    for line in lines:
        if is_anything(line):
            parts.append([])
        else:
            parts[-1].append(line)
    return parts


def _all_fit(expected: Sequence[str], actual: Sequence[str]) -> bool:
    return len(expected) <= len(actual) and all(map(fits_text, expected, actual))
