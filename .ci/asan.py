"""Runs the suite's guests on a C core built with the sanitizers: AddressSanitizer must be the first library loaded.

python .ci/asan.py [pytest arguments]
"""

from __future__ import annotations

import os
import subprocess
import sys

# The rooms whose guests and hostile bytes go through the C core; the judges' own libraries are not on trial.
ROOMS = [f"packages/tests/tests/{room}" for room in ("isa", "engines", "machine", "cli")]


def library(name: str) -> str:
    """Where the compiler keeps one of its runtime libraries."""
    compiler = os.environ.get("CC", "gcc")
    return subprocess.run(
        [compiler, f"-print-file-name={name}"], check=True, text=True, capture_output=True
    ).stdout.strip()


def main() -> int:
    environment = dict(os.environ)
    environment["LD_PRELOAD"] = f"{library('libasan.so')} {library('libubsan.so')}"
    # Python itself keeps memory for its whole life; only the core's accesses are on trial.
    environment["ASAN_OPTIONS"] = "detect_leaks=0:abort_on_error=1:allocator_may_return_null=1"
    environment["UBSAN_OPTIONS"] = "print_stacktrace=1:halt_on_error=1"
    environment["PYTHONMALLOC"] = "malloc"
    boots = [
        ["-m", "ringzero", "boot", "--config", name]
        for name in ("boot-stages", "kthread-stress", "workqueue", "scenarios")
    ]
    suite = ["-m", "pytest", "-n", "2", "-m", "not slow and not matrix", *(sys.argv[1:] or ROOMS)]
    for command in (*boots, suite):
        status = subprocess.run([sys.executable, *command], env=environment).returncode
        if status:
            return status
    return 0


if __name__ == "__main__":
    sys.exit(main())
