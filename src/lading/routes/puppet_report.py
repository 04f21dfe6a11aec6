"""What Puppet says of a run: its report, and where there is none, the errors that it printed."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import yaml

from lading.routes.result import TaskResult

CHANGED: Final = 2
"""With --detailed-exitcodes: something was changed. 1 is no catalogue; 4 and 6 are resources that failed."""
PUPPETS_OWN: Final = ("Filebucket", "Schedule")
ERROR: Final = re.compile(
    r"^Error: (?P<message>.*?)(?: \(file: (?P<file>.+?), line: (?P<line>\d+).*\).*)?$", re.MULTILINE
)
LONGEST_MESSAGE: Final = 4000


class _Loader(yaml.SafeLoader):
    """Reads a report, whose parts carry the names of Ruby's classes, as plain data."""


def _plain(loader: yaml.SafeLoader, _class: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node, deep=True)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    assert isinstance(node, yaml.ScalarNode)
    return loader.construct_scalar(node)


_Loader.add_multi_constructor("!ruby/", _plain)


def read_report(host: str, text: str) -> list[TaskResult]:
    """Return what became of each resource but Puppet's own; in a rehearsal `changed` is what would be changed."""
    report: Mapping[str, Any] = yaml.load(text, Loader=_Loader) or {}  # noqa: S506 (a SafeLoader, see above)
    statuses: Mapping[str, Mapping[str, Any]] = report.get("resource_statuses") or {}
    foretold = dict(_refreshes(report))
    return [
        _task(host, name, said, foretold.get("/" + "/".join(said["containment_path"])))
        for name, said in statuses.items()
        if said["resource_type"] not in PUPPETS_OWN
    ]


def _refreshes(report: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield source and sentence of each refresh that a rehearsal foretells: it is in no resource's events."""
    for line in report.get("logs") or []:
        if str(line["message"]).startswith("Would have triggered 'refresh'"):
            yield line["source"], line["message"]


def _task(host: str, name: str, said: Mapping[str, Any], refresh: str | None) -> TaskResult:
    events = said["events"] or []
    failed = said["failed"] or said["failed_to_restart"]
    outcome = "failed" if failed else "skipped" if said["skipped"] else "ok"
    told = [str(event["message"]) for event in events if not failed or event["status"] == "failure"]
    return TaskResult(
        host=host,
        task=name,
        path=_path(said["file"], said["line"]),
        action=str(said["resource_type"]).lower(),
        outcome=outcome,
        changed=bool(refresh) or any(event["status"] in ("success", "noop") for event in events),
        seconds=said["evaluation_time"],
        message="; ".join([*told, *([refresh] if refresh else [])])[:LONGEST_MESSAGE],
    )


def _path(file: str | None, line: int | str | None) -> str:
    return f"{file.partition('/modules/')[2] or file}:{line}" if file else ""


def failed_before(host: str, rc: int, printed: str) -> list[TaskResult]:
    """Return what Puppet printed as errors where it ended before it had a catalogue: such a run leaves no report."""
    return list(_errors(host, printed)) if rc not in (0, CHANGED) else []


def _errors(host: str, printed: str) -> Iterator[TaskResult]:
    for found in ERROR.finditer(printed):
        path = _path(found["file"], found["line"])
        yield TaskResult(host, "catalogue", path, "puppet", "failed", False, None, found["message"][:LONGEST_MESSAGE])
