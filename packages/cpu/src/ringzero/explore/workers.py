"""Who does a search's tasks: this process, processes beside it, or a Dask cluster that is there already.

Rule of this room: workers change how long a search takes and nothing else. Any `concurrent.futures.Executor` will do;
these are the two that the command line offers.
"""

from __future__ import annotations

import importlib
import signal
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import Any

from ringzero.errors import UsageError

DEAF = (signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that waits
CONNECT = "10s"


@contextmanager
def workers(jobs: int = 1, scheduler: str = "") -> Iterator[tuple[Executor | None, int]]:
    """An executor, and how many tasks it does at a time; none for one job.

    `scheduler`: the address of a Dask scheduler ("tcp://host:8786"), whose workers must have this package too.
    Raises UsageError.
    """
    if scheduler:
        with _cluster(scheduler) as (client, threads):
            yield client.get_executor(retries=3), threads
    elif jobs > 1:
        from concurrent.futures import ProcessPoolExecutor

        with ProcessPoolExecutor(jobs, initializer=signal.signal, initargs=DEAF) as pool:
            try:
                yield pool, jobs
            finally:
                pool.shutdown(wait=False, cancel_futures=True)
    else:
        yield None, 1


@contextmanager
def _cluster(scheduler: str) -> Iterator[tuple[Any, int]]:
    """A client of a Dask scheduler, and how many threads its workers have."""
    try:
        distributed = importlib.import_module("distributed")  # it has no types
    except ImportError:
        raise UsageError('--scheduler needs Dask: pip install "ringzero-cpu[dask]"') from None
    try:
        client: Any = distributed.Client(scheduler, timeout=CONNECT)
    except (OSError, ValueError) as error:
        raise UsageError(f"{scheduler}: no Dask scheduler answers: {error}") from None
    with client:
        threads = sum(client.nthreads().values())
        if not threads:
            raise UsageError(
                f"{scheduler}: the scheduler has no workers; start some with `dask worker {scheduler}`"
            )
        yield client, threads
