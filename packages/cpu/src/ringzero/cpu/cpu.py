"""The processor: state, engine, and the driver between them.

Rule of this room: the driver decides at instruction boundaries, an engine runs between two of them. Whatever may happen
only at a boundary (an interrupt, a single-step trap, a wake from HLT) happens in `_boundary`; whatever an instruction
leaves to Python happens in `_leave`. A step is a retired instruction, an iteration of a repeated string instruction,
or a delivered interrupt or exception; INT n and its delivery are one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from ringzero.cpu import mode as M
from ringzero.cpu.address import breakpoints
from ringzero.cpu.address.mmu import is_canonical
from ringzero.cpu.engine.engines import Engine, make_engine
from ringzero.cpu.exits import FETCH, RETURNING, USER, WAITING, Leave
from ringzero.cpu.faults import (
    CONTRIBUTORY,
    DOUBLE_FAULT,
    PAGE_FAULT,
    WITH_ERROR_CODE,
    GuestFault,
    Shutdown,
    Unsupported,
)  # fmt: skip
from ringzero.cpu.interfaces import Bus, Clock, Interrupts, Memory
from ringzero.cpu.lower.builder import Builder
from ringzero.cpu.lower.emitter import Systems
from ringzero.cpu.lower.lowering import Lowerer
from ringzero.cpu.state import SLOT, State
from ringzero.cpu.system import delivery, realmode
from ringzero.cpu.system.handlers import HANDLERS, NOT_SYSTEM, RETURNS
from ringzero.cpu.system.model import DEFAULT, Model, parse_model
from ringzero.cpu.system.processor import Processor
from ringzero.cpu.uops.block import NO_PAGE, Block
from ringzero.isa import privilege
from ringzero.isa import rflags as F
from ringzero.isa.names import BP, DB, GP, NMI, OF

if TYPE_CHECKING:
    from ringzero.cpu.engine.pyengine import PythonEngine

M64 = (1 << 64) - 1
RIP, RFLAGS, MODE, CPL, HALTED = (SLOT[n] for n in ("rip", "rflags", "mode", "cpl", "halted"))
LEFT, END_STEP, ATTENTION, RESUME, SHADOW = (
    SLOT[n] for n in ("left", "end_step", "attention", "resume", "shadow")
)
RSP, RETURN_RIP, RETURN_RSP = (SLOT[n] for n in ("rsp", "return_rip", "return_rsp"))
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
    RETURNED = "returned"
    PROBE = "probe"
    UNSUPPORTED = "unsupported"


@dataclass(frozen=True)
class Exit:
    """`detail` is a sentence for people where there is more to say."""

    reason: ExitReason
    detail: str = ""


class Cpu(Processor):
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
        state = State()
        made, decode = make_engine(engine, state, memory)
        super().__init__(state, made, memory, bus, clock, parse_model(model), rng_seed)
        self.engine: str = made.name
        self.interrupts = interrupts
        self.systems = Systems(HANDLERS)
        self._lowerer = Lowerer(memory, self.systems, self._stops, decode, self.model.features)
        self._interpreter: PythonEngine | None = None
        self._delivery = self._microprogram(privilege.deliver)
        self.on_delivery: list[Callable[[int, int | None, int], None]] = []
        self._stop = False
        self.returning: tuple[int, int] | None = (
            None  # rip and rsp: `run` returns RETURNED when they are come back to
        )
        self._has_returned = False
        memory.on_protect.append(self._engine.protect)
        memory.on_write.append(self._host_wrote)
        self.reset()

    def _microprogram(self, write: Callable[[Builder], None]) -> Block:
        builder = Builder(M.LONG | M.LMA | M.PROTECTED, self.systems)
        write(builder)
        return Block(0, 0, NO_PAGE, builder.mode, 1, builder.uops, [0, 0], 0)

    # --- what the machine asks for -----------------------------------------------------------------------------------

    @property
    def halted(self) -> bool:
        return bool(self.words[HALTED])

    @property
    def interruptible(self) -> bool:
        """IF is set, and no STI or MOV SS holds interrupts off for this boundary."""
        return bool(self.words[RFLAGS] & F.IF) and self.words[SHADOW] != self.clock.steps

    def request_stop(self) -> None:
        """`run` returns STOP at the next instruction boundary."""
        self._stop = True

    def raise_nmi(self) -> None:
        self.words[NMI_PENDING] = 1

    def translate(self, linear: int) -> int | None:
        """Physical address of a linear one, or None; nothing changes."""
        if not is_canonical(linear):
            return None
        return self._engine.peek(linear)

    def _host_wrote(self, page: int) -> None:
        self._engine.invalidate(page << 12, 4096)
        self._engine.flush_translations()

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
                reason = self._advance(end)
                if self._has_returned:
                    self._has_returned = False
                    return Exit(ExitReason.RETURNED)
                if reason is Leave.PROBE and not self._breakpoint():
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
            if self._log is not None:
                self._log_window()
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
        words[ATTENTION] = WAITING if waiting else 0
        if self.returning is not None:
            words[ATTENTION] |= RETURNING
            words[RETURN_RIP], words[RETURN_RSP] = self.returning
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
            case Leave.RETURN:
                self._has_returned = True
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
            if handler not in NOT_SYSTEM:
                self._log_system()
            if self.returning is not None and handler in RETURNS:
                self._has_returned = self.returning == (words[RIP], words[RSP])
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
        interpreter.follow(self._log)
        try:
            return run(interpreter)
        finally:
            self.words[DEBUG_PENDING] |= interpreter.hits
            self._engine.flush_translations()

    # --- interrupts and exceptions -----------------------------------------------------------------------------------

    def software_interrupt(self, vector: int, checked: bool = True) -> None:
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
            if fault.vector in (PAGE_FAULT, DB):
                self._log_system()
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
        words[LEFT], words[END_STEP] = 0, self.clock.steps
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
            delivery.deliver(self)
        else:
            realmode.deliver(self)
        self.clock.steps += 1
        for listener in self.on_delivery:
            listener(vector, error, rip)
