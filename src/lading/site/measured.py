"""The extension that shows measurements.

`/// measured | NAME` is a table and a chart of `assets/measured/NAME.csv`, below the folder of pages, with what
`NAME.json` beside it says of where that was measured.
"""

import posixpath
from collections.abc import Iterator
from typing import Any, Final
from xml.etree.ElementTree import Element

from markdown import Markdown

from lading.errors import UsageError
from lading.recipe.names import did_you_mean, is_slug
from lading.recipe.platforms import load_platforms
from lading.site.barchart import Bar, add_chart
from lading.site.catalogue import CatalogueExtension
from lading.site.markers import ABOVE_PARAGRAPHS, MarkerProcessor, add, add_table
from lading.site.measurement import FOLDER, Measurement, Times, files_of, read_measurement
from lading.site.source import SourcePreprocessor, pages_of
from lading.site.words import day
from lading.sizes import size_text

EMULATED: Final = (
    ", whose processor was emulated: every time is several times longer than on a host of yours, so compare the forms "
    "with each other"
)


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
        _add_table(figure, measurement)
        _add_chart(figure, measurement)
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
    return " ".join([f"Measured on {day(said.measured)}", where, how, *said.notes])


def _add_table(parent: Element, measurement: Measurement) -> None:
    titles = ("What is started", "First run", "Next runs", "On disk", "Stored by first run")
    body = add_table(parent, "measured-table", titles)
    for name, form in measurement.conditions.forms.items():
        line = add(body, "tr")
        add(line, "td", form.title)
        for run in ("first", "next"):
            _add_times(add(line, "td"), measurement.times(name, run))
        for size in (form.published_mib, measurement.disk_mib(name)):
            add(line, "td", mebibytes(size))


def _add_times(cell: Element, times: Times) -> None:
    add(cell, "strong", seconds(times.median))
    if times.fastest < times.slowest:
        digits = _digits(times.slowest)
        add(cell, "span", f" {times.fastest:.{digits}f}–{times.slowest:.{digits}f}", "table-note")


def _add_chart(parent: Element, measurement: Measurement) -> None:
    forms = measurement.conditions.forms
    groups = {form.title: list(_bars(measurement, name)) for name, form in forms.items()}
    described = "; ".join(
        f"{form.title}: first {seconds(measurement.times(name, 'first').median)}, "
        f"next {seconds(measurement.times(name, 'next').median)}"
        for name, form in forms.items()
    )
    title = f"{measurement.conditions.title}, in seconds"
    add_chart(parent, f"measured-{measurement.name}", title, f"{described}.", groups, "s")


def _bars(measurement: Measurement, form: str) -> Iterator[Bar]:
    for run in ("first", "next"):
        times = measurement.times(form, run)
        yield Bar(times.median, times.fastest, times.slowest, f"{run} {seconds(times.median)}", f"chart-bar--{run}")


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


def makeExtension(**options: Any) -> MeasuredExtension:  # noqa: N802 - the name that Python-Markdown looks for
    """Return the extension; Python-Markdown calls it by this name."""
    return MeasuredExtension(**options)
