"""Pages to try the parser with: written by hand, and built from random parts with what they should be read as."""

from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import strategies as st

from lading.page.model import SECTIONS, Command, FileBlock, NotRun, Page, Place, RunBlock, Transcript
from lading.page.read import read_page
from lading.page.transcript import ROOT, escaped
from lading.recipe.problems import InputError

FILE = "docs/paths/compute/demo.md"
TOP = "# A demonstration\n\n/// proof | demo\n\n"
HOSTS = ["worker1"]
PLATFORMS = ["debian12", "debian13"]

LETTERS = st.characters(codec="utf-8", exclude_categories=["C", "Z"], include_characters=" ")  # what is printable
LINE = st.one_of(
    st.text(LETTERS, max_size=12), st.sampled_from(["# x", r"\# x", "$", ">", "> y", "...", "```", "~~~ ", "    z"])
)
TYPED = st.text(LETTERS, min_size=1, max_size=12).filter(lambda line: line.strip() and not line.endswith("\\"))
PROSE = [
    ["Some text", "in two lines."],
    ["1. A list", "", "    with a paragraph"],
    ['!!! note "Mind"', "", "    Indented text.", "", "    More of it."],
    ["??? tip", "    At once.", ""],
    ['=== "Debian 13"', "", "    - a list", ""],
    ["| a | b |", "| --- | --- |", "| c | d |"],
    ["Word[^1]", "", "[^1]: A footnote", "    with more."],
    ["### A subtitle", "", "> quoted"],
    ["<div markdown>", "", "text", "", "</div>"],
]


def read(text: str, *, root: Path = Path(), hosts: list[str] | None = None) -> Page:
    """Read a page of the path `demo`."""
    return read_page(text, FILE, root=root, hosts=hosts or HOSTS, platforms=PLATFORMS)


def problems(text: str, *, root: Path = Path(), hosts: list[str] | None = None) -> list[str]:
    """Return what is wrong with a page, each as `LINE: sentence`."""
    try:
        read(text, root=root, hosts=hosts)
    except InputError as error:
        return [str(problem).removeprefix(f"{FILE}:") for problem in error.problems]
    return []


def transcript(*lines: str, options: str = "") -> Transcript:
    """Return a transcript of those lines, read from a page."""
    info = f"{{ .console {options} }}"
    (block,) = read("\n".join([f"{TOP}## Install", "", f"~~~{info}", *lines, "~~~"])).blocks
    assert isinstance(block, Transcript)
    return block


@dataclass
class Built:
    """A page's text, and the blocks that it should be read as."""

    lines: list[str] = field(default_factory=TOP.splitlines)
    run: list[RunBlock] = field(default_factory=list)
    silent: list[NotRun] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "\n".join([*self.lines, ""])

    @property
    def page(self) -> Page:
        blocks = sorted([*self.run, *self.silent], key=lambda block: block.place.line)
        return Page(FILE, "demo", tuple(blocks))

    def id(self, section: str) -> str:
        return f"{section}-{1 + sum(block.section == section for block in self.run)}"


@st.composite
def built_pages(draw: st.DrawFn) -> Built:
    """Return random pages that are right, with random sections, blocks and text between them."""
    built = Built()
    for section in draw(st.lists(st.sampled_from(SECTIONS), min_size=1, max_size=4)):
        built.lines += [f"## {section.capitalize()}", ""]
        for kind in draw(
            st.lists(st.sampled_from(["console", "prose", "console", "file", "not-run"]), min_size=2, max_size=4)
        ):
            match kind:
                case "prose":
                    built.lines += [*draw(st.sampled_from(PROSE)), ""]
                case "console":
                    _add_transcript(draw, built, section)
                case "file":
                    _add_file(draw, built, section)
                case "not-run":
                    _add_not_run(draw, built)
    return built


def _mark(draw: st.DrawFn, body: list[str]) -> str:
    """Return a mark that nothing in a block ends."""
    sign = draw(st.sampled_from("`~"))
    longest = max((len(line.strip()) - len(line.strip().lstrip(sign)) for line in body), default=0)
    return sign * max(3, longest + 1)


def _add_transcript(draw: st.DrawFn, built: Built, section: str) -> None:
    user = draw(st.sampled_from(["alice", "bob"]))
    first = len(built.lines) + 1
    body: list[str] = []
    seen: list[str] = []
    commands = []
    for asked in draw(st.lists(st.sampled_from([ROOT, user]), min_size=1, max_size=3)):
        typed = [draw(TYPED), *draw(st.lists(TYPED, max_size=2))]
        output = draw(st.lists(LINE, max_size=3))
        place = Place(FILE, first + 1 + len(body))
        prompts = ["# " if asked == ROOT else "$ ", *["> " for _ in typed[1:]]]
        commands.append(Command(place, asked, "\n".join(typed), tuple(output), place.line + len(typed)))
        shown = [prompt + line for prompt, line in zip(prompts, typed, strict=True)]
        body += [*shown, *map(escaped, output)]
        seen += [*shown, *output]
    platform = draw(st.sampled_from([None, "debian13"]))
    mark = _mark(draw, body)
    said = f"{f' user={user}' if any(command.user == user for command in commands) else ''}"
    said += f" platform={platform}" if platform else ""
    built.lines += [f"{mark}{{ .console{said} }}", *body, mark, ""]
    common = (built.id(section), Place(FILE, first), len(built.lines) - 1, "\n".join(seen))
    built.run.append(Transcript(*common, section, "worker1", platform, tuple(commands)))  # type: ignore[arg-type] # a section


def _add_file(draw: st.DrawFn, built: Built, section: str) -> None:
    body = draw(st.lists(LINE, min_size=1, max_size=4).filter(lambda lines: "".join(lines).strip()))
    mark, first, text = _mark(draw, body), len(built.lines) + 1, "\n".join(body)
    built.lines += [f"{mark} {{ .file path=/etc/demo.conf mode=600 }}", *body, mark, ""]
    common = (built.id(section), Place(FILE, first), len(built.lines) - 1, text, section, "worker1", None)
    built.run.append(FileBlock(*common, "/etc/demo.conf", f"{text}\n", "0600"))  # type: ignore[arg-type] # a section


def _add_not_run(draw: st.DrawFn, built: Built) -> None:
    indent = draw(st.sampled_from(["", "    "]))
    if indent:
        built.lines += ["!!! note", ""]
    body = draw(
        st.lists(st.text(LETTERS, min_size=1, max_size=9).filter(lambda line: line[0] not in " `~"), max_size=3)
    )
    mark, first, info = _mark(draw, body), len(built.lines) + 1, "{ .bash not-run='it \"reboots\" you' }"
    built.lines += [*(f"{indent}{line}" for line in [mark + info, *body, mark]), ""]
    name = f"block-{len(built.silent) + 1}"
    built.silent.append(
        NotRun(name, Place(FILE, first), len(built.lines) - 1, "\n".join(body), 'it "reboots" you', info)
    )
