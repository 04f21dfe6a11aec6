"""A host's state as data."""

import json
from typing import Any, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from lading.errors import UsageError


class State(BaseModel):
    """What a host has: `items` by name, such as `package:apptainer` or `file:/etc/hosts`, each with its facts.

    `makers` names the package that makes a system user or group; it is no part of what is compared.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal["lading-state/1"]
    host: str
    system: str
    kernel: str
    taken: AwareDatetime
    items: dict[str, Any]
    makers: dict[str, str]

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read a state as `SCRIPT` or `to_json` printed it.

        Raises:
            UsageError: it is something else.
        """
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "the text"
            raise UsageError(
                f"This is not a state as 'lading state' prints it: {where}: {first['msg']}.",
                hint=f"It begins with: {text[:200]!r}",
            ) from None

    def to_json(self) -> str:
        """Return the state as JSON with a line for each item, so that any diff shows it well."""
        head = self.model_dump(mode="json", exclude={"items", "makers"})
        parts = [f" {json.dumps(key)}: {json.dumps(value)}" for key, value in head.items()]
        parts += [f" {json.dumps(key)}: {_lines(getattr(self, key))}" for key in ("items", "makers")]
        return "{\n" + ",\n".join(parts) + "\n}\n"


def _lines(items: dict[str, Any]) -> str:
    if not items:
        return "{}"
    rows = (f"  {json.dumps(name)}: {json.dumps(item, sort_keys=True)}" for name, item in sorted(items.items()))
    return "{\n" + ",\n".join(rows) + "\n }"
