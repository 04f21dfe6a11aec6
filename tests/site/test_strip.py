"""The evidence strip, in each of its states."""

import os
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol
from xml.etree.ElementTree import Element, tostring

import pytest

from lading.evidence.model import Producer, RouteRun, StageRun
from lading.project import Catalogue
from lading.site.markers import MarkerError
from lading.site.matrix import add_starts
from lading.site.strip import _in_one_line

GOLDEN = Path(__file__).parent / "golden"
MARKER = "/// proof | kettle"
Render = Callable[[str], str]
Proof = Callable[..., None]


class Golden(Protocol):
    """Compares a piece of HTML with `golden/NAME.html`."""

    def __call__(self, html: str, name: str) -> None: ...


@pytest.fixture
def golden() -> Golden:
    """Return the comparison; with `UPDATE_GOLDEN=1` in the environment it writes the files instead."""

    def compare(html: str, name: str) -> None:
        file = GOLDEN / f"{name}.html"
        text = re.sub(r"(?<!\n)(?=<(?:div|p|li|tr|dt|details)\b)", "\n", html).strip() + "\n"
        if os.environ.get("UPDATE_GOLDEN"):
            file.parent.mkdir(exist_ok=True)
            file.write_text(text)
        assert text == file.read_text()

    return compare


def test_a_fresh_proof_is_shown(prove: Proof, render: Render, golden: Golden) -> None:
    prove()
    golden(render(MARKER), "proven")


def test_a_path_that_changed_since_is_stale(prove: Proof, catalogue: Catalogue, render: Render, golden: Golden) -> None:
    prove()
    with (catalogue.playbooks / "kettle.yml").open("a") as playbook:
        playbook.write("# Another kettle.\n")
    golden(render(MARKER), "stale")


def test_a_proof_of_last_month_is_old(prove: Proof, render: Render, golden: Golden) -> None:
    prove(finished=datetime(2026, 10, 20, 10, 0, tzinfo=UTC))
    golden(render(MARKER), "old")


def test_a_failure_names_its_stage(prove: Proof, render: Render, golden: Golden) -> None:
    prove(failed="green", detail="test_worker.py::test_water_boils: it is cold")
    golden(render(MARKER), "failed")


def test_a_path_that_never_ran_is_not_verified(render: Render, golden: Golden) -> None:
    html = render(MARKER)
    assert "No kettle fits there." in html
    golden(html, "not-verified")


def test_states_differ_in_words_and_signs_not_only_in_colour(prove: Proof, render: Render) -> None:
    prove()
    html = render(MARKER)
    assert '<span aria-hidden="true" class="proof-sign">✓</span><span>Proven</span>' in html
    assert '<span aria-hidden="true" class="proof-sign">?</span><span>Not verified</span>' in html


@pytest.mark.parametrize(
    "nasty",
    [
        "<script>alert(1)</script>",
        "![x](http://elsewhere.example/x.png)",
        "**bold** <b>bold</b> <http://elsewhere.example>",
        "&lt;script&gt;",
        "\x02klzzwxh:0000\x03 \x02wzxhzdk:0\x03",
        "/// proof | kettle",
        "`code` {.class} [^1] *[HTML]: x",
    ],
)
def test_evidence_is_shown_letter_by_letter(prove: Proof, render: Render, nasty: str) -> None:
    outsider = Producer(kind="outside", submitter=nasty, url=f'https://a.example/"onload="x{nasty}')
    prove(detail=nasty, producer=outsider)
    shown = "".join(letter for letter in nasty if letter not in "\x02\x03")
    shown = shown.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    html = render(MARKER)
    assert f"<td>{shown}</td>" in html
    assert f"by {shown} (" in html
    for tag in ("<script", "<b>", "<img", "<a ", "<em>", "<code>"):
        assert tag not in html


def test_what_was_not_the_real_thing_is_told_beside_the_state_and_not_among_the_details(
    prove: Proof, render: Render
) -> None:
    prove()
    assert "real thing" not in render(MARKER)
    prove(stand_ins="CVMFS is a stand-in of autofs and <i>squashfuse</i>")
    before, _, details = render(MARKER).partition("<details")
    assert "Not all of it is the real thing: CVMFS is a stand-in of autofs and &lt;i&gt;squashfuse&lt;/i&gt;." in before
    assert "stand-in" not in details


def test_a_marker_with_an_unknown_path_says_which_marker_it_is(render: Render) -> None:
    with pytest.raises(MarkerError, match=r"The marker '/// proof \| kettel' .* No path is called 'kettel'; did you"):
        render("/// proof | kettel")


def test_a_marker_without_a_path_says_how_to_write_it(render: Render) -> None:
    with pytest.raises(MarkerError, match=r"The marker '/// proof' cannot be filled in: It names no path") as caught:
        render("/// proof")
    assert caught.value.hint == "Write it as '/// proof | apptainer-unprivileged'."


def test_the_page_shows_whose_files_are_whose(prove: Proof, render: Render, golden: Golden) -> None:
    prove()
    golden(render("/// owns | kettle"), "owns")


def test_without_evidence_nothing_is_said_of_files(render: Render) -> None:
    html = render("/// owns | kettle")
    assert "No evidence tells yet which files are whose." in html
    assert "<table>" not in html


@pytest.mark.parametrize(
    "blocks, told",
    [
        ("", None),
        ("```{ .console }\n$ sip\n```\n", "A proof types every block on this page."),
        ('```{ .sh not-run="no" }\nsip\n```\n' * 2, "A proof types none of the 2 blocks on this page; each"),
        (
            "```{ .console }\n$ sip\n```\n\n```{ .console platform=almalinux9 }\n$ sip\n```\n",
            "A proof types 1 of the 2 blocks on this page; each other one says why not.",
        ),
    ],
)
def test_the_strip_counts_what_is_typed(
    catalogue: Catalogue, prove: Proof, render: Render, blocks: str, told: str | None
) -> None:
    text = operated(catalogue, blocks)
    prove()
    html = render(text)
    assert (told in html) if told else ("proof-coverage" not in html)


def operated(catalogue: Catalogue, blocks: str) -> str:
    """Return a page with those blocks, which is the path's."""
    text = f"# Kettle\n\n/// proof | kettle\n\n## Operate\n\n{blocks}"
    (catalogue.docs / "paths/compute/kettle.md").write_text(text)
    return text


@pytest.mark.parametrize(
    "more, told",
    [
        ("", "A proof would type every block on this page; none has run."),
        ('```{ .sh not-run="no" }\nsip\n```\n', "A proof would type 1 of the 2 blocks on this page; none has run."),
    ],
)
def test_the_strip_says_so_if_nothing_has_been_typed_yet(
    catalogue: Catalogue, prove: Proof, render: Render, more: str, told: str
) -> None:
    text = operated(catalogue, f"```{{ .console }}\n$ sip\n```\n\n{more}")
    assert told in render(text)
    prove(failed="green")
    assert "A proof types" in render(text), "a proof that failed has typed it"


def test_a_host_that_was_not_clean_can_fail() -> None:
    box = Element("div")
    broke = StageRun(name="green", outcome="failed", detail="the cosy is gone")
    add_starts(box, {"tea-cosy": RouteRun(stages=[StageRun(name="apply", outcome="passed"), broke])}, {})
    html = tostring(box, encoding="unicode")
    assert "<summary>1 host that was not clean: 1 failed</summary>" in html
    assert "<strong>Failed. </strong><span>apply passed; green failed: the cosy is gone.</span>" in html


def test_edited_evidence_stops_the_build(prove: Proof, catalogue: Catalogue, render: Render) -> None:
    prove()
    file = catalogue.evidence / "kettle" / "debian13.json"
    file.write_text(file.read_text().replace("12.4", "1.4"))
    with pytest.raises(MarkerError, match=r"kettle/debian13.json: predicate.digest: The file was edited"):
        render(MARKER)


def test_a_marker_in_a_code_block_is_left_alone(render: Render) -> None:
    assert "/// proof | kettle" in render("```\n/// proof | kettle\n```")


def test_the_front_page_lists_paths_with_their_states(prove: Proof, render: Render, golden: Golden) -> None:
    prove()
    golden(render("/// paths"), "paths")


@pytest.mark.parametrize(
    "subject, names, shown",
    [
        ("apptainer-unprivileged", ["apptainer", "libfuse3-4"], "apptainer 1 and 1 more package"),
        ("slurm-apptainer", ["libb64-0d", "slurm-client", "slurmctld", "slurmd"], "slurmd 1 and 3 more packages"),
        ("htcondor-user-container", ["adduser", "condor", "libboost"], "condor 1 and 2 more packages"),
        ("a-path", ["adduser", "zlib1g"], "adduser 1 and 1 more package"),
    ],
)
def test_the_package_that_a_path_is_about_stands_for_all(subject: str, names: list[str], shown: str) -> None:
    assert _in_one_line(f"{subject}/debian13", dict.fromkeys(names, "1")) == shown
