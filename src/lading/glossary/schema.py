"""The glossary's JSON Schema, for editors: `python -m lading.glossary.schema` writes it again."""

from lading.glossary.model import Glossary
from lading.project import Catalogue, find_catalogue
from lading.recipe.schema import publish_schema, schema_of


def glossary_schema() -> str:
    """Return the glossary's schema as it is published."""
    return schema_of(Glossary)


def write_schema(catalogue: Catalogue) -> None:
    """Write `data/schemas/glossary.schema.json`."""
    publish_schema(catalogue, "glossary", glossary_schema())


if __name__ == "__main__":
    write_schema(find_catalogue())
