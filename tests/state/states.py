"""Small states for tests."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from lading.state.model import State


def state(items: Mapping[str, Any], makers: Mapping[str, str] | None = None) -> State:
    """Return a state of these items, as of the guests' start of time."""
    return State(
        format="lading-state/1",
        host="worker1",
        system="Debian GNU/Linux 13 (trixie)",
        kernel="6.12.1",
        taken=datetime(2026, 11, 21, 7, 0, tzinfo=UTC),
        items=dict(items),
        makers=dict(makers or {}),
    )
