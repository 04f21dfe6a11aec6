"""What of a running text is no prose although no markup says so: quotations, paths, addresses, templates."""

import re
from typing import Final

from lading.glossary.prose import MASK

_ADDRESS: Final = rf'(?<![\w+.-])[A-Za-z][\w+.-]*+://[^\s<>«»“”"{MASK}]*+'
_INNER: Final = r"\w~+:%#$&*^"
"""What names of files, hosts and options are made of, beside `. / @ = -`."""
_ANY: Final = rf"[{_INNER}./@=-]"
_NAME: Final = rf"(?<!{_ANY})(?:(?<![^\s('\[])--?[A-Za-z]{_ANY}*+|[{_INNER}-]*+(?:[./@=]{_ANY}++|/)|[^\W_]++_\w++)"
_QUOTED: Final = r'«[^«»]*+(?:«[^«»]*+»[^«»]*+)*»|“[^“”]*+”|(?<!\w)"(?=\S)[^"]*+(?<=\S)"(?!\w)'
_TEMPLATE: Final = (
    r"\{\{(?:[^{}]|\{(?!\{)|\}(?!\}))*\}\}|\{%(?:[^%{]|%(?!\})|\{(?!%))*%\}|\{[^{}]*+\}"
    r"|\[\[[^\[\]]*+\]\]|\[\^[^\s\[\]]++\]"
)
_ALL: Final = re.compile(rf"(?P<address>{_ADDRESS})|(?P<name>{_NAME})|{_QUOTED}|{_TEMPLATE}")
_MARKUP: Final = re.compile(r"\b(?:C|E|M|O|P|RV|U|V)\([^()]*+\)")
"""What Ansible shows as code: https://docs.ansible.com/ansible/latest/dev_guide/ansible_markup.html."""

_PATHLIKE: Final = re.compile(r"-|[~.]{0,2}/|\.\w|.*(?:/.*/|/$|\w\.[\w*]|\w[@=][\w/~.$%-]|\w_\w)")


def masked(text: str, *, ansible: bool = False) -> str:
    """Return a running text of the same length, with what is no prose masked.

    A dot or colon at the end of a path is the sentence's own, and a lone quotation mark quotes nothing. `ansible` says
    that the text has Ansible's markup, such as `C(podman)`.

    Example:
        ```python
        from lading.glossary.masks import masked

        print(masked("Edit apptainer.conf. It says «image» and/or --net.").replace(chr(0xFFFC), "_"))
        #> Edit ______________. It says _______ and/or _____.
        ```
    """
    if ansible:
        text = _MARKUP.sub(_hidden, text)
    return _ALL.sub(_judged, text)


def _hidden(found: re.Match[str]) -> str:
    return MASK * len(found[0])


def _judged(found: re.Match[str]) -> str:
    said = kept = found[0]
    if found["address"] is not None:
        kept = said.rstrip(".,:;!?)]'’")
    elif found["name"] is not None:
        kept = said.rstrip(".:")
        if not _PATHLIKE.match(kept):
            return said
    return MASK * len(kept) + said[len(kept) :]
