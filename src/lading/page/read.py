"""Pages from their text; all that is wrong with one is told at once.

On a page with a marker `/// proof | PATH` every block is accounted for: a route types it, or it says why none does. On
other pages blocks are free, and only those that say why they are not run are kept.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from lading.page.attributes import NOT_RUN
from lading.page.model import SECTIONS, Block, FileBlock, NotRun, Page, Place
from lading.page.options import Known
from lading.page.outline import Fence, Outline, read_outline
from lading.page.runblocks import Surroundings, read_run_block, rendered_folder, role_of
from lading.project import Catalogue
from lading.recipe.load import LoadedRecipe
from lading.recipe.names import did_you_mean, is_slug
from lading.recipe.playbook import playbook_closure
from lading.recipe.problems import Problem, refuse
from lading.recipe.yamlfile import read_text

LOOKS: Final = (NOT_RUN, "title", "linenums", "linenums_start", "hl_lines")
"""What a block that is not run may say of itself; the last four are the site's own."""

OR_WHY: Final = 'or add not-run="why"'
UNCLOSED: Final = "The fence is never closed; end the block with the same marks on a line of their own."
SILENT: Final = (
    "The block neither runs nor says why not; begin it with '{ .console }' or '{ .file path=/… }', " + OR_WHY
)
NESTED: Final = "A block that runs begins at column 0, in no list, quotation or admonition; move it out, " + OR_WHY
NO_REASON: Final = "The block says 'not-run' and gives no reason; write it between the quotes of not-run=\"…\"."
INDENTED: Final = "Indented code does not say whether it runs; make it a fence that runs, " + OR_WHY
RAW: Final = "Code in HTML does not say whether it runs; make it a fence that runs, " + OR_WHY
HIDDEN: Final = (
    "The site may not see a fence here; begin it on a line of its own, below an empty line, and mind its indent."
)
CARRIAGE_RETURN: Final = "The line ends with a carriage return, as on Windows; save the page with Unix line ends."
CROWDED: Final = "The marker is part of a paragraph, so nobody sees it; put empty lines before and after it."


def read_page(
    text: str, file: str, *, root: Path, hosts: Sequence[str] | None = None, platforms: Sequence[str] | None = None
) -> Page:
    """Return a page's blocks.

    Args:
        text: the page as it is in the repository.
        file: its name in messages and places, relative to the repository.
        root: the repository, for files that blocks include.
        hosts: the recipe's hosts; a block that names none is typed on the only one. Without them every name goes
            through, and a host that is left out is the empty string.
        platforms: the recipe's platforms; without them every name goes through.

    Raises:
        InputError: the page is wrong; the message tells every problem with its line.

    Example:
        ```python
        from pathlib import Path

        from lading.page.read import read_page

        page = '''/// proof | demo

        ## Validate

        ~~~{ .console host=worker1 }
        $ id -un
        alice
        ~~~
        '''.replace(" " * 8, "")
        for block in read_page(page, "docs/demo.md", root=Path()).run_blocks:
            print(block.id, block.place, [command.text for command in block.commands])
            #> validate-1 docs/demo.md:5 ['id -un']
        ```
    """
    outline = read_outline(text)
    reader = _Reader(file, root, Known(hosts, platforms), outline.markers[0][1] if outline.markers else None)
    blocks = tuple(block for fence in outline.fences if (block := reader.read(fence)))
    if reader.path is not None:
        for line, sentence in _wrong_beside_blocks(outline, text):
            reader.tell(line, sentence)
    if reader.problems:
        refuse(reader.problems)
    return Page(file, reader.path, blocks)


def page_of(catalogue: Catalogue, loaded: LoadedRecipe) -> Page:
    """Return the page of a path, read with its recipe's hosts and platforms.

    Raises:
        InputError: the page is wrong, its marker is missing or names another path, or it includes what neither the
            recipe renders nor a role of the playbook has.
    """
    file, recipe = loaded.page.relative_to(catalogue.root).as_posix(), loaded.recipe
    text = read_text(loaded.page, file)
    page = read_page(text, file, root=catalogue.root, hosts=list(recipe.hosts), platforms=list(recipe.platforms))
    if page.path != loaded.id:
        said = f"is about '{page.path}'" if page.path else "has no marker for its evidence"
        sentence = f"The page of '{loaded.id}' {said}; write '/// proof | {loaded.id}' below its first paragraph."
        refuse([Problem(file, 0, "", sentence)])
    if problems := [*_not_rendered(page, loaded), *_not_used(page, catalogue, loaded)]:
        refuse(problems)
    return page


def _not_rendered(page: Page, loaded: LoadedRecipe) -> Iterator[Problem]:
    """Yield a problem for each included file that the recipe doesn't make, so that nothing keeps it fresh."""
    made = {rendered_folder(loaded.id) + name for name in loaded.recipe.rendered}
    for line, include in _includes(page):
        if role_of(include) is None and include not in made:
            sentence = f"Nothing renders '{include}'; name it under 'rendered' in recipe.yml"
            yield Problem(page.file, line, "", sentence + did_you_mean(include, made))


def _not_used(page: Page, catalogue: Catalogue, loaded: LoadedRecipe) -> Iterator[Problem]:
    """Yield a problem for each included file of a role that the playbook doesn't use, so that it installs another."""
    named = [(line, include, role) for line, include in _includes(page) if (role := role_of(include))]
    used = playbook_closure(catalogue, loaded.playbook).roles if named else {}
    for line, include, role in named:
        if role not in used:
            sentence = f"The playbook of '{loaded.id}' does not use the role '{role}', whose '{include}' is included"
            yield Problem(page.file, line, "", sentence + did_you_mean(role, used))


def _includes(page: Page) -> Iterator[tuple[int, str]]:
    """Yield the line of each block that includes a file, and the file."""
    for block in page.blocks:
        if isinstance(block, FileBlock) and block.include:
            yield block.place.line, block.include


def _wrong_beside_blocks(outline: Outline, text: str) -> Iterator[tuple[int, str]]:
    """Yield what is wrong with a path's page where no fence is."""
    (line, path), *more = outline.markers
    if not is_slug(path):
        yield line, f"The marker names '{path}', which cannot be a path's id; write '/// proof | PATH'."
    for line, path in more:
        yield line, f"This is the page's second marker for evidence, for '{path}'; keep one."
    lines = ["", *text.split("\n"), "", ""]
    for line, _ in outline.markers:
        if lines[line - 1].strip() or lines[line + 1].strip():
            yield line, CROWDED
    if "\r" in text:
        yield text[: text.index("\r")].count("\n") + 1, CARRIAGE_RETURN
    yield from ((line, INDENTED) for line in outline.indented)
    yield from ((line, RAW) for line in outline.raw)
    yield from ((line, HIDDEN) for line in outline.hidden)


@dataclass
class _Reader:
    """Turns a page's fences into blocks, one after the other, and gathers what is wrong. `path` is its marker's."""

    file: str
    root: Path
    known: Known
    path: str | None
    problems: list[Problem] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    def tell(self, line: int, sentence: str) -> None:
        self.problems.append(
            Problem(self.file, line, "", sentence if sentence.endswith((".", "?")) else f"{sentence}.")
        )

    def read(self, fence: Fence) -> Block | None:
        """Return a block, or None for one that is free or so wrong that nothing more can be said."""
        if self.path is None:
            return self._not_run(fence) if fence.kind == "not-run" else None
        if wrong := fence.said.wrong if fence.closed else (UNCLOSED,):
            for sentence in wrong:
                self.tell(fence.first, sentence)
            return None
        match fence.kind:
            case "not-run":
                return self._not_run(fence)
            case "other":
                self.tell(fence.first, SILENT)
                return None
            case _:
                return self._run(fence)

    def _id(self, kind: str) -> str:
        self.counts[kind] = self.counts.get(kind, 0) + 1
        return f"{kind}-{self.counts[kind]}"

    def _not_run(self, fence: Fence) -> NotRun:
        reason = fence.attributes[NOT_RUN].strip()
        if not reason:
            self.tell(fence.first, NO_REASON)
        for name in fence.attributes if self.path is not None else ():
            if name not in LOOKS:
                sentence = f"The attribute '{name}' means nothing on a block that is not run"
                self.tell(fence.first, sentence + did_you_mean(name, LOOKS))
        return NotRun(self._id("block"), Place(self.file, fence.first), fence.last, fence.text, reason, fence.info)

    def _run(self, fence: Fence) -> Block:
        section = next((section for section in SECTIONS if section == fence.section), None)
        if fence.nested:
            self.tell(fence.first, NESTED)
        elif section is None:
            where = f"under '{fence.section.capitalize()}'" if fence.section else "before the first section"
            titles = ", ".join(f"'{name.capitalize()}'" for name in SECTIONS)
            self.tell(fence.first, f"No block runs {where}; move it to one of {titles}, {OR_WHY}")
        around = Surroundings(self.file, self.path or "", self.root, self.known, self.tell)
        return read_run_block(fence, self._id(section or "install"), section or "install", around)
