"""What every test shares: the judges (external programs), and the rule that CI may not skip one.

A test that holds our work against an external program says so: `@pytest.mark.judge("nasm")`. Where the program is
missing the test is skipped, with that reason; under RINGZERO_REQUIRE_JUDGES=1 (what `.ci/run` sets) it fails, and so
does any other skip whose reason names a judge.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Generator

import pytest

from ringzero.cpu.engine.engines import native_available

JUDGES = (
    "qemu-system-x86_64",
    "qemu",
    "nasm",
    "ndisasm",
    "objdump",
    "readelf",
    "binutils",
    "gdb",
    "chromium",
)
REQUIRED = os.environ.get("RINGZERO_REQUIRE_JUDGES", "") not in ("", "0")


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("many_runs") and not native_available():
        pytest.skip("plays thousands of runs, which takes the native engine")
    for marker in item.iter_markers("judge"):
        missing = [tool for tool in marker.args if shutil.which(tool) is None]
        if missing:
            pytest.skip(f"{', '.join(missing)} not installed")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if REQUIRED and report.skipped and isinstance(report.longrepr, tuple):
        reason = report.longrepr[2]
        if any(judge in reason for judge in JUDGES):
            report.outcome = "failed"
            report.longrepr = f"{item.nodeid}: {reason}; RINGZERO_REQUIRE_JUDGES allows no such skip"
    return report
