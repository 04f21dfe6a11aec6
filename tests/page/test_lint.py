"""The lint counts every block and holds the share that runs at its floor."""

import pytest

from lading.page.lint import lint, lint_others
from lading.recipe.load import load_all
from tests.workshop import Workshop

PAGE = """# A demonstration

/// proof | demo

## Install

```{ .console }
# true
```

```{ .sh not-run="it takes a day" }
make world
```

```{ .file path=/etc/x }
x
```
"""


@pytest.fixture
def paged(workshop: Workshop) -> Workshop:
    """Return a catalogue whose page runs two blocks of three."""
    workshop.path(page_coverage=66)
    workshop.write("docs/paths/compute/demo.md", PAGE)
    return workshop


def found(workshop: Workshop) -> tuple[list[str], list[str]]:
    linted, problems = lint(workshop.catalogue, list(load_all(workshop.catalogue).values()))
    return [str(one) for one in linted], [str(problem) for problem in problems]


def test_a_page_at_its_floor_is_well(paged: Workshop) -> None:
    assert found(paged) == (["docs/paths/compute/demo.md: 2 blocks run, 1 not; coverage 66 %, floor 66 %"], [])


@pytest.mark.parametrize(
    "floor, sentence",
    [
        (80, "the coverage of the page fell from 80 % to 66 %; make more of its blocks run."),
        (50, "the coverage of the page is 66 % by now; raise this floor from 50 to it."),
        (None, "the coverage of the page is 66 % by now; raise this floor from 0 to it."),
    ],
)
def test_coverage_off_its_floor_is_told_at_the_floor(paged: Workshop, floor: int | None, sentence: str) -> None:
    recipe = paged.path(page_coverage=floor)
    paged.write("docs/paths/compute/demo.md", PAGE)
    line = next((n for n, text in enumerate(recipe.read_text().splitlines(), 1) if "page_coverage" in text), 1)
    assert found(paged)[1] == [f"recipes/demo/recipe.yml:{line}: page_coverage: {sentence}"]


def test_a_wrong_page_hides_no_other(paged: Workshop) -> None:
    paged.path("other")
    paged.write("docs/paths/compute/demo.md", PAGE.replace(".file path", ".file pth"))
    lines, problems = found(paged)
    assert lines[0] == "docs/paths/compute/demo.md: wrong"
    assert lines[1].startswith("docs/paths/compute/other.md: 0 blocks run, 0 not; coverage 100 %")
    assert [problem.partition(": ")[0] for problem in problems] == [
        "docs/paths/compute/demo.md:15", "docs/paths/compute/demo.md:15", "recipes/other/recipe.yml:1",
    ]  # fmt: skip


def test_pages_that_are_no_paths_claim_nothing_and_give_reasons(paged: Workshop) -> None:
    paged.write("docs/index.md", "```bash\nls\n```\n\n```{ .sh not-run='' }\nls\n```\n")
    paged.write("docs/claim.md", "/// proof | demo\n")
    paged.write("docs/well.md", "```\n/// proof | demo\n```\n")
    problems = lint_others(paged.catalogue, load_all(paged.catalogue).values())
    assert [(problem.file, problem.line) for problem in problems] == [("docs/claim.md", 0), ("docs/index.md", 5)]
