"""Experiments that many tests ask: stages of the kernel, one tick a quantum."""

from __future__ import annotations

from typing import Any

from ringzero.explore.experiment import Experiment
from ringzero.machine.stages import read_stages
from ringzero_kernel import STAGES, build


def stage_experiment(before: str, **more: Any) -> Experiment:
    """The window between two stages of the work queues' configuration: from the marker `before` to the next."""
    stages = read_stages(STAGES)
    options: dict[str, Any] = {
        "machine": {"append": "config=workqueue"},
        "start_serial": f"[stage] {before}\n",
        "until": "stage_passed",
        "threads": stages.threads,
        "clocks": stages.clocks,
    }
    return Experiment(f"after {before}", build(defines={"QUANTUM": "1"}).data, **{**options, **more})


def scenario_experiment(scenario: str, bug: str | None = None, **more: Any) -> Experiment:
    """One of the kernel's scenarios, with a bug put back if one is named."""
    stages = read_stages(STAGES)
    options: dict[str, Any] = {
        "machine": {"append": f"config=scenarios only={scenario}"},
        "start": "scenario_start",
        "until": "stage_passed",
        "threads": stages.threads,
        "clocks": stages.clocks,
    }
    image = build(defines={"QUANTUM": "1"}, bug=bug).data
    return Experiment(scenario, image, **{**options, **more})
