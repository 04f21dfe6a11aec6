"""The mirror comes from this machine's own apt sources, in either format."""

from pathlib import Path

import pytest

from lading.errors import UsageError
from lading.lab.mirror import VARIABLES, Mirror, find_mirror

DEB822 = """\
Types: deb
# a remark
URIs: https://mirror.example/debian/
Suites: bookworm bookworm-updates
Components: main
  contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: https://mirror.example/debian-security
Suites: bookworm-security
Components: main
"""


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def apt(tmp_path: Path) -> Path:
    (tmp_path / "sources.list.d").mkdir()
    return tmp_path


def test_deb822_sources_are_read(apt: Path) -> None:
    (apt / "sources.list.d" / "debian.sources").write_text(DEB822)
    assert find_mirror(apt) == Mirror("https://mirror.example/debian", "https://mirror.example/debian-security")


def test_one_line_sources_are_read(apt: Path) -> None:
    (apt / "sources.list").write_text(
        "# deb http://old.example/debian bookworm main\n"
        "deb-src http://src.example/debian bookworm main\n"
        "deb [arch=amd64 signed-by=/k.gpg] http://mirror.example:8080/debian bookworm main contrib # ours\n"
    )
    assert find_mirror(apt) == Mirror("http://mirror.example:8080/debian", None)


@pytest.mark.parametrize(
    "text",
    [
        "Types: deb\nURIs: http://mirror.example/debian\nSuites: bookworm\nComponents: main\nEnabled: no\n",
        "Types: deb\nURIs: http://mirror.example/debian\nSuites: bookworm-backports\nComponents: main\n",
        "Types: deb\nURIs: http://mirror.example/nodejs\nSuites: nodistro\nComponents: main\n",
        "Types: deb\nURIs: file:/srv/debian\nSuites: bookworm\nComponents: main\n",
    ],
)
def test_what_is_no_debian_archive_is_passed_over(apt: Path, text: str) -> None:
    (apt / "sources.list.d" / "other.sources").write_text(text)
    with pytest.raises(UsageError, match="name no Debian mirror") as caught:
        find_mirror(apt)
    assert VARIABLES[0] in (caught.value.hint or "")


def test_variables_come_first(apt: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (apt / "sources.list.d" / "debian.sources").write_text(DEB822)
    monkeypatch.setenv(VARIABLES[0], "http://mine.example/debian")
    assert find_mirror(apt).main == "http://mine.example/debian"


def test_guests_ask_in_plain_http_and_the_proxy_knows_the_scheme() -> None:
    mirror = Mirror("https://mirror.example/debian", None)
    assert mirror.for_guest(mirror.main) == "http://mirror.example/debian"
    assert mirror.upstreams == {"mirror.example": "https"}
