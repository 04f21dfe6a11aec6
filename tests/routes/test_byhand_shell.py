"""A shell that stays open: what a command prints and leaves is told exactly, whatever it prints."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lading.routes.shell import Ran, Shell, ShellEnded, ShellHangs, ShellLost, shell_line
from tests.processes import assert_ends


def opened(log: Path = Path("/dev/null")) -> Shell:
    """Return a shell on this machine, started by the line that starts one in a guest."""
    return Shell(["bash", "-c", shell_line("0123", user=None)], log, mark="0123")


@pytest.fixture
def shell() -> Iterator[Shell]:
    with opened() as shell:
        yield shell


def test_output_and_exit_code_come_back(shell: Shell) -> None:
    assert shell.run("echo out; echo err >&2; (exit 7)", 10) == Ran(7, b"out\nerr\n")


@pytest.mark.parametrize(
    "command, output",
    [
        ("true", b""),
        ("printf abc", b"abc"),
        ("echo abc", b"abc\n"),
        ("printf '\\n'", b"\n"),
        ("printf '\\n\\nabc'", b"\n\nabc"),
        ("printf 'abc\\n\\n'", b"abc\n\n"),
    ],
)
def test_newlines_are_exactly_those_of_the_command(shell: Shell, command: str, output: bytes) -> None:
    assert shell.run(command, 10).output == output
    assert shell.run(command, 10).output == output


def test_variables_folder_functions_and_exit_code_carry_over(shell: Shell) -> None:
    shell.run("word=kept; cd /usr; greet() { echo hello $1; }; set -- a 'b c'", 10)
    assert shell.run("greet $word; pwd; echo $2", 10).output == b"hello kept\n/usr\nb c\n"
    assert shell.run("false", 10).rc == 1
    assert shell.run("echo $?", 10) == Ran(0, b"1\n")
    assert shell.run("echo $?", 10) == Ran(0, b"0\n")


def test_a_command_reads_nothing(shell: Shell) -> None:
    assert shell.run("cat; read line || echo none", 10) == Ran(0, b"none\n")
    assert shell.run("echo next", 10).output == b"next\n"


def test_heredocs_continued_lines_and_comments_are_as_in_any_shell(shell: Shell) -> None:
    text = "cat > /dev/stdout <<'END'\n$not 'expanded' \\\nEND\necho a \\\n  b  # said twice"
    assert shell.run(text, 10).output == b"$not 'expanded' \\\na b\n"


@pytest.mark.parametrize("text", ["echo 'open", "for", "if true; then", "echo $(", "cat <<END\nno end"])
def test_a_command_with_a_mistake_in_its_grammar_harms_no_other(shell: Shell, text: str) -> None:
    shell.run(text, 10)
    assert shell.run("echo well", 10) == Ran(0, b"well\n")


def test_the_environment_is_the_same_everywhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LADING_SECRET", "leaked")
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".bashrc").write_text("echo the rc file was read\n")
    with opened() as shell:
        names = shell.run("env | cut -d= -f1 | sort", 10).output.decode().split()
        assert shell.run('pwd; [ "$HOME" = "$PWD" ] && echo at home; echo $LC_ALL $COLUMNS $TERM', 10).output == (
            f"{tmp_path}\nat home\nC.UTF-8 80 dumb\n".encode()
        )
    allowed = {"COLUMNS", "HOME", "LC_ALL", "LOGNAME", "PATH", "PWD", "SHELL", "SHLVL", "TERM", "USER", "_", "OLDPWD"}
    assert set(names) <= allowed


@pytest.mark.parametrize("command, code", [("exit 3", 3), ("exit", 0), ("echo so far; exec false", 1)])
def test_a_command_that_ends_the_shell_is_noticed_with_its_code(command: str, code: int) -> None:
    with opened() as shell, pytest.raises(ShellEnded) as ended:
        shell.run(command, 10)
    assert ended.value.rc == code
    assert ended.value.output == (b"so far\n" if "so far" in command else b"")


def test_an_ended_shell_takes_no_more(shell: Shell) -> None:
    for _ in range(2):
        with pytest.raises((ShellEnded, ShellLost)):
            shell.run("exit 3", 10)


def test_a_command_that_hangs_is_given_up_and_stopped(tmp_path: Path) -> None:
    shell = opened()
    started = time.monotonic()
    with pytest.raises(ShellHangs) as hangs:
        shell.run(f"echo before; echo $$ > {tmp_path}/pid; sleep 600", 1)
    shell.kill()
    assert time.monotonic() - started < 30
    assert hangs.value.output == b"before\n"
    assert_ends(int((tmp_path / "pid").read_text()))


def test_a_command_that_prints_without_end_is_given_up_at_once(shell: Shell) -> None:
    started = time.monotonic()
    with pytest.raises(ShellHangs):
        shell.run("yes", 60)
    assert time.monotonic() - started < 20
    shell.kill()


def test_a_lost_connection_is_told_from_an_ended_shell(tmp_path: Path) -> None:
    line = shell_line("0123", user=None).replace("exec 2>&1", f"exec 2>&1; echo $$ > {tmp_path}/pid")
    with Shell(["bash", "-c", line], Path("/dev/null"), mark="0123") as shell:
        shell.run("true", 10)
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)
        with pytest.raises((ShellLost, ShellHangs)):
            shell.run("echo $PPID; exec sleep 2", 5)


def test_a_program_that_cannot_connect_is_a_lost_connection_and_its_words_are_in_the_log(tmp_path: Path) -> None:
    with (
        Shell(["bash", "-c", "echo refused >&2; exit 255"], tmp_path / "log", mark="0123") as shell,
        pytest.raises(ShellLost),
    ):
        shell.run("true", 10)
    assert (tmp_path / "log").read_text() == "refused\n"


def test_a_process_left_in_the_background_does_not_hold_the_shell(shell: Shell) -> None:
    started = time.monotonic()
    assert shell.run("sleep 30 &", 10) == Ran(0, b"")
    assert shell.run("echo on", 10).output == b"on\n"
    shell.close()
    assert time.monotonic() - started < 10


def test_a_user_with_an_odd_name_is_no_shell_code() -> None:
    assert "runuser -u 'a; reboot' --" in shell_line("0123", user="a; reboot")


@pytest.fixture(scope="module")
def one_shell() -> Iterator[Shell]:
    with opened() as shell:
        yield shell


@settings(max_examples=150, deadline=None)
@given(output=st.binary(max_size=3000), code=st.integers(0, 255))
def test_any_bytes_and_any_exit_code_come_back_as_they_were(one_shell: Shell, output: bytes, code: int) -> None:
    octal = "".join(f"\\{byte:03o}" for byte in output)
    assert one_shell.run(f"printf '{octal}'; (exit {code})", 10) == Ran(code, output)


@settings(max_examples=100, deadline=None)
@given(text=st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=200))
def test_any_text_is_typed_as_it_is(one_shell: Shell, text: str) -> None:
    quoted = "'" + text.replace("'", "'\\''") + "'"
    assert one_shell.run(f"printf %s {quoted}", 10) == Ran(0, text.encode())


def test_output_that_looks_like_the_end_of_a_command_is_output(shell: Shell) -> None:
    assert shell.run("printf '\\n0123456789abcdef 0\\n'", 10).output == b"\n0123456789abcdef 0\n"
    assert shell.run("echo 0123 0", 10).output == b"0123 0\n"


def test_much_output_comes_back_whole(shell: Shell) -> None:
    assert shell.run("head -c 2000000 /dev/zero | tr '\\0' x", 30).output == b"x" * 2_000_000
