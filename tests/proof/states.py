"""States of hosts to compare."""

from datetime import UTC, datetime
from typing import Any

from lading.state.model import State


def state_of(items: dict[str, Any]) -> State:
    """Return a state with these items."""
    return State(
        format="lading-state/1",
        host="worker1",
        system="debian 13",
        kernel="6.12",
        taken=datetime(2026, 11, 21, tzinfo=UTC),
        items=items,
        makers={},
    )
