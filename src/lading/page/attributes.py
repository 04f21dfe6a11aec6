"""What a fence's first line says: `{ .console host=worker1 exit=1 }`, in the site's own syntax of attributes."""

from dataclasses import dataclass, field
from typing import Final, Literal

from markdown.extensions.attr_list import get_attrs_and_remainder

Kind = Literal["console", "file", "not-run", "other"]

NOT_RUN: Final = "not-run"
END: Final = "lading-end"
"""Goes behind the attributes: the parser drops what it cannot read in silence, and this with it."""


@dataclass(frozen=True)
class Info:
    """What a fence says of itself; `wrong` are sentences about what cannot be understood."""

    classes: tuple[str, ...] = ()
    values: dict[str, str] = field(default_factory=dict)
    wrong: tuple[str, ...] = ()

    @property
    def kind(self) -> Kind:
        """What the block claims to be."""
        if NOT_RUN in self.values:
            return "not-run"
        if "console" in self.classes:
            return "console"
        return "file" if "file" in self.classes else "other"


def parse_info(info: str) -> Info:
    """Return the attributes of a fence's first line; without braces it has none, only a language.

    Example:
        ```python
        from lading.page.attributes import parse_info

        said = parse_info('{ .console host=worker1 reboot }')
        print(said.kind, said.values)
        #> console {'host': 'worker1', 'reboot': ''}
        ```
    """
    info = info.strip()
    if not info.startswith("{"):
        return Info()
    if not info.endswith("}"):
        return Info(wrong=("The attributes are not closed; end the line with '}'.",))
    parsed, _ = get_attrs_and_remainder(f"{info[1:-1].replace(chr(9), ' ')} {END}")
    pairs: list[tuple[str, str | None]] = [(key, value) for key, value in parsed if key != END]
    wrong = list(_wrong(pairs))
    if len(pairs) == len(parsed) and not wrong:
        wrong.append(f"The attributes '{info}' cannot be read; write each as name=value, or name=\"more words\".")
    classes = tuple(value or "" for key, value in pairs if key == ".")
    values = {key: value or "" for key, value in pairs if key != "."}
    return Info(classes, values, tuple(wrong))


def _wrong(pairs: list[tuple[str, str | None]]) -> list[str]:
    names = [key for key, _ in pairs if key != "."]
    twice = sorted({name for name in names if names.count(name) > 1})
    sentences = [f"The attribute '{name}' is here twice; keep one." for name in twice]
    for key, value in pairs:
        if value and value[0] in "\"'" and value[-1] != value[0]:
            sentences.append(f"The quotation that begins with {key}={value} is not closed; end it with {value[0]}.")
    return sentences
