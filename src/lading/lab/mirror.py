"""The Debian mirror that this machine itself uses, read from its apt sources: the project names no host."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from lading.errors import UsageError

VARIABLES = ("LADING_DEBIAN_MIRROR", "LADING_DEBIAN_SECURITY_MIRROR")


@dataclass(frozen=True)
class Mirror:
    """Base addresses of the main archive and of the security archive (None if the host uses none)."""

    main: str
    security: str | None

    @property
    def upstreams(self) -> dict[str, str]:
        """Host (and port) to scheme, for the proxy's allow list."""
        addresses = [self.main, *([self.security] if self.security else [])]
        return {urlsplit(address).netloc: urlsplit(address).scheme for address in addresses}

    def for_guest(self, address: str) -> str:
        """Return an address as guests ask for it: in plain HTTP, of the lab's proxy, which knows the real scheme."""
        return urlsplit(address)._replace(scheme="http").geturl()


def find_mirror(apt: Path = Path("/etc/apt")) -> Mirror:
    """Read the host's apt sources, in either of apt's two formats (sources.list(5)).

    Raises:
        UsageError: no Debian archive is configured and none is given by environment variables.
    """
    main, security = (os.environ.get(name) for name in VARIABLES)
    for uri, suite, components in _entries(apt):
        if "main" not in components or not uri.startswith(("http://", "https://")) or "debian" not in uri:
            continue
        if suite.endswith("-security"):
            security = security or uri.rstrip("/")
        elif "-" not in suite:
            main = main or uri.rstrip("/")
    if main is None:
        raise UsageError(
            "This machine's apt sources name no Debian mirror.",
            hint=f"Set {VARIABLES[0]} (and {VARIABLES[1]}) to the addresses of one.",
        )
    for address in (main, security):
        if address and "@" in urlsplit(address).netloc:
            raise UsageError(
                "The address of this machine's Debian mirror holds a password, which no guest should see.",
                hint=f"Set {VARIABLES[0]} (and {VARIABLES[1]}) to a mirror that asks for none.",
            )
    return Mirror(main, security)


def _entries(apt: Path) -> Iterator[tuple[str, str, list[str]]]:
    for path in [apt / "sources.list", *sorted(apt.glob("sources.list.d/*.list"))]:
        if path.is_file():
            yield from _one_line_entries(path.read_text())
    for path in sorted(apt.glob("sources.list.d/*.sources")):
        yield from _deb822_entries(path.read_text())


def _one_line_entries(text: str) -> Iterator[tuple[str, str, list[str]]]:
    for line in text.splitlines():
        words = line.partition("#")[0].split()
        if not words or words[0] != "deb":
            continue
        if words[1].startswith("["):
            while words and not words[1].endswith("]"):
                del words[1]
            del words[1]
        if len(words) >= 3:
            yield words[1], words[2], words[3:]


def _deb822_entries(text: str) -> Iterator[tuple[str, str, list[str]]]:
    for block in text.split("\n\n"):
        fields: dict[str, list[str]] = {}
        key = ""
        for line in block.splitlines():
            if line.startswith("#") or not line.strip():
                continue
            value = line
            if not line[0].isspace():
                key, _, value = line.partition(":")
                key = key.lower()
            fields.setdefault(key, []).extend(value.split())
        if "deb" in fields.get("types", []) and fields.get("enabled", ["yes"])[0] != "no":
            for uri in fields.get("uris", []):
                for suite in fields.get("suites", []):
                    yield uri, suite, fields.get("components", [])
