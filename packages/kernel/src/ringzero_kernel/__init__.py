"""The kernel: its sources, its configurations, and `build()`, which assembles it into an image."""

from __future__ import annotations

__version__ = "0.1.0"
