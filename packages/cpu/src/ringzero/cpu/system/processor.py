"""What a handler sees of the processor: registers, guest memory as an instruction meets it, what hangs on the mode.

Rule of this room: nothing here runs or delivers anything; that is the driver's (`cpu.Cpu`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from array import array

from ringzero.cpu import mode as M
from ringzero.cpu.address import breakpoints
from ringzero.cpu.address.mmu import is_canonical
from ringzero.cpu.engine import log
from ringzero.cpu.engine.engines import Engine
from ringzero.cpu.engine.log import Log
from ringzero.cpu.exits import (
    ACCESS_DEVICE_READ,
    ACCESS_DEVICE_WRITE,
    ACCESS_READ,
    ACCESS_SYSTEM,
    ACCESS_WRITE,
    IMPLICIT,
    READ,
    USER,
    WRITE,
)
from ringzero.cpu.faults import GuestFault, Unsupported
from ringzero.cpu.interfaces import Bus, Clock, Entry, Memory
from ringzero.cpu.mode import mode_word
from ringzero.cpu.registers import Registers
from ringzero.cpu.state import ARCHITECTURAL, SLOT, STATE_SIZE, State
from ringzero.cpu.system import msrs
from ringzero.cpu.system.model import Model
from ringzero.isa import rflags as F
from ringzero.isa.control import EFER_LMA
from ringzero.isa.features import cr4_bits, efer_bits
from ringzero.isa.names import AC, GP

M64 = (1 << 64) - 1
RIP, RFLAGS, MODE, CPL, RESUME, SHADOW = (
    SLOT[n] for n in ("rip", "rflags", "mode", "cpl", "resume", "shadow")
)
DR7, DEBUG_PENDING = SLOT["dr7"], SLOT["debug_pending"]


class Processor(ABC):
    """One processor of `model` on `memory`, over the `state` that `engine` runs. `rng_seed`: see `cpu.Cpu`."""

    def __init__(
        self,
        state: State,
        engine: Engine,
        memory: Memory,
        bus: Bus,
        clock: Clock,
        model: Model,
        rng_seed: int,
    ) -> None:
        self.state, self.words, self._engine = state, state.words, engine
        self.memory, self.bus, self.clock = memory, bus, clock
        self.model, self.rng_seed = model, rng_seed
        self.cr4_bits = cr4_bits(model.features)
        self.efer_bits = efer_bits(model.features)
        self.msrs = array("Q", msrs.INITIAL)  # those that no slot holds, as in `msrs.STORED`
        self.registers = Registers(state, self.context_changed)
        self.probes: set[int] = set()
        self._breakpoints: frozenset[int] = frozenset()  # where DR7 has enabled one for an instruction
        self._stops: set[int] = set()  # both: where a block leaves before it runs
        self.trap = False  # whether a single-step trap follows the instruction that runs
        self.start_rip = 0
        self._log: Log | None = None  # of accesses, while somebody records

    @abstractmethod
    def software_interrupt(self, vector: int, checked: bool = True) -> None:
        """INT n, INT3, INTO and INT1: rip is behind the instruction; its delivery is the step that it costs."""

    # --- all of the state --------------------------------------------------------------------------------------------

    def reset(self) -> None:
        """Power-on, as far as it is the same for every boot protocol (SDM 3A, table 10-1)."""
        self.state.data[:] = bytes(len(self.state.data))
        self.words[RFLAGS] = F.FIXED
        self.words[SLOT["cr0"]] = 0x6000_0010
        self.words[SLOT["dr6"]], self.words[SLOT["dr7"]] = 0xFFFF_0FF0, 0x400
        self.words[SLOT["pat"]] = 0x0007_0406_0007_0406
        self.words[SLOT["apic_base"]] = msrs.APIC_BSP
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

    # --- the log of accesses -----------------------------------------------------------------------------------------

    @property
    def recording(self) -> bool:
        return self._log is not None

    def record(self, on: bool) -> None:
        """Begin a log of accesses that is empty, or end it; see `engine.log`."""
        self._log = self._engine.record(on)
        self._log_window()

    def logged(self) -> tuple[bytes, bytes, bytes]:
        """What the log holds; see `log.Log.lists`. Raises LogOverflow."""
        return self._log.lists() if self._log is not None else (b"", b"", b"")

    def log_device(self, device: int, address: int, size: int, write: bool) -> None:
        """The bus has asked a device, or a line has changed."""
        if self._log is not None:
            self._log.add(
                self.clock.steps, ACCESS_DEVICE_WRITE if write else ACCESS_DEVICE_READ, address, size, device
            )

    def _log_window(self) -> None:
        if self._log is not None:
            self._log.window(self.clock.steps, 1 if self.words[RFLAGS] & F.IF else 0)
            if self.words[SHADOW] == self.clock.steps:
                self._log.window(self.clock.steps, log.SHADOW)

    def _log_system(self) -> None:
        """This step changes what is neither memory nor a device, nor what IRET restores."""
        if self._log is not None:
            self._log.add(self.clock.steps, ACCESS_SYSTEM)

    # --- the mode, and what hangs on it ------------------------------------------------------------------------------

    @property
    def long_code(self) -> bool:
        """Whether the code that runs is 64-bit."""
        return bool(self.words[MODE] & M.LONG)

    @property
    def long_mode(self) -> bool:
        """Whether long mode is active, compatibility mode too."""
        return bool(self.words[SLOT["efer"]] & EFER_LMA)

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

    def time_stamp(self) -> int:
        """The time stamp counter: cycles of virtual time."""
        return self.clock.now + self.words[SLOT["tsc_offset"]] & M64

    def unsupported(self, what: str) -> None:
        """Stop here and say what this machine does not have yet."""
        raise Unsupported(what)

    # --- probes and breakpoints on instructions ----------------------------------------------------------------------

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
                if self._log is not None:
                    self._log.add(self.clock.steps, ACCESS_READ, physical, length)
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
                if self._log is not None:
                    self._log.add(self.clock.steps, ACCESS_WRITE, physical, length)
                self.memory.write(physical, part)
            else:
                self.bus.mmio_write(physical, length, int.from_bytes(part, "little"))
