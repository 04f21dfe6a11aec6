"""What a measure says about its promise; measuring itself is `make bench`."""

import pytest

from tools.bench import Measure


@pytest.mark.parametrize(
    "measure,kept",
    [
        (Measure("restore", 0.5, times_faster=25), True),
        (Measure("restore", 0.7, times_faster=25), False),
        (Measure("proof", 360, at_most=360), True),
        (Measure("proof", 361, at_most=360), False),
        (Measure("cold boot", 999), True),
    ],
)
def test_a_promise_that_was_not_kept_is_shown(measure: Measure, kept: bool) -> None:
    assert measure.kept(boot=17) == kept
    assert measure.line(boot=17).endswith("NOT KEPT") != kept


def test_a_line_tells_the_promise() -> None:
    assert Measure("restore", 2.0, times_faster=8).line(17).split(maxsplit=1)[1] == (
        "2.00 s    8.5 × faster than the boot; promised: 8 ×"
    )
