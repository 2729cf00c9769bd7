"""Debian's chromium without a window, driven through a pipe in the DevTools protocol: what a page shows, key by key.

Messages are JSON texts that end in a NUL byte; the browser reads them on file descriptor 3 and answers on 4.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any

CHROMIUM = "chromium"
TIMEOUT = 30.0
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--no-first-run",
    "--disable-extensions", "--disable-background-networking", "--window-size=1400,1000", "--remote-debugging-pipe",
)  # fmt: skip
#: Puts the two pipes where the browser looks for them. A first copy keeps the second pipe from being overwritten.
START = """import os, sys
out = os.dup(int(sys.argv[2]))
while out < 5: out = os.dup(out)
os.dup2(int(sys.argv[1]), 3)
os.dup2(out, 4)
os.execvp(sys.argv[3], sys.argv[3:])"""
SHIFT = 8
KEY_CODES = {"ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40, "Home": 36, "End": 35}


class Browser:
    """One browser with one page. `errors`: what the page's scripts have thrown, and requests that failed."""

    def __init__(self) -> None:
        self.errors: list[str] = []
        self.requests: list[str] = []
        self._number = 0
        self._read = b""
        self._profile = tempfile.TemporaryDirectory(prefix="ringzero-browser-", ignore_cleanup_errors=True)
        to_browser, self._out = os.pipe()
        self._in, from_browser = os.pipe()
        pipes = (sys.executable, "-c", START, str(to_browser), str(from_browser))
        self._process = subprocess.Popen(
            [*pipes, CHROMIUM, *FLAGS, f"--user-data-dir={self._profile.name}", "about:blank"],
            pass_fds=(to_browser, from_browser),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        os.close(to_browser)
        os.close(from_browser)
        self._session = ""
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network"):
            self.send(f"{domain}.enable")

    def __enter__(self) -> Browser:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._out)
        os.close(self._in)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._profile.cleanup()

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command, and its result. Raises RuntimeError for one that fails."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                found: dict[str, Any] = answer["result"]
                return found
            self._note(answer)

    def open(self, path: Path, fragment: str = "") -> None:
        """Load a file and wait until its scripts have run."""
        self.send(
            "Page.navigate", url="about:blank"
        )  # else another fragment of the same page would not load it again
        self.requests.clear()
        self.send("Page.navigate", url=path.resolve().as_uri() + fragment)
        self.value(
            "new Promise(done => document.readyState === 'complete' ? done() : addEventListener('load', done))"
        )

    def value(self, expression: str) -> Any:
        """What an expression is on the page; a promise is waited for."""
        found = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in found:
            raise RuntimeError(f"{expression}: {found['exceptionDetails']}")
        return found["result"].get("value")

    def text(self, selector: str) -> str:
        """The text that the first element of a selector shows."""
        return str(self.value(f"document.querySelector({json.dumps(selector)}).innerText"))

    def count(self, selector: str) -> int:
        """How many elements there are."""
        return int(self.value(f"document.querySelectorAll({json.dumps(selector)}).length"))

    def press(self, *keys: str, shift: bool = False) -> None:
        """Keys, down and up, one after the other."""
        for key in keys:
            common: dict[str, Any] = {"key": key, "modifiers": SHIFT if shift else 0}
            common["windowsVirtualKeyCode"] = KEY_CODES.get(key, ord(key[0].upper()))
            typed = {"text": key} if len(key) == 1 else {}
            self.send("Input.dispatchKeyEvent", type="keyDown", **common, **typed)
            self.send("Input.dispatchKeyEvent", type="keyUp", **common)

    def hover(self, x: float, y: float) -> None:
        """Move the pointer to a place of the window."""
        self.send("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def dark(self, on: bool) -> None:
        """Ask the page for its dark colours, or for its light ones."""
        wanted = [{"name": "prefers-color-scheme", "value": "dark" if on else "light"}]
        self.send("Emulation.setEmulatedMedia", features=wanted)

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._read:
            if not select.select([self._in], [], [], TIMEOUT)[0]:
                raise TimeoutError(f"{CHROMIUM} said nothing for {TIMEOUT:.0f} s")
            piece = os.read(self._in, 1 << 16)
            if not piece:
                raise RuntimeError(f"{CHROMIUM} has ended, with status {self._process.poll()}")
            self._read += piece
        whole, _, self._read = self._read.partition(b"\0")
        message: dict[str, Any] = json.loads(whole)
        return message

    def _note(self, message: dict[str, Any]) -> None:
        """An event."""
        parameters = message.get("params", {})
        if message.get("method") == "Runtime.exceptionThrown":
            self.errors.append(str(parameters["exceptionDetails"]))
        elif message.get("method") == "Runtime.consoleAPICalled" and parameters["type"] == "error":
            self.errors.append(str(parameters["args"]))
        elif message.get("method") == "Network.requestWillBeSent":
            self.requests.append(parameters["request"]["url"])
