"""The pytest plugin, in pytest runs of their own."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ringzero_tests.counter_kernel import MENDED, SOURCE, build

pytest_plugins = ["pytester"]
ORIGINAL = build()  # here: pytester drops the modules that a test is the first to import

HEAD = """
import pytest

window = dict(start="test_start", until="test_done")

@pytest.fixture
def image():
    return "kernel.elf"
"""
EXPLORED = (
    HEAD
    + """
@pytest.mark.explore(bound=2, irq=(0,), **window)
def test_no_tick_is_forgotten(look):
    assert look.u32("counter") == look.u32("ticks") + 1
"""
)


class Run:
    """A directory with a kernel, and pytest in it."""

    def __init__(self, pytester: pytest.Pytester, plugin: list[str]) -> None:
        self.pytester, self.plugin = pytester, plugin
        (pytester.path / "kernel.elf").write_bytes(ORIGINAL)

    def kernel(self, source: str) -> None:
        (self.pytester.path / "kernel.elf").write_bytes(build(source))

    def __call__(self, text: str, *options: str) -> pytest.RunResult:
        self.pytester.makepyfile(text)
        return self.pytester.runpytest_subprocess(*self.plugin, "-p", "no:benchmark", *options)


@pytest.fixture
def run(pytester: pytest.Pytester, pytestconfig: pytest.Config) -> Run:
    known = pytestconfig.pluginmanager.hasplugin("ringzero")  # installed with its entry point, as under tox
    return Run(pytester, [] if known else ["-p", "ringzero.testing.plugin"])


def text_of(result: pytest.RunResult) -> str:
    return "\n".join(result.outlines)


def test_every_schedule_is_judged_by_the_body(run: Run) -> None:
    result = run(EXPLORED)
    result.assert_outcomes(failed=1)
    text = text_of(result)
    assert "broken: 1 preemption" in text
    assert re.search(r"marker: assert 1 == \(1 \+ 1\)", text)
    assert "irq 0 interrupts the code before test_start+0x5 (counter.asm:38)" in text
    report = re.findall(r"report: (.*index.html)", text)[0]
    assert "<html" in Path(report).read_text()


def test_the_mended_kernel_passes(run: Run) -> None:
    run.kernel(MENDED)
    run(EXPLORED).assert_outcomes(passed=1)


def test_the_string_that_is_printed_is_a_regression_test(run: Run) -> None:
    mark = re.findall(r"@pytest.mark.replay\(.*\)", text_of(run(EXPLORED)))[0]
    text = EXPLORED.replace(
        "@pytest.mark.explore(bound=2, irq=(0,), **window)", mark.replace(")", ", **window)")
    )
    result = run(text)
    result.assert_outcomes(failed=1)
    assert "broken again by rz1:" in text_of(result)
    run.kernel(MENDED)
    result = run(text)
    assert "0 times, not 1" in text_of(result)  # no instruction begins there any more


def test_a_void_string_warns_and_is_looked_up(run: Run) -> None:
    mark = re.findall(r"@pytest.mark.replay\(.*\)", text_of(run(EXPLORED)))[0]
    run.kernel(SOURCE.replace("counter: dd 0", "counter: dd 0\n dd 0"))
    text = EXPLORED.replace(
        "@pytest.mark.explore(bound=2, irq=(0,), **window)", mark.replace(")", ", **window)")
    )
    result = run(text)
    result.assert_outcomes(failed=1, warnings=1)
    assert "void" in text_of(result)


def test_the_machine_fixture(run: Run) -> None:
    run(
        HEAD
        + """
@pytest.mark.machine(memory="32M")
def test_it_runs(machine):
    assert machine.memory.size == 32 << 20
    assert machine.run(max_steps=1000).exit_status == 33

@pytest.mark.explore(bound=0, **window)
def test_at_the_end(machine):
    assert machine.where().symbol == "test_done"
"""
    ).assert_outcomes(passed=2)


def test_invariants_of_the_test_itself(run: Run) -> None:
    result = run(
        HEAD
        + """
def never(look):
    return "what never holds"

@pytest.mark.explore(bound=1, invariants=[never], **window)
def test_one():
    pass
"""
    )
    result.assert_outcomes(failed=1)
    assert "invariant: what never holds" in text_of(result)


def test_it_works_with_xdist(run: Run) -> None:
    pytest.importorskip("xdist", reason="pytest-xdist is not installed")
    twice = EXPLORED + EXPLORED.partition("\n@pytest.mark.explore")[2].join(
        ["\n@pytest.mark.explore", ""]
    ).replace("test_no_tick", "test_second")
    result = run(twice, "-p", "xdist", "-n", "2")
    result.assert_outcomes(failed=2)
    assert text_of(result).count("irq 0 interrupts the code") == 2


@pytest.mark.parametrize(
    ("mark", "said"),
    [
        ('@pytest.mark.explore(start="nowhere")', "nowhere"),
        ('@pytest.mark.explore(start="tick")', "the window is never entered"),
        ("@pytest.mark.explore(bond=2)", "knows no 'bond'"),
        ("@pytest.mark.explore(2)", "takes keywords alone"),
        ('@pytest.mark.replay("rz1:AAAA", **window)', "damaged"),
        ('@pytest.mark.explore(image="nosuch.elf")', "nosuch.elf"),
    ],
)
def test_a_bad_mark_is_one_line(mark: str, said: str, run: Run) -> None:
    result = run(f"{HEAD}\n{mark}\ndef test_one():\n    pass\n")
    result.assert_outcomes(failed=1)
    assert said in text_of(result)
    assert "Traceback" not in text_of(result)


def test_options(run: Run) -> None:
    run(EXPLORED, "--explore-bound", "0").assert_outcomes(passed=1)
    result = run(EXPLORED, "--explore-time", "0s")
    result.assert_outcomes(failed=1)
    assert "not finished" in text_of(result)
    result = run(EXPLORED, "--explore-report", "kernel.elf")
    result.assert_outcomes(failed=1)
    assert "report: could not be written: " in text_of(result)


def test_without_an_image(run: Run) -> None:
    result = run("import pytest\n@pytest.mark.explore(bound=1)\ndef test_one(): pass\n")
    assert "define a fixture `image`" in text_of(result)
