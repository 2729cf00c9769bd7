"""Builds `ringzero._native`, the C half of the machine, through cffi in API mode.

Three things meet here and nowhere else:

- `csrc/*.c` is all the C there is; every file is compiled.
- Declarations for Python are taken from `csrc/*.h`, from the lines between `/* cdef: begin */` and `/* cdef: end */`
  (as many sections as a header likes; headers in alphabetical order). What stands there must be what cffi's cdef()
  reads: plain declarations and `#define NAME number`.
- Tables are not written twice: the modules in GENERATED render C headers from the Python tables at build time. They
  are imported from ./src, so they and all they import may use nothing but the standard library.

Nothing is written into the source tree but build/. `python build_native.py --inplace` puts the extension beside the
sources for use with PYTHONPATH.
"""

from __future__ import annotations

import argparse
import importlib
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from cffi import FFI

HERE = Path(os.path.abspath(__file__)).parent
CSRC = HERE / "csrc"
HEADERS = HERE / "build" / "generated"

GENERATED = {
    "isa_tables.h": "ringzero.isa.ctables",
    "uops_gen.h": "ringzero.cpu.uops.ctables",
}

CDEF = re.compile(r"^/\* cdef: begin \*/$(.*?)^/\* cdef: end \*/$", re.MULTILINE | re.DOTALL)


def write_headers(directory: Path) -> None:
    """Render the generated headers into `directory`."""
    directory.mkdir(parents=True, exist_ok=True)
    sys.path.insert(0, str(HERE / "src"))
    try:
        for name, module in GENERATED.items():
            write_if_changed(directory / name, importlib.import_module(module).render())
    finally:
        sys.path.pop(0)


def write_if_changed(path: Path, text: str) -> None:
    """Leave an equal file alone, so that its time stamp causes no rebuild."""
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def declarations(paths: list[Path]) -> str:
    """The cdef sections of the headers, in order."""
    return "\n".join(section for path in paths for section in CDEF.findall(path.read_text(encoding="utf-8")))


def compiler_flags() -> list[str]:
    """Ours, then those of RINGZERO_CFLAGS: the last word, which distutils does not give to CFLAGS."""
    if sys.platform == "win32":
        return ["/O2", "/std:c11"]
    return ["-O2", "-std=gnu11", "-fvisibility=hidden", *os.environ.get("RINGZERO_CFLAGS", "").split()]


def make_ffi(absolute: bool = False) -> FFI:
    """The FFI builder. setuptools wants paths relative to setup.py; `absolute` is for the in-place build."""
    write_headers(HEADERS)
    base = HERE if absolute else Path()
    headers = sorted(CSRC.glob("*.h"))
    generated = [HEADERS / name for name in GENERATED]
    interface = [path for path in headers if CDEF.search(path.read_text(encoding="utf-8"))]
    ffi = FFI()
    ffi.cdef(declarations(interface))
    options: dict[str, Any] = {
        "sources": [str(base / path.relative_to(HERE)) for path in sorted(CSRC.glob("*.c"))],
        "depends": [str(base / path.relative_to(HERE)) for path in (*headers, *generated)],
        "include_dirs": [str(base / CSRC.relative_to(HERE)), str(base / HEADERS.relative_to(HERE))],
        "extra_compile_args": compiler_flags(),
    }
    ffi.set_source("ringzero._native", "\n".join(f'#include "{path.name}"' for path in interface), **options)
    return ffi


def build_inplace() -> Path:
    """Compile in a directory of our own, then move the result into the source tree in one step."""
    (HERE / "build").mkdir(exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix="inplace-", dir=HERE / "build"))
    try:
        built = Path(make_ffi(absolute=True).compile(tmpdir=str(work)))
        target = HERE / "src" / "ringzero" / built.name
        os.replace(built, target)
        return target
    finally:
        shutil.rmtree(work, ignore_errors=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Build ringzero._native for use with PYTHONPATH.")
    parser.add_argument("--inplace", action="store_true", required=True, help="put it beside the sources")
    parser.parse_args()
    print(build_inplace())


if __name__ == "__main__":
    main()
