"""The machine around the processor: memory, bus, clock, devices, boot protocols, stages, snapshots.

It reads `cpu`, and `asm` for images and symbols; nothing here knows a kernel.
"""

from __future__ import annotations
