"""What is written of starts, and in which order they are made; starting anything is `make bench ARGS=--starts`."""

import dataclasses
import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from lading.errors import LabError, UsageError
from lading.site.measurement import Conditions, Measurement, Start, files_of
from tools import bench_figures, starts_in_guest
from tools.bench_figures import as_csv, as_json, summary
from tools.bench_starts import FORMS, NAME, QUESTIONS, plan, understand
from tools.starts_in_guest import rounds

PLACE = {"measured": date(2026, 11, 21), "platform": "debian13", "accelerator": "tcg", "cpus": 1, "memory_mib": 2048}
MANIFEST: dict[str, dict[str, Any]] = {
    "oci": {"digest": "sha256:" + "12" * 32, "size": 10 * 1024**2},
    "tree": {"size": 30 * 1024**2},
    "sif": {"size": 11.25 * 1024**2},
}
ANSWERS = {
    "kernel": "6.12.57+deb13-amd64",
    "podman": "podman version 5.4.2",
    "apptainer": "apptainer version 1.4.5-2",
    "storage": "overlay",
    "manifest": json.dumps(MANIFEST),
    "sif": "INFO:    Converting SIF file to temporary sandbox...",
}
FOUND: list[list[Any]] = [
    ["oci", "first", 1, 20.12345, 31.256], ["sif", "first", 1, 9, 0], ["host", "first", 1, 0.1, 0],
    ["tree", "first", 1, 4, 0.01], ["sif", "next", 1, 8, None], ["host", "next", 1, 0.01, None],
    ["tree", "next", 1, 2, None], ["oci", "next", 1, 6, None],
]  # fmt: skip


def conditions(**answers: str) -> Conditions:
    return bench_figures.conditions_from(understand, {**ANSWERS, **answers}, PLACE)


def starts_from(found: list[list[Any]]) -> list[Start]:
    return bench_figures.starts_from(found, FORMS)


def write(docs: Path, said: Conditions, starts: list[Start]) -> Measurement:
    return bench_figures.write(docs, NAME, said, starts)


def test_each_round_begins_with_another_form() -> None:
    assert list(rounds("abc", 2, 2)) == [
        ("first", 1, ["a", "b", "c"]),
        ("first", 2, ["b", "c", "a"]),
        ("warm", 1, ["c", "a", "b"]),
        ("next", 1, ["a", "b", "c"]),
        ("next", 2, ["b", "c", "a"]),
    ]


class Nobody(starts_in_guest.Account):
    """An account that starts nothing, and notes what it should have."""

    def __init__(self) -> None:
        self.did: list[str] = []

    def run(self, argv: Any) -> tuple[float, str]:
        self.did.append(argv[0])
        return 1.0, ""

    def empty(self) -> None:
        self.did.append("empty")


def test_caches_are_dropped_before_each_first_run_and_never_else(monkeypatch: pytest.MonkeyPatch) -> None:
    nobody, sizes = Nobody(), iter([100, 100, 100, 1124])
    monkeypatch.setattr(starts_in_guest, "drop_caches", lambda: nobody.did.append("drop"))
    monkeypatch.setattr(starts_in_guest, "stored", lambda: next(sizes))
    found = list(starts_in_guest.measure(nobody, {"a": ["x"], "b": ["y"]}, 1, 1))
    assert nobody.did == ["empty", "drop", "x", "drop", "y", "y", "x", "x", "y"]
    assert found == [["a", "first", 1, 1.0, 0.0], ["b", "first", 1, 1.0, 1.0], ["a", "next", 1, 1.0, None],
                     ["b", "next", 1, 1.0, None]]  # fmt: skip


def test_the_guest_is_told_words_and_no_shell_line() -> None:
    said = json.loads(plan("alice"))
    assert said["user"] == "alice"
    assert list(said["commands"]) == list(FORMS)
    assert list(said["questions"]) == list(QUESTIONS)
    assert said["commands"]["oci"][-2:] == ["oci:/srv/container-images/base/current/oci", "true"]


def test_the_table_is_in_one_order_whatever_was_first() -> None:
    text = as_csv(starts_from(FOUND))
    assert text == as_csv(starts_from(FOUND[::-1]))
    assert text.splitlines()[:5] == [
        "form,run,number,seconds,disk_mib",
        "host,first,1,0.1000,0.00",
        "host,next,1,0.0100,",
        "oci,first,1,20.1234,31.26",
        "oci,next,1,6.0000,",
    ]
    assert text.endswith("sif,next,1,8.0000,\n")


def test_the_conditions_tell_versions_sizes_and_how_a_sif_file_starts() -> None:
    said = json.loads(as_json(conditions()))
    assert said["programs"] == {"Podman": "5.4.2", "Apptainer": "1.4.5"}
    assert said["image"] == MANIFEST["oci"]["digest"]
    assert [form["published_mib"] for form in said["forms"].values()] == [0, 10, 30, 11.2]
    assert "unpacked the SIF file at every start" in said["notes"][0]
    assert "mounted the SIF file" in conditions(sif="").notes[0]


@pytest.mark.parametrize(
    "answers",
    [
        {"podman": "not found"},
        {"manifest": "{}"},
        {"manifest": "?"},
        {"kernel": ""},
        {"storage": "level=warning msg=x\noverlay"},
    ],
)
def test_an_answer_that_says_nothing_is_the_labs_fault(answers: dict[str, str]) -> None:
    with pytest.raises(LabError, match="cannot be understood"):
        conditions(**answers)


def test_what_is_written_is_what_a_page_reads(tmp_path: Path) -> None:
    measurement = write(tmp_path / "docs", conditions(), starts_from(FOUND))
    table, said = files_of(tmp_path / "docs", "image-starts")
    assert table.read_text() == as_csv(starts_from(FOUND))
    assert said.read_text() == as_json(conditions())
    assert measurement.times("oci", "next").median == 6
    lines = summary(measurement).splitlines()
    assert " ".join(lines[2].split()) == "OCI image, by Podman 20.12 s 6.00 s 6.00 s 6.00 s 31.3 MiB"


def test_half_a_measurement_is_not_written(tmp_path: Path) -> None:
    table, said = files_of(tmp_path / "docs", "image-starts")
    write(tmp_path / "docs", conditions(), starts_from(FOUND))
    before = (table.read_text(), said.read_text())
    with pytest.raises(UsageError, match="'oci' has 0 next runs, and should have 1"):
        write(tmp_path / "docs", conditions(kernel="7"), starts_from(FOUND[:-1]))
    assert (table.read_text(), said.read_text()) == before


def test_a_start_that_is_no_number_is_not_written(tmp_path: Path) -> None:
    starts = [dataclasses.replace(start, seconds=float("inf")) for start in starts_from(FOUND)]
    with pytest.raises(UsageError, match="seconds is 'inf'"):
        write(tmp_path / "docs", conditions(), starts)
    assert not any(file.exists() for file in files_of(tmp_path / "docs", "image-starts"))


def test_forms_are_in_the_order_of_the_page() -> None:
    assert [start.form for start in starts_from(FOUND) if start.run == "first"] == list(FORMS)
    assert Start("host", "first", 1, 0.1, 0) in starts_from(FOUND)
