"""What the extensions that read the catalogue share: where it is, and what day it is."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from markdown.extensions import Extension

from lading.errors import UsageError
from lading.project import Catalogue, find_catalogue


class CatalogueExtension(Extension):
    """An extension with two options: `root`, the catalogue's folder, and `today`, the day the site is built for."""

    def __init__(self, **options: Any) -> None:
        self.config = {
            "root": ["", "The catalogue's folder; found upwards from the working folder if empty."],
            "today": ["", "The day (UTC) that ages are counted to, as 2026-11-21; the clock's if empty."],
        }
        super().__init__(**options)

    def catalogue(self) -> Catalogue:
        """Return the catalogue; looked for anew each time, since a server of pages lives long.

        Raises:
            UsageError: there is none.
        """
        root = self.getConfig("root")
        return find_catalogue(Path(root) if root else None)

    def today(self) -> date:
        """Return the day that ages are counted to.

        Raises:
            UsageError: the option is not a date.
        """
        said = self.getConfig("today")
        if not said:
            return datetime.now(UTC).date()
        try:
            return said if isinstance(said, date) else date.fromisoformat(said)
        except ValueError:
            raise UsageError(f"The option 'today' is '{said}', which is no date like '2026-11-21'.") from None
