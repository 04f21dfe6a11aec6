"""Evidence on disk: `evidence/<path>/<platform>.json`, read with suspicion and written whole or not at all."""

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from lading.errors import UsageError
from lading.evidence.model import Statement, self_digest
from lading.project import Catalogue
from lading.recipe.problems import dotted
from lading.recipe.yamlfile import read_text

REMEDY = "Evidence is written by a run only: 'git checkout' the file, or prove the path again with 'lading verify'."


def evidence_file(catalogue: Catalogue, path_id: str, platform: str) -> Path:
    """Return where the evidence of a path on a platform is, or would be."""
    return catalogue.evidence / path_id / f"{platform}.json"


def read_evidence(catalogue: Catalogue, path_id: str, platform: str) -> Statement | None:
    """Return the evidence of a path on a platform, or None if there is none.

    Raises:
        UsageError: it does not parse, has been edited, or is about something else.
    """
    file = evidence_file(catalogue, path_id, platform)
    if not os.path.lexists(file):
        return None
    shown = str(file.relative_to(catalogue.root))
    data = _parse(read_text(file, shown), shown)
    try:
        statement = Statement.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place, said = dotted(first["loc"]), first["msg"].removeprefix("Value error, ")
        raise UsageError(f"{shown}: {place + ': ' if place else ''}{said}.", hint=REMEDY) from None
    if statement.predicate.digest != self_digest(data):
        raise UsageError(f"{shown}: predicate.digest: The file was edited: its digest is another.", hint=REMEDY)
    if (name := statement.subject[0].name) != f"{path_id}/{platform}":
        raise UsageError(f"{shown}: subject[0].name: This is the evidence of '{name}'.", hint=REMEDY)
    return statement


def write_evidence(catalogue: Catalogue, path_id: str, platform: str, statement: Statement) -> Path:
    """Write a sealed statement in one step, so that a killed run leaves the old file or the new one."""
    file = evidence_file(catalogue, path_id, platform)
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=file.parent, prefix=".", suffix=".tmp", delete=False) as draft:
        try:
            draft.write(statement.to_json())
            draft.flush()
            os.fchmod(draft.fileno(), 0o644)
            os.fsync(draft.fileno())
            Path(draft.name).replace(file)
        except BaseException:
            Path(draft.name).unlink(missing_ok=True)
            raise
    return file


def _parse(text: str, shown: str) -> dict[str, Any]:
    try:
        data = json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise UsageError(f"{shown}:{error.lineno}: This is not JSON: {error.msg}.", hint=REMEDY) from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{shown}: This is not evidence: {error}.", hint=REMEDY) from None
    if not isinstance(data, dict):
        raise UsageError(f"{shown}: This is not evidence: it should be an object.", hint=REMEDY)
    return data


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("an object has a key twice")
    return found


def _no_constant(name: str) -> float:
    raise ValueError(f"'{name}' is no number of JSON")
