"""The list of stages, and how a run is held against it."""

from __future__ import annotations

import pytest

from ringzero.errors import StagesError
from ringzero.machine.stages import StageTracker, parse_stages, read_stages

LIST = """
[[stages]]
name = "entry"
title = "the kernel was entered"

[[stages]]
name = "queue"
title = "a work item ran"
configs = ["workqueue"]
symbols = ["work_execute"]

[[stages]]
name = "done"
title = "all is done"

[threads]
current = "current_thread"
"""


def feed(tracker, *lines):
    for step, line in enumerate(lines):
        for byte in line.encode() + b"\n":
            tracker.byte(byte, step, step * 10)


def test_tables_beside_the_list():
    stages = parse_stages(
        LIST
        + 'tid_offset = 8\nstates = ["new"]\nclocks = [[232, 8]]\nwakers = [["wake", "r8", 8]]\n'
        + '[clocks]\njiffies = 8\n"cpu0+64" = 4'
    )
    assert stages.clocks == {"jiffies": 8, "cpu0+64": 4}
    assert stages.threads["clocks"] == [[232, 8]]
    assert stages.threads["wakers"] == [["wake", "r8", 8]]
    assert parse_stages(LIST).clocks == {}


def test_a_whole_run():
    stages = parse_stages(LIST)
    assert stages.threads == {"current": "current_thread"}
    tracker = StageTracker(stages, "workqueue")
    heard = []
    tracker.on_reached.append(lambda reached: heard.append(reached.stage.name))
    assert tracker.symbols == ("work_execute",)
    tracker.executed("work_execute")
    feed(tracker, "hello", "[stage] entry\r", "[stage] queue", " [stage] done", "[stage] done")
    assert [(reached.stage.name, reached.step) for reached in tracker.reached] == [
        ("entry", 1),
        ("queue", 2),
        ("done", 4),
    ]
    assert heard == ["entry", "queue", "done"]
    assert tracker.passed
    assert tracker.verdict == "all 3 stages reached"


@pytest.mark.parametrize(
    ("lines", "missing", "remark"),
    [
        ((), "entry", None),
        (("[stage] entry",), "queue", None),
        (("[stage] entry", "[stage] queue"), "queue", "work_execute had not executed"),
        (("[stage] entry", "[stage] done"), "queue", "before queue"),
        (("[stage] entry", "[stage] entry"), "queue", "again"),
        (("[stage] nowhere",), "entry", "unknown stage marker 'nowhere'"),
        (("x[stage] entry", "[stage]entry", "[stage] entry "), "entry", "unknown stage marker 'entry '"),
    ],
)
def test_runs_that_do_not_pass(lines, missing, remark):
    tracker = StageTracker(parse_stages(LIST), "workqueue")
    feed(tracker, *lines)
    assert tracker.missing.name == missing
    assert not tracker.passed
    assert f"first missing: {missing} (" in tracker.verdict
    assert (remark is None) == (not tracker.remarks)
    if remark:
        assert remark in tracker.remarks[0]


def test_an_unknown_marker_spoils_a_whole_run():
    tracker = StageTracker(parse_stages('[[stages]]\nname = "a"'))
    feed(tracker, "[stage] a", "[stage] b")
    assert tracker.missing is None
    assert not tracker.passed
    assert "unknown stage marker 'b'" in tracker.verdict


def test_a_flood_without_lines_is_bounded():
    tracker = StageTracker(parse_stages(LIST))
    for _ in range(10_000):
        tracker.byte(0x41, 0, 0)
    assert len(tracker._line) <= 512
    for _ in range(1000):
        feed(tracker, "[stage] x")
    assert len(tracker.remarks) == 100


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"no \[\[stages\]\]"),
        ("[[stages]]", "stage 1: name = None"),
        ("[[stages]]\nname = 5", "stage 1: name = 5"),
        ('[[stages]]\nname = "a\\nb"', "is not a line of text"),
        ('[[stages]]\nname = "a"\ntitle = 1', "title = 1 is not text"),
        ('[[stages]]\nname = "a"\nsymbol = []', "unknown key 'symbol'"),
        ('[[stages]]\nname = "a"\nconfigs = "x"', "configs = 'x' is not a list of names"),
        ('[[stages]]\nname = "a"\n[[stages]]\nname = "a"', "'a' stands there twice"),
        ("stages = 3", r"no \[\[stages\]\]"),
        ("stages = [3]", "stage 1: not a table"),
        ("thread = 3", "unknown table 'thread'"),
        ('threads = 3\n[[stages]]\nname = "a"', "threads is not a table"),
        ("[threads]\ntid_offset = -1", "threads: tid_offset = -1 is neither a symbol nor an offset"),
        ("[threads]\nswitch = []", r"threads: switch = \[\] is neither"),
        ("[threads]\nstates = 3", "threads: states = 3 is not a list of names"),
        ("[threads]\nclocks = [[8]]", "is not a list of"),
        ("[threads]\nclocks = [[-8, 8]]", "is not a list of"),
        ("[threads]\nclocks = [[8, 0]]", "is not a list of"),
        ('[threads]\nwakers = "complete"', "is not a list of"),
        ('[threads]\nwakers = [["complete"]]', "is not a list of"),
        ('[threads]\nwakers = [["complete", "edi"]]', "is not a list of"),
        ('[threads]\nwakers = [["complete", "rdi", 8, 8]]', "is not a list of"),
        ("clocks = 3", "clocks is not a table"),
        ("[clocks]\njiffies = 0", "clocks: jiffies = 0 is no number of bytes"),
        ("[clocks]\njiffies = true", "clocks: jiffies = True is no number of bytes"),
        ("[[stages", "s.toml: "),
    ],
)
def test_lists_that_cannot_be_used(text, message):
    with pytest.raises(StagesError, match=message) as error:
        parse_stages(text, "s.toml")
    assert str(error.value).startswith("s.toml: ")
    assert "\n" not in str(error.value)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(StagesError, match="cannot be read"):
        read_stages(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(StagesError, match="not UTF-8"):
        read_stages(tmp_path / "bad.toml")


def test_configurations():
    stages = parse_stages(LIST)
    assert stages.configs == ("workqueue",)
    assert len(stages.of(None)) == 3
    with pytest.raises(StagesError, match="no configuration 'x'; there are workqueue"):
        StageTracker(stages, "x")
