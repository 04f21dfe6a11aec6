"""The three ways in which a command can end other than well, and their exit codes.

A report never mixes a verdict about a path (exit 1) with trouble of the laboratory (exit 3).
"""

from enum import IntEnum


class ExitCode(IntEnum):
    """What the shell gets; the same in every command."""

    OK = 0
    FAILED = 1
    USAGE = 2
    LAB = 3


class LadingError(Exception):
    """A sentence for the user, and what to do next.

    Example:
        ```python
        from lading.errors import UsageError

        error = UsageError("No path is called 'aptainer'.", hint="Did you mean 'apptainer-unprivileged'?")
        print(error.exit_code)
        #> 2
        ```
    """

    exit_code: ExitCode = ExitCode.USAGE

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(LadingError):
    """The input is wrong: a word on the command line, or a file that somebody wrote."""

    exit_code = ExitCode.USAGE


class LabError(LadingError):
    """The laboratory broke (a guest was lost, the mirror is down): no verdict about the path."""

    exit_code = ExitCode.LAB


class PathFailed(LadingError):
    """A verdict: the path does not do what it says."""

    exit_code = ExitCode.FAILED
