"""Run every linter, all of them even if one fails, and say how long each took.

`make check` runs all; `make check ARGS='ruff mypy'` those whose names begin so.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
BIN: Final = ROOT / ".venv/bin"
LIMIT: Final = 240
"""Seconds for one linter; the whole of `make check` has six minutes in CI."""

USES: Final[dict[str, tuple[str, ...]]] = {"container-image-renew": ("container-image",)}
"""Programs of roles that import another's modules, which are installed beside them."""


@dataclass(frozen=True)
class Check:
    """A command that ends with 0 if all is well."""

    name: str
    argv: tuple[str, ...]
    more_environment: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Result:
    """How a check ended; `output` is what it printed on both streams."""

    name: str
    ok: bool
    seconds: float
    output: str

    def __str__(self) -> str:
        head = f"{'ok' if self.ok else 'FAILED':6}  {self.seconds:5.1f} s  {self.name}"
        return head if self.ok or not self.output else f"{head}\n{self.output.rstrip()}\n"


def checks(root: Path) -> list[Check]:
    """Return every check; the slow ones first, since two run side by side."""
    return [
        Check("ansible-lint", ("ansible-lint", "-q", "--nocolor", "--profile", "production")),
        Check("mypy", ("mypy", "--no-error-summary")),
        *_recipe_types(root),
        *_program_types(root),
        Check("pymarkdown", ("pymarkdown", "scan", *_tracked(root, "*.md"))),
        Check("ruff format", ("ruff", "format", "--check", "--quiet", ".")),
        Check("ruff", ("ruff", "check", "--quiet", ".")),
        Check("yamllint", ("yamllint", "--strict", ".")),
        Check("codespell", ("codespell", ".")),
        Check("licences", ("reuse", "lint", "--lines")),
        Check("trust", ("python", "-m", "lading.recipe.trust")),
        Check("recipes", ("lading", "list")),
        Check("evidence", ("lading", "evidence", "check")),
        Check("pages", ("lading", "page", "lint")),
        Check("vocabulary", ("lading", "glossary", "check")),
        Check("rendered files", ("lading", "page", "render", "--check")),
    ]


def _recipe_types(root: Path) -> Iterable[Check]:
    """Look at each recipe's checks by themselves: their modules have the same names in every recipe."""
    for folder in sorted({file.parent for file in root.glob("recipes/*/*.py")}):
        files = tuple(str(file.relative_to(root)) for file in sorted(folder.glob("*.py")))
        path = f"src{os.pathsep}{folder.relative_to(root)}"
        yield Check(f"mypy {folder.name}", ("mypy", "--no-error-summary", *files), {"MYPYPATH": path})


def _program_types(root: Path) -> Iterable[Check]:
    """Look at each program that a role brings by itself: its modules import each other by their bare names.

    Many have a `main`, so none sees another's modules but where it uses them.
    """
    folders = sorted({file.parent for file in root.glob("playbooks/roles/*/files/**/*.py")})
    for folder in folders:
        name = folder.name if folder.name != "files" else folder.parent.name
        used = (other for other in folders if other.name in USES.get(name, ()))
        path = os.pathsep.join(map(str, [folder, *used]))
        files = tuple(str(file.relative_to(root)) for file in sorted(folder.glob("*.py")))
        yield Check(f"mypy {name}", ("mypy", "--no-error-summary", *files), {"MYPYPATH": path})


def _tracked(root: Path, pattern: str) -> list[str]:
    """Return the files that are in git or could be: what is made and ignored is nobody's to mend."""
    words = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", "--", pattern]
    said = subprocess.run(words, cwd=root, capture_output=True, text=True, check=True).stdout
    return [name for name in said.split("\0") if name and (root / name).exists()]


def perform(check: Check, root: Path = ROOT) -> Result:
    """Run one check. One that is missing or does not end has failed."""
    started = time.monotonic()
    environment = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", **(check.more_environment or {})}
    try:
        done = subprocess.run(
            check.argv, cwd=root, env=environment, timeout=LIMIT, text=True, errors="replace",
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
        )  # fmt: skip
        ok, output = done.returncode == 0, done.stdout
    except subprocess.TimeoutExpired:
        ok, output = False, f"'{check.argv[0]}' did not end within {LIMIT} s."
    except FileNotFoundError:
        ok, output = False, f"'{check.argv[0]}' is not installed; 'make setup' installs it."
    return Result(check.name, ok, time.monotonic() - started, output)


def run_all(selected: Sequence[Check], root: Path = ROOT) -> list[Result]:
    """Run the checks side by side, as many as there are processors, and print each result in their order."""
    results = []
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        for result in pool.map(lambda check: perform(check, root), selected):
            print(result, flush=True)
            results.append(result)
    return results


def verdict(results: Sequence[Result], seconds: float) -> str:
    """Return the last line: what failed, or that all is well."""
    failed = [f"'{result.name}'" for result in results if not result.ok]
    if failed:
        return f"{len(failed)} of {len(results)} checks failed in {seconds:.0f} s: {', '.join(failed)}"
    return f"All {len(results)} checks are well, in {seconds:.0f} s."


def main(names: Sequence[str]) -> int:
    """Run all checks, or those whose names begin with one of `names`."""
    started = time.monotonic()
    every = checks(ROOT)
    selected = [check for check in every if not names or check.name.startswith(tuple(names))]
    if not selected:
        print(f"No check is called so; there are: {', '.join(check.name for check in every)}", file=sys.stderr)
        return 2
    results = run_all(selected)
    print(verdict(results, time.monotonic() - started))
    return 0 if all(result.ok for result in results) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
