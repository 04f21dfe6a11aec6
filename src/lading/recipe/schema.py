"""The recipe's JSON Schema, for editors: `python -m lading.recipe.schema` writes it again."""

import json

from lading.project import Catalogue, find_catalogue
from lading.recipe.model import Recipe


def recipe_schema() -> str:
    """Return the schema as it is published."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **Recipe.model_json_schema(by_alias=True)}
    return json.dumps(schema, indent=2) + "\n"


def write_schema(catalogue: Catalogue) -> None:
    """Write `data/schemas/recipe.schema.json`."""
    folder = catalogue.data / "schemas"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "recipe.schema.json").write_text(recipe_schema())


if __name__ == "__main__":
    write_schema(find_catalogue())
