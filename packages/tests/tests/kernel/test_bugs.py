"""The list of bugs, and the images that they make."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ringzero import Machine
from ringzero.errors import UsageError
from ringzero.machine.stages import read_stages
from ringzero_kernel import BUGS, STAGES, Bug, assemble_kernel, bug, build
from ringzero_kernel.bugs import LIST
from ringzero_kernel.config import SOURCES

ORACLES = {
    "panic",
    "assertion",
    "marker",
    "deadlock",
    "livelock",
    "masked-wakeup",
    "invariant",
    "lock",
    "registers",
}

EXPLORED = {"QUANTUM": "1"}  # the images that the museum needs too: each is assembled once


@pytest.mark.parametrize("one", BUGS.values(), ids=BUGS)
def test_every_bug_is_told_whole(one: Bug) -> None:
    assert re.fullmatch(r"B[0-9]+[ab]?", one.id)
    assert one.title
    assert one.shows
    assert one.scenario in [stage.name for stage in read_stages(STAGES).of("scenarios")]
    assert one.lines
    assert all(line in range(16) for line in one.lines)
    assert one.equal == (not one.oracle)
    assert set(one.oracle) <= ORACLES
    assert [one.preemptions is not None, one.periods is not None, one.equal].count(True) == 1
    assert one.why or one.periods is None


def test_the_list_and_the_sources_name_the_same_bugs() -> None:
    """Each bug is listed once, and has its place in the kernel proper, not in a test of it."""
    ids = re.findall(r'^id = "(.*)"', LIST.read_text(), re.MULTILINE)
    assert list(BUGS) == ids == sorted(ids, key=lambda name: (int(name.strip("Bab")), name))
    assert len(set(ids)) == len(ids)
    defined = set()
    for path in sorted(SOURCES.glob("*.asm")):
        found = set(re.findall(r"^%(?:el)?ifn?def (BUG_\w+)", path.read_text(), re.MULTILINE))
        assert not found or not path.name.startswith(("tests_", "scenarios")), path.name
        defined |= found
    assert defined == {one.define for one in BUGS.values()}


@pytest.fixture(scope="module")
def sound() -> bytes:
    return build(defines=EXPLORED).data


@pytest.mark.parametrize("name", BUGS)
def test_every_bug_builds_another_image(name: str, sound: bytes) -> None:
    assert build(defines=EXPLORED, bug=name).data != sound


def test_a_bug_is_a_define() -> None:
    assert build(bug="B8").data == build(defines={"BUG_B8": "1"}).data == assemble_kernel(bug="B8").binary


def test_a_bug_that_there_is_not() -> None:
    with pytest.raises(UsageError, match="no bug 'B0'; there are B"):
        bug("B0")
    with pytest.raises(UsageError, match="no bug 'B0'"):
        build(bug="B0", cache=False)


def test_the_list_is_shipped() -> None:
    assert Path(LIST).is_file()


@pytest.mark.parametrize(
    ("name", "period", "reached"),
    [(None, 1_000, True), ("B25", 10_000, False), ("B25", 12_000, True)],
)
def test_a_slow_handler_livelocks_by_the_period(name: str | None, period: int, reached: bool) -> None:
    """B25 shows by how often ticks come, not by where: no thread gets on below its handler's length, all do above."""
    machine = Machine(build(bug=name), append="config=scenarios only=try-ticks", timer_period=period)
    stop = machine.run(until_serial="[stage] try-ticks", max_steps=1_000_000)
    assert stop.reason.value == ("serial" if reached else "limit")
