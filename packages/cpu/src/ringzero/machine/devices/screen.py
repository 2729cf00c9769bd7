"""The screen: plain memory, read from the host's side. Nothing here has state."""

from __future__ import annotations

from ringzero.machine.memory import Memory

TEXT_ADDRESS = 0xB8000
COLUMNS, ROWS = 80, 25


def text_lines(
    memory: Memory, address: int = TEXT_ADDRESS, columns: int = COLUMNS, rows: int = ROWS
) -> list[str]:
    """The text screen as lines, without trailing blanks: code page 437, a NUL is a blank."""
    cells = memory.read(address, columns * rows * 2)
    text = cells[::2].replace(b"\0", b" ").decode("cp437")
    return [text[start : start + columns].rstrip() for start in range(0, columns * rows, columns)]


def pixels(memory: Memory, address: int, width: int, height: int, pitch: int | None = None) -> list[bytes]:
    """A linear 32-bit frame buffer as one `bytes` of 4 x `width` for each row; `pitch` is bytes from row to row."""
    pitch = 4 * width if pitch is None else pitch
    return [memory.read(address + row * pitch, 4 * width) for row in range(height)]
