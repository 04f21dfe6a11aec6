"""The route by hand: types what a page tells its reader to type, and reads what comes back as the page promises it."""

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from lading.errors import LabError, PathFailed
from lading.lab.guest import Guest
from lading.lab.ssh import Ssh
from lading.page.match import mismatch
from lading.page.model import Command, FileBlock, Page, Place, Section, Transcript
from lading.routes.files import write_file
from lading.routes.shell import Ran, Shell, ShellEnded, ShellHangs, ShellOver, shell_line

OPENING_SECONDS = 20
# Between two tries of a command that is repeated until it is as expected: each try costs an emulated guest a process.
PAUSE_SECONDS = 0.5
# A shell reports a command that a signal ended as 128 and the signal's number.
ENDED_BY_SIGNAL = 128


@dataclass(frozen=True)
class OpenShell:
    """A shell on a guest, with what it takes to stop it, and to see that the guest was started anew since."""

    shell: Shell
    pid: int
    ssh: Ssh


@dataclass
class ByHandRoute:
    """A page, and the guests on which it is typed; `timeout` (seconds) is for each command that names none.

    With `update` an output other than the page's is no failure: `seen` has what came, by the command's place.
    """

    page: Page
    guests: Mapping[str, Guest]
    platform: str
    folder: Path
    timeout: float = field(kw_only=True)
    update: bool = field(default=False, kw_only=True)
    seen: dict[Place, str] = field(default_factory=dict, init=False)
    _shells: dict[tuple[str, str], OpenShell] = field(default_factory=dict, init=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def close(self) -> None:
        """End all shells."""
        while self._shells:
            self._shells.popitem()[1].shell.close()

    @property
    def log(self) -> Path:
        """The file with every command that was typed and all of its output."""
        return self.folder / "by-hand.log"

    def type(self, section: Section) -> str:
        """Type a section's blocks, as far as they are for this platform, and return what was done in a sentence.

        Raises:
            PathFailed: something else came than the page says; the message begins with page:line.
            LabError: a guest was lost, or its ssh.
        """
        commands = files = 0
        for block in self.page.run_blocks:
            if block.section != section or block.platform not in (None, self.platform):
                continue
            if isinstance(block, FileBlock):
                self._write(block)
                files += 1
            elif isinstance(block, Transcript):
                for command in block.commands:
                    self._type(block, command)
                commands += len(block.commands)
        return f"{commands} commands typed, {files} files written"

    # One block ----------------------------------------------------------------------------------------------------

    def _write(self, block: FileBlock) -> None:
        guest = self.guests[block.host]
        self._note(block.place, block.host, "root", f"[the file '{block.path}']\n{block.content}")
        if refusal := write_file(guest, block.path, block.content, block.mode):
            raise self._failed(guest, block.place, refusal)

    def _type(self, block: Transcript, command: Command) -> None:
        if block.reboot:
            self._reboot(block, command)
        else:
            until = time.monotonic() + (block.until or 0)
            while failure := self._try(block, command, until):
                if time.monotonic() + PAUSE_SECONDS >= until:
                    raise failure
                time.sleep(PAUSE_SECONDS)  # a condition on a host, which nothing announces

    def _try(self, block: Transcript, command: Command, until: float) -> PathFailed | None:
        """Type a command once; return in what it is not as the page says, which a later try may mend."""
        guest, quoted = self.guests[block.host], f"{_quoted(command)} on '{block.host}'"
        timeout = block.timeout or self.timeout
        if block.until:
            timeout = min(timeout, max(1.0, until - time.monotonic()))
        ran = self._run(block, command, timeout)
        try:
            output = _decoded(ran.output)
        except ValueError as problem:
            raise self._failed(guest, command.place, f"{quoted} printed {problem}") from None
        self.seen[command.place] = output
        if ran.rc != block.exit:
            sentence = f"{quoted} ended with {ran.rc}, and the page says {block.exit}."
            return self._failed(guest, command.place, sentence, output)
        difference = None if self.update else mismatch(command, output, block)
        if difference is None:
            return None
        return self._failed(guest, command.place, f"{quoted} printed something else than the page says.", difference)

    def _run(self, block: Transcript, command: Command, timeout: float) -> Ran:
        guest, quoted = self.guests[block.host], f"{_quoted(command)} on '{block.host}'"
        opened = self._shell(guest, command)
        try:
            ran = opened.shell.run(command.text, timeout)
        except ShellOver as over:
            self._note(command.place, block.host, command.user, command.text, over.output)
            if isinstance(over, ShellHangs):
                self._stop(guest, opened)
            self._discard(guest, command.user)
            told = over.output.decode(errors="replace")
            if isinstance(over, ShellEnded):
                sentence = f"{quoted} ended the shell itself (exit {over.rc}), so that nothing more can be typed there."
                raise self._failed(guest, command.place, sentence, told) from None
            if isinstance(over, ShellHangs):
                sentence = f"{quoted} did not end within {timeout:.0f} s, and was stopped together with its shell."
                raise self._failed(guest, command.place, sentence, told) from None
            guest.require_health()
            raise LabError(f"The ssh connection broke while {quoted} ran.", hint=guest.where()) from None
        self._note(command.place, block.host, command.user, command.text, ran.output, ran.rc)
        return ran

    def _reboot(self, block: Transcript, command: Command) -> None:
        guest = self.guests[block.host]
        before, ordered = guest.boot_id(), False

        def order() -> None:
            nonlocal ordered
            ordered = True
            try:
                ran = self._shell(guest, command).shell.run(command.text, block.timeout or self.timeout)
            except ShellOver:
                return  # gone with the guest
            self._note(command.place, block.host, command.user, command.text, ran.output, ran.rc)
            if 0 < ran.rc < ENDED_BY_SIGNAL:
                sentence = f"{_quoted(command)} on '{block.host}' ended with {ran.rc}, so nothing was rebooted."
                raise self._failed(guest, command.place, sentence, ran.output.decode(errors="replace"))

        try:
            guest.reboot(order)
        except LabError:
            guest.require_health()
            if not ordered or guest.boot_id() != before:
                raise
            sentence = f"{_quoted(command)} did not reboot '{block.host}'."
            raise self._failed(guest, command.place, sentence) from None
        finally:
            for host, user in list(self._shells):
                if host == block.host:
                    self._discard(guest, user)

    # Shells -------------------------------------------------------------------------------------------------------

    def _shell(self, guest: Guest, command: Command) -> OpenShell:
        """Return the user's shell on a guest, a new one if there is none since the guest's last start."""
        key = (guest.name, command.user)
        if (found := self._shells.get(key)) and found.ssh is not guest.ssh:
            self._discard(guest, command.user)
        if key not in self._shells:
            self._shells[key] = self._open(guest, command)
        return self._shells[key]

    def _open(self, guest: Guest, command: Command) -> OpenShell:
        mark = secrets.token_hex(16)
        argv = guest.ssh.argv("--", shell_line(mark, user=command.user))
        shell = Shell(argv, self.folder / "ssh.log", mark=mark)
        try:
            pid = int(shell.run('printf %d "$$"', guest.deadline(OPENING_SECONDS).left()).output)
        except ShellOver as over:
            shell.kill()
            if isinstance(over, ShellEnded):
                sentence = f"No shell of '{command.user}' could be had on '{guest.name}'."
                raise self._failed(guest, command.place, sentence, over.output.decode(errors="replace")) from None
            guest.require_health()
            raise LabError(f"No ssh connection to '{guest.name}' could be opened.", hint=guest.where()) from None
        return OpenShell(shell, pid, guest.ssh)

    def _discard(self, guest: Guest, user: str) -> None:
        if opened := self._shells.pop((guest.name, user), None):
            opened.shell.kill()

    def _stop(self, guest: Guest, opened: OpenShell) -> None:
        """Stop what a shell has started: without a terminal, the end of ssh alone stops nothing at the far end."""
        guest.ask(f"session=$(ps -o sid= -p {opened.pid}) && pkill --signal KILL --session $session", check=False)

    # What is told -------------------------------------------------------------------------------------------------

    def _failed(self, guest: Guest, place: Place, sentence: str, seen: str = "") -> PathFailed:
        """Return the verdict with its place; if the guest is not well, there is none."""
        guest.require_health()
        return PathFailed(f"{place}: {sentence}", hint="\n".join(filter(None, (seen.rstrip("\n"), f"Log: {self.log}"))))

    def _note(self, place: Place, host: str, user: str, text: str, output: bytes = b"", rc: int | None = None) -> None:
        end = f"[{rc}]\n" if rc is not None else ""
        with self.log.open("ab") as log:
            log.write(f"--- {place} {user}@{host}\n{text}\n".encode() + output + end.encode())


def _quoted(command: Command) -> str:
    first, *more = command.text.splitlines()
    return f"'{first}{' …' if more else ''}'"


def _decoded(output: bytes) -> str:
    """Return output as text.

    Raises:
        ValueError: a page cannot show it; the rest of a sentence that says why, and what to do.
    """
    if b"\x1b" in output:
        raise ValueError("terminal colours or other escape codes. Turn them off, with a flag such as --color=never.")
    if b"\0" in output:
        raise ValueError(
            "NUL bytes, which no page can show. Pipe it through \"tr '\\0' '\\n'\", or choose other output."
        )
    try:
        return output.decode()
    except UnicodeDecodeError as error:
        raise ValueError(
            f"bytes that are not UTF-8 (the first is number {error.start + 1}). Pipe it through 'iconv' or 'od -c'."
        ) from None
