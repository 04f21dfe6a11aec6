"""This host's apt sources, in both of apt's formats (sources.list(5)), and a backports source made from them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_OFF = ("no", "false", "without", "off", "disable", "0")


@dataclass(frozen=True)
class Source:
    """One enabled source of binary packages. `signed_by` is a file's path or, over several lines, a key itself."""

    uris: tuple[str, ...]
    suites: tuple[str, ...]
    components: tuple[str, ...]
    signed_by: str | None = None


def read_sources(apt: Path = Path("/etc/apt")) -> list[Source]:
    """Return what apt installs from, in the order in which apt reads it."""
    found: list[Source] = []
    lists = [apt / "sources.list", *sorted(apt.glob("sources.list.d/*.list"))]
    for path in filter(Path.is_file, lists):
        found += parse_one_line_style(path.read_text(errors="replace"))
    for path in sorted(apt.glob("sources.list.d/*.sources")):
        found += parse_deb822_style(path.read_text(errors="replace"))
    return found


def parse_one_line_style(text: str) -> Iterator[Source]:
    """Yield the sources of a file like `deb [signed-by=/a.gpg] http://mirror.site.example/debian bookworm main`."""
    for line in text.splitlines():
        kind, *rest = line.partition("#")[0].split(maxsplit=1) or [""]
        options, words = _options(rest[0] if rest else "")
        if kind == "deb" and len(words) >= 2:
            yield Source((words[0],), (words[1],), tuple(words[2:]), options.get("signed-by"))


def _options(text: str) -> tuple[dict[str, str], list[str]]:
    """Split what follows `deb` into its options in brackets and the words behind them."""
    if not text.startswith("["):
        return {}, text.split()
    inside, _, rest = text[1:].partition("]")
    pairs = (word.partition("=") for word in inside.split())
    return {key.lower(): value for key, _, value in pairs}, rest.split()


def parse_deb822_style(text: str) -> Iterator[Source]:
    """Yield the enabled sources of a `.sources` file: paragraphs of fields."""
    for fields in _paragraphs(text):
        if "deb" in fields.get("types", "").split() and fields.get("enabled", "yes").lower() not in _OFF:
            uris, suites, components = (
                tuple(fields.get(name, "").split()) for name in ("uris", "suites", "components")
            )
            yield Source(uris, suites, components, fields.get("signed-by"))


def _paragraphs(text: str) -> Iterator[dict[str, str]]:
    fields: dict[str, str] = {}
    key = ""
    for line in [*text.splitlines(), ""]:
        if line.startswith("#"):
            continue
        if not line.strip():
            if fields:
                yield fields
            fields = {}
        elif line[0].isspace():
            fields[key] = f"{fields.get(key, '')}\n{line}"
        else:
            key, _, value = line.partition(":")
            key = key.lower()
            fields[key] = value.strip()


def offers(sources: list[Source], suite: str) -> bool:
    """Tell whether apt already installs from that suite's main component."""
    return any(suite in source.suites and "main" in source.components for source in sources)


def backports_of(sources: list[Source], codename: str) -> str | None:
    """Return a `.sources` file for the backports of a release, from where the host gets the release itself.

    None if the host gets the release from nowhere that is known.
    """
    for source in sources:
        if codename in source.suites and "main" in source.components:
            lines = [
                "Types: deb",
                f"URIs: {' '.join(source.uris)}",
                f"Suites: {codename}-backports",
                "Components: main",
            ]
            if source.signed_by:
                lines.append(f"Signed-By: {source.signed_by}")
            return "\n".join(lines) + "\n"
    return None
