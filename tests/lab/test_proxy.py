"""The proxy: an allow list, a cache that asks again what may change, and outages that are remembered."""

import http.client
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from lading.lab.proxy import Traffic, serving

STAMP = "Sat, 21 Nov 2026 00:00:00 GMT"


@dataclass
class Upstream:
    """A mirror of the test's own, and what it was asked for."""

    port: int = 0
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    pages: dict[str, bytes | int] = field(default_factory=dict)
    announced: int | None = None
    location: str = ""


@contextmanager
def upstream() -> Iterator[Upstream]:
    state = Upstream()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            question = self.headers.get("If-Modified-Since")
            state.asked.append((self.path, question))
            page = state.pages.get(self.path, 404)
            code = page if isinstance(page, int) else 304 if question == STAMP else 200
            self.send_response(code)
            self.send_header("Last-Modified", STAMP)
            body = page if isinstance(page, bytes) and code == 200 else b""
            self.send_header("Content-Length", str(state.announced or len(body)))
            if code == 302:
                self.send_header("Location", state.location)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        state.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield state
        server.shutdown()
        thread.join()


class Client:
    """A guest's side of the proxy."""

    def __init__(self, path: Path, port: int) -> None:
        self.path, self.host = path, f"127.0.0.1:{port}"

    def get(self, page: str, host: str | None = None, verb: str = "GET", **headers: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("proxy")
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(str(self.path))
        try:
            target = page if verb == "CONNECT" else f"http://{host or self.host}{page}"
            connection.request(verb, target, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def mirror(stack: ExitStack) -> Upstream:
    return stack.enter_context(upstream())


@pytest.fixture
def proxied(stack: ExitStack, mirror: Upstream, tmp_path: Path) -> tuple[Client, Traffic]:
    (tmp_path / "cache").mkdir()
    path = tmp_path / "p"
    allowed = {f"127.0.0.1:{mirror.port}": "http"}
    traffic = stack.enter_context(serving(path, tmp_path / "cache", tmp_path, allowed))
    return Client(path, mirror.port), traffic


def test_a_package_is_fetched_once(proxied: tuple[Client, Traffic], mirror: Upstream) -> None:
    client, _ = proxied
    mirror.pages["/debian/pool/a.deb"] = b"package"
    assert [client.get("/debian/pool/a.deb") for _ in range(3)] == [(200, b"package")] * 3
    assert len(mirror.asked) == 1


def test_an_index_is_asked_for_again_and_sent_once(proxied: tuple[Client, Traffic], mirror: Upstream) -> None:
    client, _ = proxied
    mirror.pages["/debian/dists/trixie/InRelease"] = b"index"
    assert [client.get("/debian/dists/trixie/InRelease") for _ in range(2)] == [(200, b"index")] * 2
    assert [question for _, question in mirror.asked] == [None, STAMP]


def test_a_guest_that_has_it_already_is_told_so(proxied: tuple[Client, Traffic], mirror: Upstream) -> None:
    client, _ = proxied
    mirror.pages["/debian/dists/x"] = b"index"
    assert client.get("/debian/dists/x", **{"If-Modified-Since": STAMP}) == (304, b"")


def test_other_hosts_and_tunnels_are_refused(proxied: tuple[Client, Traffic], mirror: Upstream) -> None:
    client, traffic = proxied
    assert client.get("/debian/x", host="other.example")[0] == 403
    assert client.get("127.0.0.1:443", verb="CONNECT")[0] == 403
    assert traffic.refused == ["http://other.example/debian/x", "127.0.0.1:443"]
    assert mirror.asked == []


def test_a_missing_file_is_no_outage(proxied: tuple[Client, Traffic]) -> None:
    client, traffic = proxied
    assert client.get("/debian/pool/none.deb")[0] == 404
    assert traffic.outages == []


def test_an_ill_mirror_is_an_outage(proxied: tuple[Client, Traffic], mirror: Upstream) -> None:
    client, traffic = proxied
    mirror.pages["/debian/x"] = 503
    assert client.get("/debian/x")[0] == 502
    assert "HTTP 503" in traffic.outages[0]


def test_a_dead_mirror_is_an_outage(stack: ExitStack, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    (tmp_path / "cache").mkdir()
    traffic = stack.enter_context(serving(tmp_path / "p", tmp_path / "cache", tmp_path, {f"127.0.0.1:{port}": "http"}))
    assert Client(tmp_path / "p", port).get("/debian/x")[0] == 502
    assert "refused" in traffic.outages[0]


def test_half_a_package_is_an_outage_and_is_not_kept(proxied: tuple[Client, Traffic], mirror: Upstream) -> None:
    client, traffic = proxied
    mirror.pages["/debian/pool/c.deb"] = b"whole"
    mirror.announced = 10
    assert client.get("/debian/pool/c.deb")[0] == 502
    assert "only 5 of 10 bytes came" in traffic.outages[0]
    mirror.announced = None
    assert client.get("/debian/pool/c.deb") == (200, b"whole")


def test_a_redirect_leads_nowhere_else(proxied: tuple[Client, Traffic], mirror: Upstream, stack: ExitStack) -> None:
    client, _ = proxied
    other = stack.enter_context(upstream())
    other.pages["/secret"] = b"secret"
    mirror.location = f"http://127.0.0.1:{other.port}/secret"
    mirror.pages["/debian/pool/d.deb"] = 302
    assert client.get("/debian/pool/d.deb") == (302, b"")
    assert other.asked == []
    mirror.location = f"http://127.0.0.1:{mirror.port}/debian/pool/e.deb"
    mirror.pages["/debian/pool/e.deb"] = b"moved"
    assert client.get("/debian/pool/d.deb") == (200, b"moved")


def test_the_same_file_asked_for_by_many_is_fetched_once(proxied: tuple[Client, Traffic], mirror: Upstream) -> None:
    client, _ = proxied
    mirror.pages["/debian/pool/b.deb"] = b"x" * 300_000
    found: list[tuple[int, bytes]] = []
    threads = [threading.Thread(target=lambda: found.append(client.get("/debian/pool/b.deb"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [(200, b"x" * 300_000)] * 8
    assert len(mirror.asked) == 1
