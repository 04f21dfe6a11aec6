"""Fixtures that all tests share."""

from collections.abc import Callable

import pytest
from hypothesis import settings

from tests.workshop import Workshop

# Guests are emulated beside the tests; how long an example took says nothing then.
settings.register_profile("lading", deadline=None)
settings.load_profile("lading")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put files whose tests boot guests first: of two workers, none is then left alone with the longest at the end."""
    booting = {item.path for item in items if item.get_closest_marker("vm")}
    items.sort(key=lambda item: item.path not in booting)


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
