"""Fixtures that all tests share."""

from collections.abc import Callable

import pytest

from tests.workshop import Workshop


@pytest.fixture
def new_workshop(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Workshop]:
    """Return a maker of empty catalogues."""
    return lambda: Workshop(tmp_path_factory.mktemp("catalogue") / "root")


@pytest.fixture
def workshop(new_workshop: Callable[[], Workshop]) -> Workshop:
    """Return a catalogue with one path, `demo`."""
    made = new_workshop()
    made.path()
    return made
