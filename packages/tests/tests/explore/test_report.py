"""The report, by what it shows: in a real browser, key by key, and as a trace by the rules of its format."""

from __future__ import annotations

import dataclasses
import errno
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from ringzero.errors import UsageError
from ringzero.explore.explain import explain
from ringzero.explore.player import Player
from ringzero.explore.report import make_page, make_trace, report_result, write_report
from ringzero.explore.report.sources import read_source
from ringzero.explore.result import Counts, Difference, Result, Verdict
from ringzero.explore.search import Search
from ringzero.explore.timeline import Lane, Timeline, record
from ringzero_kernel import STAGES
from ringzero_tests.browser import Browser
from ringzero_tests.experiments import scenario_experiment

SOURCES = STAGES.parent


@cache
def found() -> tuple[Result, Timeline, Timeline]:
    """A lost wake-up: the result, the run that fails, and the one without its preemption."""
    experiment = scenario_experiment("try-wq-park", "B8")
    search = Search(experiment, 1)
    result, player = search.run(), Player(experiment)
    assert search.failed is not None
    example = explain(player, search.failed, 1)
    last = example.schedule[-1].at
    failing, passing = record(player, example.schedule), record(player, example.schedule[:-1], around=last)
    return dataclasses.replace(result, counterexample=example), failing, passing


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(tmp_path_factory.mktemp("report") / "B8", *found(), [SOURCES])


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser() as started:
        yield started


@pytest.fixture
def page(browser: Browser, report: Path) -> Iterator[Browser]:
    browser.open(report)
    yield browser
    assert browser.errors == []
    assert {url.partition("#")[0] for url in browser.requests} == {report.resolve().as_uri()}, (
        "the page asks for nothing but itself"
    )


def placed() -> int:
    return found()[1].schedule[0].at


# In a browser


@pytest.mark.judge("chromium")
def test_the_head_says_what_is_known(page: Browser) -> None:
    result, _, _ = found()
    example = result.counterexample
    assert example is not None
    assert page.text("h1") == "try-wq-park"
    assert page.text("#verdict") == "broken by 1 preemption: deadlock"
    assert page.text("#message") == example.failure.message
    facts = page.text("#facts")
    assert example.replay in facts
    assert all(sentence.replace("`", "") in facts for sentence in example.waiting)
    page.value("document.getElementById('copy').click()")
    assert page.value("getSelection().toString()") == f"ringzero replay '{example.replay}'"
    assert f"any of {example.window.count} of" in facts if example.window else False
    assert page.value("document.title").startswith("try-wq-park: broken")


@pytest.mark.judge("chromium")
def test_each_run_has_its_lanes_and_counts(page: Browser) -> None:
    _, failing, passing = found()
    for name, run in (("failing", failing), ("passing", passing)):
        lanes = page.value(
            f"[...document.querySelectorAll('#run-{name} .labels li')].map(each => each.innerText)"
        )
        assert lanes == [lane.name for lane in run.lanes]
        counts = page.text(f"#run-{name} .counts")
        for kind, word in (
            ("switch", "switch"),
            ("interrupt", "interrupt"),
            ("sleep", "sleep"),
            ("wake", "wake"),
        ):
            assert re.search(rf"\b{len(run.of(kind))} {word}(es|s)?\b", counts), counts
            assert page.count(f"#run-{name} svg .{kind}") == len(run.of(kind))
        assert page.count(f"#run-{name} svg .held") == len(run.locks)
        assert page.count(f"#run-{name} svg .placed") == len(run.schedule)
        assert page.value(f"document.querySelector('#run-{name} svg').getAttribute('aria-label')").startswith(
            f"{name.capitalize()} run: {len(run.lanes)} lanes"
        )
    assert page.value("document.getElementById('run-failing').getBoundingClientRect().top") < page.value(
        "document.getElementById('run-passing').getBoundingClientRect().top"
    )


@pytest.mark.judge("chromium")
def test_the_window_is_shaded_and_the_point_of_no_return_is_marked(page: Browser) -> None:
    example = found()[0].counterexample
    assert example is not None
    assert example.window is not None
    assert example.no_return is not None
    first, end = example.window.first.placement.at, example.window.last.placement.at + 1
    shaded = page.value(
        "[...document.querySelectorAll('.window')].map(each => [each.dataset.first, each.dataset.end])"
    )
    assert shaded == [[str(first), str(end)]] * 2
    lines = page.value("[...document.querySelectorAll('.no-return')].map(each => Number(each.dataset.step))")
    assert lines == [example.no_return.placement.at]
    inside = page.value(
        "(() => { const box = document.querySelector('#run-failing .window').getBoundingClientRect(),"
        " line = document.querySelector('#run-failing .at').getBoundingClientRect();"
        " return box.left <= line.left && line.right <= box.right + 1 && box.width > 2; })()"
    )
    assert inside, "the cursor begins at the preemption, in the window"


@pytest.mark.judge("chromium")
def test_the_first_other_value_is_marked(browser: Browser, tmp_path: Path) -> None:
    result, failing, passing = found()
    assert result.counterexample is not None
    seen = Difference(placed() + 7, "here+0x4", "2 try-wq", 0x1000, "flag", 0, 1, 4)
    told = dataclasses.replace(
        result, counterexample=dataclasses.replace(result.counterexample, difference=seen)
    )
    browser.open(write_report(tmp_path / "difference", told, failing, passing))
    assert browser.value("document.querySelector('.difference').dataset.step") == str(seen.step)
    assert seen.sentence in browser.text("#facts")


@pytest.mark.judge("chromium")
def test_keys_move_the_cursor(page: Browser) -> None:
    _, failing, _ = found()
    at = placed()

    def step() -> int:
        number = re.match(r"Step ([\d,]+) of", page.text("#cursor"))
        assert number
        return int(number[1].replace(",", ""))

    assert step() == at
    page.press("ArrowRight", "j", "j")
    assert step() == at + 3
    page.press("ArrowLeft", "k")
    assert step() == at + 1
    page.press("ArrowRight", shift=True)
    assert step() == at + 11
    page.press("Home")
    assert step() == failing.first
    page.press("ArrowLeft")
    assert step() == failing.first, "there is nothing before the beginning"
    page.press("End")
    assert step() == failing.end
    page.press("x")
    assert step() == at
    quiet = ("lock", "unlock")
    following = next(event for event in failing.events if event.at > at and event.kind not in quiet)
    page.press("n")
    assert step() == following.at
    assert following.text in page.text("#panel-failing .now-events")
    assert following.text in page.text("#events [aria-current=true]")
    page.press("p")
    assert step() == at
    page.press("p")
    assert step() == max(event.at for event in failing.events if event.at < at and event.kind not in quiet)
    assert page.value("location.hash") == f"#step={step()}&run=failing"


@pytest.mark.judge("chromium")
def test_the_panel_shows_the_step(page: Browser, report: Path) -> None:
    _, failing, _ = found()
    page.open(report, f"#step={placed()}&run=failing")
    now: dict[str, int] = {}
    for changes in failing.values[: placed() + 1 - failing.first]:
        now.update({failing.registers[number]: value for number, value in changes})
    shown = page.value(
        "Object.fromEntries([...document.querySelectorAll('#panel-failing .registers div')]"
        ".map(each => [each.children[0].innerText, each.children[1].innerText]))"
    )
    assert shown == {name: f"{value:016x}" for name, value in now.items()}
    place = failing.at(placed())
    assert place is not None
    panel = page.text("#panel-failing")
    assert f"{place.file}:{place.line}" in panel
    assert place.symbol in panel
    assert next(code.text for code in failing.codes if code.address == now["rip"]) == page.text(
        "#panel-failing .next"
    )
    line = (SOURCES / place.file).read_text().splitlines()[place.line - 1].strip()
    assert line in page.text("#panel-failing .source .now")
    assert "interrupts 2 try-wq" in page.text("#panel-failing .now-events")
    page.press("End")
    threads = page.text("#panel-failing table")
    assert re.search(r"0 boot\s+sleeps on works\+0x98", threads), threads
    assert re.search(r"2 try-wq\s+sleeps on test_wq\+0x38", threads), threads
    assert "deadlock" in page.text("#panel-failing .next")


@pytest.mark.judge("chromium")
def test_the_other_run_is_a_key_away(page: Browser) -> None:
    _, _, passing = found()
    page.press("ArrowDown", "End")
    assert page.text("#cursor").startswith(f"Step {passing.end:,} of {passing.steps:,} · Passing run")
    assert page.count("#run-passing.active") == page.count("#panel-passing.active") == 1
    page.press("ArrowUp")
    assert "Failing run" in page.text("#cursor")


@pytest.mark.judge("chromium")
def test_zoom_hover_and_colours(page: Browser) -> None:
    width = "document.querySelector('#run-failing svg').getBoundingClientRect().width"
    fit = page.value(width)
    page.press("+", "+")
    assert page.value(width) > 2 * fit
    page.press("0")
    assert page.value(width) == fit
    page.press("w")
    assert page.value("document.querySelector('.window').getBoundingClientRect().width") > 8
    box = page.value(
        "(() => { const box = document.querySelector('#run-failing .at').getBoundingClientRect();"
        " return [box.left, box.top]; })()"
    )
    page.hover(box[0] + 1, box[1] + 40)
    assert f"step {placed():,}" in page.text("#tip")
    assert "worker_main" in page.text("#tip")
    paper = "getComputedStyle(document.body).backgroundColor"
    page.dark(True)
    dark = page.value(paper)
    page.dark(False)
    assert dark != page.value(paper)


@pytest.mark.judge("chromium")
def test_a_guest_cannot_write_markup(browser: Browser, tmp_path: Path) -> None:
    result, failing, _ = found()
    evil = "</script><img src=x onerror='document.title=1'><!--"
    lanes = (failing.lanes[0], *(Lane(evil, lane.address) for lane in failing.lanes[1:]))
    events = tuple(dataclasses.replace(event, text=evil) for event in failing.events)
    bad = dataclasses.replace(failing, lanes=lanes, events=events)
    browser.open(write_report(tmp_path / "evil", dataclasses.replace(result, name=evil), bad, None))
    assert browser.text("h1") == evil
    assert browser.count("img") == 0
    assert browser.errors == []


@pytest.mark.judge("chromium")
def test_a_kernel_that_holds_has_a_page_too(browser: Browser, tmp_path: Path) -> None:
    result = Result("quiet", Verdict.HOLDS, 2, 2, Counts(10, 5, 20, 12, 3, 4567))
    browser.open(write_report(tmp_path / "holds", result, None, found()[2]))
    assert browser.text("#verdict") == "holds for every schedule of up to 2 preemptions"
    assert "20 covered, 12 run, 3 merged" in browser.text("#facts")
    assert browser.count(".run") == 1
    browser.open(write_report(tmp_path / "nothing", result, None, None))
    assert browser.count(".run") == 0
    assert browser.errors == []


# The trace


def rows() -> list[dict[str, Any]]:
    trace: dict[str, Any] = json.loads(make_trace(*found()))
    assert set(trace) == {"traceEvents", "displayTimeUnit", "otherData"}
    assert trace["displayTimeUnit"] in ("ms", "ns")
    loaded: list[dict[str, Any]] = trace["traceEvents"]
    return loaded


NEEDED = {
    "M": {"name", "pid", "tid", "args"},
    "X": {"name", "cat", "pid", "tid", "ts", "dur"},
    "i": {"name", "cat", "pid", "tid", "ts", "s"},
    "s": {"name", "cat", "pid", "tid", "ts", "id"},
    "f": {"name", "cat", "pid", "tid", "ts", "id", "bp"},
    "b": {"name", "cat", "pid", "tid", "ts", "id", "args"},
    "e": {"name", "cat", "pid", "tid", "ts", "id"},
}


def test_every_event_of_the_trace_has_what_its_phase_needs() -> None:
    for row in rows():
        assert NEEDED[row["ph"]] <= set(row), row
        assert isinstance(row["pid"], int)
        assert isinstance(row["tid"], int)
        assert row["ph"] == "M" or (isinstance(row["ts"], int) and row["ts"] >= 0)
        assert row["ph"] != "X" or row["dur"] > 0
        assert row["ph"] != "i" or row["s"] in ("g", "p", "t")


def test_the_slices_of_a_track_nest() -> None:
    tracks: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for row in rows():
        if row["ph"] == "X":
            tracks.setdefault((row["pid"], row["tid"]), []).append((row["ts"], row["ts"] + row["dur"]))
    assert len(tracks) > 4
    for slices in tracks.values():
        enclosing: list[int] = []
        for first, end in sorted(slices, key=lambda each: (each[0], -each[1])):
            while enclosing and enclosing[-1] <= first:
                enclosing.pop()
            assert not enclosing or end <= enclosing[-1]
            enclosing.append(end)


def test_tracks_are_named_and_wakes_are_flows() -> None:
    _, failing, passing = found()
    names = {(row["pid"], row["tid"]): row["args"]["name"] for row in rows() if row["name"] == "thread_name"}
    assert [names[1, n + 1] for n in range(len(failing.lanes))] == [lane.name for lane in failing.lanes]
    slices = [row for row in rows() if row["ph"] == "X"]
    for pid, run in ((1, failing), (2, passing)):
        starts, ends = (
            {row["id"]: row for row in rows() if row["ph"] == ph and row["pid"] == pid} for ph in "sf"
        )
        assert starts.keys() == ends.keys()
        assert len(starts) == len(run.of("wake"))
        for number, start in starts.items():
            assert start["ts"] <= ends[number]["ts"]
            assert ends[number]["bp"] == "e"
            for bound in (start, ends[number]):
                assert any(
                    (row["pid"], row["tid"]) == (pid, bound["tid"])
                    and row["ts"] <= bound["ts"] < row["ts"] + row["dur"]
                    for row in slices
                ), "a flow's end lies in a slice of its track"
    interrupts = [row for row in rows() if row["ph"] == "i" and row["cat"] == "interrupt"]
    assert len(interrupts) == len(failing.of("interrupt")) + len(passing.of("interrupt"))


def test_a_lock_begins_and_ends_once() -> None:
    pairs: dict[str, list[str]] = {}
    for row in rows():
        if row["ph"] in "be":
            pairs.setdefault(row["id"], []).append(row["ph"])
    assert pairs
    assert all(phases == ["b", "e"] for phases in pairs.values())
    assert len(pairs) == sum(len(run.locks) for run in found()[1:] if isinstance(run, Timeline))


# The files


def test_the_same_report_is_the_same_bytes() -> None:
    assert make_page(*found(), [SOURCES]) == make_page(*found(), [SOURCES])
    assert make_trace(*found()) == make_trace(*found())


def test_a_result_alone_is_enough(tmp_path: Path) -> None:
    result, failing, passing = found()
    player = Player(scenario_experiment("try-wq-park", "B8"))
    page = report_result(tmp_path / "B8", player, result, [SOURCES])
    assert page.read_text() == make_page(result, failing, passing, [SOURCES])
    holds = Result("quiet", Verdict.HOLDS, 1, 1)
    assert '"id":"passing"' in report_result(tmp_path / "holds", player, holds).read_text()


def test_a_report_is_replaced_and_what_lies_beside_is_kept(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("old")
    (tmp_path / "mine.txt").write_text("mine")
    write_report(tmp_path, *found())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["index.html", "mine.txt", "trace.json"]
    assert (tmp_path / "index.html").read_text() != "old"


def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a file")
    with pytest.raises(UsageError, match=r"file: the report cannot be written: Not a directory") as error:
        write_report(tmp_path / "file", *found())
    assert "\n" not in str(error.value)
    with pytest.raises(UsageError, match=r"cannot be written"):
        write_report(tmp_path / "file" / "below", *found())
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = Path.write_text

    def full(path: Path, content: str, **options: Any) -> int:
        if path.name == "trace.json":
            write(path, content[:100], **options)
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        return write(path, content, **options)

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(UsageError, match=r"report: the report cannot be written: No space left on device$"):
        write_report(tmp_path / "report", *found())
    assert list(tmp_path.iterdir()) == []


def test_only_files_below_the_given_directories_are_read(tmp_path: Path) -> None:
    inside = tmp_path / "kernel"
    inside.mkdir()
    (inside / "main.asm").write_text("nop\n\thlt\n")
    (tmp_path / "secret").write_text("secret")
    (inside / "link").symlink_to(tmp_path / "secret")
    assert read_source("main.asm", [inside]) == ["nop", "        hlt"]
    assert read_source(str(inside / "main.asm"), [inside]) == ["nop", "        hlt"]
    for name in ("../secret", str(tmp_path / "secret"), "link", "missing", ""):
        assert read_source(name, [inside]) is None
