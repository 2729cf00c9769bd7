"""Builds the wheels of all distributions into one directory, each from its sdist, and only when a source changed.

    python .ci/wheels.py DIRECTORY

The sources are copied first: a build in place would leave objects behind that the next one, with other flags, reuses.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("cpu", "kernel", "tests")
LEFT_OUT = shutil.ignore_patterns("build", "dist", "*.egg-info", "__pycache__", "*.so", "*.pyd")
FLAGS = ("CFLAGS", "LDFLAGS", "CC", "RINGZERO_CFLAGS", "RINGZERO_PURE")


def digest(tree: Path) -> str:
    """Names the sources, the flags and the interpreter that a build depends on."""
    whole = hashlib.sha256(repr([sys.version, *(os.environ.get(flag) for flag in FLAGS)]).encode())
    for path in sorted(path for path in tree.rglob("*") if path.is_file()):
        whole.update(f"{path.relative_to(tree)}\0{path.stat().st_size}\0".encode())
        whole.update(path.read_bytes())
    return whole.hexdigest()


def build(package: Path, out: Path) -> None:
    subprocess.run([sys.executable, "-m", "build", "--outdir", str(out), str(package)], check=True)


def main() -> None:
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    stamp = out / "sources.sha256"
    with tempfile.TemporaryDirectory() as work:
        tree = Path(work)
        for name in PACKAGES:
            # The test files run from the checkout; only the package of oracles is installed.
            skip = ("tests",) if name == "tests" else ()
            shutil.copytree(ROOT / "packages" / name, tree / name, ignore=ignoring(skip))
        key = digest(tree)
        if stamp.exists() and stamp.read_text() == key:
            return
        for old in out.iterdir():
            old.unlink()
        for name in PACKAGES:
            build(tree / name, out)
        stamp.write_text(key)


def ignoring(top: tuple[str, ...]) -> Callable[[str, list[str]], set[str]]:
    """shutil's ignore function: LEFT_OUT everywhere, and `top` directly under the package."""

    def ignore(directory: str, names: list[str]) -> set[str]:
        left_out = set(LEFT_OUT(directory, names))
        if Path(directory).parent == ROOT / "packages":
            left_out.update(top)
        return left_out

    return ignore


if __name__ == "__main__":
    main()
