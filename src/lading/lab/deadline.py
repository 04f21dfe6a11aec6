"""Points in time by which something must have happened, stretched once for emulation."""

import time
from dataclasses import dataclass

from lading.errors import LabError

# Emulated guests were measured 8 to 14 times slower than hardware; limits are written for hardware
# and a factor of 10 keeps them out of the way of a slow but healthy run.
EMULATION_FACTOR = 10


@dataclass(frozen=True)
class Deadline:
    """A moment on the monotonic clock.

    Example:
        ```python
        from lading.lab.deadline import Deadline

        deadline = Deadline.after(60)
        assert 59 < deadline.left() <= 60
        assert Deadline.after(-1).passed()
        ```
    """

    at: float

    @classmethod
    def after(cls, seconds: float, *, emulated: bool = False) -> "Deadline":
        """Return the deadline `seconds` from now; under emulation that time is stretched."""
        return cls(time.monotonic() + seconds * (EMULATION_FACTOR if emulated else 1))

    def left(self) -> float:
        """Return the seconds that are left, never less than 0."""
        return max(0.0, self.at - time.monotonic())

    def passed(self) -> bool:
        """Tell whether the moment is over."""
        return self.left() == 0.0

    def require(self, what: str) -> float:
        """Return the seconds left.

        Raises:
            LabError: none are left.
        """
        if self.passed():
            raise LabError(f"Time ran out: {what}.")
        return self.left()
