"""A search on a Dask cluster of several processes gives the result of a search alone, also when a worker is killed."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from ringzero.errors import UsageError
from ringzero.explore.search import Progress, Search, search
from ringzero.explore.workers import workers
from ringzero_tests.experiments import stage_experiment

distributed = pytest.importorskip("distributed", reason="needs Dask: pip install ringzero-cpu[dask]")
pytestmark = pytest.mark.slow

STAGE = "wq-worker-started"


@pytest.fixture
def cluster() -> Iterator[Any]:
    with distributed.LocalCluster(
        n_workers=3, threads_per_worker=1, processes=True, dashboard_address=None
    ) as cluster:
        yield cluster


def test_a_cluster_gives_the_same_result(cluster: Any) -> None:
    with workers(scheduler=cluster.scheduler_address) as (executor, jobs):
        assert jobs == 3
        assert search(stage_experiment(STAGE), 2, executor=executor, jobs=jobs) == search(
            stage_experiment(STAGE), 2
        )


def test_a_killed_worker_loses_nothing_and_counts_nothing_twice(cluster: Any) -> None:
    killed: list[int] = []

    def kill_one(progress: Progress) -> None:
        if progress.preemptions == 2 and progress.done >= 5 and not killed:
            killed.append(next(iter(cluster.workers.values())).pid)
            os.kill(killed[0], signal.SIGKILL)

    with workers(scheduler=cluster.scheduler_address) as (executor, jobs):
        experiment = stage_experiment(STAGE)
        result = Search(experiment, 2, executor=executor, jobs=jobs, on_progress=kill_one).run()
    assert killed
    assert result == search(experiment, 2)


def test_no_scheduler_is_one_line() -> None:
    with pytest.raises(UsageError, match="no Dask scheduler answers"), workers(scheduler="tcp://127.0.0.1:1"):
        pass
