"""`image-area` killed at any moment leaves readers with a whole tree, and the next run sweeps."""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.playbooks.container_image import needs_gpg
from tests.playbooks.image_area.area import CHANGED, Builder, left_over, publish, says

pytestmark = needs_gpg


def killed_at(step: int, action: Callable[[], object]) -> bool:
    """Run an action in a process that is killed before its `step`-th act on a file; say whether it was."""
    child = os.fork()
    if child == 0:
        left = step

        def watch(event: str, _: tuple[object, ...]) -> None:
            nonlocal left
            if event.partition(".")[0] in ("os", "open", "shutil", "subprocess", "fcntl"):
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(watch)
        try:
            action()
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


Acts = dict[str, Callable[[], object]]


def acts(area: Any, builder: Builder, first: Path, second: Path) -> Acts:
    """Return what may be killed, each with the first version in use, or the second where that has followed."""
    return {
        "publish": lambda: area.publish(second, builder.keyring),
        "mend": lambda: area.publish(first, builder.keyring),
        "rollback": lambda: area.rollback("base"),
        "tidy": lambda: area.tidy(0, 0),
    }


@pytest.mark.parametrize(
    "what, seen",
    [("publish", {"1", "2"}), ("mend", {"1"}), ("rollback", {"1", "2"}), ("tidy", {"2"})],
    ids=["publish", "mend", "rollback", "tidy"],
)
def test_killed_at_any_moment_readers_see_a_whole_tree_and_the_next_run_sweeps(
    area: Any, builder: Builder, what: str, seen: set[str]
) -> None:
    first, second = builder.image("1"), builder.image("2", CHANGED)
    found, step, killed = set(), 0, True

    def act() -> None:
        with area.locked():
            acts(area, builder, first, second)[what]()

    while killed:
        step += 1
        publish(area, builder, first)
        if what in ("rollback", "tidy"):
            publish(area, builder, second)
        elif what == "publish":
            with area.locked():
                area.tidy(0, 0)
        else:
            (area.root / "base/1/tree/opt").chmod(0o700)
        killed = killed_at(step, act)
        found.add(area.current("base"))
        assert says(area) == area.current("base")
        with area.locked():
            assert left_over(area) == []
        if what != "mend":
            for version in area.versions("base"):
                area.verify(area.require("base", version), builder.keyring)
    area.verify(area.require("base", None), builder.keyring)
    assert (found, step > 10) == (seen, True)
