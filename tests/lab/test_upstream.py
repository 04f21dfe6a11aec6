"""Addresses beside the mirror: whether they answer, and how that is told."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from lading.lab.upstream import first_unreachable, upstreams_of


class Handler(BaseHTTPRequestHandler):
    """Knows one address."""

    def do_HEAD(self) -> None:
        """Answer."""
        self.send_response(200 if self.path == "/there" else 404)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Stay silent."""


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_nothing_is_told_of_addresses_that_answer(address: str) -> None:
    assert first_unreachable([]) is None
    assert first_unreachable([f"{address}/there"]) is None


def test_the_first_that_does_not_answer_well_is_told(address: str) -> None:
    assert first_unreachable([f"{address}/there", f"{address}/gone"]) == f"{address}/gone answered 404"


def test_a_host_that_is_not_there_is_told_with_the_cause() -> None:
    told = first_unreachable(["http://127.0.0.1:9/"])
    assert told is not None
    assert told.startswith("http://127.0.0.1:9/ cannot be reached (")


def test_guests_may_reach_the_hosts_of_what_is_needed() -> None:
    urls = ["https://a.example/x", "http://b.example:8000/y", "https://a.example/z"]
    assert upstreams_of(urls) == {"a.example": "https", "b.example:8000": "http"}
