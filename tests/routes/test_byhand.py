"""The route by hand on a stand-in for a guest: shells and files of this machine, so that only the route is tried."""

import re
import shlex
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest

from lading.errors import LabError, PathFailed
from lading.lab.channel import Answer
from lading.lab.deadline import Deadline
from lading.lab.guest import Guest
from lading.page.model import Page, Section
from lading.page.read import read_page
from lading.routes.byhand import ByHandRoute

FILE = "docs/paths/compute/sample.md"


@dataclass(frozen=True)
class LocalShell:
    """What stands for ssh: the line for the far end runs here, as this machine's user."""

    lost: Path

    def argv(self, *command: str) -> list[str]:
        line = re.sub("runuser -u (root|alice) -- ", "", command[-1])
        line = re.sub("getent passwd (root|alice)", 'getent passwd "$(id -un)"', line)
        # A shell that reads nothing while the file is there stands for a connection that breaks.
        return ["bash", "-c", f"[ -e {shlex.quote(str(self.lost))} ] && exit 255; {line}"]


@dataclass
class StandIn:
    """What the route asks of a guest."""

    folder: Path
    name: str = "worker1"
    boots: int = 0
    healthy: bool = True
    dead: bool = False
    broken: bool = False
    asked: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.ssh = LocalShell(self.folder / "lost")

    def ask(self, script: str, _seconds: float = 6, *, check: bool = True) -> Answer:
        self.asked.append(script)
        script = script.replace("chown root:root", "true")
        done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=check)
        return Answer(done.returncode, done.stdout + done.stderr)

    def reboot(self, order: Callable[[], None]) -> None:
        if self.broken:
            raise LabError("The kernel could not be fetched.")
        order()
        if self.dead:
            raise LabError("The guest 'worker1' does not shut down.")
        self.boots += 1
        self.ssh = LocalShell(self.folder / "lost")

    def boot_id(self) -> str:
        return f"boot {self.boots}"

    def deadline(self, seconds: float) -> Deadline:
        return Deadline.after(seconds)

    def where(self) -> str:
        return "its logs"

    def require_health(self) -> None:
        if not self.healthy:
            raise LabError("The guest 'worker1' is gone.")


@pytest.fixture
def guest(tmp_path: Path) -> StandIn:
    return StandIn(tmp_path)


@pytest.fixture
def typed(guest: StandIn, tmp_path: Path) -> Iterator[Callable[..., ByHandRoute]]:
    routes = []

    def make(text: str, **options: object) -> ByHandRoute:
        settings = {"timeout": 20.0, **options}
        guests = {"worker1": cast("Guest", guest)}
        routes.append(ByHandRoute(page(text, tmp_path), guests, "debian13", tmp_path, **settings))  # type: ignore[arg-type] # as each test needs them
        return routes[-1]

    yield make
    for route in routes:
        route.close()


def page(text: str, root: Path, section: Section = "install") -> Page:
    """Return a page whose section holds the text; its first line is line 7."""
    head = f"# Sample\n\n/// proof | sample\n\n## {section.capitalize()}\n\n"
    return read_page(head + text, FILE, root=root, hosts=["worker1"], platforms=["debian13", "almalinux9"])


def console(*lines: str, options: str = "") -> str:
    return "\n".join([f"```{{ .console {options} }}", *lines, "```", ""])


def test_commands_are_typed_in_order_and_counted(typed: Callable[..., ByHandRoute]) -> None:
    route = typed(
        console("# word=kept", "$ echo $word none", "none", "# echo $word", "kept") + "\n" + console("# cd /usr")
    )
    assert route.type("install") == "4 commands typed, 0 files written"
    assert route.type("undo") == "0 commands typed, 0 files written"


def test_each_users_shell_is_their_own_and_stays_open_from_section_to_section(
    typed: Callable[..., ByHandRoute],
) -> None:
    both = (
        console("# word=roots; cd /usr")
        + "\n## Undo\n\n"
        + console("# echo $word $PWD", "roots /usr", "$ echo [$word]", "[]")
    )
    route = typed(both)
    route.type("install")
    assert route.type("undo") == "2 commands typed, 0 files written"


def test_another_output_is_told_by_page_and_line_with_a_diff(typed: Callable[..., ByHandRoute], tmp_path: Path) -> None:
    with pytest.raises(PathFailed) as failed:
        typed(console("# echo one", "one", "# echo two; echo three", "two", "four")).type("install")
    assert failed.value.message == (
        f"{FILE}:10: 'echo two; echo three' on 'worker1' printed something else than the page says."
    )
    assert "-four\n+three\n" in (failed.value.hint or "")
    assert f"Log: {tmp_path}/by-hand.log" in (failed.value.hint or "")
    assert "echo two; echo three\ntwo\nthree\n[0]\n" in (tmp_path / "by-hand.log").read_text()


def test_another_exit_code_is_told_before_the_output_is_compared(typed: Callable[..., ByHandRoute]) -> None:
    with pytest.raises(PathFailed, match=f"{FILE}:8: 'cat /missing' on 'worker1' ended with 1, and the page says 0"):
        typed(console("# cat /missing", "content")).type("install")


def test_an_exit_code_that_the_page_says_is_as_good_as_0(typed: Callable[..., ByHandRoute]) -> None:
    typed(console("# echo no; false", "no", options="exit=1")).type("install")
    with pytest.raises(PathFailed, match="ended with 0, and the page says 1"):
        typed(console("# echo no", "no", options="exit=1")).type("install")


def test_output_may_be_expected_in_part(typed: Callable[..., ByHandRoute]) -> None:
    typed(console("# printf 'a\\nb\\nc\\n'", "c", options="expect=contains")).type("install")
    with pytest.raises(PathFailed, match=f"{FILE}:8: "):
        typed(console("# printf 'a\\nb\\n'", "c", options="expect=contains")).type("install")


def test_a_heredoc_and_continued_lines_are_typed_as_one_command(
    typed: Callable[..., ByHandRoute], tmp_path: Path
) -> None:
    lines = [
        f"# cat > {tmp_path}/made <<'END'",
        "> $one \\",
        ">   two",
        "> END",
        f"# cat {tmp_path}/made \\",
        ">   /dev/null",
    ]
    typed(console(*lines, "$one \\", "  two")).type("install")
    assert (tmp_path / "made").read_text() == "$one \\\n  two\n"


def test_blocks_of_other_platforms_are_passed_over(typed: Callable[..., ByHandRoute]) -> None:
    text = console("# false", options="platform=almalinux9") + "\n" + console("# true", options="platform=debian13")
    assert typed(text).type("install") == "1 commands typed, 0 files written"


def test_a_command_that_hangs_is_stopped_and_told(typed: Callable[..., ByHandRoute], guest: StandIn) -> None:
    started = time.monotonic()
    with pytest.raises(PathFailed) as failed:
        typed(console("# echo begun; sleep 600", options="timeout=1s")).type("install")
    assert time.monotonic() - started < 10
    assert failed.value.message == (
        f"{FILE}:8: 'echo begun; sleep 600' on 'worker1' did not end within 1 s, "
        "and was stopped together with its shell."
    )
    assert (failed.value.hint or "").startswith("begun\n")
    assert any("pkill --signal KILL --session" in script for script in guest.asked)


def test_a_command_that_ends_the_shell_is_told(typed: Callable[..., ByHandRoute]) -> None:
    with pytest.raises(PathFailed, match=f"{FILE}:8: 'exit 3' on 'worker1' ended the shell itself \\(exit 3\\)"):
        typed(console("# exit 3")).type("install")


@pytest.mark.parametrize(
    "command, sentence",
    [
        ("printf '\\033[31mred\\033[0m\\n'", "printed terminal colours or other escape codes. Turn them off"),
        ("printf 'a\\0b\\n'", "printed NUL bytes"),
        ("printf 'caf\\351\\n'", "printed bytes that are not UTF-8 (the first is number 4)"),
    ],
)
@pytest.mark.parametrize("update", [False, True])
def test_output_that_no_page_can_show_is_told(
    typed: Callable[..., ByHandRoute], command: str, sentence: str, update: bool
) -> None:
    with pytest.raises(PathFailed) as failed:
        typed(console(f"# {command}", "..."), update=update).type("install")
    assert failed.value.message.startswith(f"{FILE}:8: '{command}' on 'worker1' {sentence}")


def test_until_repeats_a_command_to_its_end(typed: Callable[..., ByHandRoute], tmp_path: Path) -> None:
    count = f"# echo x >> {tmp_path}/tries; wc -l < {tmp_path}/tries"
    typed(console(count, "3", options="until=20s")).type("install")
    with pytest.raises(PathFailed, match=f"{FILE}:8: "):
        typed(console("# echo never", "now", options="until=1s")).type("install")


def test_until_waits_for_an_exit_code_too(typed: Callable[..., ByHandRoute], tmp_path: Path) -> None:
    command = f"# test -e {tmp_path}/there || {{ touch {tmp_path}/there; false; }}"
    typed(console(command, options="until=20s")).type("install")


def test_update_goes_on_and_remembers_what_was_seen(typed: Callable[..., ByHandRoute]) -> None:
    route = typed(console("# echo new", "old", "# echo same", "same"), update=True)
    route.type("install")
    assert {str(place): text for place, text in route.seen.items()} == {f"{FILE}:8": "new\n", f"{FILE}:10": "same\n"}
    with pytest.raises(PathFailed, match="ended with 1"):
        typed(console("# echo new; false", "old"), update=True).type("install")


def test_a_reboot_ends_all_shells_of_the_host(typed: Callable[..., ByHandRoute], guest: StandIn) -> None:
    text = [
        console("# word=root"),
        console("$ word=alice"),
        console("# true", options="reboot"),
        console("# echo [$word]", "[]", "$ echo [$word]", "[]"),
    ]
    typed("\n".join(text)).type("install")
    assert guest.boots == 1


def test_a_reboot_that_the_lab_made_ends_shells_too(typed: Callable[..., ByHandRoute], guest: StandIn) -> None:
    route = typed(console("# word=kept") + "\n## Undo\n\n" + console("# echo [$word]", "[]"))
    route.type("install")
    guest.reboot(lambda: None)
    route.type("undo")


def test_a_command_that_does_not_reboot_is_a_verdict(typed: Callable[..., ByHandRoute], guest: StandIn) -> None:
    with pytest.raises(PathFailed, match=f"{FILE}:8: 'false' on 'worker1' ended with 1, so nothing was rebooted"):
        typed(console("# false", options="reboot")).type("install")
    guest.dead = True
    with pytest.raises(PathFailed, match=f"{FILE}:8: 'true' did not reboot 'worker1'"):
        typed(console("# true", options="reboot")).type("install")
    guest.broken = True
    with pytest.raises(LabError, match="could not be fetched"):
        typed(console("# true", options="reboot")).type("install")


def test_a_guest_that_is_gone_is_no_verdict(typed: Callable[..., ByHandRoute], guest: StandIn) -> None:
    guest.healthy = False
    for text in (
        console("# false"),
        console("# exit"),
        console("# echo x", "y"),
        console("# sleep 9", options="timeout=1s"),
    ):
        with pytest.raises(LabError, match="is gone"):
            typed(text).type("install")


def test_a_broken_connection_to_a_healthy_guest_is_no_verdict(
    typed: Callable[..., ByHandRoute], guest: StandIn
) -> None:
    (guest.folder / "lost").touch()
    with pytest.raises(LabError, match="No ssh connection to 'worker1' could be opened"):
        typed(console("# true")).type("install")
    (guest.folder / "lost").unlink()
    with pytest.raises(LabError, match="The ssh connection broke while 'kill -KILL"):
        typed(console("# kill -KILL $PPID $$")).type("install")


def test_a_file_block_makes_the_file_with_its_mode(typed: Callable[..., ByHandRoute], tmp_path: Path) -> None:
    (tmp_path / "there").write_text("old")
    text = f"```{{ .file path={tmp_path}/there mode=0751 }}\nkey = 'value' $HOME \\\n\nend\n```\n"
    assert typed(text).type("install") == "0 commands typed, 1 files written"
    assert (tmp_path / "there").read_text() == "key = 'value' $HOME \\\n\nend\n"
    assert (tmp_path / "there").stat().st_mode & 0o7777 == 0o751
    assert list(tmp_path.glob(".lading*")) == []


def test_a_file_block_follows_a_link_as_an_editor_does(typed: Callable[..., ByHandRoute], tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("target")
    typed(f"```{{ .file path={tmp_path}/link }}\ntext\n```\n").type("install")
    assert (tmp_path / "link").readlink() == Path("target")
    assert (tmp_path / "target").read_text() == "text\n"


def test_a_file_block_makes_no_folder(typed: Callable[..., ByHandRoute], tmp_path: Path) -> None:
    text = f"```{{ .file path={tmp_path}/none/file }}\ntext\n```\n"
    with pytest.raises(PathFailed, match=f"{FILE}:7: There is no folder '{tmp_path}/none' on 'worker1', and an editor"):
        typed(text).type("install")
    with pytest.raises(PathFailed, match="is there and is not a file"):
        typed(text.replace("/none/file", "")).type("install")
