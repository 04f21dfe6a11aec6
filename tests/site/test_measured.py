"""Measurements on pages: a table, a chart and its sources, from files that have to be whole."""

import html
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, fromstring

import pytest
from markdown import Markdown

from lading.project import Catalogue
from lading.site.barchart import ROOM, Bar, Scale, add_chart
from lading.site.cards import CardsExtension
from lading.site.markers import MarkerError
from lading.site.measured import MeasuredExtension
from lading.site.measurement import read_measurement
from tests.site.builders import BUILDERS, ROOT, build, build_well, dress

PAGE = "paths/compute/tea.md"
TEXT = "# Tea\n\nA pot.\n\n/// measured | pots\n\nAnd cups.\n"
CSV = """\
form,run,number,seconds,disk_mib
kettle,first,1,12.5,0.0
kettle,next,1,3.0,
kettle,next,2,1.0,
kettle,next,3,2.0,
samovar,first,1,20.0,41.25
samovar,next,1,4.0,
samovar,next,2,4.0,
samovar,next,3,4.0,
"""
SERVED = """\
form,run,number,seconds,disk_mib,requests,moved_mib
kettle,first,1,12.5,0.0,3214,14.25
kettle,next,1,3.0,,12,0
kettle,next,2,1.0,,10,0.00
kettle,next,3,2.0,,11,0.00
samovar,first,1,20.0,41.25,0,0.00
samovar,next,1,4.0,,0,0.00
samovar,next,2,4.0,,0,0.00
samovar,next,3,4.0,,0,0.00
"""
JSON: dict[str, Any] = {
    "title": "How long <water> takes & boils",
    "measured": "2026-11-21",
    "platform": "debian13",
    "accelerator": "tcg",
    "kernel": "6.12.1",
    "cpus": 1,
    "memory_mib": 2048,
    "programs": {"Stove": "1.4.5", "Match": "2"},
    "image": "sha256:" + "ab" * 32,
    "forms": {
        "kettle": {"title": "A <kettle> & lid", "command": "boil --until '**hot**'", "published_mib": 0},
        "samovar": {"title": "A samovar", "command": "boil", "published_mib": 28.31},
    },
    "notes": ["The <stove> was cold & wet."],
}
Convert = Callable[[str], str]


def put(catalogue: Catalogue, table: str = CSV, said: dict[str, Any] = JSON) -> None:
    """Put a measurement and a page that shows it into a catalogue."""
    texts = {PAGE: TEXT, "assets/measured/pots.csv": table, "assets/measured/pots.json": json.dumps(said, indent=1)}
    for name, text in texts.items():
        file = catalogue.docs / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


@pytest.fixture
def convert(catalogue: Catalogue) -> Convert:
    put(catalogue)
    options = {"root": str(catalogue.root), "today": "2026-11-22"}
    return lambda text: Markdown(
        extensions=["attr_list", MeasuredExtension(**options), CardsExtension(**options)]
    ).convert(text)


def dressed(catalogue: Catalogue, table: str = CSV) -> None:
    """Put a measurement and its page into a catalogue that has this site's settings and looks."""
    (catalogue.docs / PAGE).write_text(TEXT)
    dress(catalogue.root)
    put(catalogue, table)


def charts_of(page: str) -> list[Element]:
    """Return the page's charts, which have to be well-formed XML."""
    return [fromstring(found) for found in re.findall(r"<svg.*?</svg>", page, re.DOTALL)]


def chart_of(page: str) -> Element:
    """Return the page's one chart."""
    (chart,) = charts_of(page)
    return chart


def told_of(chart: Element) -> list[str | None]:
    """Return title and description of a chart, as it is told to those who do not see it."""
    told = {part.get("id"): part.text for part in chart if part.tag in {"title", "desc"}}
    return [told[name] for name in chart.get("aria-labelledby", "").split()]


def words(page: str) -> str:
    """Return what a reader of a page reads, on one line."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())


def test_the_table_tells_median_fastest_and_slowest(convert: Convert) -> None:
    (body,) = re.findall(r"<tbody>.*?</tbody>", convert(TEXT), re.DOTALL)
    kettle, samovar = (words(row) for row in body.split("</tr>")[:2])
    assert kettle == "A <kettle> & lid 12.5 s 2.00 s 1.00–3.00 – –"
    assert samovar == "A samovar 20.0 s 4.00 s 28.3 MiB 41.2 MiB"


def test_an_even_number_of_runs_has_the_mean_of_its_middle_two(catalogue: Catalogue) -> None:
    put(catalogue, CSV + "kettle,next,4,9.0,\nsamovar,next,4,4.0,\n")
    assert read_measurement(catalogue.docs, "pots").times("kettle", "next").median == 2.5


def test_the_caption_tells_where_it_was_measured(convert: Convert) -> None:
    (caption,) = re.findall(r"<figcaption>.*?</figcaption>", convert(TEXT), re.DOTALL)
    said = words(caption)
    assert said.startswith("Measured on 21 November 2026 in one virtual machine, whose processor was emulated: every")
    assert "Each form was started once with nothing in memory and nothing stored, then 3 times more" in said
    assert "The <stove> was cold & wet. Figures (CSV) , where from (JSON) ." in said
    assert said.endswith(
        "Guest one processor (emulated), 2.0 GiB of memory System Debian 13 (trixie), kernel 6.12.1 "
        f"Programs Stove 1.4.5, Match 2 Image {JSON['image']} A <kettle> & lid boil --until '**hot**' A samovar boil"
    )


def test_a_processor_that_was_not_emulated_is_not_excused(catalogue: Catalogue, convert: Convert) -> None:
    put(catalogue, said={**JSON, "accelerator": "kvm"})
    page = convert(TEXT)
    assert "emulated" not in page
    assert "in one virtual machine. Each form" in page


def test_the_page_links_both_files(catalogue: Catalogue, convert: Convert) -> None:
    links = re.findall(r'href="([^"]+)"', convert(TEXT))
    assert [Path(link).name for link in links] == ["pots.csv", "pots.json"]
    assert all(((catalogue.docs / PAGE).parent / link).is_file() for link in links)


def test_the_chart_is_told_in_words_and_fetches_nothing(convert: Convert) -> None:
    chart = chart_of(convert(TEXT))
    assert chart.get("role") == "img"
    assert told_of(chart) == [
        "How long <water> takes & boils, in seconds",
        "A <kettle> & lid: first 12.5 s, next 2.00 s; A samovar: first 20.0 s, next 4.00 s.",
    ]
    assert {part.tag for part in chart.iter()} == {"svg", "title", "desc", "line", "rect", "text"}
    assert not re.search(
        r"href|url\(|https?:|style=|<script", convert(TEXT).partition("<svg")[2].partition("</svg>")[0]
    )


def test_of_what_a_server_sent_the_table_tells_a_line_a_run(catalogue: Catalogue, convert: Convert) -> None:
    put(catalogue, SERVED)
    page = convert(TEXT)
    (body,) = re.findall(r"<tbody>.*?</tbody>", page, re.DOTALL)
    assert [words(row) for row in body.split("</tr>")[:-1]] == [
        "A <kettle> & lid first 3,214 14.2 MiB 12.5 s",
        "next 11 10–12 – 2.00 s 1.00–3.00",
        "A samovar 28.3 MiB on disk 41.2 MiB stored by first run first 0 – 20.0 s",
        "next 0 – 4.00 s",
    ]
    assert body.count('rowspan="2"') == 2


def test_requests_have_a_chart_beside_that_of_seconds(catalogue: Catalogue, convert: Convert) -> None:
    put(catalogue, SERVED)
    page = convert(TEXT)
    requests, seconds = charts_of(page)
    assert told_of(requests) == [
        "How long <water> takes & boils, in requests to the file server",
        "A <kettle> & lid: first 3,214, next 11; A samovar: first 0, next 0.",
    ]
    ids = [part.get("id") for chart in (requests, seconds) for part in chart if part.get("id")]
    assert len(set(ids)) == len(ids) == 4
    assert [mark.text for mark in requests.iter("text") if mark.get("y") == max_y(requests)] == [
        "0", "1,000", "2,000", "3,000",
    ]  # fmt: skip
    put(catalogue)
    assert told_of(seconds) == told_of(chart_of(convert(TEXT)))
    assert re.findall(r'class="chart-title">(.*?)<', page) == ["Requests to the file server", "Seconds"]


def test_a_server_that_nobody_asked_anything_has_a_chart_too(catalogue: Catalogue, convert: Convert) -> None:
    put(catalogue, re.sub(r",[0-9]+,[0-9.]+$", ",0,0", SERVED, flags=re.MULTILINE))
    requests, _ = charts_of(convert(TEXT))
    assert {bar.get("width") for bar in requests.iter("rect")} == {"0.00%"}


def max_y(chart: Element) -> str:
    """Return where the lowest text of a chart is: its scale."""
    return max((text.get("y", "") for text in chart.iter("text")), key=float)


@pytest.mark.parametrize("accelerator,table,told", [("tcg", SERVED, True), ("kvm", SERVED, False), ("tcg", CSV, False)])
def test_what_a_slow_processor_does_not_change_is_told(
    catalogue: Catalogue, convert: Convert, accelerator: str, table: str, told: bool
) -> None:
    put(catalogue, table, {**JSON, "accelerator": accelerator})
    assert ("hardly depends on that" in convert(TEXT)) == told


@pytest.mark.parametrize(
    "change,message",
    [
        (lambda text: text.replace(",moved_mib", ""), "pots.csv:1: the first line has to be 'form,run,"),
        (lambda text: text.replace("requests,moved", "moved,requests"), "pots.csv:1: the first line has to be"),
        (lambda text: text.replace(",,12,0", ",,12"), "pots.csv:3: a line has 7 cells, and this one 6."),
        (lambda text: text.replace("3214", ""), "pots.csv:2: '' is no number of requests."),
        (lambda text: text.replace("3214", "3214.5"), "pots.csv:2: '3214.5' is no number of requests."),
        (lambda text: text.replace("14.25", ""), "pots.csv:2: moved_mib is '', which is no amount."),
        (lambda text: text.replace("14.25", "-1"), "pots.csv:2: moved_mib is '-1', which is no amount."),
    ],
)
def test_every_start_tells_what_the_server_did_or_none(
    catalogue: Catalogue, convert: Convert, change: Callable[[str], str], message: str
) -> None:
    put(catalogue, change(SERVED))
    with pytest.raises(MarkerError, match=re.escape(f"docs/assets/measured/{message}")):
        convert(TEXT)


def test_bars_and_whiskers_are_as_long_as_what_they_stand_for(convert: Convert) -> None:
    chart = chart_of(convert(TEXT))
    bars = [(bar.get("class"), bar.get("width")) for bar in chart.iter("rect")]
    assert bars == [
        ("chart-bar chart-bar--first", f"{ROOM * 12.5 / 20:.2f}%"),
        ("chart-bar chart-bar--next", f"{ROOM * 2 / 20:.2f}%"),
        ("chart-bar chart-bar--first", f"{ROOM:.2f}%"),
        ("chart-bar chart-bar--next", f"{ROOM * 4 / 20:.2f}%"),
    ]
    whisker, *_caps = [line for line in chart.iter("line") if line.get("class") == "chart-whisker"]
    assert (whisker.get("x1"), whisker.get("x2")) == (f"{ROOM * 1 / 20:.2f}%", f"{ROOM * 3 / 20:.2f}%")
    assert len(_caps) == 2, "A bar whose runs all took the same time has no whisker."


def test_nothing_of_the_chart_is_outside_of_it() -> None:
    groups = {str(number): [Bar(1, 0, 9, "1 s", "x")] * number for number in range(1, 4)}
    chart = add_chart(Element("p"), "c", "Title", "Description", groups, "s")
    bottoms = [float(part.get("y2") or part.get("y") or 0) + float(part.get("height") or 0) for part in chart]
    assert max(bottoms) < float(chart.get("height") or 0)
    reaches = [float((part.get("x2") or part.get("x") or "0").rstrip("%")) for part in chart]
    assert max(reaches) <= ROOM


@pytest.mark.parametrize(
    "longest,marks",
    [
        (7.3, [0, 2, 4, 6]),
        (0.03, [0, 0.01, 0.02, 0.03]),
        (100, [0, 50, 100]),
        (41, [0, 20, 40]),
        (4, [0, 1, 2, 3, 4]),
        (0, [0]),
    ],
)
def test_the_scale_has_few_and_round_marks(longest: float, marks: list[float]) -> None:
    assert Scale(longest).marks() == marks


def test_every_colour_of_the_chart_is_known_in_light_and_dark() -> None:
    sheet = (ROOT / "docs/assets/site.css").read_text()
    light, dark = (
        re.search(rf'\[data-md-color-scheme="{scheme}"\] {{(.*?)}}', sheet, re.DOTALL)
        for scheme in ("default", "slate")
    )
    assert light
    assert dark
    rules = re.findall(r"\.chart[^{}]*{([^}]*)}", sheet)
    used = set(re.findall(r"(?:fill|stroke): ([^;]+);", " ".join(rules)))
    assert len(used) == 6
    for colour in used:
        name = colour.removeprefix("var(").removesuffix(")")
        assert name != colour, f"'{colour}' is the same in light and dark."
        assert name.startswith("--md-") or (name in light[1] and name in dark[1])


@pytest.mark.parametrize(
    "change,message",
    [
        (lambda text: text.replace("form,", "kind,"), "pots.csv:1: the first line has to be 'form,run,"),
        (lambda _: "", "pots.csv:1: the first line has to be"),
        (lambda text: text.replace("12.5", "hot"), "pots.csv:2: seconds is 'hot', which is no amount."),
        (lambda text: text.replace("12.5", "nan"), "pots.csv:2: seconds is 'nan'"),
        (lambda text: text.replace("12.5", "-1"), "pots.csv:2: seconds is '-1'"),
        (lambda text: text.replace("41.25", "much"), "pots.csv:6: disk_mib is 'much'"),
        (lambda text: text.replace("41.25", ""), "pots.csv:6: disk_mib belongs to each first run"),
        (lambda text: text.replace("1,3.0,", "1,3.0,7"), "pots.csv:3: disk_mib belongs to each first run"),
        (
            lambda text: text.replace("kettle,n", "ketle,n"),
            "pots.csv:3: no form is called 'ketle'; did you mean 'kettle'",
        ),
        (
            lambda text: text.replace("next,2,1", "last,2,1"),
            "pots.csv:4: a run is one of first and next, and not 'last'.",
        ),
        (lambda text: text.replace("next,2,1", "next,3,1"), "pots.csv:4: this should be number 2 of its form and run."),
        (lambda text: text.replace("next,2,1", "next,x,1"), "pots.csv:4: 'x' is no number of a run."),
        (lambda text: text.replace("1,3.0,", "1,3.0"), "pots.csv:3: a line has 5 cells, and this one 4."),
        (
            lambda text: text.replace("samovar,next,3,4.0,\n", ""),
            "pots.csv: 'samovar' has 2 next runs, and should have 3.",
        ),
        (lambda text: re.sub(".*,first,.*\n", "", text), "pots.csv: 'kettle' has 0 first runs, and should have 1."),
    ],
)
def test_a_table_that_is_not_whole_stops_the_build(
    catalogue: Catalogue, convert: Convert, change: Callable[[str], str], message: str
) -> None:
    put(catalogue, change(CSV))
    with pytest.raises(MarkerError, match=re.escape(f"docs/assets/measured/{message}")) as caught:
        convert(TEXT)
    assert caught.value.message.startswith("The marker '/// measured | pots' cannot be filled in: ")
    assert "make bench ARGS=--starts" in (caught.value.hint or "")


@pytest.mark.parametrize(
    "change,message",
    [
        ({"image": "sha256:12"}, "pots.json:13: image: 'sha256:12' is not of the form"),
        ({"measured": "yesterday"}, "pots.json:3: measured: "),
        ({"forms": {}}, "pots.json:14: forms: "),
        ({"colour": "red"}, "colour: unknown key 'colour'"),
    ],
)
def test_conditions_that_are_wrong_stop_the_build(
    catalogue: Catalogue, convert: Convert, change: dict[str, Any], message: str
) -> None:
    put(catalogue, said={**JSON, **change})
    with pytest.raises(MarkerError, match=re.escape(message)):
        convert(TEXT)


def test_an_unknown_platform_stops_the_build(catalogue: Catalogue, convert: Convert) -> None:
    put(catalogue, said={**JSON, "platform": "debian31"})
    with pytest.raises(MarkerError, match="No platform is called 'debian31'; did you mean 'debian13'"):
        convert(TEXT)


@pytest.mark.parametrize("lost", ["csv", "json"])
def test_a_missing_file_stops_the_build(catalogue: Catalogue, convert: Convert, lost: str) -> None:
    (catalogue.docs / f"assets/measured/pots.{lost}").unlink()
    with pytest.raises(MarkerError, match=rf"docs/assets/measured/pots\.{lost}: this file is missing\."):
        convert(TEXT)


@pytest.mark.parametrize("argument", ["", " | ", " | ../measured/pots", " | .."])
def test_a_marker_names_a_measurement_and_no_other_file(convert: Convert, argument: str) -> None:
    with pytest.raises(MarkerError, match="names no measurement") as caught:
        convert(f"/// measured{argument}")
    assert caught.value.hint == "There are: pots."


def test_a_text_that_is_no_page_cannot_link(convert: Convert) -> None:
    with pytest.raises(MarkerError, match="which page it stands on"):
        convert(f"{TEXT}\nMore.")


@pytest.mark.parametrize("builder", BUILDERS)
def test_both_builders_show_it_and_resolve_its_links(catalogue: Catalogue, builder: str) -> None:
    dressed(catalogue)
    site = build_well(builder, catalogue.root)
    built = site / Path(PAGE).with_suffix("") / "index.html"
    text = built.read_text()
    chart_of(text[text.index('class="measured"') :].partition("</figure>")[0])
    links = re.findall(r'href="([^"]+/pots\.(?:csv|json))"', text)
    assert len(links) == 2
    assert [(built.parent / link).resolve().read_text() for link in links] == [CSV, json.dumps(JSON, indent=1)]


@pytest.mark.parametrize("builder", BUILDERS)
def test_half_a_measurement_stops_both_builders(catalogue: Catalogue, builder: str) -> None:
    dressed(catalogue, CSV.replace("3.0", "warm"))
    done = build(builder, catalogue.root)
    assert done.returncode != 0
    said = " ".join((done.stdout + done.stderr).split())
    assert "docs/assets/measured/pots.csv:3: seconds is 'warm', which is no amount." in said
