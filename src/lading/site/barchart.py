"""Horizontal bars as SVG inside a page: readable on a phone, in the light and in the dark theme, without a script.

Widths are parts of what room there is and heights are pixels, so that letters keep their size on narrow screens; a
`viewBox` would shrink them. Colours and fonts are the style sheet's (`docs/assets/site.css`).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from xml.etree.ElementTree import Element

from lading.site.markers import add

ROOM: Final = 70.0
"""How many of a hundred parts of the width bars take; the rest is for the words behind them."""

HEADING, BAR, GAP, AXIS = 18, 14, 5, 22
"""Heights in pixels: the line above a group, a bar, what is between bars, and the scale below."""

TICKS: Final = 4
"""The scale has at most so many marks beside its zero."""


@dataclass(frozen=True)
class Bar:
    """A bar: how long it is, from where to where its whisker reaches, what is written behind it, and its CSS class."""

    value: float
    low: float
    high: float
    says: str
    css: str


def add_chart(
    parent: Element, id: str, title: str, description: str, groups: Mapping[str, Sequence[Bar]], unit: str
) -> Element:
    """Add a chart with a group of bars for each heading; `id` has to be the page's only one.

    A bar whose whisker has no length gets none. Without a `unit` the scale tells numbers.
    """
    bars = [bar for group in groups.values() for bar in group]
    scale = Scale(max(max(bar.value, bar.high) for bar in bars))
    height = sum(HEADING + len(group) * (BAR + GAP) + GAP for group in groups.values())
    told = f"{id}-title {id}-description"
    chart = add(parent, "svg", css="chart", role="img", aria_labelledby=told, width="100%", height=str(height + AXIS))
    add(chart, "title", title, id=f"{id}-title")
    add(chart, "desc", description, id=f"{id}-description")
    _add_scale(chart, scale, height, unit)
    top = 0
    for heading, group in groups.items():
        add(chart, "text", heading, "chart-heading", x="0", y=str(top + HEADING - 5))
        top += HEADING
        for bar in group:
            _add_bar(chart, scale, bar, top)
            top += BAR + GAP
        top += GAP
    return chart


@dataclass(frozen=True)
class Scale:
    """Turns values into places. `longest` is the greatest value there is."""

    longest: float

    def place(self, value: float) -> str:
        """Return how far to the right a value is."""
        return f"{ROOM * value / self.longest if self.longest else 0:.2f}%"

    def marks(self) -> list[float]:
        """Return round values from zero on, at most `TICKS` beside the zero.

        Example:
            ```python
            from lading.site.barchart import Scale

            print(Scale(7.3).marks())
            #> [0.0, 2.0, 4.0, 6.0]
            ```
        """
        if not self.longest:
            return [0.0]
        power = 10.0 ** math.floor(math.log10(self.longest / TICKS))
        step = next(power * times for times in (1, 2, 5, 10, 20) if self.longest / (power * times) <= TICKS)
        # A sum of steps would carry their errors along.
        return [round(step * number, 9) for number in range(math.floor(self.longest / step) + 1)]


def _add_scale(chart: Element, scale: Scale, height: int, unit: str) -> None:
    for mark in scale.marks():
        place = scale.place(mark)
        add(chart, "line", css="chart-mark", x1=place, x2=place, y1="0", y2=str(height))
        anchor = "middle" if mark else "start"
        text = f"{mark:,g} {unit}".rstrip()
        add(chart, "text", text, "chart-number", x=place, y=str(height + 15), text_anchor=anchor)


def _add_bar(chart: Element, scale: Scale, bar: Bar, top: int) -> None:
    middle = top + BAR / 2
    add(chart, "rect", css=f"chart-bar {bar.css}", x="0", y=str(top), width=scale.place(bar.value), height=str(BAR))
    if bar.low < bar.high:
        low, high = scale.place(bar.low), scale.place(bar.high)
        add(chart, "line", css="chart-whisker", x1=low, x2=high, y1=f"{middle:g}", y2=f"{middle:g}")
        for end in (low, high):
            add(chart, "line", css="chart-whisker", x1=end, x2=end, y1=f"{middle - 4:g}", y2=f"{middle + 4:g}")
    behind = scale.place(max(bar.value, bar.high))
    add(chart, "text", bar.says, "chart-number", x=behind, dx="7", y=f"{middle + 4:g}")
