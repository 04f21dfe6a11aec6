"""What leaves this machine passes here: no mirror's name, no password, no key."""

import re
from collections.abc import Iterable

PATTERNS = (
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL), "[key]"),
    (re.compile(r"(?<=://)[^/\s@]+@"), ""),
    (
        re.compile(r"(?i)\b((?:authorization|password|passwd|secret|token|api[_-]?key)\s*[=:]\s*)(bearer\s+)?\S+"),
        r"\1[…]",
    ),
    (re.compile(r"\b(?:gh[pousr]_|glpat-|github_pat_)\w{16,}"), "[token]"),
)


def redact(text: str, hosts: Iterable[str] = ()) -> str:
    """Return the text without secrets, and without the names of `hosts`.

    Example:
        ```python
        from lading.redact import redact

        print(redact("http://me:pw@mirror.example/debian: token=abc", ["mirror.example"]))
        #> http://the-mirror/debian: token=[…]
        ```
    """
    for pattern, instead in PATTERNS:
        text = pattern.sub(instead, text)
    for host in sorted(hosts, key=len, reverse=True):
        text = text.replace(host, "the-mirror")
    return text
