"""The roles for routes of HTCondor-CE: what the rehearsal tells of a route, and what recipe and templates hold."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from lading.project import find_catalogue
from lading.recipe.load import load_recipe
from tests.playbooks.modules import ROLES, load, load_module

RECIPE = load_recipe(find_catalogue(start=Path(__file__)), "htcondor-ce-routes").recipe
FOLDER = ROLES.parents[1] / "recipes" / "htcondor-ce-routes"
ROUTES = (FOLDER / "rendered/ce/90-lading-routes.conf").read_text()
routes = load_module("htcondor_ce_routes", "job_routes")

ATLAS = {
    "sign": "AuthTokenIssuer",
    "value": "https://atlas.site.example/",
    "route": "atlas",
    "image": "/srv/images/tiny",
    "wish": True,
}
# What the tool prints of the routes that are listed, and of one job that was routed.
LISTED = 'Route 1\nName         : "atlas"\nUniverse     : 5\n\nDisabled routes:\nName         : "cms"\n'
COPY = 'submit_job as x:\nContainerImage = "{image}"\nRoutedFromJobId = "1.0"\nRouteName = "{route}"\n{more}\n'
TOOLS = {
    "condor_job_router_info": '#!/bin/sh\ncase $1 in -config) cat "$0.listed" ;; *) cat "$0.copies" ;; esac\n',
    "condor_transform_ads": '#!/bin/sh\necho "Invalid rules file $2 : SETT is not a valid transform keyword" >&2\n',
    "condor_config_val": '#!/bin/sh\ncat "$0.$2" 2>/dev/null || cat "$0.said"\n',
}


class Tools:
    """HTCondor's tools, which say what they are told to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name, text in TOOLS.items():
            (folder / name).write_text(text)
            (folder / name).chmod(0o755)
        self.say(
            listed=LISTED,
            copies=COPY.format(image="/srv/images/tiny", route="atlas", more="WantContainer = true"),
        )

    def say(self, **words: str) -> None:
        for name, text in words.items():
            (self.folder / f"condor_job_router_info.{name}").write_text(text)

    def wrong(self, *trials: dict[str, Any], names: tuple[str, ...] = ("atlas",)) -> str:
        return str(routes.wrong(routes.Router("x"), str(self.folder), names, trials or (ATLAS,)))

    def named(self, said: str) -> Any:
        (self.folder / "condor_config_val.said").write_text(said)
        return routes.named(routes.Router("x"))


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tools:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return Tools(tmp_path)


def test_routes_that_do_what_they_are_for_are_not_complained_of(tools: Tools) -> None:
    assert tools.wrong() == ""


def test_a_route_that_htcondor_drops_is_named_with_its_reason(tools: Tools) -> None:
    assert (
        tools.wrong(names=("atlas", "cms"))
        == "HTCondor drops these routes: cms (SETT is not a valid transform keyword)."
    )


def test_routes_that_cannot_be_read_at_all_are_told_in_htcondors_words(tools: Tools) -> None:
    (tools.folder / "condor_job_router_info").write_text(
        "#!/bin/sh\necho 'Found end-of-file\nwhile scanning' >&2; exit 1\n"
    )
    assert tools.wrong() == "HTCondor cannot read the routes: Found end-of-file while scanning."


def test_a_job_that_ends_in_no_container_or_in_another_is_found(tools: Tools) -> None:
    tools.say(copies=COPY.format(image="/srv/images/tiny", route="atlas", more=""))
    assert "would send a job with AuthTokenIssuer = 'https://atlas.site.example/' into no container" in tools.wrong()
    tools.say(copies=COPY.format(image="/of/the/job", route="atlas", more="WantContainer = true"))
    assert "into '/of/the/job', and not into '/srv/images/tiny'" in tools.wrong()


def test_a_job_that_another_route_takes_or_none_is_found(tools: Tools) -> None:
    tools.say(copies=COPY.format(image="/srv/images/tiny", route="any", more="WantContainer = true"))
    assert tools.wrong().startswith("the route 'any' would take a job with")
    tools.say(copies="")
    assert tools.wrong().startswith("no route would take a job with")


def test_a_job_that_may_keep_its_image_has_to(tools: Tools) -> None:
    tools.say(copies=COPY.format(image="/of/the/job", route="atlas", more=""))
    assert tools.wrong({**ATLAS, "image": ""}) == ""


def test_only_a_job_that_wishes_names_an_image_of_its_own() -> None:
    with_wish, without = routes.job_ads([ATLAS, {**ATLAS, "wish": False}]).split("\n\n")
    assert routes.OWN_IMAGE in with_wish
    assert "Image" not in without


def test_where_a_site_names_its_routes_is_told(tools: Tools) -> None:
    said = "JOB_ROUTER_ROUTE_NAMES = mine, yours\n # at: /etc/condor-ce/config.d/50-desk.conf, line 3\n # raw: x\n"
    assert tools.named(said) == (["mine", "yours"], "/etc/condor-ce/config.d/50-desk.conf:3")
    assert tools.named("Not defined: JOB_ROUTER_ROUTE_NAMES\n") == ([], "")


def test_a_route_that_the_site_has_already_and_what_it_says_later_are_told(tools: Tools) -> None:
    ours, hold = "/ce/90-ours.conf", "SYSTEM_PERIODIC_HOLD_NAMES"
    text = f"JOB_ROUTER_ROUTE_NAMES = atlas\nJOB_ROUTER_ROUTE_atlas @=end\n@end\n{hold} = $({hold}) LADING_VO\n"
    (tools.folder / "condor_config_val.said").write_text("Not defined\n")
    assert routes.in_the_way(routes.Router("x"), text, ours) == ([], [])
    for name, file in (("JOB_ROUTER_ROUTE_atlas", "50-desk.conf"), (hold, "99-desk.conf")):
        (tools.folder / f"condor_config_val.{name}").write_text(f"{name} = x\n # at: /ce/{file}, line 1\n")
    assert routes.in_the_way(routes.Router("x"), text, ours) == (
        ["atlas (/ce/50-desk.conf:1)"],
        [f"{hold} (/ce/99-desk.conf:1)"],
    )


def test_a_later_line_that_adds_to_what_was_said_is_let_be(tmp_path: Path) -> None:
    file = tmp_path / "99-desk.conf"
    file.write_text("A = $(A) mine\nA = mine\n")
    assert [routes.adds_to_itself(f"{file}:{number}", "A") for number in (1, 2, 3)] == [True, False, False]


def test_the_batch_system_is_told_of_its_own_files_alone() -> None:
    # Else the rehearsal of a repair foretells that it reads its settings anew, and it does not.
    plays = yaml.safe_load((ROLES.parent / "htcondor_ce_routes.yml").read_text())
    told = [play["vars"]["htcondor_settings_changed"] for play in plays if play["hosts"] == "htcondor_heads"]
    assert len(told) == 2
    assert all("'/etc/(condor/|htcondor-container-check)'" in expression for expression in told)


def test_the_file_that_is_replaced_does_not_count_in_a_trial(tmp_path: Path) -> None:
    config = tmp_path / "condor_config"
    assert "include" not in routes.settings(str(config), "/x/90-a.conf", "/t")
    config.touch()
    said = routes.settings(str(config), "/x/90-a.conf", "/t")
    assert f"include : {config}\n" in said
    assert r"(90\-a\.conf))$" in said


def test_no_route_comes_before_those_of_the_vos_and_what_a_job_says_of_containers_goes_first() -> None:
    assert "JOB_ROUTER_ROUTE_NAMES = atlas cms\n" in ROUTES
    first = ROUTES.partition("JOB_ROUTER_ROUTE_atlas")[2].partition("@end\n")[0]
    assert first.index("DELETE /") < first.index("SET WantContainer")


def test_every_file_of_the_roles_bears_the_mark_by_which_the_next_run_knows_it() -> None:
    for role in ("stand_in", "routes"):
        for file in (ROLES / f"htcondor_ce_{role}/templates").rglob("*.j2"):
            assert file.read_text().startswith(f"# Written by lading's role htcondor_ce_{role}."), file


def test_tokens_of_issuers_that_are_nowhere_are_made_as_the_library_takes_them() -> None:
    if not shutil.which("openssl"):
        pytest.skip("There is no openssl here.")
    module = load(FOLDER / "tokens.py", "ce_tokens")
    assert module.CLAIMS["aud"] == "https://wlcg.cern.ch/jwt/v1/any"
    private = subprocess.run(
        ["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout"], capture_output=True, check=True
    )
    public = subprocess.run(
        ["openssl", "ec", "-pubout", "-outform", "DER"], input=private.stdout, capture_output=True, check=True
    )
    # The last 64 bytes are the two numbers of the point, after the mark of an uncompressed one.
    assert public.stdout[-65] == 4


def test_both_definitions_of_the_second_system_are_the_same() -> None:
    images = [
        yaml.safe_load((FOLDER.parent / path / "recipe.yml").read_text())["images"]["older"]
        for path in ("htcondor-ce-routes", "htcondor-user-container")
    ]
    assert images[0] == images[1]
