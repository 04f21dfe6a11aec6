"""Lading proves deployment guides in throwaway virtual machines."""

from typing import Final

__version__: Final = "0.1.0"

PROTOCOL: Final = 2
"""What a proof consists of. It is part of every subject: raising it asks every path for a new proof."""
