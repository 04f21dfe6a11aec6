"""Pydantic's complaints, told as sentences about a place in a file."""

import textwrap
import types
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from lading.recipe.names import did_you_mean
from lading.recipe.problems import Loc, Problem
from lading.recipe.yamlfile import Document

FORMS = {
    r"^\S(.*\S)?\s*$": "one line of text",
    r"^[1-9][0-9]{0,5}[MG]$": "memory like '512M' or '2G'",
    r"^https?://\S+$": "a URL",
    r"^test_\w+\.py::\w+(::\w+)?(\[.+\])?$": "a check like 'test_worker.py::test_name'",
}
"""What a pattern asks for, where its text would say little to an author."""


def complaints(document: Document, error: ValidationError, shape: Any) -> list[Problem]:
    """Return what is wrong with a document that should have had the shape of `shape` (a model or a type)."""
    return [_problem(document, detail, shape) for detail in error.errors(include_url=False)]


def _problem(document: Document, detail: ErrorDetails, shape: Any) -> Problem:
    loc: Loc = tuple(part for part in detail["loc"] if part != "[key]")
    return document.problem(loc, _sentence(detail, loc, shape))


def _sentence(detail: ErrorDetails, loc: Loc, shape: Any) -> str:
    context = detail.get("ctx", {})
    said = textwrap.shorten(str(detail["input"]), 60, placeholder="…")
    match detail["type"]:
        case "extra_forbidden":
            sentence = f"unknown key '{loc[-1]}'{did_you_mean(str(loc[-1]), _keys_at(shape, loc[:-1]))}"
        case "missing":
            sentence = "this key is missing."
        case "literal_error":
            known = [word.strip("'") for word in str(context["expected"]).replace(" or ", ", ").split(", ")]
            sentence = f"'{said}' is not known here{did_you_mean(said, known)}"
        case "string_pattern_mismatch":
            pattern = str(context["pattern"])
            sentence = f"'{said}' is not {FORMS.get(pattern, f'of the form {pattern}')}."
        case "string_too_short":
            sentence = "this is empty."
        case "value_error":
            sentence = f"{context['error']}."
        case "model_type" | "model_attributes_type" | "dict_type":
            sentence = "this should be a mapping of keys to values."
        case "date_type":
            sentence = f"'{said}' is not a date like 2026-11-21."
        case _:
            sentence = detail["msg"].replace("Input should", "this should") + "."
    return sentence


def _keys_at(shape: Any, loc: Loc) -> list[str]:
    """Return the keys that a place of the shape knows; none where it is not a model."""
    for part in loc:
        shape = _inside(_bare(shape), part)
    shape = _bare(shape)
    if isinstance(shape, type) and issubclass(shape, BaseModel):
        return [field.alias or name for name, field in shape.model_fields.items()]
    return []


def _inside(shape: Any, part: str | int) -> Any:
    if isinstance(shape, type) and issubclass(shape, BaseModel):
        fields = {field.alias or name: field for name, field in shape.model_fields.items()}
        return fields[str(part)].annotation if part in fields else None
    return get_args(shape)[-1] if get_origin(shape) in (list, dict) else None


def _bare(shape: Any) -> Any:
    """Take `Annotated` and `| None` off a type."""
    while get_origin(shape) in (Annotated, Union, types.UnionType):
        shape = get_args(shape)[0]
    return shape
