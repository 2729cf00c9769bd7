"""The machine: the public face. Build it, run it, look into it, take it back.

A run is a function of the image, the configuration and the schedule of external events: same three, same everything.

    >>> from ringzero import Machine
    >>> machine = Machine.flat(bytes.fromhex("b82a000000f4"))  # mov eax, 42; hlt
    >>> machine.run().reason.value, machine.registers["rax"]
    ('halted', 42)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ringzero.cpu.cpu import Cpu
from ringzero.cpu.system.model import DEFAULT, Model
from ringzero.errors import ImageError, SnapshotError, UsageError
from ringzero.machine import boot, views
from ringzero.machine.accesses import Accesses
from ringzero.machine.boot import flat
from ringzero.machine.boot.entry import EntryState
from ringzero.machine.bus import Bus
from ringzero.machine.clock import DEFAULT_HZ, Clock
from ringzero.machine.codec import encode
from ringzero.machine.core import Core
from ringzero.machine.devices.cmos import DEFAULT_DATE
from ringzero.machine.devices.screen import text_lines
from ringzero.machine.goal import SerialWatch, make_goal
from ringzero.machine.memory import Memory, digest
from ringzero.machine.pages import PageStore
from ringzero.machine.platform import Platform
from ringzero.machine.snapshot import Snapshot
from ringzero.machine.stop import Stop

if TYPE_CHECKING:
    from ringzero.asm.image import Image

IMAGE_LIMIT = 1 << 30
Probe = Callable[["Machine"], object]


def read_image(image: Image | bytes | str | Path) -> Image:
    """An image from an ELF file's path or content. Raises ImageError."""
    from ringzero.asm.image import Image

    if isinstance(image, Image):
        return image
    if isinstance(image, bytes):
        return Image.from_bytes(image)
    try:
        with open(image, "rb") as file:
            content = file.read(IMAGE_LIMIT + 1)
    except OSError as error:
        raise ImageError(f"{image}: cannot be read: {error.strerror}") from None
    if len(content) > IMAGE_LIMIT:
        raise ImageError(f"{image}: more than {IMAGE_LIMIT >> 20} MiB; is it an image?")
    return Image.from_bytes(content, str(image))


class Machine(Core):
    """One PC with one processor.

    memory: bytes, or text in QEMU's notation ("16M"). engine: "native", "python", or "auto" (native where it is built).
    cpu: a processor in QEMU's notation ("max", "ringzero,-nx"); see `ringzero run --cpu help`.
    image: an Image, an ELF file's path or its bytes; `append` is its command line. timer_period and timer_phase: the
    timer's periodic ticks come every so many cycles, the first so many after the guest programs it (period 0: never).
    hz: cycles per second of virtual time. serial_input: (step, bytes) pairs. rtc: the date at power-on. rng_seed:
    64 bits that the numbers of RDRAND and RDSEED follow from. devices: in
    QEMU's `-device` notation. Raises UsageError and ImageError, each one line.
    """

    def __init__(
        self,
        image: Image | bytes | str | Path | None = None,
        *,
        memory: int | str = "16M",
        engine: str = "auto",
        cpu: str | Model = DEFAULT,
        append: str = "",
        timer_period: int | None = None,
        timer_phase: int | None = None,
        hz: int = DEFAULT_HZ,
        serial_input: Iterable[tuple[int, bytes]] = (),
        serial_ports: int = 1,
        rtc: str = DEFAULT_DATE,
        rng_seed: int = 0,
        devices: Iterable[str] = ("isa-debug-exit,iobase=0xf4,iosize=4",),
    ) -> None:
        ram, clock, bus = Memory(memory), Clock(hz), Bus()
        platform = Platform(
            bus,
            clock,
            memory_size=ram.size,
            rtc=rtc,
            timer_period=timer_period,
            timer_phase=timer_phase,
            serial_ports=serial_ports,
            devices=devices,
        )
        processor = Cpu(ram, bus, clock, platform, engine=engine, model=cpu, rng_seed=rng_seed)
        super().__init__(ram, clock, bus, platform, processor)
        self.image: Image | None = None
        self.entry: EntryState | None = None
        self._pages = PageStore(self.memory)
        self._recorded_from = 0
        self.on_look: Callable[[int, int], None] | None = None  # hears what `read_virtual` is asked for
        self.kind = digest(
            encode(
                (
                    self.memory.size,
                    hz,
                    self.platform.state.layout,
                    len(self.cpu.save_state()),
                    self.cpu.model.identity,
                )
            )
        )
        for step, content in serial_input:
            self.send_serial(content, at_step=step)
        if image is not None:
            self.image = read_image(image)
            self._enter(boot.load(self.memory, self.image, append))

    @classmethod
    def flat(
        cls, code: bytes, *, address: int | None = None, mode: Literal[16, 32, 64] = 64, **options: Any
    ) -> Machine:
        """A machine that starts at raw code, in flat 64-bit or 32-bit mode or in real mode (16).

        `boot.flat` says what lies where; `address` is 0x10000 unless said, 0x7C00 in real mode.
        """
        machine = cls(**options)
        machine._enter(flat.load(machine.memory, code, address=address, mode=mode))
        return machine

    def _enter(self, entry: EntryState) -> None:
        if entry.registers.get("efer", 0) & ~self.cpu.efer_bits:
            raise UsageError("this entry is in 64-bit mode, which a cpu without lm does not have")
        self.entry = entry
        self.cpu.apply_entry(entry)

    # Running

    def run(
        self,
        *,
        steps: int | None = None,
        until_step: int | None = None,
        until_cycle: int | None = None,
        until_symbol: str | int | None = None,
        until_serial: str | bytes | SerialWatch | None = None,
        until_return: tuple[int, int] | None = None,
        max_steps: int | None = None,
    ) -> Stop:
        """Run until the first of: so many steps, a step, a cycle, a symbol or address (before its instruction), a text
        on the first serial port, a return, step `max_steps`, or the machine's end. Says which it was.

        until_serial: the text, or a watch that has seen some of it already.
        until_return: rip and rsp; the run stops when an IRET, or what else ends an interrupt, has come back to just
        there: before that instruction, and before an interrupt that waits.

        Without any it runs until the machine ends: a guest that never does, runs for ever. Raises UsageError.
        """
        goal = make_goal(
            self.step,
            steps=steps,
            until_step=until_step,
            until_cycle=until_cycle,
            until_serial=until_serial,
            until_return=until_return,
            max_steps=max_steps,
        )
        if until_symbol is not None:
            goal.address, goal.symbol = self.symbol(until_symbol), str(until_symbol)
        return self._run(goal)

    @property
    def step(self) -> int:
        """Steps since power-on."""
        return self.clock.steps

    def add_probe(self, where: str | int, callback: Probe) -> None:
        """Call `callback(machine)` when the instruction at a symbol or address is next. A true result ends the run."""
        address = self.symbol(where)
        self._probes.setdefault(address, []).append(callback)
        self.cpu.add_probe(address)

    def remove_probe(self, where: str | int, callback: Probe) -> None:
        """Take a probe away again."""
        address = self.symbol(where)
        callbacks = self._probes.get(address, [])
        if callback in callbacks:
            callbacks.remove(callback)
        if not callbacks and self._probes.pop(address, None) is not None:
            self.cpu.remove_probe(address)

    # From outside

    def raise_irq(self, irq: int, at_step: int | None = None) -> None:
        """An edge on ISA interrupt line 0 to 15, now or before the instruction at a step. Raises UsageError."""
        if not 0 <= irq <= 15 or irq == 2:
            raise UsageError(f"irq={irq} is no line of a PC: 0 to 15 without 2 are")
        self._outside(at_step, "irq", irq)

    def nmi(self, at_step: int | None = None) -> None:
        """A non-maskable interrupt, now or before the instruction at a step; port 70 bit 7 holds it off."""
        self._outside(at_step, "nmi")

    def send_serial(self, content: bytes | str, at_step: int | None = None, port: int = 0) -> None:
        """Bytes into a serial port: the first arrives now or at a step, the others at line rate. Raises UsageError."""
        if not 0 <= port < len(self.platform.uarts):
            raise UsageError(
                f"port={port} is no serial port of this machine; it has {len(self.platform.uarts)}"
            )
        self._outside(
            at_step, "serial", port, content.encode() if isinstance(content, str) else bytes(content)
        )

    def hold_timer(self) -> None:
        """From now on no tick comes from the timer itself: who explores raises IRQ 0 where he wants one."""
        self.platform.pit.hold()

    def _outside(self, at_step: int | None, kind: str, number: int = 0, content: bytes = b"") -> None:
        step = self.step if at_step is None else at_step
        if step < self.step:
            raise UsageError(
                f"at_step={step} has passed: the machine is at step {self.step}; restore a snapshot first"
            )
        self.external.add(step, kind, number, content)

    @property
    def interruptible(self) -> bool:
        """Whether the processor would take a maskable interrupt before the next instruction: IF, and no shadow."""
        return self.cpu.interruptible

    def would_interrupt(self, irq: int) -> bool:
        """Whether an edge on that line would reach the processor now: not masked, nothing before it in service."""
        return self.platform.pic.would_interrupt(irq)

    # What steps read and wrote

    def record_accesses(self, on: bool = True) -> None:
        """Begin a record of what each step reads and writes, or end it. `restore` begins it anew."""
        self.cpu.record(on)
        self.bus.listener = self.cpu.log_device if on else None
        self._recorded_from = self.step

    def take_accesses(self) -> Accesses:
        """The record since it was begun or last taken, which begins anew. Raises UsageError, and LogOverflow."""
        if not self.cpu.recording:
            raise UsageError("nothing is recorded; call record_accesses first")
        taken = Accesses(*self.cpu.logged(), start=self._recorded_from, end=self.step)
        self.record_accesses()
        return taken

    # State

    def snapshot(self) -> Snapshot:
        """The whole state. Costs the pages written since the last one; see `Snapshot.save` for a file."""
        return Snapshot(
            kind=self.kind,
            cpu=self.cpu.save_state(),
            clock=self.clock.save(),
            devices=self.platform.state.save(),
            schedule=(self.external.save(), self._sleep_step, self._sleep_events),
            unknown=tuple((*key, count) for key, count in self.bus.unknown.items()),
            end=None if self.end is None else self.end.to_values(),
            tree=self._pages.save(),
        )

    def restore(self, snapshot: Snapshot) -> None:
        """Go back, or on, to a snapshot of a machine like this one. Raises SnapshotError for one of another shape."""
        if snapshot.kind != self.kind:
            raise SnapshotError(
                "the snapshot is of another machine: memory, clock rate, processor and devices must be the same"
            )
        self._pages.restore(snapshot.tree)
        self.cpu.load_state(snapshot.cpu)
        self.clock.load(snapshot.clock)
        self.platform.load(snapshot.devices)
        external, self._sleep_step, self._sleep_events = snapshot.schedule
        self.external.load(external)
        self.bus.load_unknown(snapshot.unknown)
        self.end = None if snapshot.end is None else Stop.from_values(snapshot.end)
        if self.cpu.recording:
            self.record_accesses()

    def save(self, path: str | Path) -> None:
        """Write the present state to a file. Raises SnapshotError."""
        self.snapshot().save(path)

    def load(self, path: str | Path) -> None:
        """Take the state from a file. Raises SnapshotError, with this machine unchanged."""
        snapshot = Snapshot.load(path)
        before = self.snapshot()
        try:
            if snapshot.kind == self.kind and not self._fits(snapshot):
                raise ValueError("sizes or types")
            self.restore(snapshot)
        except (ValueError, TypeError, LookupError):
            self.restore(before)
            raise SnapshotError(
                f"{path}: the snapshot is damaged: its parts do not fit this machine"
            ) from None

    def _fits(self, snapshot: Snapshot) -> bool:
        """Whether what came from a file has the sizes and types of this machine's state."""
        return (
            len(snapshot.cpu) == len(self.cpu.save_state())
            and sum(map(len, snapshot.tree)) == self.memory.pages
            and self.platform.state.fits(snapshot.devices)
            and self.clock.fits(snapshot.clock, len(self.platform.devices))
        )

    def digests(self) -> dict[str, str]:
        """The digest of each part of the state, in hexadecimal: where two machines differ shows here."""
        parts = {
            "memory": self.memory.state_digest(),
            "cpu": digest(self.cpu.hashed_state()),
            "clock": digest(encode(self.clock.save())),
        }
        devices: dict[str, list[Any]] = {}
        for (name, _), values in zip(self.platform.state.layout, self.platform.state.hashed(), strict=True):
            devices.setdefault(name.partition(".")[0], []).append(values)
        parts |= {name: digest(repr(values).encode()) for name, values in devices.items()}
        return {name: part.hex() for name, part in parts.items()}

    def state_hash(self) -> str:
        """One digest of registers, memory, devices and clock, in hexadecimal: equal states, equal hashes."""
        plain = repr((self.clock.save(), self.platform.state.hashed(), self.external.save())).encode()
        return digest(self.memory.state_digest() + self.cpu.hashed_state() + plain).hex()

    # Looking in

    @property
    def registers(self) -> MutableMapping[str, int]:
        """The processor's registers by name, to read and to write."""
        return self.cpu.registers

    @property
    def serial(self) -> bytes:
        """What the first serial port has sent (of a flood the last 8 MiB)."""
        return self.platform.uarts[0].output.content

    @property
    def console(self) -> bytes:
        """What the debug console at port E9 was sent."""
        return self.platform.console.output.content

    @property
    def nanoseconds(self) -> int:
        """Virtual time since power-on."""
        return self.clock.nanoseconds(self.clock.now)

    def screen(self) -> list[str]:
        """The text screen's 25 lines."""
        return text_lines(self.memory)

    def symbol(self, where: str | int) -> int:
        """The address of a symbol, `symbol+0x10`, or of a number as it is. Raises UsageError."""
        return views.find_symbol(self.image, where)

    def where(self, address: int | None = None) -> views.Place:
        """What is at an address, or at rip: symbol, offset, source line."""
        return views.place(self.image, self.registers["rip"] if address is None else address)

    def read_virtual(self, address: int, length: int) -> bytes:
        """Bytes at a linear address through the guest's page tables. Raises UsageError where nothing is mapped."""
        if self.on_look is not None:
            self.on_look(address, length)
        found = views.read_virtual(self.memory, self.cpu.translate, address, length)
        if found is None:
            raise UsageError(f"linear memory {address:#x}+{length:#x} is not mapped to RAM here")
        return found

    def backtrace(self, depth: int = 32) -> list[views.Place]:
        """Where execution is and where it will return to, along the frames at rbp."""
        rip, rbp = self.registers["rip"], self.registers["rbp"]
        return [
            self.where(found) for found in views.backtrace(self.memory, self.cpu.translate, rip, rbp, depth)
        ]

    def report(self) -> dict[str, Any]:
        """What a run was: engine, time, output, and accesses that nobody answered."""
        output = self.platform.uarts[0].output
        return {
            "engine": self.cpu.engine,
            "memory": self.memory.size,
            "steps": self.clock.steps,
            "cycles": self.clock.now,
            "virtual_ns": self.nanoseconds,
            "serial_bytes": output.total,
            "serial_dropped": output.dropped,
            "unknown": [{**key._asdict(), "count": count} for key, count in sorted(self.bus.unknown.items())],
        }
