"""The PC's devices. Each is a dataclass whose fields are its whole state; see `base`."""

from __future__ import annotations
