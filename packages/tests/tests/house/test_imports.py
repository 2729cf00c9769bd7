"""Imports run one way: isa ← asm, cpu ← machine ← explore, debug ← cli ← testing; ringzero does not know the kernel."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import ringzero
import ringzero_kernel

RANKS = {"isa": 0, "asm": 1, "cpu": 1, "machine": 2, "explore": 3, "debug": 3, "cli": 4, "testing": 5}
CPU_RANKS = {
    "address": 0,
    "uops": 0,
    "lower": 1,
    "engine": 2,
    "system": 3,
}  # rooms of cpu; the driver stands above them
HERE = Path(ringzero.__file__).parent
KERNEL = Path(ringzero_kernel.__file__).parent

# What a deterministic room may not even name: the host's clock, its entropy, its scheduling.
NONDETERMINISTIC = {"time", "random", "secrets", "uuid", "threading", "multiprocessing", "asyncio"}
DETERMINISTIC_ROOMS = ("isa", "asm", "cpu", "machine", "explore")


def imports(tree: ast.AST) -> Iterator[str]:
    """The absolute names that are imported when the code runs; what stands under `if TYPE_CHECKING:` is not."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are written absolute"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        yield from imports(node)


def runtime_imports(path: Path) -> Iterator[str]:
    return imports(ast.parse(path.read_text(encoding="utf-8")))


def room(name: str) -> str:
    """`ringzero.asm.lexer` → `asm`; "" for what lies outside or above the rooms."""
    parts = name.split(".")
    return parts[1] if parts[0] == "ringzero" and len(parts) > 1 and parts[1] in RANKS else ""


def files(root: Path) -> list[Path]:
    return sorted(root.rglob("*.py"))


@pytest.mark.parametrize("path", files(HERE), ids=lambda path: str(path.relative_to(HERE)))
def test_imports_run_one_way(path: Path) -> None:
    relative = path.relative_to(HERE)
    mine = relative.parts[0] if len(relative.parts) > 1 else ""
    for name in runtime_imports(path):
        assert name.split(".")[0] != "ringzero_kernel", f"{relative} knows the kernel"
        other = room(name)
        if not mine or not other or other == mine:
            continue
        assert RANKS[other] < RANKS[mine], f"{relative} ({mine}) imports {name} ({other})"


@pytest.mark.parametrize("path", files(HERE / "cpu"), ids=lambda path: str(path.relative_to(HERE)))
def test_the_rooms_of_the_processor_know_the_ones_below(path: Path) -> None:
    mine = path.relative_to(HERE / "cpu").parts[0]
    for name in runtime_imports(path):
        parts = name.split(".")
        if mine == "cpu.py" or parts[:2] != ["ringzero", "cpu"] or len(parts) < 3 or parts[2] == mine:
            continue
        assert parts[2] != "cpu", f"{path} knows the driver"
        assert CPU_RANKS.get(parts[2], -1) < CPU_RANKS.get(mine, 0), f"{path} ({mine}) imports {name}"


@pytest.mark.parametrize("path", files(HERE), ids=lambda path: str(path.relative_to(HERE)))
def test_nothing_reads_the_host(path: Path) -> None:
    relative = path.relative_to(HERE)
    if relative.parts[0] in DETERMINISTIC_ROOMS:
        named = {name.split(".")[0] for name in runtime_imports(path)}
        assert not named & NONDETERMINISTIC, f"{relative} imports {named & NONDETERMINISTIC}"


def test_the_kernel_imports_no_private_room() -> None:
    for path in files(KERNEL):
        assert not any(room(name) in ("isa", "cpu") for name in runtime_imports(path)), path
