"""The life cycle of published images: settings, versions, what is outdated, and how one follows another."""

import json
import os
import re
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.playbooks import container_image
from tests.playbooks.modules import ROLES, program_of

FOLDER = ROLES / "image_renewal" / "files" / "container-image-renew"
NAMES = ("settings", "versions", "renew")


@pytest.fixture(scope="module")
def program() -> Iterator[Any]:
    builders = program_of(container_image.FOLDER, container_image.NAMES)
    with builders as builder, program_of(FOLDER, NAMES) as modules:
        modules.words = builder.words
        yield modules


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    """Return a file for two images, which have definitions."""
    for name in ("base", "tool"):
        (tmp_path / "definitions" / name).mkdir(parents=True)
        (tmp_path / "definitions" / name / "Containerfile").write_text("FROM scratch\n")
        (tmp_path / "definitions" / name / "image.ini").write_text("[image]\nsuite = trixie\npackages = bash\n")
    file = tmp_path / "definitions/renewal.ini"
    file.write_text("[base]\nbudget = 10\nkeep = 3\n\n[tool]\nbudget = 1\nkeep = 2\n")
    return file


def test_settings_are_read_in_bytes_and_versions(program: Any, settings: Path) -> None:
    images = program.settings.read_images(settings, [])
    assert [(image.name, image.budget, image.keep) for image in images] == [
        ("base", 10_000_000, 3),
        ("tool", 1_000_000, 2),
    ]
    assert [image.name for image in program.settings.read_images(settings, ["tool"])] == ["tool"]


@pytest.mark.parametrize(
    "old, new, said",
    [
        ("[tool]\nbudget", "[tool]\nbugdet", "renewal.ini:6: 'bugdet' is unknown; known are budget, keep."),
        ("keep = 2", "keep = 1", "renewal.ini:7: 'keep' is '1', and has to be a whole number, at least 2."),
        ("budget = 1\n", "budget = 0\n", "renewal.ini:6: 'budget' is '0', and has to be a whole number, at least 1."),
        ("budget = 1\n", "budget = 1.5\n", "renewal.ini:6: 'budget' is '1.5', and has to be"),
        ("budget = 1\n", "budget = ²\n", "renewal.ini:6: 'budget' is '²', and has to be"),
        ("keep = 2\n", "", "renewal.ini:5: '[tool]' says no 'keep'."),
        ("[tool]", "tool", "does not parse"),
    ],
)
def test_settings_that_cannot_be_right_are_refused(program: Any, settings: Path, old: str, new: str, said: str) -> None:
    settings.write_text(settings.read_text().replace(old, new))
    with pytest.raises(program.words.Refused, match=re.escape(said)):
        program.settings.read_images(settings, [])


def test_settings_that_are_missing_are_refused(program: Any, settings: Path) -> None:
    with pytest.raises(program.words.Refused, match=r"has no section '\[other\]'; it has base, tool\."):
        program.settings.read_images(settings, ["other"])
    settings.unlink()
    with pytest.raises(program.words.Refused, match="is not there"):
        program.settings.read_images(settings, [])


def test_changes_name_each_package_that_differs(program: Any) -> None:
    old = program.versions.Version("a", "d1", 1_000_000, {"bash": "1", "gone": "2", "same": "3"}, frozenset())
    new = program.versions.Version("b", "d2", 2_500_000, {"bash": "1.1", "came": "4", "same": "3"}, frozenset())
    assert str(program.versions.changes(old, new)).splitlines() == [
        "a -> b, 1.0 MB -> 2.5 MB",
        "the definition has changed",
        "+ came 4",
        "- gone 2",
        "  bash 1 -> 1.1",
    ]
    assert str(program.versions.changes(old, old)) == "a -> a, 1.0 MB -> 1.0 MB\nno package differs"
    assert program.versions.changes(old, new).as_data()["changed"] == {"bash": ["1", "1.1"]}


@pytest.fixture
def place(program: Any, tmp_path: Path) -> Any:
    """Return a place with the versions 1 to 4, in this order, of which the fourth is current."""
    found = program.versions.Place(tmp_path / "area/base")
    for number in range(1, 5):
        publish(found, f"v{number}", number)
    (found.folder / "current").symlink_to("v4")
    return found


def publish(place: Any, name: str, time: int, *, inside: Path | None = None) -> Path:
    """Write a version as far as its place looks at it."""
    folder = (inside or place.folder) / name
    (folder / "tree/.singularity.d").mkdir(parents=True)
    labels = folder / "tree/.singularity.d/labels.json"
    labels.write_text("{}")
    os.utime(labels, (1, 1))  # versions of the same package lists have the same date
    (folder / "manifest.json.asc").write_text("signature")
    os.utime(folder / "manifest.json.asc", (time, time))
    return folder


def test_versions_are_known_by_when_they_were_signed(place: Any) -> None:
    assert place.versions == ["v4", "v3", "v2", "v1"]
    assert (place.current, place.former) == ("v4", "v3")


def test_nothing_is_current_where_nothing_is_published(program: Any, tmp_path: Path) -> None:
    empty = program.versions.Place(tmp_path / "none")
    assert (empty.current, empty.former, empty.versions, empty.refused) == (None, None, [], [])
    (tmp_path / "none").mkdir()
    (tmp_path / "none/current").symlink_to("lost")
    assert empty.current is None


def test_a_refused_version_is_not_one_to_go_back_to(place: Any, tmp_path: Path) -> None:
    place.refuse("v3", tmp_path)
    assert place.former == "v2"
    place.refuse("v4", tmp_path)
    place.switch("v2", tmp_path)
    assert (place.refused, place.current, place.former) == (["v4", "v3"], "v2", "v1")
    assert not (tmp_path / "current").is_symlink()


def test_superfluous_are_the_oldest_but_never_current_and_former(place: Any, tmp_path: Path) -> None:
    assert place.superfluous(4) == []
    assert place.superfluous(2) == ["v2", "v1"]
    place.switch("v2", tmp_path)
    assert place.superfluous(2) == []
    place.switch("v1", tmp_path)
    assert place.superfluous(2) == ["v2"]


def test_a_refused_version_goes_when_a_better_one_follows(place: Any, tmp_path: Path) -> None:
    place.refuse("v4", tmp_path)
    place.switch("v3", tmp_path)
    assert place.superfluous(4) == []
    publish(place, "v5", 5)
    place.switch("v5", tmp_path)
    assert place.superfluous(4) == ["v4"]
    assert place.superfluous(2) == ["v2", "v1", "v4"]


def test_publishing_moves_and_then_switches(place: Any, tmp_path: Path) -> None:
    keyring = tmp_path / "trusted.gpg"
    place.publish(publish(place, "v5", 5, inside=tmp_path / "stage"), tmp_path, keyring)
    assert (place.current, place.former) == ("v5", "v4")
    again = publish(place, "v5", 6, inside=tmp_path / "stage")
    (again / "new").touch()
    place.publish(again, tmp_path, keyring)  # what lies there is not whole, by far
    assert (place.folder / "v5/new").exists()
    assert (tmp_path / "replaced-v5").is_dir()


def test_the_same_content_again_leaves_the_tree_that_is_in_use(
    place: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in (place.folder / "v4", publish(place, "v4", 5, inside=tmp_path / "stage")):
        (folder / "manifest.json").write_text('{"oci": {"digest": "1"}, "tree": {"digest": "2"}}')
    (tmp_path / "stage/v4/manifest.json.asc").write_text("another signature")
    published = sys.modules["published"]
    monkeypatch.setattr(published, "verify", lambda folder, _: json.loads((folder / "manifest.json").read_text()))
    before = (place.folder / "v4/tree").stat().st_ino
    place.publish(tmp_path / "stage/v4", tmp_path, tmp_path / "trusted.gpg")
    assert (place.folder / "v4/tree").stat().st_ino == before
    assert (place.folder / "v4/manifest.json.asc").read_text() == "another signature"
    assert (place.current, list(tmp_path.glob("replaced-*"))) == ("v4", [])


def test_a_process_in_a_tree_is_found_by_a_file_of_it(
    program: Any, place: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, mark = Path(f"/proc/{os.getpid()}/root"), program.versions._mark
    tree = place.folder / "v2/tree"
    monkeypatch.setattr(program.versions, "_mark", lambda root: mark(tree if root == own else root))
    assert list(place.users()) == ["v2"]
    assert re.fullmatch(rf"process {os.getpid()} \(.+\)", place.users()["v2"])
    monkeypatch.undo()
    assert place.users() == {}
    assert len({mark(place.folder / name / "tree") for name in place.versions}) == 4
    assert mark(place.folder / "v9") is None


POLICY = """\
bash:
  Installed: (none)
  Candidate: 5.2.37-2+b5
  Version table:
     5.2.37-2+b5 500
        500 http://mirror.site.example/debian trixie/main amd64 Packages
libstdc++6:
  Installed: (none)
  Candidate: (none)
  Version table:
"""


def test_apt_is_asked_for_the_suite_alone(program: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def run(arguments: list[str], environment: dict[str, str]) -> str:
        listed = next(word.partition("=")[2] for word in arguments if "sourcelist=" in word)
        asked.append((Path(listed.partition("=")[2] or listed).read_text(), arguments, environment["LC_ALL"]))
        return POLICY

    monkeypatch.setattr(program.renew, "package_sources", lambda suite: ([f"deb x {suite} main"], 1))
    monkeypatch.setattr(program.renew, "run", run)
    assert program.renew.offered("trixie", ["bash", "libstdc++6"]) == {"bash": "5.2.37-2+b5", "libstdc++6": "(none)"}
    ((sources, arguments, language),) = asked
    assert (sources, language) == ("deb x trixie main\n", "C")
    assert arguments[-3:] == ["policy", "bash", "libstdc++6"]
    for option in (
        "Dir::State::status=/dev/null",
        "Dir::Etc::preferencesparts=/dev/null",
        "Dir::Etc::sourceparts=/dev/null",
    ):
        assert f"--option={option}" in arguments


class Life:
    """A published image in a folder, whose building and whose repository are made up."""

    def __init__(self, program: Any, monkeypatch: pytest.MonkeyPatch, settings: Path, tmp_path: Path) -> None:
        self.program, self.offers, self.built, self.area = program, {"bash": "1", "local": "0"}, 0, tmp_path / "area"
        self.area.mkdir()
        (tmp_path / "work").mkdir()
        self.images = program.settings.read_images(settings, [])
        self.image, self.work = self.images[0], tmp_path / "work"
        self.place = program.versions.Place(self.area / "base")
        self.size = 5_000_000
        stand_ins = {"AREA": self.area, "USERS": None, "build": self.build, "read_version": self.read}
        for name, value in stand_ins.items():
            monkeypatch.setattr(program.renew, name, value)
        monkeypatch.setattr(program.renew, "try_out", lambda _tree, _work: None)
        monkeypatch.setattr(
            program.renew, "offered", lambda _suite, names: {n: v for n, v in self.offers.items() if n in names}
        )

    def build(self, image: Any, work: Path) -> Path:
        self.built += 1
        folder = publish(self.place, f"v{self.built}", self.built, inside=work / "stage")
        (folder / "said").write_text(json.dumps({"packages": self.offers, "definition": image.definition.digest}))
        return folder

    def read(self, folder: Path, _keyring: Path) -> Any:
        said = json.loads((folder / "said").read_text())
        packages = said["packages"]
        return self.program.versions.Version(
            folder.resolve().name, said["definition"], self.size, packages, frozenset(packages) - {"local"}
        )

    def renew(self) -> None:
        self.program.renew.renew(self.image, self.work)


@pytest.fixture
def life(program: Any, monkeypatch: pytest.MonkeyPatch, settings: Path, tmp_path: Path) -> Life:
    return Life(program, monkeypatch, settings, tmp_path)


def test_an_image_is_built_when_it_is_new_or_outdated_and_else_not(
    life: Life, capsys: pytest.CaptureFixture[str]
) -> None:
    life.renew()
    life.renew()
    assert life.built == 1
    life.offers = {"bash": "2", "local": "7"}
    assert str(life.program.renew.outdated(life.image)) == "base: bash 1 -> 2"
    life.renew()
    assert (life.built, life.place.current) == (2, "v2")
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "base: not published yet"
    assert said[2] == "base: nothing is outdated"
    assert "  bash 1 -> 2" in said


def test_a_package_that_is_gone_makes_outdated_and_one_from_elsewhere_does_not(life: Life) -> None:
    life.renew()
    life.offers = {"local": "9"}
    assert life.program.renew.outdated(life.image).packages == {"bash": ["1", "gone"]}


def test_a_changed_definition_makes_outdated(life: Life) -> None:
    life.renew()
    containerfile = life.image.definition.folder / "Containerfile"
    containerfile.write_text("FROM scratch\nENV A=1\n")
    (changed, _) = life.program.settings.read_images(containerfile.parents[1] / "renewal.ini", [])
    assert str(life.program.renew.outdated(changed)) == "base: the definition has changed"


def test_what_was_refused_is_not_built_again_until_something_else_would_come(life: Life) -> None:
    life.renew()
    life.offers = {"bash": "2", "local": "0"}
    life.renew()
    life.place.refuse("v2", life.work)
    life.place.switch("v1", life.work)
    life.renew()
    assert (life.built, life.place.current) == (2, "v1")
    found = life.program.renew.outdated(life.image)
    assert found
    assert found.held == "v2"
    life.offers = {"bash": "3", "local": "0"}
    life.renew()
    assert (life.built, life.place.current) == (3, "v3")


def test_what_is_over_budget_or_fails_is_not_published(life: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    life.renew()
    life.offers = {"bash": "2", "local": "0"}
    life.size = life.image.budget + 1
    largest = [{"Package": f"p{number:02}", "Installed-Size": str(number)} for number in range(12)]
    monkeypatch.setattr(life.program.renew, "packages", lambda _tree: [*largest, {"Package": "none"}])
    with pytest.raises(life.program.words.Refused, match=r"the budget is 10\.0 MB.*: p11 0\.0 MB, .* p02 0\.0 MB\.$"):
        life.renew()
    life.size = life.image.budget

    def fail(_tree: Path, _work: Path) -> None:
        raise life.program.words.Refused("it failed")

    monkeypatch.setattr(life.program.renew, "try_out", fail)
    with pytest.raises(life.program.words.Refused, match="it failed"):
        life.program.renew.renew(life.image, life.work)
    assert life.place.current == "v1"
    assert life.place.versions == ["v1"]


def test_old_versions_go_only_where_root_said_who_uses_them(
    life: Life, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(1, 6):
        life.offers = {"bash": str(number), "local": "0"}
        life.renew()
    assert len(life.place.versions) == 5
    users = tmp_path / "users"
    monkeypatch.setattr(life.program.renew, "USERS", users)
    life.renew()
    assert len(life.place.versions) == 5
    users.write_text(json.dumps({"base": {"v1": "process 7 (sleep)"}}))
    life.renew()
    assert life.place.versions == ["v5", "v4", "v3", "v1"]
    assert "/v1 stays for now: process 7 (sleep) runs in it" in capsys.readouterr().out
    users.write_text("{}")
    life.renew()
    assert life.place.versions == ["v5", "v4", "v3"]


def test_one_that_fails_leaves_the_others_theirs(
    life: Life, settings: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = []

    def renew(image: Any, _work: Path) -> None:
        seen.append(image.name)
        if image.name == "base":
            raise life.program.words.Refused("it is bad")

    monkeypatch.setattr(life.program.renew, "renew", renew)
    monkeypatch.setattr(life.program.renew, "work_folder", lambda: nullcontext(life.work))
    assert life.program.renew.renew_all(SimpleNamespace(settings=settings, name=[])) == 1
    assert seen == ["base", "tool"]
    assert capsys.readouterr().err == "container-image-renew: base: it is bad\n"
    assert life.program.renew.renew_all(SimpleNamespace(settings=settings, name=["tool"])) == 0


def test_a_definition_that_does_not_parse_is_in_nobody_elses_way(
    life: Life, settings: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(life.program.renew, "work_folder", lambda: nullcontext(life.work))
    broken = settings.parent / "base/image.ini"
    broken.write_text("suite = trixie\n")
    asked = SimpleNamespace(settings=settings, name=[], json=True)
    assert life.program.renew.show_outdated(asked) == 1
    said = capsys.readouterr()
    assert [found["image"] for found in json.loads(said.out)] == ["tool"]
    assert said.err.startswith(f"container-image-renew: base: '{broken}' does not parse: ")

    monkeypatch.setattr(life, "place", life.program.versions.Place(life.area / "tool"))
    life.size = 1
    assert life.program.renew.renew_all(asked) == 1
    assert life.program.versions.Place(life.area / "tool").current == "v1"
    said = capsys.readouterr()
    assert said.err.count("\n") == 1
    assert f"base: '{broken}' does not parse: " in said.err

    monkeypatch.setattr(life.program.renew, "USERS", tmp_path / "users")
    assert life.program.renew.note_users(asked) == 0  # or the unit would not even begin


def test_a_definition_that_is_gone_is_named_by_its_image(
    life: Life, settings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.write_text(settings.read_text().replace("[tool]", "[other]"))
    assert life.program.renew.show_outdated(SimpleNamespace(settings=settings, name=["other"], json=False)) == 1
    assert "container-image-renew: other: '" in (said := capsys.readouterr().err)
    assert "other/image.ini' is not there" in said


def test_a_definition_of_several_images_is_not_renewed_by_halves(program: Any, settings: Path) -> None:
    folder = settings.parent / "tool"
    (folder / "Containerfile").write_text("FROM scratch AS small\nFROM small AS large\n")
    ini = "[image]\nsuite = trixie\npackages = bash\nstage = small\n[image.large]\n"
    (folder / "image.ini").write_text(ini)
    (image,) = program.settings.read_images(settings, ["tool"])
    with pytest.raises(program.words.Refused, match=r"tool' gives 2 images, which are published together\."):
        assert image.definition


@pytest.mark.parametrize(
    "bases, order",
    [
        ({}, "base tool app"),
        ({"base": "FROM oci:@/tool/current/oci"}, "tool base app"),
        ({"base": "FROM oci:@/tool/current/oci", "tool": "ARG FROM=@/app/current/oci"}, "app tool base"),
        ({"base": "COPY --from=oci:@/app/2026-11-21-0123456789ab/oci /x /x"}, "app base tool"),
        ({"base": "FROM oci:@/tools/current/oci", "tool": "FROM @/app"}, "base tool app"),
        ({"base": "FROM oci:@/tool/x", "tool": "FROM oci:@/base/x"}, "tool base app"),
        ({"tool": "FROM oci:@/tool/current/oci"}, "base tool app"),
    ],
)
def test_an_image_is_renewed_after_those_that_it_builds_on(
    program: Any, settings: Path, tmp_path: Path, bases: dict[str, str], order: str
) -> None:
    area = tmp_path / "area"
    for name, line in bases.items():
        (tmp_path / f"definitions/{name}/Containerfile").write_text(f"{line.replace('@', str(area))}\n")
    settings.write_text(settings.read_text() + "[app]\nbudget = 1\nkeep = 2\n")  # it has no definition at all
    images = program.settings.bases_first(program.settings.read_images(settings, []), area)
    assert [image.name for image in images] == order.split()


def test_renewals_go_by_that_order(life: Life, settings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    (settings.parent / "base/Containerfile").write_text(f"FROM oci:{life.area}/tool/current/oci\n")
    monkeypatch.setattr(life.program.renew, "renew", lambda image, _work: seen.append(image.name))
    monkeypatch.setattr(life.program.renew, "work_folder", lambda: nullcontext(life.work))
    assert life.program.renew.renew_all(SimpleNamespace(settings=settings, name=[])) == 0
    assert seen == ["tool", "base"]


def test_an_interruption_ends_with_a_sentence_and_130(
    life: Life, settings: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(_images: Any, _area: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(life.program.renew, "work_folder", lambda: nullcontext(life.work))
    monkeypatch.setattr(life.program.renew, "bases_first", interrupted)
    monkeypatch.setattr(sys, "argv", ["container-image-renew", "--settings", str(settings), "run"])
    mask = os.umask(0o022)
    assert life.program.renew.main() == 130
    os.umask(mask)
    assert capsys.readouterr().err == "container-image-renew: It was interrupted. What was published is as it was.\n"


def test_the_way_back_needs_a_former_version(life: Life, settings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(life.program.renew, "work_folder", lambda: nullcontext(life.work))
    asked = SimpleNamespace(settings=settings, name="base")
    life.renew()
    with pytest.raises(life.program.words.Refused, match="no version before 'v1' to go back to"):
        life.program.renew.roll_back(asked)
    life.offers = {"bash": "2", "local": "0"}
    life.renew()
    assert life.program.renew.roll_back(asked) == 0
    assert (life.place.current, life.place.refused) == ("v1", ["v2"])


def test_outdated_tells_by_its_exit_code(life: Life, settings: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = SimpleNamespace(settings=settings, name=["base"], json=True)
    assert life.program.renew.show_outdated(asked) == 10
    assert json.loads(capsys.readouterr().out)[0]["version"] is None
    life.renew()
    capsys.readouterr()
    asked.json = False
    assert life.program.renew.show_outdated(asked) == 0
    assert capsys.readouterr().out == ""


def test_changes_of_a_version_that_is_not_there_are_refused(life: Life) -> None:
    life.renew()
    asked = SimpleNamespace(name="base", old=None, new=None, json=False)
    with pytest.raises(life.program.words.Refused, match="has no version 'before'; it has v1"):
        life.program.renew.show_changes(asked)
    with pytest.raises(life.program.words.Refused, match=re.escape("has no version '../tool'")):
        life.program.renew.show_changes(SimpleNamespace(name="base", old="../tool", new=None, json=False))


def test_who_uses_what_is_written_once_and_through_no_link(
    life: Life, settings: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    users = tmp_path / "run-users"
    monkeypatch.setattr(life.program.renew, "USERS", users)
    asked = SimpleNamespace(settings=settings)
    assert life.program.renew.note_users(asked) == 0
    assert json.loads(users.read_text()) == {"base": {}, "tool": {}}
    users.unlink()
    users.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileExistsError):
        life.program.renew.note_users(asked)
    assert not (tmp_path / "elsewhere").exists()
