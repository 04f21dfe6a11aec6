"""The platforms that recipes may name, from `data/platforms.yml`."""

from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from lading.errors import UsageError
from lading.project import Catalogue


class Platform(BaseModel):
    """An operating system release; `image` says how the lab makes a guest of it, None that it can't."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str
    family: Literal["debian", "el", "ubuntu"]
    cpu_level: Literal["x86-64", "x86-64-v2", "x86-64-v3"]
    image: Literal["mmdebstrap"] | None = None
    suite: str | None = None
    kernel_package: str | None = None


_PLATFORMS = TypeAdapter(dict[str, Platform])


def load_platforms(catalogue: Catalogue) -> dict[str, Platform]:
    """Return the platforms by name.

    Raises:
        UsageError: the file does not parse or has a wrong field.
    """
    file = catalogue.data / "platforms.yml"
    try:
        return _PLATFORMS.validate_python(yaml.safe_load(file.read_text()))
    except (yaml.YAMLError, ValidationError) as error:
        raise UsageError(f"'{file.relative_to(catalogue.root)}' is not a list of platforms: {error}") from error
