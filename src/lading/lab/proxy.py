"""The one way out of a guest: a caching HTTP proxy for the Debian mirror of this machine, and what a recipe needs."""

import hashlib
import json
import shutil
import threading
import urllib.error
import urllib.request
from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.client import HTTPException, HTTPMessage, HTTPResponse
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingMixIn, UnixStreamServer
from typing import IO
from urllib.parse import urlsplit

GUEST_ADDRESS = "10.0.2.100"
GUEST_PORT = 3128
UPSTREAM_TIMEOUT = 60
VALIDATORS = {"ETag": "If-None-Match", "Last-Modified": "If-Modified-Since"}


@dataclass
class Traffic:
    """What went wrong at the proxy: it decides whether a failed installation is a verdict or a dead mirror."""

    outages: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


class UpstreamDown(Exception):
    """The mirror did not answer, or answered that it is ill."""


@dataclass
class Store:
    """Fetched files by address. What can't change is asked for once; the rest again, with its validators."""

    folder: Path
    scratch: Path
    opener: urllib.request.OpenerDirector
    locks: dict[str, threading.Lock] = field(default_factory=dict)

    def get(self, url: str) -> tuple[Path, dict[str, str]] | int:
        """Return the file and its headers, or the HTTP status with which the mirror refused.

        Raises:
            UpstreamDown: there is no trustworthy answer from the mirror.
        """
        key = hashlib.sha256(url.encode()).hexdigest()
        body, headers = self.folder / key, self.folder / f"{key}.json"
        with self.locks.setdefault(key, threading.Lock()):
            known = json.loads(headers.read_text()) if headers.exists() and body.exists() else {}
            if known and _immutable(url):
                return body, known
            return self._fetch(url, body, headers, known)

    def _fetch(self, url: str, body: Path, headers: Path, known: dict[str, str]) -> tuple[Path, dict[str, str]] | int:
        request = urllib.request.Request(url)  # noqa: S310 - the allow list admits http and https only
        for validator, question in VALIDATORS.items():
            if validator in known:
                request.add_header(question, known[validator])
        try:
            with self.opener.open(request, timeout=UPSTREAM_TIMEOUT) as answer:
                kept = {name: answer.headers[name] for name in VALIDATORS if answer.headers[name]}
                self._keep(url, answer, body, headers, kept)
            return body, kept
        except urllib.error.HTTPError as error:
            if error.code == HTTPStatus.NOT_MODIFIED:
                return body, known
            if error.code >= HTTPStatus.INTERNAL_SERVER_ERROR or error.code == HTTPStatus.TOO_MANY_REQUESTS:
                raise UpstreamDown(f"{url}: HTTP {error.code}") from error
            return error.code
        except (OSError, HTTPException) as error:
            raise UpstreamDown(f"{url}: {error}") from error

    def _keep(self, url: str, answer: HTTPResponse, body: Path, headers: Path, kept: dict[str, str]) -> None:
        temporary = self.scratch / f"{body.name}.{threading.get_ident()}"
        with temporary.open("wb") as file:
            while chunk := answer.read(1 << 16):
                try:
                    file.write(chunk)
                except OSError as error:
                    raise UpstreamDown(f"{url}: this machine could not keep it: {error}") from error
        # A body that ends early raises nothing by itself; kept, it would be wrong for as long as the cache lives.
        said, came = answer.headers["Content-Length"], temporary.stat().st_size
        if said is not None and int(said) != came:
            raise UpstreamDown(f"{url}: only {came} of {said} bytes came")
        headers.unlink(missing_ok=True)  # a body without headers counts as absent: a kill here loses nothing
        temporary.replace(body)
        described = temporary.with_suffix(".json")
        described.write_text(json.dumps(kept or {"Cached": "yes"}))
        described.replace(headers)


class NoDetours(urllib.request.HTTPRedirectHandler):
    """Follows redirects to allowed hosts only: a mirror must not lead a guest anywhere else."""

    def __init__(self, allowed: Container[str]) -> None:
        self.allowed = allowed

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        """Return the request to follow, or None, which leaves the redirect itself as the answer."""
        if urlsplit(newurl).netloc not in self.allowed:
            return None
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _immutable(url: str) -> bool:
    return "/pool/" in url or "/by-hash/" in url


class Server(ThreadingMixIn, UnixStreamServer):
    """The proxy's listener, on a Unix socket in a private folder: no other user of this machine reaches it."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, socket: Path, store: Store, upstreams: Mapping[str, str], traffic: Traffic) -> None:
        self.store, self.upstreams, self.traffic = store, upstreams, traffic
        super().__init__(str(socket), Handler)


class Handler(BaseHTTPRequestHandler):
    """One guest connection."""

    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        """Answer from the store."""
        self._answer(send_body=True)

    def do_HEAD(self) -> None:
        """Answer the headers alone."""
        self._answer(send_body=False)

    def do_CONNECT(self) -> None:
        """Refuse tunnels: what goes through one can't be checked against the allow list."""
        self._refuse()

    def _answer(self, *, send_body: bool) -> None:
        address = urlsplit(self.path)
        scheme = self.server.upstreams.get(address.netloc)
        if address.scheme != "http" or scheme is None:
            self._refuse()
            return
        try:
            found = self.server.store.get(address._replace(scheme=scheme).geturl())
        except UpstreamDown as error:
            self.server.traffic.outages.append(str(error))
            self._status(HTTPStatus.BAD_GATEWAY)
            return
        if isinstance(found, int):
            self._status(found)
        else:
            self._send(*found, send_body=send_body)

    def _send(self, body: Path, headers: Mapping[str, str], *, send_body: bool) -> None:
        modified = headers.get("Last-Modified")
        if modified and self.headers.get("If-Modified-Since") == modified:
            self._status(HTTPStatus.NOT_MODIFIED)
            return
        with body.open("rb") as file:
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Length", str(body.stat().st_size))
            if modified:
                self.send_header("Last-Modified", modified)
            self.end_headers()
            if send_body:
                shutil.copyfileobj(file, self.wfile)

    def _refuse(self) -> None:
        self.server.traffic.refused.append(self.path)
        self._status(HTTPStatus.FORBIDDEN)

    def _status(self, code: int) -> None:
        self.send_response(code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def address_string(self) -> str:
        """Name the client; a Unix socket's has no address."""
        return "guest"

    def log_message(self, format: str, *args: object) -> None:
        """Stay silent: what matters is counted in `Traffic`."""


@contextmanager
def serving(socket: Path, cache: Path, scratch: Path, upstreams: Mapping[str, str]) -> Iterator[Traffic]:
    """Run the proxy while the block runs, and yield what goes wrong at it."""
    traffic = Traffic()
    opener = urllib.request.build_opener(NoDetours(upstreams))
    with Server(socket, Store(cache, scratch, opener), upstreams, traffic) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
        thread.start()
        try:
            yield traffic
        finally:
            server.shutdown()
            thread.join()
