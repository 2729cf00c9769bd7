"""From bytes to a block: fetch, decode, lower, until something ends it."""

from __future__ import annotations

from collections.abc import Callable, Set

from ringzero.cpu import mode as M
from ringzero.cpu.block import NO_PAGE, Block
from ringzero.cpu.builder import Builder, Systems
from ringzero.cpu.faults import GuestFault
from ringzero.cpu.interfaces import Memory
from ringzero.isa import FORMS, LOWERINGS
from ringzero.isa import record as R
from ringzero.isa.decode import decode as decode_in_python
from ringzero.isa.names import GP, UD
from ringzero.isa.operands import operands_of

LIMIT = 64  # instructions in a block at most
PAGE = 4096
Fetch = Callable[[int], int]
Decode = Callable[..., list[R.RecordTuple]]


class Lowerer:
    """Makes blocks from the bytes in `memory`. `probes` are linear addresses at which a block leaves before it runs."""

    def __init__(self, memory: Memory, systems: Systems, probes: Set[int], decode: Decode = decode_in_python) -> None:
        self.memory, self.systems, self.probes, self.decode = memory, systems, probes, decode

    def block(self, linear: int, mode: int, fetch: Fetch, limit: int = LIMIT) -> Block:
        """The block at `linear`. `fetch` translates a linear address for execution.

        Raises GuestFault when the first instruction cannot even be read; what is wrong with a later one is found
        when it is reached. Bytes that are no instruction become a µop that raises #UD.
        """
        physical = fetch(linear)
        records, second = self._records(linear, physical, mode, fetch, limit)
        builder = Builder(mode, self.systems)
        offsets = [0]
        for index, record in enumerate(records):
            rip = linear + offsets[-1]
            if index and (rip in self.probes or _alone(record)):
                break
            if rip in self.probes:
                builder.emit("probe")
            self._lower(builder, record, rip, index)
            offsets.append(offsets[-1] + record[R.LENGTH])
            if builder.ended or _alone(record):
                break
        if not builder.ended:
            builder.next()
        return Block(linear, physical, second, mode, len(offsets) - 1, builder.uops, offsets, builder.target)

    def _records(
        self, linear: int, physical: int, mode: int, fetch: Fetch, limit: int
    ) -> tuple[list[R.RecordTuple], int]:
        """Decoded instructions up to the page's end; a first one that crosses it alone, with its second page."""
        if physical >= self.memory.size:
            raise GuestFault(UD)  # nothing answers a fetch there but ones, and FF FF is no instruction
        room = PAGE - (physical & (PAGE - 1))
        code = bytes(self.memory.ram[physical : physical + min(room, 15 * limit)])
        bits = M.code_bits(mode)
        records = self.decode(code, bits, limit=limit)
        if len(records) > 1 and records[-1][R.FORM] == R.INVALID_FORM:
            # Its bytes may go on, or it may never be reached: leave it to a block of its own.
            records = records[: next(i for i, r in enumerate(records) if r[R.FORM] == R.INVALID_FORM) or 1]
        if records[0][R.FORM] != R.INVALID_FORM or records[0][R.IMM] != R.TRUNCATED:
            return records, NO_PAGE
        second = fetch((linear | (PAGE - 1)) + 1)
        if second >= self.memory.size:
            raise GuestFault(UD)
        code = code[-room:] + bytes(self.memory.ram[second : second + 15])
        return self.decode(code[: R.MAX_LENGTH + 1], bits, limit=1), second

    def _lower(self, b: Builder, record: R.RecordTuple, rip: int, index: int) -> None:
        if record[R.FORM] == R.INVALID_FORM:
            b.begin(record, None, rip, index)
            b.fault(GP if record[R.IMM] == R.TOO_LONG else UD)
            return
        form = FORMS[record[R.FORM]]
        b.begin(record, form, rip, index)
        if form.cpl < b.cpl:
            b.fault(GP)
        else:
            LOWERINGS[form.mnemonic](b, *operands_of(record))


def _alone(record: R.RecordTuple) -> bool:
    """A repeated string instruction is its own block, so that each iteration is a pass through it, and a step."""
    return (
        record[R.FORM] != R.INVALID_FORM
        and bool(record[R.PREFIXES] & (R.REP | R.REPNE))
        and FORMS[record[R.FORM]].rep is not None
    )
