"""What differs from site to site, given to checks by the fixture `site`."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from lading.errors import UsageError


class Users(BaseModel):
    """Ordinary accounts of the hosts: whom a check may become."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    user: str
    other: str
    pilot: str


class Site(BaseModel):
    """A site's facts: its users, where its test images lie, and the role's variables in force.

    Example:
        ```python
        from lading.checks.site import Site

        site = Site.model_validate(
            {"users": {"user": "alice", "other": "bob", "pilot": "pilot01"}, "images": {"tiny": "/srv/images/tiny"}}
        )
        print(site.users.user, site.images["tiny"])
        #> alice /srv/images/tiny
        ```
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    users: Users
    images: dict[str, str] = {}
    variables: dict[str, JsonValue] = {}


def load_site(file: Path) -> Site:
    """Read a site's facts.

    Raises:
        UsageError: the file is missing or says something else; the message names the field.
    """
    try:
        return Site.model_validate_json(file.read_bytes())
    except OSError as error:
        raise UsageError(f"The site's facts '{file}' cannot be read: {error.strerror}.") from None
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "the whole file"
        raise UsageError(f"'{file}' is not a site's facts: {field}: {first['msg']}.") from None
