"""`lading glossary`: what it prints, and how it ends."""

import json
from collections.abc import Callable

import pytest
from rdflib import Graph

from lading.cli.main import main
from lading.errors import ExitCode
from lading.glossary.ledger import FILE as LEDGER
from tests.glossary.small import LEDGER_TEXT, SMALL, write_small
from tests.workshop import Workshop

Run = Callable[..., tuple[int, str, str]]
PAGE = "# A page\n\n/// contexts | docker, apptainer\n\nStart it from the image.\n"


@pytest.fixture
def run(workshop: Workshop, capsys: pytest.CaptureFixture[str]) -> Run:
    """Return a runner of commands on a catalogue with a glossary: exit code, stdout, stderr."""
    workshop.path()
    write_small(workshop)

    def run(*words: str) -> tuple[int, str, str]:
        code = main(["--catalogue", str(workshop.root), "glossary", *words])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def test_check_goes_through_every_text_and_through_the_glossary_itself(run: Run, workshop: Workshop) -> None:
    code, out, err = run("check")
    assert (code, err) == (ExitCode.OK, "")
    assert out.endswith("files are well.\n")

    workshop.write("docs/page.md", PAGE)
    workshop.write(
        "glossary.yml", SMALL.replace("A service from which OCI images are pulled by name.", "Where Singularity pulls.")
    )
    code, out, err = run("check")
    assert code == ExitCode.FAILED
    assert "docs/page.md:5:19: ambiguous: 'image' can mean 2 things here" in out
    assert ": deprecated: 'Singularity': say 'Apptainer'. The project was renamed in 2021." in out
    assert err.startswith("2 words to mend in 2 of ")


def test_check_of_one_file_tells_both_readings(run: Run, workshop: Workshop) -> None:
    file = workshop.write("elsewhere.md", PAGE)

    code, out, _ = run("check", str(file))

    assert code == ExitCode.FAILED
    assert [line.split(": ")[:2] for line in out.splitlines()[1:]] == [
        ["    Docker, Podman and the OCI", "Docker image"],
        ["    Apptainer", "Apptainer image"],
    ]


def test_check_as_data(run: Run, workshop: Workshop) -> None:
    workshop.write("docs/page.md", PAGE + "\nSingularity.\n")

    code, out, _ = run("check", "--json")

    assert code == ExitCode.FAILED
    first, second = json.loads(out)
    assert (first["file"], first["line"], first["column"], first["code"]) == ("docs/page.md", 5, 19, "ambiguous")
    assert [reading["term"] for reading in first["readings"]] == first["say"] == ["Docker image", "Apptainer image"]
    assert (second["code"], second["say"], second["fixable"]) == ("deprecated", ["Apptainer"], False)


def test_fix_swaps_what_needs_no_reading_and_tells_the_rest(run: Run, workshop: Workshop) -> None:
    file = workshop.write("docs/page.md", "# A page\n\nRun apptainer.\r\nSingularity, too.\n")

    code, out, err = run("check", "--fix")

    assert file.read_bytes() == b"# A page\n\nRun Apptainer.\r\nSingularity, too.\n"
    assert (code, err.splitlines()[0]) == (ExitCode.FAILED, "docs/page.md: 1 word swapped")
    assert out.startswith("docs/page.md:4:1: deprecated: ")


def test_a_file_that_is_not_there_is_wrong_input(run: Run, workshop: Workshop) -> None:
    code, _, err = run("check", str(workshop.root / "nowhere.md"))

    assert code == ExitCode.USAGE
    assert "nowhere.md" in err


def test_a_wrong_glossary_is_refused_with_every_problem(run: Run, workshop: Workshop) -> None:
    workshop.write(
        "glossary.yml",
        SMALL.replace("related: [sif]", "related: [fis]").replace("  - {path: demo,", "  - {path: dmeo,"),
    )

    code, _, err = run("check")

    assert code == ExitCode.USAGE
    assert "'apptainer/general' is related to 'fis', which is no concept or sense." in err


def test_a_witness_that_is_not_there_is_refused(run: Run, workshop: Workshop) -> None:
    workshop.write("glossary.yml", SMALL.replace("test_it_is_there", "test_it_is_here"))

    code, _, err = run("check")

    assert code == ExitCode.USAGE
    assert "the path 'demo' has no check 'test_demo.py::test_it_is_here'; did you mean" in err


def test_an_id_that_vanished_is_refused(run: Run, workshop: Workshop) -> None:
    workshop.write(LEDGER, LEDGER_TEXT.replace("sif\n", "sandbox\nsif\n"))

    code, _, err = run("check")

    assert code == ExitCode.USAGE
    assert "'sandbox' was published and is gone: bring it back" in err


def test_explain_tells_every_sense_and_one_of_them(run: Run) -> None:
    code, every, _ = run("explain", "image")
    assert code == ExitCode.OK
    assert [line for line in every.splitlines() if not line.startswith(" ") and line] == [
        "image, in the context 'docker' (Docker, Podman and the OCI): admitted",
        "image, in the context 'apptainer' (Apptainer): admitted",
        "image, in the context 'vm' (Virtual machines): admitted",
    ]
    assert "  Docker image: Layers and a manifest that an engine makes containers from.\n" in every

    code, one, _ = run("explain", "images", "--context", "vm")
    assert one.startswith("images, in the context 'vm'")
    assert "docker" not in one


def test_explain_says_what_to_write_instead_of_a_former_name(run: Run) -> None:
    _, out, _ = run("explain", "singularity")

    assert "  Say 'Apptainer': The project was renamed in 2021.\n" in out
    assert "  Right in: Singularity Community Edition, SingularityCE\n" in out
    assert "  Once called Singularity: until 2021, when it moved to the Linux Foundation.\n" in out


def test_explain_as_data(run: Run) -> None:
    _, out, _ = run("explain", "Docker", "image", "--json")

    (sense,) = json.loads(out)
    assert (sense["word"], sense["status"], sense["id"], sense["context"]) == (
        "Docker image", "preferred", "image/docker", "docker",
    )  # fmt: skip


@pytest.mark.parametrize(
    "words, sentence",
    [
        (["imgae"], "The glossary has no 'imgae'; did you mean 'image'?"),
        (["image", "--context", "apptaner"], "There is no context 'apptaner'; did you mean 'apptainer'?"),
        (
            ["registry", "--context", "vm"],
            "'registry' has no meaning of its own in the context 'vm'; it has in general.",
        ),
        (["WLCG"], "'WLCG' is Worldwide LHC Computing Grid; the glossary has no more about it."),
    ],
)
def test_a_word_that_cannot_be_explained_is_wrong_input(run: Run, words: list[str], sentence: str) -> None:
    code, _, err = run("explain", *words)

    assert code == ExitCode.USAGE
    assert sentence in err


@pytest.mark.filterwarnings("ignore:ConjunctiveGraph is deprecated")  # rdflib's own reader of JSON-LD uses it
@pytest.mark.parametrize("form, name", [("skos-ttl", "turtle"), ("jsonld", "json-ld")])
def test_export_for_other_programs_can_be_read_by_them(run: Run, form: str, name: str) -> None:
    code, out, _ = run("export", "--format", form)

    assert code == ExitCode.OK
    assert len(Graph().parse(data=out, format=name)) > 50


def test_export_as_json_is_an_object_with_concepts(run: Run) -> None:
    _, out, _ = run("export")

    assert {"image", "container"} <= {concept["id"] for concept in json.loads(out)["concepts"]}


def test_coverage_tells_what_the_glossary_lacks(run: Run, workshop: Workshop) -> None:
    workshop.write("docs/page.md", "/// contexts | vm\n\nThe CE and two VOs know an image from WLCG in a registry.\n")

    _, out, _ = run("coverage", "--json")

    said = json.loads(out)
    assert [one["acronym"] for one in said["acronyms"]] == ["CE", "VO"]
    assert said["acronyms"][0]["places"] == [{"file": "docs/page.md", "line": 3, "column": 5}]
    assert said["used"]["image/vm"] == {"docs/page.md": 1}
    assert "sif" in said["unused"]
    assert "registry" not in said["unused"]
    assert {"file": "docs/page.md", "words": 1} in said["ambiguous"]
    code, text, _ = run("coverage")
    assert code == ExitCode.OK
    assert "CE (docs/page.md:3), VO (docs/page.md:3)" in text


def test_publish_adds_new_ids_and_takes_none_away(run: Run, workshop: Workshop) -> None:
    workshop.write(LEDGER, LEDGER_TEXT.replace("sif\nsif/apptainer\n", ""))

    assert run("publish") == (ExitCode.OK, "sif\nsif/apptainer\n", f"2 new in {LEDGER}.\n")
    assert (workshop.root / LEDGER).read_text() == LEDGER_TEXT
    assert run("publish") == (ExitCode.OK, "", f"0 new in {LEDGER}.\n")
