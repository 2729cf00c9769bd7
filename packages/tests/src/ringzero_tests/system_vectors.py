"""What is kept of the ring 0 guest's cases: `python -m ringzero_tests.system_vectors` records them anew.

A line a case: its name, our line, and QEMU's where it says otherwise, with tabs between. The manual decided ours; who
records reads the difference before committing it.
"""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from ringzero_tests import legacy_guest, system_cases, system_cases_models, system_cases_protection
from ringzero_tests.system_runner import Guest, run_here, run_on_qemu

CASES = (*system_cases.CASES, *system_cases_protection.CASES, *system_cases_models.CASES)
assert len({case.name for case in CASES}) == len(CASES), "two rows have one name"
PATH = Path(__file__).parent / "recorded" / "system.txt"
LEGACY = PATH.with_name("legacy.txt")
HEADING = (
    "# case, our line, and QEMU 7.2.22's (TCG) where it differs; see docs/quirks.md, Judges that disagree"
)


@dataclass(frozen=True)
class Recorded:
    """What is kept of a case: our line, which the manual decided, and QEMU's where it says otherwise."""

    line: str
    qemu: str | None = None


def load(path: Path = PATH) -> dict[str, Recorded]:
    """What was recorded, by the case's name."""
    rows = [line.split("\t") for line in path.read_text().splitlines() if line and not line.startswith("#")]
    return {name: Recorded(*lines) for name, *lines in rows}


def _save(path: Path, ours: dict[str, str], theirs: dict[str, str]) -> None:
    rows = [
        "\t".join([name, line, *([theirs[name]] if theirs[name] != line else [])])
        for name, line in ours.items()
    ]
    path.write_text("\n".join([HEADING, *rows]) + "\n")
    print(f"recorded {len(rows)} cases in {path.name}")


def main() -> int:
    """Record all cases, here and on QEMU; return the exit status."""
    if shutil.which("qemu-system-x86_64") is None:
        print("system_vectors: qemu-system-x86_64 is not installed", file=sys.stderr)
        return 2
    guest = Guest.build(CASES)
    _save(PATH, run_here(guest, "python"), run_on_qemu(guest))
    _save(
        LEGACY,
        legacy_guest.run_here(legacy_guest.CASES, "python"),
        legacy_guest.run_on_qemu(legacy_guest.CASES),
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
