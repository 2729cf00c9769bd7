"""From bytes to a block: fetch, decode, lower, until something ends it."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Set

from ringzero.cpu import mode as M
from ringzero.cpu.faults import GuestFault
from ringzero.cpu.interfaces import Memory
from ringzero.cpu.lower.builder import Builder
from ringzero.cpu.lower.emitter import Systems
from ringzero.cpu.uops.block import NO_PAGE, Block
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
NO_PROBE = (1 << 64) - 1
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
        self._known_probes: Set[int] = frozenset()
        self._sorted_probes = [NO_PROBE]
        self._rows = {bits: rows_with(features, bits) for bits in (16, 32, 64)}

    def block(
        self, rip: int, mode: int, fetch: Fetch, limit: int = LIMIT, code_limit: int = M.NO_LIMIT
    ) -> Block:
        """The block of at most `limit` instructions at `rip`. `fetch` translates a linear address for execution.

        `code_limit` is that of the code segment. Raises GuestFault when the first instruction cannot even be read;
        what is wrong with a later one is found when it is reached. Bytes that are no instruction become a µop that
        raises #UD.
        """
        if rip > code_limit and not mode & M.LONG:
            raise GuestFault(GP)
        physical = fetch(M.where(mode, rip))
        code, second = self._bytes(rip, physical, mode, fetch, code_limit)
        builder = Builder(mode, self.systems, code_limit)
        offsets = [0]
        for index, record in enumerate(self._records(code, mode, limit)):
            at = rip + offsets[-1]
            probed = M.where(mode, at) in self.probes
            if index and (probed or record[R.FORM] == R.INVALID_FORM or alone(record)):
                break  # bytes that are no instruction may go on, or never be reached: they get a block of their own
            if probed:
                builder.emit("probe")
            self.lower(builder, record, at, index)
            offsets.append(offsets[-1] + record[R.LENGTH])
            if builder.ended or second != NO_PAGE or alone(record):
                break
        if not builder.ended:
            builder.next()
        return Block(rip, physical, second, mode, len(offsets) - 1, builder.uops, offsets, builder.target)

    def next_probe(self, linear: int) -> int:
        """The first probe at `linear` or behind it; all ones where there is none."""
        if self._known_probes != self.probes:
            self._known_probes = frozenset(self.probes)
            self._sorted_probes = [*sorted(self.probes), NO_PROBE]
        return self._sorted_probes[bisect_left(self._sorted_probes, linear)]

    def _bytes(self, rip: int, physical: int, mode: int, fetch: Fetch, code_limit: int) -> tuple[bytes, int]:
        """Code up to the page's end; if its first instruction goes on, with what follows on the second page.

        A segment that is not all of 4 GiB ends the code too, and an instruction that reaches beyond is #GP(0).
        """
        size = self.memory.size
        if physical >= size:
            raise GuestFault(UD)  # nothing answers a fetch there but ones, and FF FF is no instruction
        room = PAGE - (physical & (PAGE - 1))
        allowed = room + PAGE if code_limit == M.NO_LIMIT else code_limit - rip + 1
        code = bytes(self.memory.ram[physical : physical + min(room, allowed)])
        if len(code) >= R.MAX_LENGTH or not self._goes_on(code, mode):
            return code, NO_PAGE
        if allowed <= room:
            raise GuestFault(GP)
        second = fetch(M.second_page(mode, rip))
        if second >= size:
            raise GuestFault(UD)
        code += bytes(self.memory.ram[second : second + min(R.MAX_LENGTH, allowed - room)])
        if allowed < room + R.MAX_LENGTH and self._goes_on(code, mode):
            raise GuestFault(GP)
        return code, second

    def _goes_on(self, code: bytes, mode: int) -> bool:
        """Whether the first instruction ends beyond these bytes."""
        first = self.decode(code, M.code_bits(mode), limit=1)[0]
        return first[R.FORM] == R.INVALID_FORM and first[R.IMM] == R.TRUNCATED

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
        if form is None or (form.protected and not b.mode & M.PROTECTED):
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
