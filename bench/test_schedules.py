"""Schedules a second: what the explorer does all day.

The guest is the kernel inside the stage `stress-work`: eight threads queue work and wait for it. A schedule is 20 000
of its steps with two placed timer interrupts, from the window's snapshot; the restore is part of it.
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

    stages = read_stages(STAGES)
    names = [stage.name for stage in stages.of("kthread-stress")]
    before = names[names.index("stress-work") - 1]
    player = Player(
        Experiment(
            "stress-work",
            build(defines={"QUANTUM": "1"}).data,
            {"append": "config=kthread-stress"},
            start_serial=f"[stage] {before}\n",
            until="stage_passed",
            threads=stages.threads,
            clocks=stages.clocks,
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
