"""The glossary's JSON Schema, for editors: `python -m lading.glossary.schema` writes it again."""

import json

from lading.glossary.model import Glossary
from lading.project import Catalogue, find_catalogue


def glossary_schema() -> str:
    """Return the schema as it is published."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **Glossary.model_json_schema()}
    return json.dumps(schema, indent=2) + "\n"


def write_schema(catalogue: Catalogue) -> None:
    """Write `data/schemas/glossary.schema.json`."""
    folder = catalogue.data / "schemas"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "glossary.schema.json").write_text(glossary_schema())


if __name__ == "__main__":
    write_schema(find_catalogue())
