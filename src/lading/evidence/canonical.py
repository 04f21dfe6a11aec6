"""One form of JSON for digests: the same data gives the same bytes on every machine."""

import hashlib
import json
from typing import Any


def canonical_json(data: Any) -> bytes:
    """Return data as JSON with sorted keys and no spaces.

    Example:
        ```python
        from lading.evidence.canonical import canonical_json

        print(canonical_json({"b": 1, "a": [True, "ü"]}).decode())
        #> {"a":[true,"ü"],"b":1}
        ```

    Raises:
        ValueError: it holds NaN or an infinity, which JSON has not.
    """
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def sha256_of(content: bytes) -> str:
    """Return the SHA-256 of some bytes, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()
