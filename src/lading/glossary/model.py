"""The keys of `glossary.yml`. What they mean together is checked by `lading.glossary.load`.

The file is concept first: a concept has senses by context, each with its own terms. So one word can be right in one
context and wrong in another, and a sentence's context decides which sense it is in.
"""

from datetime import date
from typing import Annotated, Literal, Self, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from lading.recipe.model import CheckName, Distinct, RelativePath, Slug, Text

GENERAL = "general"
"""The context of senses that hold wherever no narrower one does."""

Group = Literal["containers", "images", "isolation", "grid", "cvmfs", "services", "project"]
GROUPS: tuple[Group, ...] = get_args(Group)


def _one_line(value: str) -> str:
    if value != " ".join(value.split()):
        raise ValueError("a term is words with one blank between them")
    return value


Term = Annotated[str, Field(min_length=1), AfterValidator(_one_line)]
Reference = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*(/[a-z0-9]+(-[a-z0-9]+)*)?$")]


class Model(BaseModel):
    """What all parts of the glossary share: an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Context(Model):
    """A world in which words have a meaning of their own; `files` are patterns of files that are in it unasked."""

    label: Text = Field(description="Its name, as the site shows it.")
    help: Text = Field(description="What belongs to it, in one sentence.")
    files: list[str] = Field(default=[], description="Patterns, from the repository's top, of files in this context.")


class Source(Model):
    """Where facts come from: a page elsewhere, or one of this project where the word is this project's own."""

    title: Text = Field(description="Who says it, and where.")
    url: Annotated[str, Field(pattern=r"^https?://\S+$")] | None = Field(default=None, description="Its address.")
    page: RelativePath | None = Field(default=None, description="The page of this repository instead, as 'docs/….md'.")
    read: date = Field(description="When it was read.")

    @model_validator(mode="after")
    def _is_somewhere(self) -> Self:
        if (self.url is None) == (self.page is None):
            raise ValueError("a source has either 'url' or 'page'")
        return self

    @property
    def address(self) -> str:
        """Its URL, or the file of this repository."""
        return self.url or self.page or ""


class Ban(Model):
    """A term not to be used in a sense."""

    say: Term = Field(description="The term to write instead.")
    because: Text = Field(description="Why not, in one sentence.")
    unless: list[Term] = Field(default=[], description="Phrases with the term in which it is right.")
    fix: bool = Field(
        default=False, description="Whether one can be swapped for the other without reading the sentence."
    )


class FormerName(Model):
    """A name that a thing had."""

    name: Term
    until: Text = Field(description="Until when, and what became of it.")
    source: Slug | None = None


class Witness(Model):
    """A check that tries the definition's claim in a guest."""

    path: Slug = Field(description="The path whose check it is.")
    check: CheckName
    shows: Text = Field(description="What of the definition it shows.")


class Sense(Model):
    """What a concept is in one context."""

    definition: Text = Field(description="One or two plain sentences.")
    preferred: Term = Field(description="The term that is always right, and says which sense it is.")
    admitted: Annotated[list[Term], Distinct] = Field(default=[], description="Terms that are right in this context.")
    deprecated: dict[Term, Ban] = Field(default={}, description="Terms that were right once.")
    forbidden: dict[Term, Ban] = Field(default={}, description="Terms that are wrong or mislead here.")
    forms: dict[Term, list[Term]] = Field(default={}, description="Plurals and other forms of the terms above.")
    exact: Annotated[list[Term], Distinct] = Field(
        default=[], description="Terms that are only meant where they are written so, capitals and all."
    )
    local: Annotated[list[Term], Distinct] = Field(
        default=[], description="Terms that mean this only where the context is declared, for everyday words."
    )
    sources: Annotated[list[Slug], Distinct] = Field(default=[], description="Names of the file's sources.")
    broader: Reference | None = Field(
        default=None, description="The concept, or 'concept/context', that it is a kind of."
    )
    related: Annotated[list[Reference], Distinct] = Field(default=[], description="Others that a reader may look for.")
    note: Text | None = Field(default=None, description="What else a reader should know.")
    history: list[FormerName] = Field(default=[], description="Names that it had.")
    witnesses: list[Witness] = Field(default=[], description="Checks that try what the definition claims.")
    good: list[Text] = Field(default=[], description="Sentences in this context that the rules leave alone.")
    bad: list[Text] = Field(default=[], description="Sentences in this context in which the rules find something.")


class Concept(Model):
    """One idea, and its senses by context."""

    group: Group = Field(description="The part of the vocabulary that it stands in.")
    senses: Annotated[dict[Slug, Sense], Field(min_length=1)]


class Glossary(Model):
    """The whole file."""

    contexts: dict[Slug, Context]
    sources: dict[Slug, Source]
    acronyms: dict[str, Text] = Field(default={}, description="Acronyms that need no concept, spelled out.")
    renamed: dict[Reference, Reference] = Field(default={}, description="Former ids, and what they are called now.")
    concepts: dict[Slug, Concept]
