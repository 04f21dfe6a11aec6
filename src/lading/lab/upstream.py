"""Addresses beside the Debian mirror that some paths need: tried before a proof, and open to its guests then."""

import urllib.error
import urllib.request
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from http import HTTPStatus
from http.client import HTTPException
from typing import Final
from urllib.parse import urlsplit

SECONDS: Final = 10
"""How long an address has to answer: unreachable hosts are tried at each 'lading verify'."""


def upstreams_of(urls: Iterable[str]) -> dict[str, str]:
    """Return host (and port) to scheme, for the proxy's allow list.

    Guests ask for them in plain HTTP; the proxy fetches them by the scheme that is named here.

    Example:
        ```python
        from lading.lab.upstream import upstreams_of

        print(upstreams_of(["https://packages.site.example/apt/key.gpg"]))
        #> {'packages.site.example': 'https'}
        ```
    """
    return {urlsplit(url).netloc: urlsplit(url).scheme for url in urls}


def first_unreachable(urls: Iterable[str]) -> str | None:
    """Try all addresses side by side; return, in words, the first that can't be had from this machine, or nothing."""
    wanted = list(urls)
    if not wanted:
        return None
    with ThreadPoolExecutor(len(wanted)) as pool:
        return next((told for told in pool.map(_unreachable, wanted) if told), None)


@cache
def _unreachable(url: str) -> str | None:
    request = urllib.request.Request(url, method="HEAD")  # noqa: S310 - recipes may name http and https only
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:  # noqa: S310 - as above
            return None if answer.status == HTTPStatus.OK else f"{url} answered {answer.status}"
    except urllib.error.HTTPError as error:
        return f"{url} answered {error.code}"
    except (OSError, HTTPException) as error:
        return f"{url} cannot be reached ({getattr(error, 'reason', error)})"
