"""Assembles the kernel, and remembers the result.

The cache is a convenience and nothing more: an image is named by the digest of everything it was made from (the
kernel's sources, the assembler's, the layout and the defines) and carries its own digest in front, so a stale, a cut
or a foreign file is never used; where nothing can be read or written, the kernel is simply assembled again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import ringzero
from ringzero.errors import UsageError
from ringzero.files import cache_directory, write_atomic
from ringzero_kernel.bugs import bug as find_bug
from ringzero_kernel.config import LAYOUTS, MAIN_SOURCE, SOURCES

if TYPE_CHECKING:
    from ringzero.asm import Assembly
    from ringzero.asm.image import Image

DIGEST_SIZE = hashlib.sha256().digest_size
KEPT = 64  # images in the cache; the oldest go first


def build(
    layout: int = 0, defines: Mapping[str, str] | None = None, *, bug: str | None = None, cache: bool = True
) -> Image:
    """The kernel as an image, from the cache where it is there.

    `layout` moves code and data by padding (0 to 255, 0 is none); `defines` are handed to the assembler like `-D`;
    `bug` puts one back by its id (see `ringzero_kernel.BUGS`). Raises UsageError for a layout or a bug that there is
    not, `ringzero.asm.AssemblyError` for a source that does not assemble.
    """
    from ringzero.asm.image import Image

    defines = with_bug(defines, bug)
    file = cache_directory() / f"kernel-{key(layout, defines)[:32]}.image" if cache else None
    elf = load(file) if file else None
    if elf is None:
        elf = assemble_kernel(layout, defines).binary
        if file:
            save(file, elf)
    return Image.from_bytes(elf)


def assemble_kernel(
    layout: int = 0, defines: Mapping[str, str] | None = None, *, bug: str | None = None
) -> Assembly:
    """Assemble the kernel's sources, without the cache; `.binary` is the ELF file, `.listing` the listing."""
    from ringzero.asm import assemble

    if layout not in LAYOUTS:
        raise UsageError(f"layout {layout} is not between {LAYOUTS[0]} and {LAYOUTS[-1]}")
    return assemble(
        MAIN_SOURCE,
        format="elf64",
        defines={**with_bug(defines, bug), "LAYOUT": str(layout)},
        include=[SOURCES],
        name=f"{SOURCES.name}/{MAIN_SOURCE.name}",  # in line tables and messages: relative to this package
    )


def with_bug(defines: Mapping[str, str] | None, bug: str | None) -> dict[str, str]:
    """The defines, and the one that puts the bug back."""
    return {**(defines or {}), **({} if bug is None else {find_bug(bug).define: "1"})}


def key(layout: int, defines: Mapping[str, str] | None) -> str:
    """The digest (hexadecimal) of all that the image is made from."""
    whole = hashlib.sha256(repr((layout, sorted((defines or {}).items()))).encode())
    machine = Path(ringzero.__file__).parent
    rooms = (SOURCES, machine / "asm", machine / "isa")
    for room in rooms:
        for path in sorted(path for path in room.rglob("*") if path.suffix in (".asm", ".inc", ".py")):
            content = path.read_bytes()
            whole.update(f"{path.relative_to(room)}\0{len(content)}\0".encode())
            whole.update(content)
    return whole.hexdigest()


def load(file: Path) -> bytes | None:
    """An image from the cache; None when it is not there or not whole."""
    try:
        content = file.read_bytes()
    except OSError:
        return None
    digest, elf = content[:DIGEST_SIZE], content[DIGEST_SIZE:]
    return elf if hashlib.sha256(elf).digest() == digest else None


def save(file: Path, elf: bytes) -> None:
    """Put an image into the cache, and let the oldest go; a cache that cannot be written is no cache."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(file, hashlib.sha256(elf).digest() + elf)
        images = sorted(file.parent.glob("kernel-*.image"), key=lambda path: path.stat().st_mtime)
        for old in images[:-KEPT]:
            old.unlink(missing_ok=True)
    except OSError:
        pass
