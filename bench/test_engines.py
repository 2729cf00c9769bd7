"""Guest loops on both engines and on every peer: warm, whole runs, steps a second."""

from __future__ import annotations

import loops
import peers
import pytest
from common import Measure


@pytest.mark.parametrize("peer", peers.PEERS, ids=lambda peer: peer.name)
@pytest.mark.parametrize("name", loops.SOURCES)
def test_loop(measure: Measure, name: str, peer: peers.Peer) -> None:
    if reason := peer.why_not():
        pytest.skip(f"{peer.name}: {reason}")
    work = peer.prepare(name)
    measure(
        f"loop: {name}", peer.name, work.steps, "steps", work.run,
        setup=work.setup, rounds=peer.rounds, start=work.start,
    )  # fmt: skip
