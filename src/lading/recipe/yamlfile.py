"""YAML files read with the line of every value, so that an error can point at it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from lading.recipe.problems import Loc, Problem, dotted, refuse

DEEPEST: Final = 60
"""Levels of nesting. libyaml's composer recurses without a guard: a line of brackets would end the process."""


@dataclass(frozen=True)
class Document:
    """What a YAML file says (`data`), and where it says it.

    `shown` is the file's name in messages: relative to the catalogue.
    """

    shown: str
    data: Any
    node: yaml.Node | None

    def line(self, loc: Loc) -> int:
        """Return the line (from 1) of a value's key or list item, or of what is nearest above it."""
        line, node = 1, self.node
        for part in loc:
            found = _step(node, part)
            if found is None:
                break
            line, node = found
        return line

    def problem(self, loc: Loc, sentence: str) -> Problem:
        """Return a problem at a place of this file."""
        return Problem(self.shown, self.line(loc), dotted(loc), sentence)


def _step(node: yaml.Node | None, part: str | int) -> tuple[int, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value == str(part):
                return key.start_mark.line + 1, value
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        item = node.value[part]
        return item.start_mark.line + 1, item
    return None


class _Loader(yaml.CSafeLoader):
    """YAML's own types; a value that its type cannot hold (month 13) is an error with a position."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
            raise yaml.constructor.ConstructorError(
                None, None, f"the value is wrong: {error}", node.start_mark
            ) from None


class _AnsibleLoader(_Loader):
    """The same, and Ansible's own tags (`!vault`, `!unsafe`) as the plain text they stand on."""


def _plain(loader: _AnsibleLoader, _suffix: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.ScalarNode):
        return loader.construct_scalar(node)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    assert isinstance(node, yaml.MappingNode)
    return loader.construct_mapping(node, deep=True)


_AnsibleLoader.add_multi_constructor("!", _plain)


def read_yaml(file: Path, shown: str, *, ansible: bool = False) -> Document:
    """Return a YAML file with positions.

    Recipes may hold no aliases; Ansible's files may.

    Raises:
        InputError: the file cannot be read, does not parse, or has a key twice; the message names the line.
    """
    node = compose_yaml(read_text(file, shown), shown, ansible=ansible)
    with _told(shown):
        data = None if node is None else _construct(_AnsibleLoader if ansible else _Loader, node)
    document = Document(shown, data, node)
    if found := list(_repeated(shown, node)):
        refuse(found)
    return document


def compose_yaml(text: str, shown: str, *, ansible: bool = False) -> yaml.Node | None:
    """Return what a YAML text is made of, each part with its place; None if it is empty.

    Raises:
        InputError: it does not parse; the message names the line.
    """
    with _told(shown):
        _refuse_depth(text, shown, aliases=ansible)
        return yaml.compose(text, Loader=_AnsibleLoader if ansible else _Loader)


@contextmanager
def _told(shown: str) -> Iterator[None]:
    try:
        yield
    except yaml.YAMLError as error:
        refuse([Problem(shown, _line_of(error), "", f"This is not YAML: {_said(error)}.")])
    except RecursionError:
        refuse([Problem(shown, 0, "", "This nests deeper than anything that is meant.")])


def read_text(file: Path, shown: str) -> str:
    """Return a text file's content.

    Raises:
        InputError: it is missing, is not a file or is not UTF-8.
    """
    try:
        return file.read_bytes().decode()
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        refuse([Problem(shown, line, "", "This is not UTF-8 text.")])
    except OSError as error:
        refuse([Problem(shown, 0, "", f"This file cannot be read: {error.strerror}.")])


def _construct(loader: type[_Loader], node: yaml.Node) -> Any:
    builder = loader("")
    try:
        return builder.construct_document(node)
    finally:
        builder.dispose()


def _refuse_depth(text: str, shown: str, *, aliases: bool) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        line = event.start_mark.line + 1 if event.start_mark else 0
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        elif isinstance(event, yaml.AliasEvent) and not aliases:
            refuse([Problem(shown, line, "", f"The alias '*{event.anchor}' is not allowed here; write the value out.")])
        if depth > DEEPEST:
            refuse([Problem(shown, line, "", f"This nests deeper than {DEEPEST} levels.")])


def _repeated(shown: str, root: yaml.Node | None) -> list[Problem]:
    """Find keys that a mapping has twice: YAML forbids them, its parsers take the last one silently."""
    problems: list[Problem] = []
    queue: list[tuple[yaml.Node | None, Loc]] = [(root, ())]
    visited: set[int] = set()
    while queue:
        node, loc = queue.pop()
        if id(node) in visited:
            continue
        visited.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            queue += [(item, (*loc, index)) for index, item in enumerate(node.value)]
        if isinstance(node, yaml.MappingNode):
            queue += [(value, (*loc, _name(key))) for key, value in node.value]
            problems += _repeated_in(shown, node, loc)
    return problems


def _repeated_in(shown: str, node: yaml.MappingNode, loc: Loc) -> list[Problem]:
    first: dict[tuple[str, str], int] = {}
    problems = []
    for key, _ in node.value:
        line, same = key.start_mark.line + 1, (key.tag, _name(key))
        if same in first:
            sentence = f"the key is here twice; the first is in line {first[same]}."
            problems.append(Problem(shown, line, dotted((*loc, _name(key))), sentence))
        first.setdefault(same, line)
    return problems


def _name(key: yaml.Node) -> str:
    return key.value if isinstance(key, yaml.ScalarNode) else "?"


def _line_of(error: yaml.YAMLError) -> int:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    return mark.line + 1 if mark else 0


def _said(error: yaml.YAMLError) -> str:
    said = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error)
    context = getattr(error, "context", None)
    return f"{context}, {said}" if context else str(said)
