"""The data that recipes are checked against, and the schema that editors check them with."""

import json
import re

import jsonschema
import pytest

from lading.errors import UsageError
from lading.project import Catalogue
from lading.recipe.requirements import load_requirements
from lading.recipe.schema import recipe_schema, write_schema
from tests.workshop import RECIPE, REPOSITORY, Workshop


def test_the_published_schema_is_current() -> None:
    published = REPOSITORY / "data/schemas/recipe.schema.json"
    assert published.read_text() == recipe_schema(), "run: python -m lading.recipe.schema"


def test_the_schema_is_written_where_it_is_published(workshop: Workshop) -> None:
    write_schema(workshop.catalogue)
    assert (workshop.root / "data/schemas/recipe.schema.json").read_text() == recipe_schema()


def test_the_schema_accepts_what_the_loader_accepts_and_names_no_key_of_python() -> None:
    schema = json.loads(recipe_schema())
    plain = json.loads(json.dumps(RECIPE, default=str))
    jsonschema.validate(plain, schema)
    with pytest.raises(jsonschema.ValidationError, match="sumary"):
        jsonschema.validate({**plain, "sumary": "x"}, schema)
    assert "for" in schema["$defs"]["Source"]["properties"]


def test_the_requirements_are_all_there() -> None:
    found = load_requirements(Catalogue(REPOSITORY))
    assert len(found) == 50
    assert found["A1"].seeds == [1, 2, 4]
    assert found["A1"].section == "Apptainer in operation"
    assert all(re.fullmatch("[PLAXISTV][0-9]+", name) for name in found)


@pytest.mark.parametrize("text, said",
    [
        ("- {id: A1, section: x, asked_for: x}\n", "data/requirements.yml:1: [0].seeds: this key is missing."),
        ("- {id: A1, section: x, asked_for: x, seeds: [1]}\n" * 2, "requirements.yml:2: [1].id: the id 'A1' is here"),
        ("- {id: A1, section: x, asked_for: x, seed: [1], seeds: [1]}\n", "unknown key 'seed'; did you mean 'seeds'?"),
    ],
)  # fmt: skip
def test_a_wrong_requirement_is_refused_with_its_line(workshop: Workshop, text: str, said: str) -> None:
    workshop.write("data/requirements.yml", text)
    with pytest.raises(UsageError) as caught:
        load_requirements(workshop.catalogue)
    assert said in str(caught.value)
