"""Schedules a second: what the explorer does all day.

The guest is the kernel inside the stage `stress-work`, from its first work item on: eight threads queue work and wait
for it. A schedule is 20 000 of its steps with two placed timer interrupts; the restore of the snapshot is part of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

from common import Measure, needs_native

STEPS = 20_000
ROUND = 200  # schedules


@needs_native
def test_schedules(measure: Measure) -> None:
    from ringzero.explore.experiment import Experiment
    from ringzero.explore.player import Player
    from ringzero.explore.schedule import Placement
    from ringzero.machine.stages import read_stages
    from ringzero_kernel import STAGES, build

    player = Player(
        Experiment(
            "stress-work",
            build(defines={"QUANTUM": "1"}).data,
            {"append": "config=kthread-stress"},
            start="stress_count_work",
            until="stage_passed",
            threads=read_stages(STAGES).threads,
        )
    )
    offsets: Iterator[int] = count()

    def play() -> None:
        for _ in range(ROUND):
            first = 1_000 + 37 * next(offsets) % 9_000
            player.rewind()
            assert player.follow((Placement(first), Placement(first + 8_000)))
            assert player.advance(STEPS)

    measure("schedules: 20 000 steps, 2 preemptions", "ringzero", ROUND, "schedules", play)
