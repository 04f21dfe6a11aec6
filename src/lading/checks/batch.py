"""Many commands in one round trip: what a check reads, it reads in a batch.

A round trip to an emulated guest costs about 0.3 s, and a hundred of them cost more than everything that they ask for.
"""

import base64
import binascii
import secrets
import shlex
from collections.abc import Iterable, Mapping

from testinfra.backend.base import CommandResult
from testinfra.host import Host

LONGEST = 90_000
"""The kernel takes arguments of at most 128 KiB (`MAX_ARG_STRLEN`), and the script travels as one, in Base64."""

NO_USER = 67
"""The exit code of a batch for a user whom the host does not have (EX_NOUSER of sysexits.h)."""

TIMED_OUT = 124
"""The exit code of a command that did not end in its time, as in timeout(1)."""

USER_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"

# Output goes to files, not pipes, so that a process which a command leaves behind holds nothing up.
SCRIPT = """\
umask 022
export LC_ALL=C.UTF-8
BATCH_TMP=$(mktemp -d) && BATCH_OUT=$(mktemp -d) || exit 70
trap 'chmod -R u+rwX "$BATCH_TMP"; rm -rf "$BATCH_TMP" "$BATCH_OUT"' EXIT
export BATCH_TMP
cd "$HOME" 2>/dev/null || cd /
one() {
    timeout -k 5 @SECONDS@ sh -c "$1" </dev/null >"$BATCH_OUT/1" 2>"$BATCH_OUT/2"
    echo "@TOKEN@ $? $(base64 -w0 <"$BATCH_OUT/1"). $(base64 -w0 <"$BATCH_OUT/2")."
}
"""

AS_USER = """\
entry=$(getent passwd @USER@) || { echo "The host has no user '"@USER@"'." >&2; exit 67; }
home=$(echo "$entry" | cut -d: -f6)
shell=$(echo "$entry" | cut -d: -f7)
exec runuser -u @USER@ -- env -i HOME="$home" SHELL="$shell" USER=@USER@ LOGNAME=@USER@ PATH=@PATH@ \
sh -c "$(echo @SCRIPT@ | base64 -d)" </dev/null
"""


class HostLost(RuntimeError):
    """The host did not answer, or not to the end: no verdict about what was asked."""


class Result(CommandResult):  # type: ignore[misc]  # testinfra has no type hints
    """testinfra's result, read as UTF-8 with replacement characters: a host may print anything."""

    @property
    def stdout(self) -> str:
        return bytes(self.stdout_bytes).decode(errors="replace")

    @property
    def stderr(self) -> str:
        return bytes(self.stderr_bytes).decode(errors="replace")

    def __repr__(self) -> str:
        """Keep a failed assertion short: what was said is in its message where it matters."""
        return f"<exit code {self.rc}, {len(self.stdout)} and {len(self.stderr)} characters>"


def batch(
    host: Host,
    commands: Mapping[str, str],
    user: str | None = None,
    *,
    environment: Mapping[str, str] | None = None,
    timeout: float = 60,
) -> dict[str, CommandResult]:
    """Run all commands on the host, one after the other, in a single round trip.

    Each command is a line (or a script) for `sh`. It reads nothing, starts in the home folder and finds in
    `$BATCH_TMP` a folder which all commands of the batch share and which is removed after the last.

    Args:
        host: testinfra's host.
        commands: a name of the caller's choice for each command.
        user: whose command it is; the environment is then clean, as after a login. By default the user of the
            connection, which is root.
        environment: variables that the commands find set.
        timeout: seconds for each command; one that takes longer gets the exit code 124.

    Raises:
        HostLost: the connection broke: no verdict about what was asked.
        RuntimeError: the host has no such user.
        ValueError: a command holds a null byte, or all of them are too long for one round trip.

    Example:
        ```python
        import testinfra

        from lading.checks.batch import batch

        seen = batch(testinfra.get_host("local://"), {"sum": "echo $((1 + 1))", "missing": "test -e /nowhere"})
        print(seen["sum"].stdout.strip(), seen["missing"].rc)
        #> 2 1
        ```
    """
    if not commands:
        return {}
    token = f"lading-{secrets.token_hex(8)}"
    script = _script(commands.values(), environment or {}, token, timeout)
    try:
        ran = host.run(command_line(script, user))
    except RuntimeError as error:  # testinfra's, where ssh itself ended with 255
        raise HostLost(str(error)[-500:]) from error
    answers = [line.split(" ")[1:] for line in ran.stdout.splitlines() if line.startswith(f"{token} ")]
    if ran.rc != 0 or len(answers) != len(commands):
        raise (RuntimeError if ran.rc == NO_USER else HostLost)(
            f"The host answered {len(answers)} of {len(commands)} commands (exit code {ran.rc}): "
            f"{ran.stderr.strip()[-500:] or 'it said nothing'}"
        )
    return {
        name: _result(ran, command, answer)
        for (name, command), answer in zip(commands.items(), answers, strict=True)
    }  # fmt: skip


def command_line(script: str, user: str | None = None) -> str:
    """Return the line to give to the host's shell: plain ASCII, whatever the script holds.

    It is read by a login shell of any kind, so it is nothing but a pipe of simple commands.
    """
    packed = _pack(script if user is None else _as_user(script, user))
    if len(packed) > LONGEST:
        raise ValueError(f"The batch is {len(packed)} bytes long, and {LONGEST} fit: split it.")
    return f"echo {packed} | base64 -d | sh"


def _script(commands: Iterable[str], environment: Mapping[str, str], token: str, timeout: float) -> str:
    exports = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in environment.items())
    calls = "".join(f"one {shlex.quote(command)}\n" for command in commands)
    if "\0" in exports + calls:
        raise ValueError("A command of a batch holds a null byte, which no shell can be given.")
    return SCRIPT.replace("@TOKEN@", token).replace("@SECONDS@", f"{timeout:g}") + exports + calls


def _as_user(script: str, user: str) -> str:
    # The script goes in last: it may hold any of the other words.
    text = AS_USER.replace("@USER@", shlex.quote(user)).replace("@PATH@", USER_PATH)
    return text.replace("@SCRIPT@", _pack(script))


def _pack(script: str) -> str:
    return base64.b64encode(script.encode(errors="surrogateescape")).decode()


def _result(ran: CommandResult, command: str, answer: list[str]) -> CommandResult:
    try:
        rc, out, err = answer
        streams = [base64.b64decode(stream.removesuffix("."), validate=True) for stream in (out, err)]
    except (ValueError, binascii.Error) as error:
        raise RuntimeError(f"The host's answer to '{command}' is garbled: {error}") from error
    return Result(ran.backend, int(rc), command.encode(errors="surrogateescape"), streams[0], streams[1])
