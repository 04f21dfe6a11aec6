"""The recipe's JSON Schema, for editors: `python -m lading.recipe.schema` writes it again."""

import json

from pydantic import BaseModel

from lading.project import Catalogue, find_catalogue
from lading.recipe.model import Recipe


def schema_of(model: type[BaseModel]) -> str:
    """Return the schema of a file as it is published, from the model that reads it."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **model.model_json_schema(by_alias=True)}
    return json.dumps(schema, indent=2) + "\n"


def publish_schema(catalogue: Catalogue, name: str, text: str) -> None:
    """Write `data/schemas/NAME.schema.json`."""
    folder = catalogue.data / "schemas"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.schema.json").write_text(text)


def recipe_schema() -> str:
    """Return the recipe's schema as it is published."""
    return schema_of(Recipe)


def write_schema(catalogue: Catalogue) -> None:
    """Write `data/schemas/recipe.schema.json`."""
    publish_schema(catalogue, "recipe", recipe_schema())


if __name__ == "__main__":
    write_schema(find_catalogue())
