"""The extension that shows measurements.

`/// measured | NAME` is a table and charts of `assets/measured/NAME.csv`, below the folder of pages, with what
`NAME.json` beside it says of where that was measured.
"""

import posixpath
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final
from xml.etree.ElementTree import Element

from markdown import Markdown

from lading.errors import UsageError
from lading.recipe.names import did_you_mean, is_slug
from lading.recipe.platforms import load_platforms
from lading.site.barchart import Bar, add_chart
from lading.site.catalogue import CatalogueExtension
from lading.site.markers import ABOVE_PARAGRAPHS, MarkerProcessor, add, add_table
from lading.site.measurement import FOLDER, RUNS, Measurement, Run, Spread, files_of, read_measurement
from lading.site.source import SourcePreprocessor, pages_of
from lading.site.words import day
from lading.sizes import size_text

EMULATED: Final = (
    ", whose processor was emulated: every time is several times longer than on a host of yours, so compare the forms "
    "with each other"
)
TRAFFIC: Final = "How many requests went to the file server, and how much came from it, hardly depends on that."

Say = Callable[[float], str]
"""Puts an amount into words."""


@dataclass(frozen=True)
class Quantity:
    """What a chart shows of each start: how it is called, how one amount is said, and the unit on the scale.

    `suffix` tells the charts of one measurement from each other.
    """

    name: str
    title: str
    of: Callable[[Measurement, str, Run], Spread]
    say: Say
    unit: str = ""
    suffix: str = ""


class MeasuredExtension(CatalogueExtension):
    """Registers the marker."""

    def extendMarkdown(self, md: Markdown) -> None:  # noqa: N802 - the name that Python-Markdown looks for
        """Add it to a parser."""
        self._source = SourcePreprocessor.of(md)
        processor = MarkerProcessor(md, "measured", self._add)
        md.parser.blockprocessors.register(processor, "lading-measured", ABOVE_PARAGRAPHS)

    def _add(self, parent: Element, argument: str) -> None:
        docs = self.catalogue().docs
        known = sorted(file.stem for file in (docs / FOLDER).glob("*.csv"))
        if not is_slug(argument):
            raise UsageError("It names no measurement.", hint=f"There are: {', '.join(known) or 'none'}.")
        measurement = read_measurement(docs, argument)
        page = pages_of(docs).named(self._source.text)
        if page is None:
            raise UsageError(
                "Nobody can tell which page it stands on, and so how a link leads from there.",
                hint="Put it on a page below the folder of pages, whose text no other page has.",
            )
        figure = add(parent, "figure", css="measured")
        if measurement.has_traffic:
            _add_traffic_table(figure, measurement)
            _add_charts(figure, measurement)
        else:
            _add_table(figure, measurement)
            _add_chart(figure, measurement, SECONDS)
        caption = add(figure, "figcaption")
        links = add(caption, "p", f"{_caption(measurement)} ")
        for file, words in zip(files_of(docs, argument), ("Figures (CSV)", "where from (JSON)"), strict=True):
            link = posixpath.relpath(file.relative_to(docs).as_posix(), posixpath.dirname(page))
            add(links, "a", words, href=link).tail = ", " if file.suffix == ".csv" else "."
        self._add_details(caption, measurement)

    def _add_details(self, caption: Element, measurement: Measurement) -> None:
        """Add what whoever wants to measure it again has to know."""
        said, platforms = measurement.conditions, load_platforms(self.catalogue())
        if said.platform not in platforms:
            raise UsageError(f"No platform is called '{said.platform}'{did_you_mean(said.platform, platforms)}")
        details = add(caption, "details", css="proof-details")
        add(details, "summary", "How it was measured")
        facts = add(details, "dl", css="proof-facts")
        processors = "one processor" if said.cpus == 1 else f"{said.cpus} processors"
        emulated = " (emulated)" if said.accelerator == "tcg" else ""
        programs = ", ".join(f"{name} {version}" for name, version in said.programs.items())
        for what, answer in {
            "Guest": f"{processors}{emulated}, {size_text(said.memory_mib * 1024**2)} of memory",
            "System": f"{platforms[said.platform].title}, kernel {said.kernel}",
            "Programs": programs,
            "Image": said.image,
        }.items():
            add(facts, "dt", what)
            add(facts, "dd", answer)
        for form in said.forms.values():
            add(facts, "dt", form.title)
            add(add(facts, "dd"), "code", form.command)


def _caption(measurement: Measurement) -> str:
    """Return what a reader of the figures has to know."""
    said = measurement.conditions
    first, later = measurement.count("first"), measurement.count("next")
    often = "once" if first == 1 else f"{first} times"
    where = f"in one virtual machine{EMULATED if said.accelerator == 'tcg' else ''}."
    how = (
        f"Each form was started {often} with nothing in memory and nothing stored, then {later} times more, in turn "
        "with the others. Told are the run in the middle, the fastest and the slowest."
    )
    traffic = [TRAFFIC] if measurement.has_traffic and said.accelerator == "tcg" else []
    return " ".join([f"Measured on {day(said.measured)}", where, *traffic, how, *said.notes])


def _add_table(parent: Element, measurement: Measurement) -> None:
    titles = ("What is started", "First run", "Next runs", "On disk", "Stored by first run")
    body = add_table(parent, "measured-table", titles)
    for name, form in measurement.conditions.forms.items():
        line = add(body, "tr")
        add(line, "td", form.title)
        for run in RUNS:
            _add_times(add(line, "td"), measurement.times(name, run))
        for size in (form.published_mib, measurement.disk_mib(name)):
            add(line, "td", mebibytes(size))


def _add_traffic_table(parent: Element, measurement: Measurement) -> None:
    """Add a table with two lines a form: with one, it would be too broad for a phone."""
    titles = ("What is started", "Run", "Requests", "From the server", "Time")
    body = add_table(parent, "measured-table", titles)
    for name, form in measurement.conditions.forms.items():
        for run in RUNS:
            line = add(body, "tr")
            if run == RUNS[0]:
                cell = add(line, "th", form.title, scope="rowgroup", rowspan=str(len(RUNS)))
                for size in filter(None, _sizes(measurement, name)):
                    add(cell, "span", size, "table-note")
            add(line, "td", run, "measured-run")
            _add_spread(add(line, "td"), measurement.requests(name, run), count)
            add(line, "td", mebibytes(measurement.moved_mib(name, run).median))
            _add_times(add(line, "td"), measurement.times(name, run))


def _sizes(measurement: Measurement, form: str) -> Iterator[str]:
    """Yield what a form takes on disk, and what its first run stores besides."""
    published, stored = measurement.conditions.forms[form].published_mib, measurement.disk_mib(form)
    yield f"{mebibytes(published)} on disk" if published else ""
    yield f"{mebibytes(stored)} stored by first run" if stored else ""


def _add_times(cell: Element, times: Spread) -> None:
    digits = _digits(times.most)
    _add_spread(cell, times, seconds, lambda amount: f"{amount:.{digits}f}")


def _add_spread(cell: Element, spread: Spread, say: Say, say_short: Say | None = None) -> None:
    """Add what the middle one of equal runs took, and from where to where they went, in fewer words if there are."""
    say_short = say_short or say
    add(cell, "strong", say(spread.median))
    if spread.least < spread.most:
        add(cell, "span", f" {say_short(spread.least)}–{say_short(spread.most)}", "table-note")


def _add_charts(parent: Element, measurement: Measurement) -> None:
    """Add requests and seconds side by side: first that which a slow processor does not change."""
    charts = add(parent, "div", css="charts")
    for quantity in (REQUESTS, SECONDS):
        box = add(charts, "div")
        add(box, "p", quantity.title, "chart-title")
        _add_chart(box, measurement, quantity)


def _add_chart(parent: Element, measurement: Measurement, quantity: Quantity) -> None:
    forms = measurement.conditions.forms
    groups = {form.title: list(_bars(measurement, name, quantity)) for name, form in forms.items()}
    described = "; ".join(f"{title}: {', '.join(bar.says for bar in bars)}" for title, bars in groups.items())
    title = f"{measurement.conditions.title}, in {quantity.name}"
    add_chart(parent, f"measured-{measurement.name}{quantity.suffix}", title, f"{described}.", groups, quantity.unit)


def _bars(measurement: Measurement, form: str, quantity: Quantity) -> Iterator[Bar]:
    for run in RUNS:
        spread = quantity.of(measurement, form, run)
        says = f"{run} {quantity.say(spread.median)}"
        yield Bar(spread.median, spread.least, spread.most, says, f"chart-bar--{run}")


def seconds(amount: float) -> str:
    """Return seconds with as many digits as a reader can use.

    Example:
        ```python
        from lading.site.measured import seconds

        print(seconds(0.0123), seconds(1.234), seconds(23.456))
        #> 0.012 s 1.23 s 23.5 s
        ```
    """
    return f"{amount:.{_digits(amount)}f} s"


def _digits(amount: float) -> int:
    """Return how many digits behind the point say something."""
    return 1 if amount >= 10 else 2 if amount >= 0.1 else 3


def count(amount: float) -> str:
    """Return a number of things; the mean of two may be half a thing more, which nobody wants to know.

    Example:
        ```python
        from lading.site.measured import count

        print(count(0), count(12.5), count(3214))
        #> 0 12 3,214
        ```
    """
    return f"{amount:,.0f}"


def mebibytes(amount: float) -> str:
    """Return a size; nothing at all is a dash.

    Example:
        ```python
        from lading.site.measured import mebibytes

        print(mebibytes(0), mebibytes(0.04), mebibytes(28.31))
        #> – <0.1 MiB 28.3 MiB
        ```
    """
    if not amount:
        return "–"
    return "<0.1 MiB" if amount < 0.05 else f"{amount:.1f} MiB"


SECONDS: Final = Quantity("seconds", "Seconds", Measurement.times, seconds, unit="s")
REQUESTS: Final = Quantity(
    "requests to the file server", "Requests to the file server", Measurement.requests, count, suffix="-requests"
)


def makeExtension(**options: Any) -> MeasuredExtension:  # noqa: N802 - the name that Python-Markdown looks for
    """Return the extension; Python-Markdown calls it by this name."""
    return MeasuredExtension(**options)
