"""Entry point of the `ringzero` command (skeleton)."""

from __future__ import annotations


def main() -> int:
    return 0
