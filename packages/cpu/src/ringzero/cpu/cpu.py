"""The processor: state, engine, and the driver between them.

Rule of this room: the driver decides at instruction boundaries, an engine runs between two of them. Whatever may happen
only at a boundary (an interrupt, a single-step trap, a wake from HLT) happens in `_boundary`; whatever an instruction
leaves to Python happens in `_leave`. A step is a retired instruction, an iteration of a repeated string instruction,
or a delivered interrupt or exception; INT n and its delivery are one.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from ringzero.cpu import mode as M
from ringzero.cpu.address import breakpoints
from ringzero.cpu.address.mmu import Walker, is_canonical
from ringzero.cpu.engine.engines import make_engine
from ringzero.cpu.exits import FETCH, IMPLICIT, READ, USER, WRITE, Leave
from ringzero.cpu.faults import (
    CONTRIBUTORY,
    DOUBLE_FAULT,
    PAGE_FAULT,
    WITH_ERROR_CODE,
    GuestFault,
    Shutdown,
    Unsupported,
)  # fmt: skip
from ringzero.cpu.interfaces import Bus, Clock, Engine, Entry, Interrupts, Memory
from ringzero.cpu.lower.builder import Builder
from ringzero.cpu.lower.emitter import Systems
from ringzero.cpu.lower.lowering import Lowerer
from ringzero.cpu.mode import mode_word
from ringzero.cpu.registers import Registers
from ringzero.cpu.state import ARCHITECTURAL, SLOT, STATE_SIZE, State
from ringzero.cpu.system import msrs, realmode, segments
from ringzero.cpu.system.handlers import HANDLERS
from ringzero.cpu.system.model import DEFAULT, Model, parse_model
from ringzero.cpu.uops.block import NO_PAGE, Block
from ringzero.isa import privilege
from ringzero.isa import rflags as F
from ringzero.isa.features import cr4_bits, efer_bits
from ringzero.isa.names import AC, BP, DB, GP, NMI, OF

if TYPE_CHECKING:
    from ringzero.cpu.engine.pyengine import PythonEngine

M64 = (1 << 64) - 1
RIP, RFLAGS, MODE, CPL, HALTED = (SLOT[n] for n in ("rip", "rflags", "mode", "cpl", "halted"))
LEFT, END_STEP, ATTENTION, RESUME, SHADOW = (
    SLOT[n] for n in ("left", "end_step", "attention", "resume", "shadow")
)
NMI_PENDING, NMI_BLOCKED = SLOT["nmi_pending"], SLOT["nmi_blocked"]
DR6, DR7, DEBUG_PENDING = SLOT["dr6"], SLOT["dr7"], SLOT["debug_pending"]
#: Traps and aborts, and #DB in whatever role: RF is pushed as it is (SDM 3B 17.3.1.1).
NOT_FAULTS = frozenset({DB, NMI, BP, OF, DOUBLE_FAULT})
#: Nothing of the instruction has been done: it is run again, by itself.
AGAIN = (Leave.CODE, Leave.MMIO, Leave.WATCH)


class ExitReason(Enum):
    """Why `Cpu.run` came back."""

    BUDGET = "budget"
    HALT = "halt"
    SHUTDOWN = "shutdown"
    STOP = "stop"
    PROBE = "probe"
    UNSUPPORTED = "unsupported"


@dataclass(frozen=True)
class Exit:
    """`detail` is a sentence for people where there is more to say."""

    reason: ExitReason
    detail: str = ""


class Cpu:
    """One processor on `memory`.

    `engine`: "native", "python", or "auto" for native where it is built. `model`: see `model.parse_model`. `rng_seed`:
    where the stream of RDRAND and RDSEED begins, 64 bits.
    """

    def __init__(
        self,
        memory: Memory,
        bus: Bus,
        clock: Clock,
        interrupts: Interrupts,
        *,
        engine: str = "auto",
        model: str | Model = DEFAULT,
        rng_seed: int = 0,
    ) -> None:
        self.memory, self.bus, self.clock, self.interrupts = memory, bus, clock, interrupts
        self.model = parse_model(model)
        self.cr4_bits = cr4_bits(self.model.features)
        self.efer_bits = efer_bits(self.model.features)
        self.rng_seed = rng_seed
        self.state = State()
        self.words = self.state.words
        self.msrs = array("Q", msrs.INITIAL)  # those that no slot holds, as in `msrs.STORED`
        self.registers = Registers(self.state, self.context_changed)
        self.systems = Systems(HANDLERS)
        self.probes: set[int] = set()
        self._breakpoints: frozenset[int] = frozenset()  # where DR7 has enabled one for an instruction
        self._stops: set[int] = set()  # both: where a block leaves before it runs
        self._engine, decode = make_engine(engine, self.state, memory)
        self.engine: str = self._engine.name
        self._lowerer = Lowerer(memory, self.systems, self._stops, decode, self.model.features)
        self._walker = Walker(memory)
        self._interpreter: PythonEngine | None = None
        self._delivery = self._microprogram(privilege.deliver)
        self.on_delivery: list[Callable[[int, int | None, int], None]] = []
        self._stop = False
        self.trap = False  # whether a single-step trap follows the instruction that runs
        self.start_rip = 0
        memory.on_protect.append(self._engine.protect)
        memory.on_write.append(self._host_wrote)
        self.reset()

    def _microprogram(self, write: Callable[[Builder], None]) -> Block:
        builder = Builder(M.LONG | M.LMA | M.PROTECTED, self.systems)
        write(builder)
        return Block(0, 0, NO_PAGE, builder.mode, 1, builder.uops, [0, 0], 0)

    # --- state -------------------------------------------------------------------------------------------------------

    def reset(self) -> None:
        """Power-on, as far as it is the same for every boot protocol (SDM 3A, table 10-1)."""
        self.state.data[:] = bytes(len(self.state.data))
        self.words[RFLAGS] = F.FIXED
        self.words[SLOT["cr0"]] = 0x6000_0010
        self.words[SLOT["dr6"]], self.words[SLOT["dr7"]] = 0xFFFF_0FF0, 0x400
        self.words[SLOT["pat"]] = 0x0007_0406_0007_0406
        self.words[SHADOW] = M64
        self.msrs[:] = array("Q", msrs.INITIAL)
        self.words[SLOT["rng"]] = self.rng_seed & M64
        for table in ("gdtr", "idtr"):
            self.words[SLOT[f"{table}_limit"]] = 0xFFFF
        self.context_changed()

    def apply_entry(self, entry: Entry) -> None:
        """Begin where a boot protocol says: reset, then what it gives."""
        self.reset()
        for name, segment in entry.segments.items():
            for field in ("selector", "base", "limit", "attr"):
                self.words[SLOT[f"{name}_{field}"]] = getattr(segment, field)
        for table, (base, limit) in (("gdtr", entry.gdtr), ("idtr", entry.idtr)):
            self.words[SLOT[f"{table}_base"]], self.words[SLOT[f"{table}_limit"]] = base, limit
        for name, value in entry.registers.items():
            self.words[SLOT[name]] = value
        self.context_changed()

    def save_state(self) -> bytes:
        """All of the processor's state."""
        return bytes(self.state.data) + self.msrs.tobytes()

    def load_state(self, data: bytes) -> None:
        """Put a saved state back."""
        self.state.data[:] = data[:STATE_SIZE]
        self.msrs = array("Q", data[STATE_SIZE:])
        self._engine.flush_translations()
        self._check_breakpoints()

    def hashed_state(self) -> bytes:
        """The architectural state in a canonical form: equal states, equal bytes."""
        values = [self.words[SLOT[name]] for name in ARCHITECTURAL[:-1]]
        values.append(int(self.words[SHADOW] == self.clock.steps))
        if self.msrs != array("Q", msrs.INITIAL):
            values += self.msrs
        return b"".join([value.to_bytes(8, "little") for value in values])

    @property
    def halted(self) -> bool:
        return bool(self.words[HALTED])

    @property
    def long_code(self) -> bool:
        """Whether the code that runs is 64-bit."""
        return bool(self.words[MODE] & M.LONG)

    @property
    def protected(self) -> bool:
        """Whether the processor is not in real mode."""
        return bool(self.words[MODE] & M.PROTECTED)

    @property
    def where(self) -> int:
        """The linear address of the next instruction; the `rip` register is its offset in the code segment."""
        return M.where(self.words[MODE], self.words[RIP])

    def update_mode(self) -> None:
        """Segments, CPL or a control register changed."""
        self.words[MODE] = mode_word(self.words)

    def context_changed(self) -> None:
        """`update_mode`, and translations may differ now."""
        self.update_mode()
        self._engine.flush_translations()
        self._check_breakpoints()

    def breakpoints_changed(self) -> None:
        """DR0-DR3 or DR7 changed: another page's data may be watched now, another instruction waited for."""
        self.words[RESUME] = 0
        self._engine.flush_translations()
        self._check_breakpoints()

    def _check_breakpoints(self) -> None:
        found = breakpoints.instructions(self.words) if self.words[DR7] & breakpoints.ENABLES else frozenset()
        if found != self._breakpoints:
            self._breakpoints = found
            self._stops.clear()
            self._stops.update(self.probes, found)
            self._engine.flush_blocks()

    def time_stamp(self) -> int:
        """The time stamp counter: cycles of virtual time."""
        return self.clock.now + self.words[SLOT["tsc_offset"]] & M64

    def unsupported(self, what: str) -> None:
        """Stop here and say what this machine does not have yet."""
        raise Unsupported(what)

    # --- what the machine asks for -----------------------------------------------------------------------------------

    def request_stop(self) -> None:
        """`run` returns STOP at the next instruction boundary."""
        self._stop = True

    def raise_nmi(self) -> None:
        self.words[NMI_PENDING] = 1

    def add_probe(self, linear: int) -> None:
        """`run` returns PROBE before the instruction at this linear address."""
        if linear not in self.probes:
            self.probes.add(linear)
            self._stops.add(linear)
            self._engine.flush_blocks()

    def remove_probe(self, linear: int) -> None:
        """Forget a probe. Its block goes when it is next come to: others need not be made again for it."""
        self.probes.discard(linear)
        if linear not in self._breakpoints:
            self._stops.discard(linear)

    def translate(self, linear: int) -> int | None:
        """Physical address of a linear one, or None; nothing changes."""
        if not is_canonical(linear):
            return None
        return self._walker.peek(self.words, linear)

    def _host_wrote(self, page: int) -> None:
        self._engine.invalidate(page << 12, 4096)
        self._engine.flush_translations()

    # --- memory for handlers -----------------------------------------------------------------------------------------

    def _pieces(self, linear: int, size: int, access: int, system: bool) -> list[tuple[int, int]]:
        """Physical (address, size) of a linear range of at most two pages. Raises GuestFault."""
        if system:
            access |= IMPLICIT
        elif self.words[CPL] == 3:
            access |= USER
        if not system and self.words[MODE] & M.ALIGN and size in (2, 4, 8) and linear & size - 1:
            raise GuestFault(AC)
        pieces = []
        while size:
            if not is_canonical(linear):
                raise GuestFault(GP)
            length = min(size, 4096 - (linear & 0xFFF))
            pieces.append((self._engine.translate(linear, access), length))
            linear, size = linear + length & M64, size - length
        return pieces

    def _note(self, linear: int, size: int, write: bool) -> None:
        """Remember the breakpoint that waits for this access. A fault forgets it."""
        if self.words[DR7] & breakpoints.ENABLES:
            self.words[DEBUG_PENDING] |= breakpoints.data(self.words, linear, size, write)

    def load(self, linear: int, size: int, system: bool = False) -> int:
        """Read guest memory as an instruction would. `system`: at CPL 0 whatever CPL is."""
        content = b""
        self._note(linear, size, write=False)
        for physical, length in self._pieces(linear, size, READ, system):
            if physical + length <= self.memory.size:
                content += self.memory.ram[physical : physical + length]
            else:
                content += self.bus.mmio_read(physical, length).to_bytes(length, "little")
        return int.from_bytes(content, "little")

    def probe_store(self, linear: int, size: int, system: bool = False) -> None:
        """Fault as a store would, and store nothing."""
        self._pieces(linear, size, WRITE, system)

    def store(self, linear: int, size: int, value: int, system: bool = False) -> None:
        """Write guest memory as an instruction would."""
        content = value.to_bytes(size, "little")
        self._note(linear, size, write=True)
        for physical, length in self._pieces(linear, size, WRITE, system):
            part, content = content[:length], content[length:]
            if physical + length <= self.memory.size:
                self.memory.write(physical, part)
            else:
                self.bus.mmio_write(physical, length, int.from_bytes(part, "little"))

    # --- running -----------------------------------------------------------------------------------------------------

    def run(self, budget: int) -> Exit:
        """Run for at most `budget` steps. `clock.steps` is exact when this returns, and whenever the bus is called."""
        end = self.clock.steps + budget
        self._stop = False
        if self.words[RESUME] != self.words[RIP] + 1:
            self.words[RESUME] = 0
        try:
            while True:
                found = self._boundary(end)
                if found is not None:
                    return Exit(found)
                if self._advance(end) is Leave.PROBE and not self._breakpoint():
                    if self.where in self.probes:
                        self.words[RESUME] = self.words[RIP] + 1 & M64
                        return Exit(ExitReason.PROBE)
                    if self.where not in self._breakpoints:
                        self._removed_probe()
        except Shutdown:
            return Exit(ExitReason.SHUTDOWN)
        except Unsupported as wish:
            return Exit(ExitReason.UNSUPPORTED, str(wish))

    def _boundary(self, end: int) -> ExitReason | None:
        """Before an instruction: what has to happen first, or why to come back."""
        while True:
            words = self.words
            if self._stop:
                return ExitReason.STOP
            if self.clock.steps >= end:
                return ExitReason.BUDGET
            shadowed = words[SHADOW] == self.clock.steps
            if words[DEBUG_PENDING] and not (shadowed and words[DEBUG_PENDING] & breakpoints.HELD):
                self._debug_trap()
            elif words[NMI_PENDING] and not words[NMI_BLOCKED] and not shadowed:
                words[NMI_PENDING], words[NMI_BLOCKED], words[HALTED] = 0, 1, 0
                self._interrupt(NMI)
            elif words[RFLAGS] & F.IF and not shadowed and self.interrupts.pending():
                words[HALTED] = 0
                self._interrupt(self.interrupts.acknowledge())
            elif words[HALTED]:
                return ExitReason.HALT
            elif self._breakpoint():
                self._raise(GuestFault(DB, breakpoints.instruction(words, self.where)))
            else:
                return None

    def _debug_trap(self) -> None:
        """#DB for what the last instruction, or a delivery, has met, and with it for what waits at rip."""
        words = self.words
        causes, words[DEBUG_PENDING] = words[DEBUG_PENDING] & ~breakpoints.HELD, 0
        if causes:
            here = breakpoints.instruction(words, self.where) if self._breakpoint() else 0
            self._raise(GuestFault(DB, causes | here))

    def _breakpoint(self) -> bool:
        """Whether #DB is due before the instruction at rip: not with RF, nor behind MOV SS (SDM 3B 17.3.1.1)."""
        words = self.words
        if not self._breakpoints or self.where not in self._breakpoints or words[RFLAGS] & F.RF:
            return False
        return not (words[DEBUG_PENDING] & breakpoints.HELD and words[SHADOW] == self.clock.steps)

    def _advance(self, end: int) -> Leave | None:
        """Let the engine run to `end` at most, then do what it left for.

        The first instruction to retire clears RF, and IRET, which may set it, comes here (`arrive`): so RF can be
        taken out before the run, and is put back if nothing has retired (SDM 3B 17.3.1.1).
        """
        words, clock = self.words, self.clock
        waiting = self.interrupts.pending() or words[NMI_PENDING]
        self.trap = bool(words[RFLAGS] & F.TF)
        steps, start, resume = end - clock.steps, clock.steps, words[RFLAGS] & F.RF
        # A waiting NMI can come in after any instruction: at the end of a shadow, or after an IRET.
        if self.trap or words[NMI_PENDING] or words[DEBUG_PENDING] or (waiting and words[SHADOW] == start):
            steps = 1
        if self._breakpoints and self.where in self._breakpoints and self.where not in self.probes:
            words[RESUME] = words[RIP] + 1 & M64  # `_boundary` has let it pass
        words[LEFT], words[END_STEP] = steps, start + steps
        words[ATTENTION] = 1 if waiting else 0
        words[RFLAGS] ^= resume
        reason = self._engine.run()
        clock.steps = words[END_STEP] - words[LEFT]
        # A breakpoint comes before the faults of the fetch (SDM 3A, table 6-2), which the engine meets first.
        unfetched = reason in (Leave.FAULT, Leave.MISS) and clock.steps != start and self._breakpoint()
        if reason is not Leave.PROBE and not unfetched:
            self._leave(reason)
        if clock.steps == start:
            words[RFLAGS] |= resume
        elif self.trap:
            words[DEBUG_PENDING] |= breakpoints.SINGLE_STEP
        return reason

    def _removed_probe(self) -> None:
        """A block still leaves at a probe that is no more."""
        physical = self.translate(self.where)
        if physical is not None:
            self._engine.invalidate(physical, 1)

    def _leave(self, reason: Leave) -> None:
        """Do what the engine left for. What has not retired takes its single-step trap away."""
        words = self.words
        match reason:
            case Leave.BUDGET | Leave.WINDOW | Leave.STOP:
                return
            case Leave.MISS:
                self._translate_block()
            case Leave.FAULT:
                self._raise(GuestFault(*(words[SLOT[f"fault_{n}"]] for n in ("vector", "error", "address"))))
            case Leave.SYSTEM:
                self._system()
            case Leave.MMIO | Leave.CODE | Leave.WATCH:
                self._alone(reason)
            case _:
                raise AssertionError(f"an engine left its loop for {reason!r}")

    def _fetch(self, linear: int) -> int:
        if not is_canonical(linear):
            raise GuestFault(GP)
        return self._engine.translate(linear, FETCH | (USER if self.words[CPL] == 3 else 0))

    def _translate_block(self) -> None:
        """Give the engine the block that it missed."""
        try:
            self._engine.translate_block(
                self._lowerer, self.words[RIP], self.words[MODE], self._fetch, M.code_limit(self.words)
            )
        except GuestFault as fault:
            self._raise(fault)

    def _system(self) -> None:
        """An instruction that is done in Python."""
        words = self.words
        handler, args = self.systems.calls[words[SLOT["exit_imm"]]]
        self.start_rip = words[RIP]
        words[RIP] = words[SLOT["next_rip"]]
        try:
            handler(self, *args)
        except GuestFault as fault:
            words[RIP] = self.start_rip
            self._raise(fault)
        except Unsupported:
            words[RIP] = self.start_rip
            raise
        else:
            self.clock.steps += 1

    def _alone(self, reason: Leave) -> None:
        """Run one instruction by itself: it stores into translated code, reaches beyond RAM, or meets a breakpoint."""
        words = self.words
        try:
            block = self._lowerer.block(words[RIP], words[MODE], self._fetch, 1, M.code_limit(words))
        except GuestFault as fault:
            self._raise(fault)
            return
        start = words[RIP]
        while reason in AGAIN:
            words[LEFT], words[END_STEP] = 1, self.clock.steps + 1
            words[RESUME] = start + 1 & M64  # a probe here has been taken
            reason = self._again(reason, lambda engine: engine.once(block))
        words[RESUME] = 0
        self.clock.steps = words[END_STEP] - words[LEFT]
        self._leave(reason)

    def _again(self, reason: Leave, run: Callable[[Engine], Leave]) -> Leave:
        """Run an instruction or a microprogram again that left for one of AGAIN."""
        if reason is not Leave.CODE:
            return self._with_bus(run)
        self._engine.invalidate(self.words[SLOT["fault_address"]], self.words[SLOT["fault_error"]])
        return run(self._engine)

    def _with_bus(self, run: Callable[[Engine], Leave]) -> Leave:
        """Run something on the Python engine, which can reach the bus, and notes what breakpoints on data wait for."""
        if self._interpreter is None:
            from ringzero.cpu.engine.pyengine import PythonEngine

            self._interpreter = PythonEngine(self.state, self.memory)
            self._interpreter.on_code_write = self._engine.invalidate
        interpreter = self._interpreter
        interpreter.bus, interpreter.hits = self.bus, 0
        interpreter.flush_translations()
        try:
            return run(interpreter)
        finally:
            self.words[DEBUG_PENDING] |= interpreter.hits
            self._engine.flush_translations()

    # --- interrupts and exceptions -----------------------------------------------------------------------------------

    def software_interrupt(self, vector: int, checked: bool = True) -> None:
        """INT n, INT3, INTO and INT1: rip is behind the instruction; its delivery is the step that it costs."""
        self.trap = False
        self._deliver_now(vector, None, software=checked, external=not checked)
        self.clock.steps -= 1

    def _interrupt(self, vector: int) -> None:
        """Deliver an external interrupt; a fault on the way becomes an exception."""
        try:
            self._deliver_now(vector, None, external=True)
        except GuestFault as fault:
            self._raise(fault)

    def _raise(self, fault: GuestFault) -> None:
        """Deliver an exception, and what goes wrong on its way: #DF, then shutdown (SDM 3A 6.15, #DF)."""
        self.trap = False
        self.words[HALTED] = 0
        while True:
            self.words[DEBUG_PENDING] = 0  # what a faulting instruction touched is not told
            if fault.vector == PAGE_FAULT:
                self.words[SLOT["cr2"]] = fault.address
            elif fault.vector == DB:
                self._note_debug(fault.error)
            error = fault.error if fault.vector in WITH_ERROR_CODE and self.protected else None
            resume = 0 if fault.vector in NOT_FAULTS and fault.error != breakpoints.ACCESSED else F.RF
            try:
                self._deliver_now(fault.vector, error, external=True, flags=resume)
            except GuestFault as second:
                if fault.vector == DOUBLE_FAULT:
                    raise Shutdown from None
                fault = self._combined(fault, second)
            else:
                return

    def _note_debug(self, causes: int) -> None:
        """#DB: B0-B3 are told anew, the rest of DR6 gathers until software clears it (SDM 3B 17.2.3); GD goes."""
        self.words[DR6] = self.words[DR6] & ~breakpoints.HITS | causes
        self.words[DR7] &= ~breakpoints.GUARDED

    @staticmethod
    def _combined(first: GuestFault, second: GuestFault) -> GuestFault:
        serious = first.vector in CONTRIBUTORY and second.vector in CONTRIBUTORY
        if serious or (first.vector == PAGE_FAULT and second.vector in CONTRIBUTORY | {PAGE_FAULT}):
            return GuestFault(DOUBLE_FAULT)
        return second

    def _deliver_now(
        self,
        vector: int,
        error: int | None,
        *,
        software: bool = False,
        external: bool = False,
        flags: int = 0,
    ) -> None:
        """One delivery, one step; `on_delivery` hears of it. Raises GuestFault with nothing changed."""
        words, rip = self.words, self.words[RIP]
        for name, value in (
            ("vector", vector), ("error", error or 0), ("has_error", error is not None), ("software", software),
            ("external", external), ("rip", rip), ("flags", flags),
        ):  # fmt: skip
            words[SLOT[f"int_{name}"]] = value
        if self._breakpoints:
            words[RESUME] = 0
        if words[MODE] & M.LMA:
            reason = self._engine.micro(self._delivery)
            while reason in AGAIN:
                reason = self._again(reason, lambda engine: engine.micro(self._delivery))
            if reason is Leave.FAULT:
                raise GuestFault(*(words[SLOT[f"fault_{n}"]] for n in ("vector", "error", "address")))
        elif words[MODE] & M.PROTECTED:
            segments.deliver_protected(self)
        else:
            realmode.deliver(self)
        self.clock.steps += 1
        for listener in self.on_delivery:
            listener(vector, error, rip)
