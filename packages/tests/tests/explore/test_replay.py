"""Replay strings: short, exact on both engines, refused when damaged, and able to find their places after a rebuild."""

from __future__ import annotations

import binascii
import string
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from ringzero.errors import UsageError
from ringzero.explore import replay
from ringzero.explore.experiment import Experiment
from ringzero.explore.path import record_path
from ringzero.explore.player import Player
from ringzero.explore.replay import ReplayError
from ringzero.explore.result import Trial
from ringzero.explore.schedule import NMI, Placement, Schedule, Source
from ringzero.explore.search import Search
from ringzero.explore.sites import Visit, find_visit, visit_of
from ringzero.machine.stages import read_stages
from ringzero_kernel import BUGS, STAGES, build
from ringzero_kernel.bugs import Bug
from ringzero_tests.two_threads import SOURCE, two_threads

THREE = (Placement(9), Placement(60), Placement(101, burst=2))


def scenario(engine: str = "auto", name: str = "try-wq-park") -> Experiment:
    stages = read_stages(STAGES)
    return Experiment(
        name,
        build(defines={"QUANTUM": "1"}).data,
        {"append": f"config=scenarios only={name}", "engine": engine},
        start="scenario_start",
        until="stage_passed",
        burst=2,
        threads=stages.threads,
        clocks=stages.clocks,
    )


def numbers(seed: int) -> Iterator[int]:
    """Numbers that look like chance (SplitMix64)."""
    while True:
        seed = (seed + 0x9E3779B97F4A7C15) & (1 << 64) - 1
        mixed = (seed ^ seed >> 30) * 0xBF58476D1CE4E5B9 & (1 << 64) - 1
        mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EB & (1 << 64) - 1
        yield mixed ^ mixed >> 31


def schedules(player: Player, count: int) -> Iterator[Schedule]:
    """Schedules of up to three placements, at boundaries of the runs that the earlier ones make."""
    chance = numbers(count)
    for _ in range(count):
        schedule: Schedule = ()
        for _ in range(next(chance) % 4):
            places = record_path(player, schedule).places
            if places:
                schedule = (*schedule, places[next(chance) % len(places)])
        yield schedule


def told(player: Player, schedule: Schedule) -> tuple[Trial, str]:
    return player.play(schedule), player.machine.state_hash()


def replays(make: Callable[[str], Experiment], count: int) -> None:
    here, python = Player(make("auto")), Player(make("python"))
    for schedule in schedules(here, count):
        text = replay.encode(here.experiment, here, schedule)
        assert len(text) <= replay.LONGEST
        read = replay.decode(text)
        assert replay.remarks(python.experiment, read) == ()
        assert replay.resolve(python, read) == schedule
        assert told(here, replay.resolve(here, read)) == told(python, schedule)


def test_a_string_is_the_same_run_on_both_engines() -> None:
    replays(lambda engine: two_threads(count=3, engine=engine), 30)


def test_a_string_of_the_kernel_is_the_same_run_on_both_engines() -> None:
    replays(scenario, 5)


@pytest.mark.slow
def test_a_thousand_strings_are_the_same_runs_on_both_engines() -> None:
    replays(lambda engine: two_threads(count=3, engine=engine), 900)
    replays(scenario, 100)


@pytest.mark.slow
@pytest.mark.parametrize("bug", [row for row in BUGS.values() if row.preemptions], ids=lambda row: row.id)
def test_a_found_bug_is_the_same_run_on_both_engines(bug: Bug) -> None:
    """A string that is made where the bug was found leads the other engine to the same end."""
    here, python = (Player(with_bug(bug, engine)) for engine in ("auto", "python"))
    search = Search(here.experiment, bug.preemptions or 0, player=here)
    search.run()
    assert search.failed is not None
    schedule = search.failed.schedule
    read = replay.decode(replay.encode(here.experiment, here, schedule))
    assert replay.resolve(python, read) == schedule
    found = told(python, schedule)
    assert found == told(here, schedule)
    assert found[0].failure == search.failed.failure


def with_bug(bug: Bug, engine: str) -> Experiment:
    asked = scenario(engine, bug.scenario)
    sources = tuple(Source(line, b"x" if line == 4 else b"") for line in bug.lines)
    image = build(defines={"QUANTUM": "1"}, bug=bug.id).data
    return replace(asked, image=image, sources=sources, burst=1)


def test_every_boundary_has_a_name_that_leads_back() -> None:
    """Where a tick returns to, between the iterations of a repeated string instruction, at HLT, and at the start."""
    source = SOURCE.replace(
        ".again: push ecx", ".again: push ecx\n mov ecx, 9\n mov edi, 0xa0000\n rep stosb"
    )
    player = Player(two_threads(count=2, source=source))
    for before in ((), (Placement(0),), (Placement(3), Placement(4, NMI))):
        names = set()
        for at in range(before[-1].at if before else 0, player.play(before).steps):
            name = visit_of(player, before, at)
            assert find_visit(player, before, name)[0] == at
            names.add(name)
        assert len(names) > 50


def test_probes_that_count_visits_change_nothing() -> None:
    player = Player(two_threads())
    before = told(player, THREE[:1])
    visit_of(player, THREE[:1], 30)
    find_visit(player, (), Visit(player.machine.symbol("schedule"), 2))
    assert told(player, THREE[:1]) == before


def kernel_text() -> str:
    player = Player(scenario())
    return replay.encode(player.experiment, player, THREE)


def test_three_preemptions_fit_in_64_characters() -> None:
    text = kernel_text()
    assert text.startswith("rz1:")
    assert len(text) <= 64
    assert [spot.burst for spot in replay.decode(text).spots] == [1, 1, 2]


def test_any_damaged_character_is_refused() -> None:
    text = kernel_text()
    others = string.printable.strip() + "é "
    for at, right in enumerate(text):
        for wrong in others.replace(right, ""):
            with pytest.raises(ReplayError) as told_why:
                replay.decode(text[:at] + wrong + text[at + 1 :])
            assert "\n" not in str(told_why.value)


def test_a_cut_or_longer_string_is_refused() -> None:
    text = kernel_text()
    for damaged in (
        *(text[:end] for end in range(len(text))),
        text + "A",
        text + "AAAA",
        text + "=",
        text * 2,
    ):
        with pytest.raises(ReplayError, match="replay string"):
            replay.decode(damaged)


def test_blanks_around_a_string_do_no_harm() -> None:
    text = kernel_text()
    assert replay.decode(f" {text}\n") == replay.decode(text)


@pytest.mark.parametrize(
    "what",
    [
        bytes([31]),
        bytes([2]),
        bytes([0, 1, 2, 3, 200]),
        bytes([0, 1, 2, 3, 0]) + b"\xff" * 12,
        bytes([0x80, 1]),
    ],
)
def test_a_string_with_a_right_sum_and_a_wrong_place_is_refused(what: bytes) -> None:
    content = bytes(8) + what
    content += binascii.crc32(content).to_bytes(4, "little")
    with pytest.raises(ReplayError, match="damaged"):
        replay.decode("rz1:" + urlsafe_b64encode(content).decode().rstrip("="))


def test_nmi_and_serial_places_are_kept() -> None:
    experiment = replace(two_threads(), sources=(Source(0), Source(4, b"x"), Source(NMI)))
    player = Player(experiment)
    schedule = (Placement(3, 4), Placement(4, NMI), Placement(40))
    read = replay.decode(replay.encode(experiment, player, schedule))
    assert [spot.line for spot in read.spots] == [4, NMI, 0]


def test_beyond_64_characters_nothing_is_lost() -> None:
    player = Player(two_threads(count=20))
    schedule = tuple(Placement(at) for at in range(0, 400, 25))
    text = replay.encode(player.experiment, player, schedule)
    assert len(text) > replay.LONGEST
    assert replay.resolve(player, replay.decode(text)) == schedule


def test_another_build_says_so_and_finds_the_place_again() -> None:
    old, moved = (
        Player(two_threads()),
        Player(two_threads(source=SOURCE.replace("setter: sti", "setter: nop\n sti"))),
    )
    place = Placement(5)
    read = replay.decode(replay.encode(old.experiment, old, (place, Placement(30))))
    (remark,) = replay.remarks(moved.experiment, read)
    assert "rebuild has made this replay string void" in remark
    found = replay.resolve(moved, read)
    assert found[0] == place
    assert where(moved, found[:1], found[1].at) == where(old, (place,), 30)


def where(player: Player, before: Schedule, at: int) -> tuple[str | None, int]:
    player.rewind()
    player.follow(before)
    player.advance(at)
    place = player.machine.where()
    return place.symbol, place.offset


def test_another_build_without_the_symbol_says_which_is_gone() -> None:
    old, new = Player(two_threads()), Player(two_threads(source=SOURCE.replace("wait_flag", "wait_for_it")))
    read = replay.decode(replay.encode(old.experiment, old, (Placement(5),)))
    with pytest.raises(ReplayError, match=r"place 1 of 1: wait_flag… is gone in this build"):
        replay.resolve(new, read)


def test_another_build_that_comes_there_less_often_says_so() -> None:
    often, once = Player(two_threads(count=3)), Player(two_threads(count=1))
    last = record_path(often, ()).places[-3]
    read = replay.decode(replay.encode(often.experiment, often, (last,)))
    with pytest.raises(ReplayError, match=r"place 1 of 1: the run comes to .* \d times, not \d"):
        replay.resolve(once, read)


def test_another_configuration_says_so() -> None:
    player = Player(two_threads())
    read = replay.decode(replay.encode(player.experiment, player, (Placement(5),)))
    (remark,) = replay.remarks(replace(player.experiment, until="wait_flag"), read)
    assert "another configuration" in remark
    assert (
        replay.remarks(
            replace(
                player.experiment,
                invariants=("a:b",),
                machine={**player.experiment.machine, "engine": "python"},
            ),
            read,
        )
        == ()
    )


def test_a_place_without_a_symbol_is_kept_as_an_address() -> None:
    here = Player(two_threads())
    stripped = replace(here.experiment, image=strip(here.experiment.image))
    player = Player(
        replace(stripped, start=here.machine.symbol("started"), until=None, max_steps=300, threads={})
    )
    text = replay.encode(player.experiment, player, (Placement(5),))
    assert replay.resolve(player, replay.decode(text)) == (Placement(5),)
    other = Player(replace(player.experiment, image=player.experiment.image + b"\0"))
    with pytest.raises(ReplayError, match="had no symbol"):
        replay.resolve(other, replay.decode(text))


def strip(elf: bytes) -> bytes:
    """The file without its section headers, and so without its symbols."""
    return elf[:0x28] + bytes(8) + elf[0x30:0x3A] + bytes(6) + elf[0x40:]


def test_a_place_that_the_run_does_not_come_to_is_refused() -> None:
    player = Player(two_threads())
    with pytest.raises(UsageError, match="step 9,999 is not reached"):
        replay.encode(player.experiment, player, (Placement(9999),))
