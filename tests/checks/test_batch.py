"""A batch gives back what each command said, whatever the bytes, in one round trip."""

import os
import pwd
import shlex
from pathlib import Path
from typing import Any

import pytest
import testinfra
from hypothesis import given, settings
from hypothesis import strategies as st
from testinfra.host import Host

from lading.checks.batch import LONGEST, TIMED_OUT, batch

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another user")


@pytest.fixture(scope="module")
def host() -> Host:
    return testinfra.get_host("local://")


@pytest.fixture
def round_trips(host: Host, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    made: list[str] = []
    run = host.backend.run

    def counted(command: str, *args: str, **options: Any) -> Any:
        made.append(command)
        return run(command, *args, **options)

    monkeypatch.setattr(host.backend, "run", counted)
    return made


texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=60)


@settings(max_examples=25, deadline=None)
@given(said=st.lists(st.tuples(texts, texts, st.integers(0, 255)), min_size=1, max_size=4))
def test_each_command_keeps_its_own_output_and_exit_code(said: list[tuple[str, str, int]]) -> None:
    commands = {
        str(number): f"printf %s {shlex.quote(out)}; printf %s {shlex.quote(err)} >&2; exit {rc}"
        for number, (out, err, rc) in enumerate(said)
    }
    seen = batch(testinfra.get_host("local://"), commands)
    assert [(one.stdout, one.stderr, one.rc) for one in seen.values()] == said


@settings(max_examples=10, deadline=None)
@given(printed=st.binary(max_size=200))
def test_any_bytes_that_a_command_prints_come_back(printed: bytes) -> None:
    octal = "".join(f"\\{byte:03o}" for byte in printed)
    seen = batch(testinfra.get_host("local://"), {"bytes": f"printf '{octal}'"})["bytes"]
    assert seen.stdout_bytes == printed
    assert seen.stdout == printed.decode(errors="replace")


@settings(max_examples=10, deadline=None)
@given(command=texts)
def test_a_command_of_any_text_spoils_no_other(command: str) -> None:
    # `:` keeps the text from being run, and the text may still end the quotation.
    seen = batch(testinfra.get_host("local://"), {"wild": f": '{command}", "tame": "echo tame"})
    assert seen["tame"].stdout == "tame\n"


def test_a_batch_is_one_round_trip(host: Host, round_trips: list[str]) -> None:
    seen = batch(host, {"umlaut": "printf 'Zürich\\377'", "other": "echo 2"})
    assert seen["umlaut"].stdout == "Zürich\N{REPLACEMENT CHARACTER}"
    assert len(round_trips) == 1


def test_no_command_makes_no_round_trip(host: Host, round_trips: list[str]) -> None:
    assert batch(host, {}) == {}
    assert round_trips == []


def test_a_command_that_reads_gets_nothing(host: Host) -> None:
    seen = batch(host, {"reads": "cat", "next": "echo still here"})
    assert (seen["reads"].rc, seen["reads"].stdout) == (0, "")
    assert seen["next"].stdout == "still here\n"


def test_a_command_that_takes_too_long_is_stopped_and_the_next_runs(host: Host) -> None:
    seen = batch(host, {"slow": "echo begun; sleep 60", "next": "echo next"}, timeout=0.3)
    assert (seen["slow"].rc, seen["slow"].stdout) == (TIMED_OUT, "begun\n")
    assert seen["next"].stdout == "next\n"


def test_what_a_command_leaves_running_holds_nothing_up(host: Host) -> None:
    seen = batch(host, {"leaves": "sleep 20 & echo $!"})
    os.kill(int(seen["leaves"].stdout), 9)


def test_a_command_that_exits_with_255_is_no_lost_connection(host: Host) -> None:
    assert batch(host, {"fatal": "exit 255"})["fatal"].rc == 255


def test_the_commands_share_a_folder_that_is_removed(host: Host) -> None:
    seen = batch(host, {"write": 'cd "$BATCH_TMP" && mkdir -m 0 shut && pwd >file', "read": 'cat "$BATCH_TMP/file"'})
    folder = Path(seen["read"].stdout.strip())
    assert folder.is_absolute()
    assert not folder.exists()


def test_variables_reach_every_command(host: Host) -> None:
    seen = batch(host, {"value": 'printf %s "$VALUE"'}, environment={"VALUE": "it's $HOME; `id`"})
    assert seen["value"].stdout == "it's $HOME; `id`"


def test_a_null_byte_is_refused(host: Host) -> None:
    with pytest.raises(ValueError, match="null byte"):
        batch(host, {"null": "echo \0"})


def test_a_batch_that_is_too_long_is_refused(host: Host) -> None:
    with pytest.raises(ValueError, match="split it"):
        batch(host, {"long": "#" * LONGEST})


def test_a_batch_that_just_fits_runs(host: Host) -> None:
    assert batch(host, {"long": "#" * (LONGEST * 3 // 4 - 1000) + "\necho end"})["long"].stdout == "end\n"


def test_a_host_that_is_lost_is_no_answer(host: Host) -> None:
    with pytest.raises(RuntimeError, match="answered 0 of 2 commands"):
        batch(host, {"lost": "kill -9 $(ps -o ppid= -p $(ps -o ppid= -p $$))", "next": "true"})


@needs_root
def test_an_unknown_user_is_no_answer(host: Host) -> None:
    with pytest.raises(RuntimeError, match="no user 'nobody such'"):
        batch(host, {"id": "id"}, user="nobody such")


@needs_root
def test_a_user_gets_an_environment_as_after_a_login(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "of root")
    entry = pwd.getpwnam("games")
    seen = batch(
        host, {"id": "id -un", "secret": "echo [$SECRET]", "home": "echo $HOME", "odd": "printf '%s' \"'\""}, "games"
    )
    assert seen["id"].stdout == "games\n"
    assert seen["secret"].stdout == "[]\n"
    assert seen["home"].stdout.strip() == entry.pw_dir
    assert seen["odd"].stdout == "'"
