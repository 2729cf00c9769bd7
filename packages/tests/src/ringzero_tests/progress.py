"""A progress bar on standard error, for the commands of this package that run for minutes.

The room's rule: nothing here reaches standard output or a result.
"""

from __future__ import annotations

import sys
import time
from typing import TextIO

WIDTH = 30


class Progress:
    """Counts towards `total`: drawn over itself on a terminal, a line every half minute in a log."""

    def __init__(self, label: str, total: int, stream: TextIO | None = None) -> None:
        self.label, self.total, self.done = label, total, 0
        self.stream = stream or sys.stderr
        self._terminal = self.stream.isatty()
        self._started = self._shown = time.monotonic()

    def add(self, count: int, note: str = "") -> None:
        """Count `count` more as done; `note` stands behind the figures."""
        self.done += count
        now = time.monotonic()
        if now - self._shown > (0.2 if self._terminal else 30) or (
            self._terminal and self.done >= self.total
        ):
            self._shown = now
            self._show(now - self._started, note)

    def _show(self, seconds: float, note: str) -> None:
        share = min(self.done / self.total, 1.0) if self.total else 1.0
        rate = self.done / seconds if seconds else 0.0
        bar = "#" * int(share * WIDTH)
        line = (
            f"{self.label} [{bar:{WIDTH}}] {100 * share:3.0f} % {self.done}/{self.total} {rate:.0f}/s {note}"
        )
        print(f"\r\x1b[K{line[:150]}" if self._terminal else line, end="" if self._terminal else "\n",
              file=self.stream, flush=True)  # fmt: skip

    def close(self) -> None:
        """Leave the terminal on a new line."""
        if self._terminal:
            print(file=self.stream)
