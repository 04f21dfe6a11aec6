"""Recipes: what is read from a good one, and what is said of a bad one."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from lading.errors import ExitCode, UsageError
from lading.project import Catalogue
from lading.recipe.load import LoadedRecipe, load_all, load_recipe
from tests.workshop import RECIPE, REPOSITORY, Workshop


def refusal(workshop: Workshop, path_id: str = "demo") -> str:
    """Return what is said when a path is refused; always a sentence, always exit code 2."""
    with pytest.raises(UsageError) as caught:
        load_recipe(workshop.catalogue, path_id)
    assert caught.value.exit_code == ExitCode.USAGE
    return str(caught.value)


def line_of(file: Path, text: str) -> int:
    return next(number for number, line in enumerate(file.read_text().splitlines(), 1) if text in line)


def test_a_good_recipe_knows_its_parts(workshop: Workshop) -> None:
    loaded = load_recipe(workshop.catalogue, "demo")
    assert loaded.id == "demo"
    assert loaded.page == workshop.root / "docs/paths/compute/demo.md"
    assert loaded.playbook == workshop.root / "playbooks/demo.yml"
    assert loaded.check_files == (workshop.root / "recipes/demo/test_demo.py",)
    assert loaded.recipe.timeouts == {"apply": 360.0}
    assert loaded.recipe.hosts["worker1"].memory_mib == 1024
    assert loaded.recipe.sources[0].purpose == "the idea"


def test_the_lab_may_set_a_variable_otherwise(workshop: Workshop) -> None:
    workshop.path(variables={
        "a": {"default": 1, "help": "A."}, "b": {"default": 1, "lab": None, "help": "B."},
    })  # fmt: skip
    variables = load_recipe(workshop.catalogue, "demo").recipe.variables
    assert (variables["a"].in_lab, variables["b"].in_lab) == (1, None)


def test_dashes_become_underscores_in_the_playbooks_name(workshop: Workshop) -> None:
    workshop.path("two-words")
    assert load_recipe(workshop.catalogue, "two-words").playbook.name == "two_words.yml"


def test_all_paths_come_sorted_and_folders_of_caches_are_none(workshop: Workshop) -> None:
    workshop.path("a-first")
    workshop.write("recipes/gone/__pycache__/x.pyc", "")
    assert list(load_all(workshop.catalogue)) == ["a-first", "demo"]


def test_a_folder_without_a_recipe_is_refused(workshop: Workshop) -> None:
    workshop.write("recipes/typo/recipe.yaml", "title: x\n")
    assert "recipes/typo/recipe.yml: This file cannot be read" in refusal(workshop, "typo")


def test_an_unknown_key_is_named_with_its_line_and_the_nearest_one(workshop: Workshop) -> None:
    file = workshop.path(sumary="x")
    assert refusal(workshop) == (
        f"recipes/demo/recipe.yml:{line_of(file, 'sumary')}: sumary: unknown key 'sumary'; did you mean 'summary'?"
    )


def test_an_unknown_key_deep_inside_is_named_too(workshop: Workshop) -> None:
    file = workshop.path(hosts={"worker1": {"groups": ["workers"], "memry": "1G"}})
    line = line_of(file, "memry")
    assert f"recipe.yml:{line}: hosts.worker1.memry: unknown key 'memry'; did you mean 'memory'?" in refusal(workshop)


@pytest.mark.parametrize("changes, said",
    [
        ({"hosts": {"worker1": {"groups": ["workers"], "memory": "lots"}}}, "hosts.worker1.memory: 'lots' is not mem"),
        ({"hosts": {"worker1": {"groups": []}}}, "hosts.worker1.groups: "),
        ({"hosts": {"worker1": {"groups": ["workers"], "cpus": True}}}, "hosts.worker1.cpus: this should be a"),
        ({"hosts": {}}, "hosts: "),
        ({"sabotage": [{"run": "x", "red": ["test_demo.py::test_it_is_there"], "groups": ["worker"]}]},
         "sabotage[0].groups[0]: no host is in the group 'worker'; did you mean 'workers'?"),
        ({"starts": {"old": {"help": "x", "setup": "x", "groups": ["servers"]}}},
         "starts.old.groups[0]: no host is in the group 'servers'"),
        ({"kind": "computer"}, "kind: 'computer' is not known here; did you mean 'compute'?"),
        ({"title": None}, "title: this key is missing."),
        ({"title": ["x"]}, "title: this should be a valid string."),
        ({"timeouts": {"aply": "6m"}}, "timeouts.aply: 'aply' is not known here; did you mean 'apply'?"),
        ({"timeouts": {"apply": "six"}}, "timeouts.apply: 'six' is not a duration like '90s'"),
        ({"timeouts": {"apply": 6}}, "timeouts.apply: '6' is not a duration"),
        ({"platforms": {"debain13": {}}}, "no platform is called 'debain13'; did you mean 'debian13'?"),
        ({"platforms": {"debian13": None}}, "platforms.debian13: this should be a mapping"),
        ({"answers": ["A1", "Q9"]}, "answers[1]: no requirement is called 'Q9'"),
        ({"answers": ["A1", "A1"]}, "answers: 'A1' is here twice."),
        ({"builds_on": ["dmo"]}, "builds_on[0]: no path is called 'dmo'; did you mean 'demo'?"),
        ({"conflicts_with": ["dmo"]}, "conflicts_with[0]: no path is called 'dmo'; did you mean 'demo'?"),
        ({"conflicts_with": ["demo"]}, "conflicts_with: a path can't conflict with itself."),
        ({"builds_on": ["../demo"]}, "builds_on[0]: '../demo' is not of the form"),
        ({"sources": [{"url": "ftp://x", "read": "today", "for": "x"}]}, "sources[0].read: 'today' is not a date"),
        (
            {"true_before": [{"check": "test_demo.py::test_it_is_quite", "because": "x"}]},
            "true_before[0].check: no check is called 'test_demo.py::test_it_is_quite'; did you mean 'test_",
        ),
        ({"sabotage": [{"run": "x", "red": ["test_demo.py::test_else"]}]}, "sabotage[0].red[0]: no check is called"),
        ({"sabotage": [{"run": "x", "red": []}]}, "sabotage[0].red: "),
        (
            {"starts": {"old": {"help": "x", "setup": "x", "functions": "gone.sh"}}},
            "starts.old.functions: the file 'gone.sh' is not beside the recipe.",
        ),
    ],
)  # fmt: skip
def test_a_wrong_value_is_told_with_its_field(workshop: Workshop, changes: dict[str, Any], said: str) -> None:
    workshop.path(**changes)
    told = refusal(workshop)
    assert told.startswith("recipes/demo/recipe.yml:") or "\nrecipes/demo/recipe.yml:" in told
    assert said in told


def test_a_parametrised_check_is_known_by_its_function(workshop: Workshop) -> None:
    workshop.path(true_before=[{"check": "test_demo.py::test_it_is_quiet[a-1]", "because": "x"}])
    load_recipe(workshop.catalogue, "demo")


def test_all_problems_of_a_file_are_told_at_once_in_the_order_of_their_lines(workshop: Workshop) -> None:
    workshop.path(title=None, sumary="x", kind="compute", timeouts={"apply": "six"})
    (workshop.root / "playbooks/demo.yml").unlink()
    (workshop.root / "docs/paths/compute/demo.md").unlink()
    lines = refusal(workshop).splitlines()
    assert lines[0] == "5 things are wrong:"
    assert [line.split(": ")[1] for line in lines[1:]] == [
        "the path's page 'docs/paths/compute/demo.md' is missing.",
        "the path's playbook 'playbooks/demo.yml' is missing.",
        "title", "timeouts.apply", "sumary",
    ]  # fmt: skip


def test_problems_of_several_recipes_are_told_together(workshop: Workshop) -> None:
    workshop.path(title=None)
    workshop.path("other", kind="nothing")
    with pytest.raises(UsageError, match=r"(?s)recipes/demo/.*recipes/other/"):
        load_all(workshop.catalogue)


def test_a_missing_page_is_named(workshop: Workshop) -> None:
    (workshop.root / "docs/paths/compute/demo.md").unlink()
    assert refusal(workshop) == "recipes/demo/recipe.yml:1: the path's page 'docs/paths/compute/demo.md' is missing."


def test_a_missing_playbook_is_named(workshop: Workshop) -> None:
    (workshop.root / "playbooks/demo.yml").unlink()
    assert refusal(workshop) == "recipes/demo/recipe.yml:1: the path's playbook 'playbooks/demo.yml' is missing."


def test_a_role_name_that_is_not_literal_is_refused_with_the_playbooks_line(workshop: Workshop) -> None:
    workshop.write("playbooks/demo.yml", "- hosts: workers\n  roles:\n    - '{{ role_of_the_day }}'\n")
    said = "playbooks/demo.yml:3: [0].roles[0]: the role name '{{ role_of_the_day }}' is not literal; write it out."
    assert refusal(workshop) == said


def test_checks_may_be_methods_of_a_class(workshop: Workshop) -> None:
    workshop.write("recipes/demo/test_more.py", "class TestIt:\n    def test_x(self) -> None: ...\n")
    workshop.path(true_before=[{"check": "test_more.py::TestIt::test_x", "because": "x"}])
    assert len(load_recipe(workshop.catalogue, "demo").check_files) == 2


@pytest.mark.parametrize("text", [b"x = 1\x00\n", b"(" * 5000])
def test_a_check_file_that_python_cannot_even_read_is_refused(workshop: Workshop, text: bytes) -> None:
    workshop.write("recipes/demo/test_more.py", text)
    assert "recipes/demo/test_more.py" in refusal(workshop)
    assert "This is not Python" in refusal(workshop)


def test_a_check_file_without_tests_is_refused(workshop: Workshop) -> None:
    workshop.write("recipes/demo/test_more.py", "def helper() -> None: ...\n")
    assert refusal(workshop).startswith("recipes/demo/test_more.py: This check file has no tests")


def test_a_check_file_that_is_not_python_is_refused_with_its_line(workshop: Workshop) -> None:
    workshop.write("recipes/demo/test_more.py", "\n\ndef test_x(:\n")
    assert refusal(workshop).startswith("recipes/demo/test_more.py:3: This is not Python")


def test_a_path_without_checks_is_refused(workshop: Workshop) -> None:
    workshop.path(true_before=None, sabotage=None)
    (workshop.root / "recipes/demo/test_demo.py").unlink()
    assert "has no check file" in refusal(workshop)


@pytest.mark.parametrize("text, said",
    [
        ("title: x\nkind: [compute\n", "recipes/demo/recipe.yml:3: This is not YAML"),
        ("title: x\ntitle: y\n", "recipes/demo/recipe.yml:2: title: the key is here twice; the first is in line 1."),
        ("hosts:\n  a: {groups: [x], groups: [y]}\n", "recipe.yml:2: hosts.a.groups: the key is here twice"),
        ("title: &x 1\nkind: *x\n", "recipes/demo/recipe.yml:2: The alias '*x' is not allowed"),
        ("title: 2026-13-45\n", "recipe.yml:1: This is not YAML: the value is wrong: month must be in 1..12"),
        ("title: !!python/object:os.system x\n", "recipes/demo/recipe.yml:1: This is not YAML"),
        ("[" * 100_000, "recipes/demo/recipe.yml:1: This nests deeper than"),
        (b"title: x\nkind: \xff\n", "recipes/demo/recipe.yml:2: This is not UTF-8 text."),
        ("a: 1\n---\nb: 2\n", "recipes/demo/recipe.yml:2: This is not YAML"),
        ("", "recipes/demo/recipe.yml:1: this should be a mapping of keys to values."),
        ("- a\n", "recipes/demo/recipe.yml:1: this should be a mapping of keys to values."),
        ("1: x\n", "recipes/demo/recipe.yml:1: "),
    ],
)  # fmt: skip
def test_yaml_that_cannot_be_a_recipe_is_refused_with_its_line(
    workshop: Workshop, text: str | bytes, said: str
) -> None:
    workshop.write("recipes/demo/recipe.yml", text)
    assert said in refusal(workshop)


@pytest.mark.parametrize("path_id", ["../demo", "/etc", "demo/../demo", ".", "..", "", "Demo", "demo\n", "a//b", "٣"])
def test_an_id_that_climbs_out_or_is_none_is_refused(workshop: Workshop, path_id: str) -> None:
    assert "cannot be a path's id" in refusal(workshop, path_id)


def test_an_unknown_path_is_refused_with_the_nearest_name(workshop: Workshop) -> None:
    assert refusal(workshop, "dmo") == "No path is called 'dmo'; did you mean 'demo'?"


def test_a_folder_that_is_a_link_out_of_the_recipes_is_refused(workshop: Workshop) -> None:
    shutil.move(workshop.root / "recipes/demo", workshop.root / "elsewhere")
    (workshop.root / "recipes/demo").symlink_to("../elsewhere")
    assert refusal(workshop) == "recipes/demo: This leads out of 'recipes/'."


def test_a_page_or_playbook_that_is_a_link_out_of_the_catalogue_is_refused(workshop: Workshop, tmp_path: Path) -> None:
    (tmp_path / "play.yml").write_text("- hosts: all\n")
    (workshop.root / "playbooks/demo.yml").unlink()
    (workshop.root / "playbooks/demo.yml").symlink_to(tmp_path / "play.yml")
    assert "the path's playbook 'playbooks/demo.yml' leads elsewhere." in refusal(workshop)


def test_paths_that_build_on_each_other_in_a_circle_are_refused(workshop: Workshop) -> None:
    workshop.path("a", builds_on=["b"])
    workshop.path("b", builds_on=["c"])
    workshop.path("c", builds_on=["demo", "a"])
    assert "builds_on: this goes round in a circle: a → b → c → a." in refusal(workshop, "a")
    workshop.path("self", builds_on=["self"])
    assert "this goes round in a circle: self → self." in refusal(workshop, "self")


def test_paths_may_share_what_they_build_on(workshop: Workshop) -> None:
    workshop.path("a", builds_on=["demo"])
    workshop.path("b", builds_on=["demo"])
    workshop.path("c", builds_on=["a", "b"])
    assert load_recipe(workshop.catalogue, "c").recipe.builds_on == ["a", "b"]


def test_a_base_must_have_a_host_that_one_of_the_paths_own_can_stand_for(workshop: Workshop) -> None:
    workshop.path("cache", hosts={"cache1": {"groups": ["caches", "servers"]}})
    file = workshop.path(builds_on=["cache"])
    assert refusal(workshop) == (
        f"recipes/demo/recipe.yml:{line_of(file, '- cache')}: builds_on[0]: 'cache' is for hosts in 'caches', 'servers'"
        ", and no host here is in such a group. Put the host that it is for into one, or leave 'cache' out."
    )
    workshop.path(builds_on=["cache"], hosts={"server1": {"groups": ["servers"]}, "worker1": {"groups": ["workers"]}})
    load_recipe(workshop.catalogue, "demo")


def test_a_host_must_do_for_all_that_its_base_builds_on(workshop: Workshop) -> None:
    workshop.path("ground", hosts={"gpu1": {"groups": ["gpus"]}})
    workshop.path("base", builds_on=["ground"], hosts={"gpu1": {"groups": ["workers", "gpus"]}})
    workshop.path(builds_on=["base"])
    assert (
        "builds_on[0]: 'base' builds on 'ground', which is for hosts in 'gpus', and 'worker1' is in no such group. "
        "Put it into one." in refusal(workshop)
    )


def test_a_base_with_several_hosts_is_refused(workshop: Workshop) -> None:
    workshop.path("farm", hosts={name: {"groups": ["workers"]} for name in ("worker1", "worker2")})
    workshop.path(builds_on=["farm"])
    assert (
        "builds_on[0]: 'farm' has 2 hosts, and so far a path can only build on paths with one. Leave it out."
        in refusal(workshop)
    )


def test_every_recipe_of_this_repository_loads() -> None:
    assert load_all(Catalogue(REPOSITORY)) is not None


PIECES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.dates() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text() | st.integers(), inner, max_size=3),
    max_leaves=6,
)


def accepted_or_refused(workshop: Workshop, text: str) -> None:
    workshop.write("recipes/demo/recipe.yml", text.encode(errors="surrogatepass"))
    try:
        assert isinstance(load_recipe(workshop.catalogue, "demo"), LoadedRecipe)
    except UsageError as refused:
        said = refused.message
        assert said


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_whatever_a_recipe_says_it_is_loaded_or_refused(data: st.DataObject, shared_workshop: Workshop) -> None:
    recipe = dict(RECIPE)
    for key in data.draw(st.lists(st.sampled_from([*RECIPE, "builds_on", "images", "starts"]), max_size=3)):
        recipe[key] = data.draw(PIECES)
    accepted_or_refused(shared_workshop, yaml.safe_dump(recipe, allow_unicode=data.draw(st.booleans())))


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_whatever_is_typed_into_a_recipe_it_is_loaded_or_refused(
    data: st.DataObject, shared_workshop: Workshop
) -> None:
    text = yaml.safe_dump(RECIPE)
    place = data.draw(st.integers(0, len(text)))
    typed = data.draw(st.text() | st.text("[]{}:,-&*!|>'\"%@` \n\t#?0aé\x1b\ud800"))
    accepted_or_refused(shared_workshop, text[:place] + typed + text[place + data.draw(st.integers(0, 5)) :])


@pytest.fixture(scope="module")
def shared_workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    made = Workshop(tmp_path_factory.mktemp("catalogue") / "root")
    made.path()
    return made


TINY = {"suite": "trixie", "packages": ["dash"], "form": "dir"}


def test_a_stand_in_serves_test_images_to_hosts_of_a_group(workshop: Workshop) -> None:
    cvmfs = {"repositories": {"software.site.example": "tiny"}, "groups": ["workers"], "idle": "5s"}
    workshop.path(images={"tiny": TINY}, stand_ins={"cvmfs": cvmfs})
    read = load_recipe(workshop.catalogue, "demo").recipe.stand_ins.cvmfs
    assert read is not None
    assert (read.idle, read.first_access) == (5.0, 0.0)


@pytest.mark.parametrize(
    "changes, sentence",
    [
        ({"repositories": {"software.site.example": "tyni"}}, r"no test image is called 'tyni'.*'tiny'"),
        ({"repositories": {"software": "tiny"}}, "stand_ins.cvmfs.repositories"),
        ({"repositories": {}}, "stand_ins.cvmfs.repositories"),
        ({"groups": ["worker"]}, r"no host is in the group 'worker'.*'workers'"),
        ({"idle": 5}, "not a duration"),
    ],
)
def test_a_stand_in_that_does_not_fit_is_refused(workshop: Workshop, changes: dict[str, Any], sentence: str) -> None:
    cvmfs = {"repositories": {"software.site.example": "tiny"}, **changes}
    workshop.path(images={"tiny": TINY}, stand_ins={"cvmfs": cvmfs})
    assert re.search(sentence, refusal(workshop))


@pytest.mark.parametrize(
    "platform, sentence",
    [
        ({"needs": ["https://a.example/"]}, "'needs' wants a 'not_verified'"),
        ({"not_verified": "So.", "needs": ["ftp://a.example/"]}, "needs"),
        ({"not_verified": "So.", "needs": ["https://user:word@a.example/"]}, "needs"),
    ],
)
def test_what_a_platform_needs_is_addresses_and_has_a_reason(
    workshop: Workshop, platform: dict[str, Any], sentence: str
) -> None:
    workshop.path(platforms={"debian13": platform})
    assert sentence in refusal(workshop)
