"""What the checks of developers' images make of what they find, where a guest would tell it late."""

from types import SimpleNamespace
from typing import Any

import pytest

from tests.playbooks.test_image_checks import checks

DEVELOPMENT = checks("developer-and-user-image", "test_development")
TOOLS = "\n".join(
    (
        *("usr/bin/gcc", "usr/bin/gdb", "usr/bin/ld", "usr/bin/make", "usr/include/stdio.h"),
        "usr/libexec/gcc/x86_64-linux-gnu/14/cc1",
    )
)


def found(text: str = "", code: int = 0) -> Any:
    return SimpleNamespace(rc=code, stdout=text, stderr="")


def tools(developer: str = TOOLS, user: str = "", runtime: str = "") -> dict[str, Any]:
    return {"fit": {"tools": found(user), "tools-runtime": found(runtime), "tools-developer": found(developer)}}


def test_tools_are_found_where_they_belong() -> None:
    DEVELOPMENT.test_only_the_developers_image_holds_tools(tools())


@pytest.mark.parametrize("lacking", TOOLS.splitlines())
def test_a_tool_that_developers_lack_is_missed(lacking: str) -> None:
    with pytest.raises(AssertionError):
        DEVELOPMENT.test_only_the_developers_image_holds_tools(tools(TOOLS.replace(lacking, "")))


@pytest.mark.parametrize("where", ["user", "runtime"])
def test_a_tool_in_another_image_is_too_many(where: str) -> None:
    with pytest.raises(AssertionError):
        DEVELOPMENT.test_only_the_developers_image_holds_tools(tools(**{where: "usr/bin/make"}))


@pytest.mark.parametrize("sizes", [("5", "4", "90"), ("4", "5", "11"), ("0", "5", "90"), ("", "5", "90")])
def test_an_image_to_run_in_that_is_not_small_is_noticed(sizes: tuple[str, str, str]) -> None:
    named = zip(("-runtime", "", "-developer"), sizes, strict=True)
    with pytest.raises(AssertionError):
        DEVELOPMENT.test_image_to_run_in_is_the_smallest({"fit": {f"size{form}": found(size) for form, size in named}})


@pytest.mark.parametrize(
    "compared, well",
    [
        ("same bin/fit\nsame share/x\n", True),
        ("differs bin/fit\nsame share/x\n", False),
        ("", False),
    ],
)
def test_every_file_that_was_compiled_has_to_be_the_users(compared: str, *, well: bool) -> None:
    facts = {"fit": {"compile": found(), "equal": found(compared)}}
    if well:
        DEVELOPMENT.test_mounted_code_compiles_to_what_users_get(facts)
    else:
        with pytest.raises(AssertionError):
            DEVELOPMENT.test_mounted_code_compiles_to_what_users_get(facts)


def test_where_there_is_no_image_the_command_is_one_that_fails() -> None:
    assert DEVELOPMENT.command(found(code=1)) == "exit 1"
    assert DEVELOPMENT.command(found('{"config": {"Cmd": ["fit", "a b"]}}')) == "fit 'a b'"
