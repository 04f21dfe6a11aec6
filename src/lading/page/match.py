"""Whether what a command printed is what its page promises.

Output is compared as a terminal would show it: tabs at every eighth column, what a carriage return overwrites gone, and
blanks at the end of a line, which nobody sees, left out.
"""

import difflib
import json
import re
from collections.abc import Callable, Sequence
from typing import Any, Final

from lading.page.align import aligned_lines
from lading.page.model import Command, Transcript
from lading.page.wildcards import contains_text, fits_lines, fits_text, is_anything

LONGEST_DIFF: Final = 60
"""Lines of a difference that are told; a person looks at the first."""


def shown(output: str) -> list[str]:
    r"""Return the lines of a command's output as a reader sees them.

    Example:
        ```python
        from lading.page.match import shown

        print(shown("10 %\r100 %\nname\tvalue  \n"))
        #> ['100 %', 'name    value']
        ```
    """
    lines = output.split("\n")
    if lines[-1] == "":
        del lines[-1]
    return [line.rstrip("\r").rpartition("\r")[2].expandtabs().rstrip() for line in lines]


def mismatch(command: Command, actual: str, transcript: Transcript) -> str | None:
    """Return how the output of a command differs from what its page promises, or None if it doesn't.

    For `expect=exact` that is a unified diff from the page to what was seen, else a sentence with the output.
    """
    expected, lines = command.expected, shown(actual)
    if transcript.expect == "exact":
        return None if fits_lines(expected, lines) else _diff(expected, lines)
    sentence = EXPECTATIONS[transcript.expect](expected, lines)
    return sentence and "\n".join([sentence, *_cut([f"| {line}" for line in lines])])


def _diff(expected: Sequence[str], lines: Sequence[str]) -> str:
    """Return what would have to change on the page; lines with `...` that fit are no difference."""
    wanted = aligned_lines(expected, lines)
    found = difflib.unified_diff(expected, wanted, "the page", "what was seen", lineterm="")
    return "\n".join(_cut(list(found)))


def _cut(lines: list[str]) -> list[str]:
    if len(lines) <= LONGEST_DIFF:
        return lines
    return [*lines[:LONGEST_DIFF], f"… and {len(lines) - LONGEST_DIFF} more lines"]


def _contains(expected: Sequence[str], lines: Sequence[str]) -> str | None:
    rest = iter(lines)
    for line in expected:
        if not is_anything(line) and not any(contains_text(line, seen) for seen in rest):
            return f"No line of the output, in the order of the page, has '{line}'; the output was:"
    return None


def _regex(expected: Sequence[str], lines: Sequence[str]) -> str | None:
    pattern = "\n".join(expected)
    if re.search(pattern, "\n".join(lines), re.MULTILINE):
        return None
    return f"The pattern '{pattern}' is nowhere in the output, which was:"


def _json_subset(expected: Sequence[str], lines: Sequence[str]) -> str | None:
    try:
        seen = json.loads("\n".join(lines))
        missing = lacking(json.loads("\n".join(expected)), seen)
    except (ValueError, RecursionError) as error:
        return f"The output is not JSON ({error}); it was:"
    return f"The output lacks {missing} of the page; it was:" if missing else None


EXPECTATIONS: Final[dict[str, Callable[[Sequence[str], Sequence[str]], str | None]]] = {
    "contains": _contains, "regex": _regex, "json-subset": _json_subset,
}  # fmt: skip


def lacking(expected: Any, seen: Any, where: str = "the value") -> str | None:
    """Return the first place where `seen` doesn't contain `expected`, or None.

    An object contains another with some of its keys, a list one with some of its items in their order; `...` in a text
    stands for any characters.
    """
    if isinstance(expected, dict) and isinstance(seen, dict):
        places = ((f"'{key}' of {where}", key) for key in expected)
        return next((found for place, key in places if (found := _lacking_key(expected, seen, key, place))), None)
    if isinstance(expected, list) and isinstance(seen, list):
        rest = iter(seen)
        missing = (item for item in expected if all(lacking(item, other) for other in rest))
        return next((f"the item {json.dumps(item)} of {where}" for item in missing), None)
    if isinstance(expected, str) and isinstance(seen, str):
        same = fits_text(expected, seen)
    else:
        same = type(expected) is type(seen) and expected == seen
    return None if same else where


def _lacking_key(expected: dict[str, Any], seen: dict[str, Any], key: str, place: str) -> str | None:
    return lacking(expected[key], seen[key], place) if key in seen else place
