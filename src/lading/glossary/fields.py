"""Which scalars of a YAML file are prose: found in its nodes, each with its place in the document."""

from collections.abc import Iterable, Iterator
from typing import Final

import yaml

from lading.recipe.problems import Loc

Field = tuple[Loc, yaml.ScalarNode]

RECIPE: Final = (
    "title", "summary", "advice_because", "platforms.*.not_verified", "variables.*.help", "true_before.*.because",
    "starts.*.help", "differences.*.because", "sources.*.for",
)  # fmt: skip
"""Where recipes are prose; a star is any key or item."""

SENSE: Final = (
    "definition", "note", "deprecated.*.because", "forbidden.*.because", "history.*.until", "witnesses.*.shows",
)  # fmt: skip
GLOSSARY: Final = ("contexts.*.help", *(f"concepts.*.senses.*.{field}" for field in SENSE))
"""Where the glossary is prose. Its good and bad sentences are tried one by one instead."""

MESSAGES: Final = ("msg", "fail_msg", "success_msg")
DESCRIPTIONS: Final = ("short_description", "description")

_TASKS: Final = ("pre_tasks", "tasks", "post_tasks", "handlers", "block", "rescue", "always")
_VALUES: Final = ("vars", "environment", "module_defaults")


def fields_at(root: yaml.Node | None, patterns: Iterable[str]) -> Iterator[Field]:
    """Yield the scalars at places such as `variables.*.help`."""
    for pattern in patterns:
        yield from _at(root, tuple(pattern.split(".")), ())


def ansible_fields(root: yaml.Node | None) -> Iterator[Field]:
    """Yield the names and messages of plays or tasks, or the descriptions of a role's `meta`."""
    if isinstance(root, yaml.MappingNode):
        yield from fields_at(root, ["galaxy_info.description"])
        for place, entry in _steps(root, "argument_specs.*"):
            yield from _described(entry, place, set())
    else:
        yield from _tasks(root, (), set())


def scalars(root: yaml.Node | None) -> Iterator[yaml.ScalarNode]:
    """Yield every scalar of a document once, keys too."""
    queue, seen = [root], set()
    while queue:
        node = queue.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.ScalarNode):
            yield node
        elif isinstance(node, yaml.MappingNode):
            queue += [each for pair in node.value for each in pair]
        elif isinstance(node, yaml.SequenceNode):
            queue += node.value


def _at(node: yaml.Node | None, pattern: tuple[str, ...], place: Loc) -> Iterator[Field]:
    for found, below in _follow(node, pattern, place):
        yield from _texts(below, found)


def _steps(node: yaml.Node, pattern: str) -> Iterator[tuple[Loc, yaml.Node]]:
    return _follow(node, tuple(pattern.split(".")), ())


def _follow(node: yaml.Node | None, pattern: tuple[str, ...], place: Loc) -> Iterator[tuple[Loc, yaml.Node]]:
    if not pattern:
        if node is not None:
            yield place, node
        return
    for key, below in _children(node):
        if pattern[0] in ("*", key):
            yield from _follow(below, pattern[1:], (*place, key))


def _children(node: yaml.Node | None) -> Iterator[tuple[str | int, yaml.Node]]:
    if isinstance(node, yaml.MappingNode):
        yield from ((key.value, value) for key, value in node.value if isinstance(key, yaml.ScalarNode))
    elif isinstance(node, yaml.SequenceNode):
        yield from enumerate(node.value)


def _texts(node: yaml.Node, place: Loc) -> Iterator[Field]:
    """Yield a scalar, or those of a list."""
    if isinstance(node, yaml.ScalarNode):
        yield place, node
    elif isinstance(node, yaml.SequenceNode):
        yield from (
            ((*place, index), item) for index, item in enumerate(node.value) if isinstance(item, yaml.ScalarNode)
        )


def _described(node: yaml.Node, place: Loc, seen: set[int]) -> Iterator[Field]:
    """Yield the descriptions of a role's entry point or of an option, and of the options below it.

    An alias can lead back to where it stands, so what was `seen` is passed by.
    """
    if id(node) in seen:
        return
    seen.add(id(node))
    for key, below in _children(node):
        if key in DESCRIPTIONS:
            yield from _texts(below, (*place, key))
        elif key == "options":
            for option, said in _children(below):
                yield from _described(said, (*place, key, option), seen)


def _tasks(node: yaml.Node | None, place: Loc, seen: set[int]) -> Iterator[Field]:
    if not isinstance(node, yaml.SequenceNode) or id(node) in seen:
        return
    seen.add(id(node))
    for index, task in _children(node):
        for key, value in _children(task):
            here = (*place, index, key)
            if key == "name":
                yield from _texts(value, here)
            elif key in _TASKS:
                yield from _tasks(value, here, seen)
            elif key not in _VALUES and isinstance(value, yaml.MappingNode):
                for argument, said in _children(value):
                    if argument in MESSAGES:
                        yield from _texts(said, (*here, argument))
