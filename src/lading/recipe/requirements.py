"""What the working group asked for, from `data/requirements.yml`: recipes say which of it they answer."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from lading.project import Catalogue
from lading.recipe.complaints import complaints
from lading.recipe.problems import refuse
from lading.recipe.yamlfile import read_yaml


class Requirement(BaseModel):
    """One line of the working group's wishes; `seeds` are the numbers of the documents that ask for it."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    id: Annotated[str, Field(pattern=r"^[A-Z][0-9]+$")]
    section: str
    asked_for: str
    seeds: Annotated[list[int], Field(min_length=1)]


_REQUIREMENTS = TypeAdapter(list[Requirement])


def load_requirements(catalogue: Catalogue) -> dict[str, Requirement]:
    """Return the requirements by id, in the order of the file.

    Raises:
        UsageError: the file is missing, does not parse, or has a wrong field.
    """
    document = read_yaml(catalogue.data / "requirements.yml", "data/requirements.yml")
    try:
        found = _REQUIREMENTS.validate_python(document.data)
    except ValidationError as error:
        refuse(complaints(document, error, list[Requirement]))
    seen: dict[str, Requirement] = {}
    for index, requirement in enumerate(found):
        if requirement.id in seen:
            refuse([document.problem((index, "id"), f"the id '{requirement.id}' is here twice.")])
        seen[requirement.id] = requirement
    return seen
