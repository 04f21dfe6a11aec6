"""A recipe's keys. What they mean together (files that exist, names that match) is checked by `lading.recipe.load`."""

from datetime import date
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    model_validator,
)

from lading.recipe.durations import PATTERN as DURATION
from lading.recipe.durations import parse_duration
from lading.recipe.names import SLUG

Kind = Literal["compute", "images", "services", "operations"]
Advice = Literal["recommended", "alternative", "special-case", "not-advised", "historic"]
Audience = Literal["site-admin", "experiment", "image-author", "user"]
Stage = Literal["red", "apply", "green", "again", "sabotage", "reboot", "undo", "agree"]

STAGES: tuple[Stage, ...] = get_args(Stage)
"""All stages, in the order in which they run; not every route has each."""


def _seconds(value: object) -> float:
    return parse_duration(str(value))  # a bare number is no duration: it doesn't say of what


def _distinct(values: list[str]) -> list[str]:
    if twice := sorted({value for value in values if values.count(value) > 1}):
        raise ValueError(f"'{twice[0]}' is here twice")
    return values


Text = Annotated[str, Field(min_length=1, pattern=r"^\S(.*\S)?\s*$")]
Slug = Annotated[str, Field(pattern=SLUG)]
Name = Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_]*$")]
HostName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$")]
Memory = Annotated[str, Field(pattern=r"^[1-9][0-9]{0,5}[MG]$")]
Package = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9+.:-]*([/=][A-Za-z0-9.+:~-]+)?$")]
CheckName = Annotated[str, Field(pattern=r"^test_\w+\.py::\w+(::\w+)?(\[.+\])?$")]
Duration = Annotated[float, BeforeValidator(_seconds), WithJsonSchema({"type": "string", "pattern": DURATION})]
RelativePath = Annotated[str, Field(pattern=r"^\.?[\w@+-][\w.@+-]*(/\.?[\w@+-][\w.@+-]*)*$")]  # no way upwards
Distinct = AfterValidator(_distinct)
Url = Annotated[str, Field(pattern=r"^https?://[^\s@]+$")]
RepositoryName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*([.][a-z0-9-]+)+$")]
OnlyOn = Annotated[list[Name], Distinct, Field(description="Inventory groups of the hosts where; all hosts if none.")]


class Model(BaseModel):
    """What all parts of a recipe share: an unknown key is an error, and `yes` is not a number."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Host(Model):
    """One guest of the lab."""

    groups: Annotated[list[Name], Field(min_length=1), Distinct] = Field(description="Inventory groups.")
    memory: Memory = Field(default="1G", description="Memory, as '512M' or '2G'.")
    cpus: int = Field(default=1, ge=1, le=16, description="Virtual CPUs.")

    @property
    def memory_mib(self) -> int:
        """The memory in MiB."""
        return int(self.memory[:-1]) * (1024 if self.memory.endswith("G") else 1)


class PlatformUse(Model):
    """A platform that the path is meant for.

    With `needs`, `not_verified` is what is told until somebody proves it where these addresses answer.
    """

    not_verified: Text | None = Field(default=None, description="Why it has never been proven there, if it can't be.")
    needs: Annotated[list[Url], Distinct] = Field(
        default=[],
        description="Addresses beside the mirror without which no proof is made: tried first, then open to guests.",
    )

    @model_validator(mode="after")
    def _says_why(self) -> "PlatformUse":
        if self.needs and not self.not_verified:
            raise ValueError("'needs' wants a 'not_verified' that tells readers why nobody has proven it so far")
        return self


class Variable(Model):
    """A variable of the path's roles that a site may set."""

    default: Any = Field(description="What the role takes when a site sets nothing.")
    lab: Any = Field(default=None, description="What the lab sets instead.")
    help: Text = Field(description="What it does, in one sentence.")

    @property
    def in_lab(self) -> Any:
        """What is in force in the lab; a `lab: null` counts as said."""
        return self.lab if "lab" in self.model_fields_set else self.default


class TestImage(Model):
    """A root tree of Debian packages that checks run containers from."""

    __test__ = False

    suite: Slug
    packages: Annotated[list[Package], Distinct]
    form: Literal["dir", "sif"]
    variant: Literal["custom", "extract", "essential", "apt", "minbase", "standard"] = Field(
        default="custom", description="What the tree holds beside the packages, in mmdebstrap's words."
    )
    setup: list[Annotated[str, Field(min_length=1)]] = Field(
        default=[], description="Shell lines run as root in the tree when it is built."
    )


class CvmfsStandIn(Model):
    """The lab's stand-in for CernVM-FS: autofs and squashfuse at /cvmfs, there before the path is applied."""

    repositories: Annotated[dict[RepositoryName, Slug], Field(min_length=1)] = Field(
        description="Repositories, each with the test image whose root tree it holds; /srv/images lacks that one."
    )
    groups: OnlyOn = []
    idle: Duration = Field(default=300.0, description="How long after its last use a repository is unmounted, as '5m'.")
    first_access: Duration = Field(default=0.0, description="How much longer each mount takes, as '3s'.")


class StandIns(Model):
    """What the lab sets up in place of something that can't be had here."""

    cvmfs: CvmfsStandIn | None = None


class TrueBefore(Model):
    """A check that holds on the untouched host."""

    check: CheckName
    because: Text


class Start(Model):
    """A host that is not clean: the playbook has to respect what its admin has there, or to refuse clearly."""

    help: Text = Field(description="What such a host is, in one sentence.")
    functions: RelativePath | None = Field(
        default=None, description="A shell file beside the recipe whose functions the setup calls."
    )
    setup: Annotated[str, Field(min_length=1)] = Field(description="A shell script, run as root on the untouched host.")
    groups: OnlyOn = []
    variables: dict[Name, Any] = Field(default={}, description="What is set for this host beside the lab's values.")
    refused: Text | None = Field(
        default=None, description="What the playbook must say when it refuses this host, which then nothing may change."
    )
    stays: list[Text] = Field(
        default=[],
        description="Shell lines for root that succeed after the setup, after apply and after undo: the admin's own.",
    )


class Rendered(Model):
    """A file that is made from a role's template, for a page to show."""

    template: RelativePath = Field(description="The template, relative to 'playbooks/'.")
    variables: dict[Name, Any] = Field(default={}, description="What the template needs, as it is in the lab.")


class Difference(Model):
    """Something that `undo` or `agree` may leave different."""

    stage: Literal["undo", "agree"]
    item: Text = Field(description="An item of the state, such as 'file:/etc/x'; '*' stands for any characters.")
    because: Text


class Sabotage(Model):
    """A fault, made from the green state, and the checks that each must notice it."""

    run: Text = Field(description="One shell line, run as root.")
    groups: OnlyOn = []
    red: Annotated[list[CheckName], Field(min_length=1), Distinct]


class Source(Model):
    """Where a fact comes from."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, populate_by_name=True)

    url: Annotated[str, Field(pattern=r"^https?://\S+$")]
    read: date = Field(description="The day on which it was read.")
    purpose: Text = Field(alias="for", description="What it was read for.")


class Recipe(Model):
    """A deployment path: what it is, where it can be proven, and what proves it."""

    title: Text
    summary: Text = Field(description="One sentence.")
    kind: Kind
    advice: Advice
    advice_because: Text = Field(description="Whom the advice is for, and why.")
    audience: Annotated[list[Audience], Field(min_length=1), Distinct]
    answers: Annotated[list[str], Distinct] = Field(default=[], description="Ids of data/requirements.yml.")
    builds_on: Annotated[list[Slug], Distinct] = Field(
        default=[], description="Paths whose end state this one starts from."
    )
    conflicts_with: Annotated[list[Slug], Distinct] = Field(
        default=[], description="Paths that a host can't have besides."
    )
    hosts: dict[HostName, Host] = Field(min_length=1)
    platforms: dict[str, PlatformUse] = Field(min_length=1)
    variables: dict[Name, Variable] = {}
    undo: dict[Name, Any] = Field(
        min_length=1, description="Variables that make the playbook, and the Puppet class, take back what they made."
    )
    rendered: dict[RelativePath, Rendered] = Field(
        default={}, description="Files that the page includes: what the role's templates come to, below 'rendered/'."
    )
    page_coverage: int = Field(
        default=0, ge=0, le=100, description="How many of a hundred blocks of the page a route types: the floor."
    )
    images: dict[Slug, TestImage] = {}
    stand_ins: StandIns = StandIns()
    true_before: list[TrueBefore] = []
    starts: dict[Slug, Start] = Field(default={}, description="Hosts that are not clean; a clean one is always tried.")
    drain: bool = Field(default=False, description="Whether running jobs do not survive apply or undo.")
    differences: list[Difference] = []
    sabotage: list[Sabotage] = []
    timeouts: dict[Stage, Duration] = Field(default={}, description="Deadlines of stages, as '6m'; seconds once read.")
    sources: list[Source] = []

    @property
    def several(self) -> bool:
        """Whether there are several hosts, which then share a private network."""
        return len(self.hosts) > 1
