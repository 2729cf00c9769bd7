"""From bytes to a block: fetch, decode, lower, until something ends it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Set

from ringzero.cpu import mode as M
from ringzero.cpu.block import NO_PAGE, Block
from ringzero.cpu.builder import Builder
from ringzero.cpu.emitter import Systems
from ringzero.cpu.faults import GuestFault
from ringzero.cpu.interfaces import Memory
from ringzero.isa import FORMS, LOWERINGS
from ringzero.isa import record as R
from ringzero.isa.decode import decode as decode_in_python
from ringzero.isa.features import FEATURES, rows_with
from ringzero.isa.names import GP, UD
from ringzero.isa.operands import operands_of
from ringzero.isa.privilege import refuse

LIMIT = 64  # instructions in a block at most
CHUNK = 6  # instructions decoded at a time
PAGE = 4096
Fetch = Callable[[int], int]
Decode = Callable[..., list[R.RecordTuple]]


class Lowerer:
    """Makes blocks from the bytes in `memory`, for a processor with `features`.

    `probes` are linear addresses at which a block leaves before it runs.
    """

    def __init__(
        self,
        memory: Memory,
        systems: Systems,
        probes: Set[int],
        decode: Decode = decode_in_python,
        features: frozenset[str] = frozenset(FEATURES),
    ) -> None:
        self.memory, self.systems, self.probes, self.decode = memory, systems, probes, decode
        self._rows = {bits: rows_with(features, bits) for bits in (16, 32, 64)}

    def block(self, linear: int, mode: int, fetch: Fetch, limit: int = LIMIT) -> Block:
        """The block at `linear`. `fetch` translates a linear address for execution.

        Raises GuestFault when the first instruction cannot even be read; what is wrong with a later one is found
        when it is reached. Bytes that are no instruction become a µop that raises #UD.
        """
        physical = fetch(linear)
        code, second = self._bytes(linear, physical, mode, fetch)
        builder = Builder(mode, self.systems)
        offsets = [0]
        for index, record in enumerate(self._records(code, mode, limit)):
            rip = linear + offsets[-1]
            if index and (rip in self.probes or record[R.FORM] == R.INVALID_FORM or alone(record)):
                break  # bytes that are no instruction may go on, or never be reached: they get a block of their own
            if rip in self.probes:
                builder.emit("probe")
            self.lower(builder, record, rip, index)
            offsets.append(offsets[-1] + record[R.LENGTH])
            if builder.ended or second != NO_PAGE or alone(record):
                break
        if not builder.ended:
            builder.next()
        return Block(linear, physical, second, mode, len(offsets) - 1, builder.uops, offsets, builder.target)

    def probed(self, linear: int) -> bool:
        """Whether a probe may lie in a block that begins at `linear`."""
        return any(0 <= probe - linear < LIMIT * R.MAX_LENGTH for probe in self.probes)

    def _bytes(self, linear: int, physical: int, mode: int, fetch: Fetch) -> tuple[bytes, int]:
        """Code up to the page's end; if its first instruction goes on, with what follows on the second page."""
        size = self.memory.size
        if physical >= size:
            raise GuestFault(UD)  # nothing answers a fetch there but ones, and FF FF is no instruction
        room = PAGE - (physical & (PAGE - 1))
        code = bytes(self.memory.ram[physical : physical + room])
        if room >= R.MAX_LENGTH:
            return code, NO_PAGE
        first = self.decode(code, M.code_bits(mode), limit=1)[0]
        if first[R.FORM] != R.INVALID_FORM or first[R.IMM] != R.TRUNCATED:
            return code, NO_PAGE
        second = fetch((linear | (PAGE - 1)) + 1)
        if second >= size:
            raise GuestFault(UD)
        return code + bytes(self.memory.ram[second : second + R.MAX_LENGTH]), second

    def _records(self, code: bytes, mode: int, limit: int) -> Iterator[R.RecordTuple]:
        """Instructions one after the other, decoded a few at a time: a block seldom needs many."""
        bits, at = M.code_bits(mode), 0
        while limit > 0 and at < len(code):
            for record in self.decode(code[at : at + CHUNK * R.MAX_LENGTH], bits, limit=min(CHUNK, limit)):
                yield record
                at += record[R.LENGTH]
                limit -= 1

    def lower(self, b: Builder, record: R.RecordTuple, rip: int, index: int) -> None:
        """Append one instruction's µops; it is number `index` of its block."""
        if record[R.FORM] == R.INVALID_FORM:
            b.begin(record, None, rip, index)
            b.fault(GP if record[R.IMM] == R.TOO_LONG else UD)
            return
        form = self._rows[M.code_bits(b.mode)][record[R.FORM]]
        b.begin(record, form, rip, index)
        if form is None:
            b.fault(UD)
        elif form.cpl < b.cpl:
            refuse(b, form.mnemonic)
        else:
            LOWERINGS[form.mnemonic](b, *operands_of(record))


def alone(record: R.RecordTuple) -> bool:
    """A repeated string instruction is its own block, so that each iteration is a pass through it, and a step."""
    return (
        record[R.FORM] != R.INVALID_FORM
        and bool(record[R.PREFIXES] & (R.REP | R.REPNE))
        and FORMS[record[R.FORM]].rep is not None
    )
