"""`ringzero explore` and `ringzero replay`: verdicts, statuses, every output, and bad input in one line."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from ringzero.cli.main import main
from ringzero.cli.question import Question, parse_duration
from ringzero.errors import UsageError
from ringzero.explore import result
from ringzero.explore.experiment import Experiment
from ringzero_tests.counter_kernel import MENDED, SOURCE, build

SCHEMA = json.loads((Path(result.__file__).parent / "result.schema.json").read_text(encoding="utf-8"))
CHECKS = """
def agree(look):
    if look.u32("counter") != look.u32("ticks") + 1:
        return "a tick was forgotten"

def never(look):
    return "what never holds"

def raises(look):
    return look.u32("no_such_symbol")

def fails(look):
    return {}["missing"]
"""
WINDOW = ("--from", "test_start", "--until", "test_done")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with both kernels and a module of predicates."""
    (tmp_path / "counter.elf").write_bytes(build())
    (tmp_path / "mended.elf").write_bytes(build(MENDED))
    name = f"checks_{abs(hash(str(tmp_path)))}"
    (tmp_path / f"{name}.py").write_text(CHECKS)
    (tmp_path / "name").write_text(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def agree(here: Path, function: str = "agree") -> str:
    return f"{(here / 'name').read_text()}:{function}"


def explored(here: Path, *more: str, image: str = "counter.elf") -> int:
    return main(["explore", image, *WINDOW, "--success", agree(here), *more])


def test_a_lost_update_is_found(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert explored(here) == 1
    written = capsys.readouterr().out
    assert written.startswith("broken        counter.elf: 1 preemption;")
    assert "marker: a tick was forgotten" in written
    assert "before test_start+0x5 (counter.asm:38)" in written  # the add, behind the load
    assert written.splitlines()[-1].startswith("broken: 1 of 1; ")


def test_the_mended_one_holds(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert explored(here, "--bound", "3", image="mended.elf") == 0
    assert "holds: 1 of 1 up to bound 3" in capsys.readouterr().out


def test_a_window_without_a_boundary_holds(here: Path) -> None:
    (here / "none.elf").write_bytes(build(MENDED.replace("test_start:", "cli\ntest_start:")))
    assert explored(here, image="none.elf") == 0


@pytest.mark.parametrize("options", [[], ["--engine", "python"], ["--jobs", "2"], ["--burst", "2"]])
def test_what_is_found_is_the_same_whoever_searches(
    options: list[str], here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert explored(here, "--json", *options) == 1
    found = json.loads(capsys.readouterr().out)["experiments"][0]["counterexample"]
    assert [place["line"] for place in found["schedule"]] == [0]
    assert found["failure"]["kind"] == "marker"


def test_a_found_schedule_is_replayed(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    explored(here)
    text = re.findall(r"rz1:\S+", capsys.readouterr().out)[0]
    again = ["replay", "counter.elf", text, *WINDOW, "--success", agree(here)]
    assert main(again) == 1
    assert "marker: a tick was forgotten" in capsys.readouterr().out
    (here / "found.txt").write_text(text + "\n")
    assert main([*again[:2], "found.txt", *again[3:], "--trace", "interrupts"]) == 1
    assert capsys.readouterr().err.count("vector 32") == 1  # the run, once


def test_a_string_means_the_same_to_the_command_and_to_pytest(here: Path) -> None:
    asked = Question("counter.elf", start="test_start", until="test_done").experiments()[0]
    named = Experiment("a test", build(), {}, start="test_start", until="test_done")
    assert asked.configuration_digest == named.configuration_digest


def test_a_report_of_what_is_found(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "counter.asm").write_text(SOURCE)
    assert explored(here, "--report", "shown", "--source", ".") == 1
    written = capsys.readouterr().out
    assert written.splitlines()[-1] == f"report: {Path('shown/index.html')}"
    page = (here / "shown" / "index.html").read_text()
    text = re.findall(r"rz1:[^\s']+", written)[0]
    assert text in page
    assert "broken by 1 preemption: marker" in page
    assert next(line for line in SOURCE.splitlines() if "test_start:" in line) in page
    assert json.loads((here / "shown" / "trace.json").read_text())["traceEvents"]
    again = ["replay", "counter.elf", text, *WINDOW, "--report", "well"]
    assert main(again) == 0
    page = (here / "well" / "index.html").read_text()
    assert "ends well: one schedule, played" in page
    assert '"placed"' in page


def test_a_report_that_cannot_be_written_takes_no_verdict_back(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "file").write_text("")
    assert explored(here, "--report", "file/below") == 2
    written = capsys.readouterr()
    assert "broken: 1 of 1; " in written.out
    assert re.fullmatch(r"ringzero: file/below: the report cannot be written: .*\n", written.err), written.err


def test_a_string_of_another_build_says_so(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    explored(here)
    text = re.findall(r"rz1:\S+", capsys.readouterr().out)[0]
    (here / "counter.elf").write_bytes(build(SOURCE.replace("counter: dd 0", "counter: dd 0\n dd 7")))
    assert main(["replay", "counter.elf", text, *WINDOW, "--success", agree(here)]) == 1
    written = capsys.readouterr()
    assert "void" in written.err
    assert "marker: a tick was forgotten" in written.out


def test_invariants_and_clocks(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    never = ["--invariant", agree(here, "never"), "--clock", "ticks=4", "--clock", "counter"]
    assert main(["explore", "counter.elf", *WINDOW, *never]) == 1
    assert "invariant: what never holds" in capsys.readouterr().out


def test_threads_and_clocks_from_a_file(here: Path) -> None:
    (here / "mine.toml").write_text("[clocks]\nticks = 4\n")
    assert explored(here, "--stages", "mine.toml", image="mended.elf") == 0


def test_no_time_is_not_finished(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    junit = here / "junit.xml"
    assert explored(here, "--time-budget", "0s", "--junit", str(junit), "--github") == 3
    written = capsys.readouterr().out
    assert "not finished" in written
    assert "::warning title=ringzero%3A counter.elf::" in written
    suite = ElementTree.parse(junit).getroot()[0]
    assert (suite.get("tests"), suite.get("errors"), suite.get("failures")) == ("1", "1", "0")


def test_a_frontier_is_kept_and_gone_on_from(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        assert explored(here, "--frontier", "kept", image="mended.elf") == 0
    first, again = (line for line in capsys.readouterr().out.splitlines() if line.startswith("holds  "))
    assert first.split(", ")[:3] == again.split(", ")[:3]
    assert explored(here, "--frontier", "kept", image="counter.elf") == 2
    assert "another image" in capsys.readouterr().err
    assert explored(here, "--frontier", "many/", image="mended.elf") == 0
    assert [path.suffix for path in (here / "many").iterdir()] == [".frontier"]


def test_junit_and_annotations(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert explored(here, "--junit", "out.xml", "--github") == 1
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("::"))
    assert line.startswith(
        "::error file=counter.asm,line=38,title=ringzero%3A counter.elf::counter.elf: marker with 1"
    )
    assert "%0A" in line
    case = ElementTree.parse(here / "out.xml").getroot()[0][0]
    assert case.get("name") == "counter.elf"
    assert "a tick was forgotten" in str(case[0].get("message"))


# JSON, and the schema that it is promised to have


def check(value: Any, schema: dict[str, Any], where: str = "$") -> None:
    """Hold a value against the part of JSON Schema that ours uses."""
    if "$ref" in schema:
        return check(value, SCHEMA["$defs"][schema["$ref"].removeprefix("#/$defs/")], where)
    if "anyOf" in schema:
        kind = next(one for one in schema["anyOf"] if (one.get("type") == "null") == (value is None))
        return check(value, kind, where)
    names = {
        "object": dict,
        "array": list,
        "string": str,
        "integer": int,
        "number": (int, float),
        "null": type(None),
    }
    assert isinstance(value, names[schema["type"]]), where
    assert value in schema.get("enum", [value]), where
    if schema["type"] == "object":
        assert set(value) == set(schema["properties"]) == set(schema["required"]), where
        for key, part in schema["properties"].items():
            check(value[key], part, f"{where}.{key}")
    for number, item in enumerate(value if schema["type"] == "array" else []):
        check(item, schema["items"], f"{where}[{number}]")
    return None


@pytest.mark.parametrize("image", ["counter.elf", "mended.elf"])
def test_json_has_the_schema(image: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status = explored(here, "--json", image=image)
    found = json.loads(capsys.readouterr().out)
    check(found, SCHEMA)
    assert found["status"] == status
    try:
        import jsonschema  # type: ignore[import-not-found, import-untyped, unused-ignore]
    except ImportError:
        return
    jsonschema.validate(found, SCHEMA)


NAMES = ("Failure", "Site", "Window", "Difference", "Counterexample", "Counts", "Result")


@pytest.mark.parametrize("name", NAMES)
def test_the_schema_has_every_field(name: str) -> None:
    fields = {each.name for each in dataclasses.fields(getattr(result, name))}
    assert set(SCHEMA["$defs"][name.lower()]["properties"]) - {"version"} == fields


def test_the_schema_has_every_word() -> None:
    assert SCHEMA["$defs"]["failure"]["properties"]["kind"]["enum"] == [kind.value for kind in result.Kind]
    assert SCHEMA["properties"]["verdict"]["enum"] == [verdict.value for verdict in result.Verdict]


# Bad input

BAD = [
    (["explore"], "IMAGE"),
    (["explore", "nosuch.elf"], "nosuch.elf: no such file, and no package"),
    (["explore", "counter.elf", "--from", "nowhere"], "nowhere"),
    (["explore", "counter.elf", "--from", "tick"], "the window is never entered"),
    (["explore", "counter.elf", "--from", "test_start", "--until", "nowhere"], "nowhere"),
    (["explore", "counter.elf", *WINDOW, "--irq", "2"], "irq=2"),
    (["explore", "counter.elf", *WINDOW, "--irq", "0;4"], "--irq '0;4'"),
    (["explore", "counter.elf", *WINDOW, "--clock", "ticks=many"], "--clock 'ticks=many'"),
    (["explore", "counter.elf", *WINDOW, "--clock", "nowhere"], "nowhere"),
    (["explore", "counter.elf", *WINDOW, "--invariant", "nowhere:never"], "nowhere:never"),
    (["explore", "counter.elf", *WINDOW, "--invariant", "{checks}:raises"], "no_such_symbol"),
    (["explore", "counter.elf", *WINDOW, "--success", "{checks}:fails"], "KeyError: 'missing'"),
    (["explore", "counter.elf", *WINDOW, "--time", "soon"], "'soon' is no duration"),
    (["explore", "counter.elf", *WINDOW, "--bound", "-1"], "--bound"),
    (["explore", "counter.elf", *WINDOW, "--junit", "no/such/place.xml"], "place.xml"),
    (["explore", "counter.elf", *WINDOW, "--stages", "nosuch.toml"], "nosuch.toml"),
    (["explore", "counter.elf", *WINDOW, "--stage", "one"], "--stages FILE"),
    (["explore", "counter.elf", *WINDOW, "--bug", "B8"], "--bug cannot be used here"),
    (["explore", "counter.elf", *WINDOW, "--all"], "--all cannot be used here"),
    (["explore", "name"], "ELF"),
    (["explore", "counter.elf", *WINDOW, "--random", "fair"], "--random"),
    (["explore", "counter.elf", *WINDOW, "--random", "pct", "--depth", "0"], "--depth"),
    (["explore", "counter.elf", *WINDOW, "--random", "pct", "--seed", "-1"], "--seed"),
    (["explore", "counter.elf", *WINDOW, "--random", "pct", "--jobs", "2"], "without --jobs"),
    (["explore", "counter.elf", *WINDOW, "--depth", "2"], "--depth is for --random pct"),
    (["hunt", "nosuch.elf"], "nosuch.elf: no such file, and no package"),
    (["hunt", "counter.elf", "--seed", "x"], "--seed"),
    (["hunt", "counter.elf", "--time", "soon"], "'soon' is no duration"),
    (["hunt", "counter.elf", "--until", "nowhere"], "nowhere"),
    (["hunt", "counter.elf", "--until", "test_done", "--success", "{checks}:fails"], "KeyError: 'missing'"),
    (["replay", "counter.elf", "rz1:AAAA", *WINDOW], "damaged"),
    (["replay", "counter.elf", "rz2:AAAA", *WINDOW], "no replay string"),
    (["replay", "counter.elf", "rz1:AAAA", "more"], "one image and one replay string"),
]


@pytest.mark.parametrize(("arguments", "named"), BAD, ids=[" ".join(row[0][1:]) for row in BAD])
def test_bad_input_is_one_line(
    arguments: list[str], named: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checks = (here / "name").read_text()
    assert main([argument.replace("{checks}", checks) for argument in arguments]) == 2
    written = capsys.readouterr().err
    assert named in written
    assert len(written.splitlines()) == 1


def test_a_window_that_is_never_left(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "spins.elf").write_bytes(
        build(SOURCE.replace("test_done:\n", "spin: test eax, eax\n jmp spin\ntest_done:\n"))
    )
    assert explored(here, "--max-steps", "100", image="spins.elf") == 2
    assert "the window is never left: 'test_done' is not reached" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("1.5s", 1.5), ("10m", 600), ("1h30m", 5400), ("250ms", 0.25), ("0s", 0)],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "s", "10 m", "-1s", "1d", "1e3", "10ms5"])
def test_no_durations(text: str) -> None:
    with pytest.raises(UsageError, match="no duration"):
        parse_duration(text)


def test_events_tell_the_same_each_time(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    told = []
    for _ in range(2):
        main(["explore", "counter.elf", *WINDOW, "--bound", "1", "--log", "json"])
        told.append([json.loads(line) for line in capfd.readouterr().err.splitlines()])
    assert told[0] == told[1]
    assert [event["event"] for event in told[0]] == ["experiment", "level", "result"]
    assert told[0][1]["covered"] > 1
    assert told[0][2]["verdict"] == "holds"
