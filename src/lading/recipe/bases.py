"""What paths build on: in which order, and on which hosts.

Other recipes are read here as they stand: what is wrong with them, their own load tells.
"""

from collections.abc import Collection, Iterator
from typing import Any

from lading.errors import UsageError
from lading.project import Catalogue
from lading.recipe.model import Host, Recipe
from lading.recipe.names import is_slug
from lading.recipe.problems import Problem
from lading.recipe.yamlfile import Document, read_yaml


def bases_in_order(catalogue: Catalogue, path_id: str) -> list[str]:
    """Return the ids of all that a path builds on, each once, and each after what it builds on itself."""
    found: list[str] = []

    def visit(current: str, way: tuple[str, ...]) -> None:
        for base in _builds_on(catalogue, current):
            if base not in (*found, *way):
                visit(base, (*way, base))
                found.append(base)

    visit(path_id, (path_id,))
    return found


def own_groups(catalogue: Catalogue, path_id: str) -> list[str]:
    """Return the groups that a path itself is for: those of its hosts, without those it is in for what it builds on.

    So a host that is in the groups of the deeper path alone gets only that.
    """
    groups = [group for host in _groups_of_hosts(catalogue, path_id) for group in host]
    deeper = {
        group
        for base in bases_in_order(catalogue, path_id)
        for host in _groups_of_hosts(catalogue, base)
        for group in host
    }
    return [group for group in groups if group not in deeper] or groups


def takes(host: Host, groups: Collection[str]) -> bool:
    """Say whether a base whose host is in these groups is applied to a host of a path that builds on it."""
    return bool(set(host.groups) & set(groups))


def base_problems(catalogue: Catalogue, path_id: str, document: Document, recipe: Recipe) -> Iterator[Problem]:
    """Yield a problem for each base that leads back to the path, or that can't be applied to its hosts."""
    if cycle := _cycle(catalogue, (path_id,)):
        yield document.problem(("builds_on",), f"this goes round in a circle: {' → '.join(cycle)}.")
        return
    for index, base in enumerate(recipe.builds_on):
        for sentence in _misplaced(catalogue, base, recipe):
            yield document.problem(("builds_on", index), sentence)


def _misplaced(catalogue: Catalogue, base: str, recipe: Recipe) -> Iterator[str]:
    hosts = _groups_of_hosts(catalogue, base)
    if len(hosts) > 1:
        yield f"'{base}' has {len(hosts)} hosts, and so far a path can only build on paths with one. Leave it out."
    if len(hosts) != 1:
        return
    groups = own_groups(catalogue, base)
    placed = {name: host for name, host in recipe.hosts.items() if takes(host, groups)}
    if not placed:
        yield (
            f"'{base}' is for hosts in {_listed(groups)}, and no host here is in such a group. "
            f"Put the host that it is for into one, or leave '{base}' out."
        )
    for deeper in bases_in_order(catalogue, base):
        needed = {group for host in _groups_of_hosts(catalogue, deeper) for group in host}
        without = [name for name, host in placed.items() if needed and not takes(host, needed)]
        if without:
            yield (
                f"'{base}' builds on '{deeper}', which is for hosts in {_listed(sorted(needed))}, and '{without[0]}' "
                f"is in no such group. Put it into one."
            )


def _listed(groups: Collection[str]) -> str:
    return ", ".join(f"'{group}'" for group in groups)


def _cycle(catalogue: Catalogue, way: tuple[str, ...]) -> tuple[str, ...]:
    """Return the way along `builds_on` from a path back to itself, or nothing."""
    for base in _builds_on(catalogue, way[-1]):
        if base == way[0]:
            return (*way, base)
        if base not in way and (found := _cycle(catalogue, (*way, base))):
            return found
    return ()


def _builds_on(catalogue: Catalogue, path_id: str) -> list[str]:
    """Return what a recipe says it builds on; nothing where that can't be read."""
    said = _said(catalogue, path_id, "builds_on")
    return [base for base in said if isinstance(base, str) and is_slug(base)] if isinstance(said, list) else []


def _groups_of_hosts(catalogue: Catalogue, path_id: str) -> list[list[str]]:
    """Return the groups of each host of a recipe; nothing where that can't be read."""
    said = _said(catalogue, path_id, "hosts")
    hosts = said.values() if isinstance(said, dict) else ()
    groups = [host.get("groups") if isinstance(host, dict) else None for host in hosts]
    return [[group for group in one if isinstance(group, str)] if isinstance(one, list) else [] for one in groups]


def _said(catalogue: Catalogue, path_id: str, key: str) -> Any:
    try:
        data = read_yaml(catalogue.recipes / path_id / "recipe.yml", path_id).data
    except UsageError:
        return None
    return data.get(key) if isinstance(data, dict) else None
