"""apt's two formats, and backports made from what the host has."""

from pathlib import Path

import pytest

from tools.aptsources import Source, backports_of, offers, parse_deb822_style, parse_one_line_style, read_sources

DEB822 = """\
# the archive
Types: deb deb-src
URIs: http://mirror.site.example/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /usr/share/keyrings/archive.gpg

Types: deb
URIs: http://mirror.site.example/security
Suites: bookworm-security
Components: main
"""


def test_a_sources_file_has_paragraphs() -> None:
    first, second = parse_deb822_style(DEB822)

    assert first == Source(
        ("http://mirror.site.example/debian",),
        ("bookworm", "bookworm-updates"),
        ("main", "contrib"),
        "/usr/share/keyrings/archive.gpg",
    )
    assert second.signed_by is None


@pytest.mark.parametrize("line", ["Enabled: no", "enabled: False", "Types: deb-src"])
def test_what_apt_does_not_install_from_is_left_out(line: str) -> None:
    key = line.partition(":")[0].lower()
    kept = [each for each in DEB822.split("\n\n")[1].splitlines() if not each.lower().startswith(key)]

    assert list(parse_deb822_style("\n".join([*kept, line]))) == []


def test_a_key_inside_a_sources_file_is_kept_whole() -> None:
    key = "Signed-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mQINBF\n -----END PGP PUBLIC KEY BLOCK-----"
    text = f"Types: deb\nURIs: http://mirror.site.example/debian\nSuites: bookworm\nComponents: main\n{key}\n"

    made = backports_of(list(parse_deb822_style(text)), "bookworm")

    assert made is not None
    assert made.endswith(f"Signed-By: {key.removeprefix('Signed-By:')}\n")
    (again,) = parse_deb822_style(made)
    assert again.suites == ("bookworm-backports",)


@pytest.mark.parametrize(
    "line,source",
    [
        ("deb http://m.example/debian bookworm main", Source(("http://m.example/debian",), ("bookworm",), ("main",))),
        (
            "deb [arch=amd64 signed-by=/a.gpg] https://m.example/debian bookworm main contrib # ours",
            Source(("https://m.example/debian",), ("bookworm",), ("main", "contrib"), "/a.gpg"),
        ),
        ("deb\thttp://m.example/debian  ./", Source(("http://m.example/debian",), ("./",), ())),
    ],
)
def test_a_list_has_one_source_a_line(line: str, source: Source) -> None:
    assert list(parse_one_line_style(line)) == [source]


@pytest.mark.parametrize(
    "line", ["", "# deb http://m.example/debian bookworm main", "deb-src http://m.example x main", "deb"]
)
def test_other_lines_are_no_sources(line: str) -> None:
    assert list(parse_one_line_style(line)) == []


def test_all_files_that_apt_reads_are_read(tmp_path: Path) -> None:
    folder = tmp_path / "sources.list.d"
    folder.mkdir()
    (tmp_path / "sources.list").write_text("deb http://a.example/debian bookworm main\n")
    (folder / "more.list").write_text("deb http://b.example/debian bookworm-backports main\n")
    (folder / "debian.sources").write_text(DEB822)
    (folder / "old.list.disabled").write_text("deb http://c.example/debian bookworm main\n")

    found = read_sources(tmp_path)

    assert [source.uris[0].split("/")[2] for source in found] == [
        "a.example", "b.example", "mirror.site.example", "mirror.site.example",
    ]  # fmt: skip
    assert offers(found, "bookworm-backports")


def test_backports_come_from_where_the_release_comes_from() -> None:
    assert backports_of(list(parse_deb822_style(DEB822)), "bookworm") == (
        "Types: deb\n"
        "URIs: http://mirror.site.example/debian\n"
        "Suites: bookworm-backports\n"
        "Components: main\n"
        "Signed-By: /usr/share/keyrings/archive.gpg\n"
    )


def test_a_host_that_gets_its_release_from_nowhere_gives_no_backports() -> None:
    assert backports_of(list(parse_deb822_style(DEB822)), "trixie") is None
    assert not offers(list(parse_deb822_style(DEB822)), "bookworm-backports")
