"""The pytest plugin: a `machine` fixture, `@pytest.mark.explore(…)` and `@pytest.mark.replay("rz1:…")`.

Rule of this room: pytest loads it into every run of everybody who has installed us, so it imports nothing of ours until
a test asks for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from ringzero import Machine

MARKS = (
    "explore(bound=2, start=, until=, irq=(0,), ...): run the test's body at the end of every schedule of interrupts",
    "replay(*strings, start=, until=, ...): run the test's body at the end of the schedules of these replay strings",
    "machine(**options): keywords of ringzero.Machine for the `machine` fixture",
)
PLAYED = ("explore", "replay")


def pytest_addoption(parser: pytest.Parser) -> None:
    """The command line's options."""
    group = parser.getgroup("ringzero", "exploring kernels (ringzero)")
    group.addoption(
        "--explore-bound", type=int, metavar="N", help="preemptions, instead of the marks' own bound"
    )
    group.addoption(
        "--explore-time", metavar="DURATION", help="stop each exploration after so long: 30s, 10m"
    )
    group.addoption("--explore-report", metavar="DIR", help="where reports of failures go [pytest's cache]")


def pytest_configure(config: pytest.Config) -> None:
    """The marks."""
    for line in MARKS:
        config.addinivalue_line("markers", line)


def is_played(item: pytest.Item) -> bool:
    """Whether a test's body is a judge of schedules."""
    return any(item.get_closest_marker(name) for name in PLAYED)


def pytest_itemcollected(item: pytest.Item) -> None:
    """What is played needs an image, from its mark or from the fixture."""
    if isinstance(item, pytest.Function) and is_played(item) and "image" not in item.fixturenames:
        marks = [mark for name in PLAYED for mark in item.iter_markers(name)]
        if not any("image" in mark.kwargs for mark in marks):
            item.fixturenames.append("image")


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> object | None:
    """Play what is marked; leave all other tests to pytest."""
    if not is_played(pyfuncitem):
        return None
    from ringzero.testing.exploring import play_item

    play_item(pyfuncitem)
    return True


@pytest.fixture
def image() -> Any:
    """The kernel under test: an ELF file's path or content, or an Image. Define your own."""
    pytest.fail(
        "define a fixture `image` that returns the kernel: a path to an ELF file, or its bytes", pytrace=False
    )


@pytest.fixture
def machine(request: pytest.FixtureRequest) -> Machine | None:
    """A machine with the image loaded, at power-on. In a test that is marked, the machine at each schedule's end."""
    if is_played(request.node):
        return None
    from ringzero import Machine

    mark = request.node.get_closest_marker("machine")
    return Machine(request.getfixturevalue("image"), **(mark.kwargs if mark else {}))


@pytest.fixture
def look() -> None:
    """In a test that is marked: the `ringzero.explore.oracles.Look` at each schedule's end."""
