"""The page about states tells what is left out."""

from lading.state.ignored import IGNORED, RECKONED
from tests.workshop import REPOSITORY

PAGE = REPOSITORY / "docs" / "reference" / "state.md"


def ignore_table() -> list[str]:
    """Return the rows of the page's table: a reason, and all that is left out for it."""
    reasons: dict[str, list[str]] = {}
    for one in IGNORED:
        reasons.setdefault(one.because, []).append(f"`{one.pattern}`")
    return [f"| {reason} | {', '.join(patterns)} |" for reason, patterns in reasons.items()]


def test_the_page_lists_the_whole_ignore_list_with_its_reasons() -> None:
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| ") and ":" in line and "`" in line]
    told = [row for row in rows if row in ignore_table()]

    assert told == ignore_table(), "\n".join(["The table should be:", *ignore_table()])


def test_the_page_lists_what_is_reckoned_from_memory() -> None:
    rows = "\n".join(f"| `{one.pattern}` | {one.because} |" for one in RECKONED)

    assert f"\n{rows}\n" in PAGE.read_text() + "\n"
