"""Where real programs' code is: the .text of ELF files, and of the vmlinux inside a distribution's kernel image."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import shutil
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

_BOOT_MAGIC, _SETUP_SECTORS, _PAYLOAD = 0x202, 0x1F1, 0x248


def _external(*command: str) -> Callable[[bytes], bytes]:
    def run(packed: bytes) -> bytes:
        if shutil.which(command[0]) is None:
            raise ValueError(f"the kernel inside needs `{command[0]}` to unpack it; install that")
        return subprocess.run(command, input=packed, capture_output=True, check=False).stdout

    return run


_PACKERS: tuple[tuple[bytes, Callable[[bytes], bytes]], ...] = (
    (b"\xfd7zXZ\x00", lambda packed: lzma.LZMADecompressor().decompress(packed)),
    (b"\x1f\x8b", lambda packed: gzip.decompress(packed)),
    (b"BZh", lambda packed: bz2.BZ2Decompressor().decompress(packed)),
    (b"\x02\x21\x4c\x18", _external("lz4", "-dc")),
    (b"\x28\xb5\x2f\xfd", _external("zstd", "-dc")),
)


def vmlinux(image: bytes) -> bytes:
    """Return the ELF file inside a bzImage (Documentation/arch/x86/boot.rst: payload_offset, payload_length)."""
    offset, length = struct.unpack_from("<II", image, _PAYLOAD)
    start = (image[_SETUP_SECTORS] + 1) * 512 + offset
    packed = image[start : start + length - 4]  # behind it stands the size of what it unpacks to
    for magic, unpack in _PACKERS:
        if packed.startswith(magic):
            return unpack(packed)
    raise ValueError(f"a kernel packed in an unknown way: {packed[:6].hex(' ')}")


def text_of(path: Path) -> tuple[int, bytes]:
    """Return (address, bytes) of a file's .text. Raises ValueError for what has none, naming the file."""
    from elftools.elf.elffile import ELFFile

    content = path.read_bytes()
    if content[_BOOT_MAGIC : _BOOT_MAGIC + 4] == b"HdrS":
        content = vmlinux(content)
    if content[:5] != b"\x7fELF\x02":
        raise ValueError(f"{path}: neither an ELF file of 64 bits nor a kernel image")
    section = ELFFile(io.BytesIO(content)).get_section_by_name(".text")
    if section is None:
        raise ValueError(f"{path}: no .text")
    return section["sh_addr"], bytes(section.data())
