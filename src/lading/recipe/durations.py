"""Durations as people write them in recipes: `90s`, `6m`, `1h30m`."""

import re
from typing import Final

PATTERN: Final = r"^(?=\d)(\d{1,4}h)?(\d{1,4}m)?(\d{1,4}s)?$"


def parse_duration(text: str) -> float:
    """Return the seconds that a duration stands for.

    Raises:
        ValueError: it is not a duration, or it is nothing at all (`0s`).

    Example:
        ```python
        from lading.recipe.durations import parse_duration

        print(parse_duration("1h30m"))
        #> 5400.0
        ```
    """
    found = re.fullmatch(PATTERN, text, re.ASCII)
    parts = [int(part[:-1]) if part else 0 for part in found.groups()] if found else [0, 0, 0]
    seconds = float(parts[0] * 3600 + parts[1] * 60 + parts[2])
    if not seconds:
        raise ValueError(f"'{text}' is not a duration like '90s', '6m' or '1h30m'")
    return seconds
