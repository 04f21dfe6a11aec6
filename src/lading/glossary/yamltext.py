"""The prose in YAML: what recipes, playbooks and the glossary itself say to people."""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Final

import yaml

from lading.glossary.fields import GLOSSARY, RECIPE, Field, ansible_fields, fields_at, scalars
from lading.glossary.prose import Lines, Note, Part, Prose, note_of
from lading.glossary.scalars import running_texts, written
from lading.recipe.problems import Loc, dotted
from lading.recipe.yamlfile import compose_yaml

Contexts = frozenset[str]

_NOTE: Final = re.compile(r"(?<!\S)#[ \t]*glossary ok:([^|\n]*)(?:\|([^\n]*))?")
_COMMENT: Final = re.compile(r"[ \t]*#")


def read_recipe(text: str, file: str) -> Prose:
    """Return the prose of a recipe.

    Raises:
        InputError: the text is not YAML.
    """
    root = compose_yaml(text, file)
    return _prose(text, file, root, fields_at(root, RECIPE))


def read_glossary(text: str, file: str) -> Prose:
    """Return the prose of a glossary; each sense's is in its own context.

    Raises:
        InputError: the text is not YAML.
    """
    root = compose_yaml(text, file)
    return _prose(text, file, root, fields_at(root, GLOSSARY), contexts_of=_own_context)


def read_ansible(text: str, file: str) -> Prose:
    """Return the prose of a file of plays or tasks, or of a role's `meta`: names, messages and descriptions.

    Example:
        ```python
        from lading.glossary.yamltext import read_ansible

        tasks = ["- name: Remove the image", "  ansible.builtin.fail:", "    msg: No, {{ why }}."]
        for part in read_ansible(chr(10).join(tasks), "tasks.yml").parts:
            print(part.section, part.place(0), part.text.replace(chr(0xFFFC), "_"))
            #> [0].name (1, 9) Remove the image
            #> [0].ansible.builtin.fail.msg (3, 10) No, _________.
        ```

    Raises:
        InputError: the text is not YAML.
    """
    root = compose_yaml(text, file, ansible=True)
    return _prose(text, file, root, ansible_fields(root), ansible=True)


def _own_context(place: Loc) -> Contexts | None:
    return Contexts({str(place[3] if place[0] == "concepts" else place[1])})


def _no_context(_place: Loc) -> Contexts | None:
    return None


def _prose(
    text: str, file: str, root: yaml.Node | None, found: Iterable[Field], *,
    contexts_of: Callable[[Loc], Contexts | None] = _no_context, ansible: bool = False,
) -> Prose:  # fmt: skip
    lines, parts = Lines(text), []
    fields = list({id(node): (place, node) for place, node in found}.values())  # an alias is read once
    for place, node in fields:
        for running in running_texts(text, node):
            if said := running.finished(ansible=ansible):
                places, links = running.places(lines), tuple(running.links)
                parts.append(Part(said, places, contexts_of(place), section=dotted(place), links=links))
    return Prose(file, tuple(parts), tuple(_notes(lines, root, [node for _, node in fields])))


def _notes(lines: Lines, root: yaml.Node | None, fields: list[yaml.ScalarNode]) -> Iterator[Note]:
    comments = list(_NOTE.finditer(lines.text))
    texts = [written(lines.text, node) for node in scalars(root)] if comments else []
    blocks = [_lines_of(lines, node) for node in fields] if comments else []
    for found in comments:
        if not any(first <= found.start() < last for first, last in texts):
            block = _block(lines, lines.place(found.start())[0], blocks)
            yield note_of(lines, found.start(), (found[1], found[2]), block)


def _lines_of(lines: Lines, node: yaml.ScalarNode) -> range:
    first, last = written(lines.text, node)
    end = first + len(lines.text[first:last].rstrip())
    return range(node.start_mark.line + 1, lines.place(max(first, end - 1))[0] + 1)


def _block(lines: Lines, line: int, blocks: list[range]) -> range:
    """Return the lines of the scalars on a comment's line, or else on the next line that is no comment."""
    following = line
    while following <= len(lines.starts) and _COMMENT.match(lines.text, lines.starts[following - 1]):
        following += 1
    for wanted in (line, following):
        if found := [block for block in blocks if wanted in block]:
            return range(min(block.start for block in found), max(block.stop for block in found))
    return range(line, line + 1)
