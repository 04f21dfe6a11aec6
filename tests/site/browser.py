"""Debian's Chromium without a window, spoken to in the DevTools protocol over two pipes."""

import base64
import functools
import json
import os
import selectors
import shlex
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

CHROMIUM = shutil.which("chromium")
PATIENCE = 60
"""Seconds that anything may take: the machine may be busy with guests."""


class Silent(SimpleHTTPRequestHandler):
    """Serves files and says nothing."""

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def served(site: Path) -> Iterator[str]:
    """Serve a built site; yield its address, which ends with a slash."""
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Silent, directory=site)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


class Browser:
    """One page of a browser."""

    def __init__(self, to_browser: int, from_browser: int) -> None:
        self._to, self._from = to_browser, from_browser
        self._selector = selectors.DefaultSelector()
        self._selector.register(from_browser, selectors.EVENT_READ)
        self._buffer, self._count, self._session = b"", 0, None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.call("Page.enable")

    @classmethod
    @contextmanager
    def started(cls, profile: Path) -> Iterator[Self]:
        """Run the browser with its files in a folder of its own."""
        command_read, command_write = os.pipe()
        answer_read, answer_write = os.pipe()
        words = [
            CHROMIUM or "chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
            "--remote-debugging-pipe", "--no-first-run", "--disable-background-networking",
            f"--user-data-dir={profile}",
        ]  # fmt: skip
        line = f"exec {shlex.join(words)} 3<&{command_read} 4>&{answer_write}"
        passed = (command_read, answer_write)
        with subprocess.Popen(
            ["bash", "-c", line], pass_fds=passed, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as process:
            for end in passed:
                os.close(end)
            try:
                yield cls(command_write, answer_read)
            finally:
                process.terminate()
                os.close(command_write)
                os.close(answer_read)

    def call(self, method: str, **parameters: Any) -> Any:
        """Call a method of the protocol; return its result."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while (answer := self._receive()).get("id") != self._count:
            pass
        assert "error" not in answer, f"{method}: {answer['error']}"
        return answer["result"]

    def _receive(self) -> dict[str, Any]:
        deadline = time.monotonic() + PATIENCE
        while b"\0" not in self._buffer:
            assert self._selector.select(deadline - time.monotonic()), "The browser does not answer."
            read = os.read(self._from, 1 << 20)
            assert read, "The browser has gone."
            self._buffer += read
        message, _, self._buffer = self._buffer.partition(b"\0")
        answer: dict[str, Any] = json.loads(message)
        return answer

    def open(self, url: str, until: str = "true") -> None:
        """Go to a page and wait until it is there, and until a condition in JavaScript holds."""
        self.call("Page.navigate", url=url)
        self.wait(f"document.readyState == 'complete' && location.href != 'about:blank' && ({until})")

    def wait(self, condition: str) -> None:
        """Wait until a condition in JavaScript holds."""
        tries = f"(async () => {{ while (!({condition})) await new Promise(r => setTimeout(r, 50)); }})()"
        self.evaluate(tries)

    def evaluate(self, script: str) -> Any:
        """Return what a script comes to, as if somebody had clicked for it."""
        answer = self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True, userGesture=True,
            timeout=PATIENCE * 1000,
        )  # fmt: skip
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def photograph(self, file: Path, *, width: int, dark: bool = False, height: int = 900, whole: bool = True) -> None:
        """Write a picture of the page at a width in CSS pixels."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.wait("new Promise(r => requestAnimationFrame(() => requestAnimationFrame(r))).then(() => true)")
        data = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)["data"]
        file.write_bytes(base64.b64decode(data))
