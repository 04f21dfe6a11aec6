"""Proofs that this machine made: only these are not repeated. Committed evidence alone counts for nothing here."""

from pathlib import Path

from pydantic import ValidationError

from lading.evidence.model import Grade, Statement
from lading.lab.workspace import Workspace

ENOUGH: dict[Grade, tuple[Grade, ...]] = {"quick": ("quick", "full"), "full": ("full",)}


def _file(workspace: Workspace, path_id: str, platform: str, digest: str) -> Path:
    return workspace.folder("proofs") / f"{path_id}--{platform}--{digest}.json"


def remember(workspace: Workspace, path_id: str, platform: str, statement: Statement) -> None:
    """Keep a proof of this machine's own, unless a better one of the same inputs is kept."""
    digest = statement.subject[0].digest.sha256
    if statement.run.grade is None or (
        statement.run.grade == "quick" and recall(workspace, path_id, platform, digest, "full")
    ):
        return
    temporary = workspace.tmp / "proof.json"
    temporary.write_text(statement.to_json())
    temporary.replace(_file(workspace, path_id, platform, digest))


def recall(workspace: Workspace, path_id: str, platform: str, digest: str, grade: Grade) -> Statement | None:
    """Return this machine's proof of exactly these inputs with at least that grade, if there is one."""
    file = _file(workspace, path_id, platform, digest)
    try:
        statement = Statement.model_validate_json(file.read_bytes())
    except (OSError, ValidationError):
        return None
    return statement if statement.run.grade in ENOUGH[grade] else None
