"""The passes: every item is run until no symbol moves, then once more to emit.

The first pass goes along with the parsing, since a directive may need what earlier lines define. Each further pass
runs the same items with the symbols that the pass before left behind, as nasm does: what was taken optimistically
grows until it fits. Then the layout decides the sections' addresses and the fixups are filled in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from ringzero.asm.diagnostics import Fatal, Forward, Location, Mistake, Report, UnknownName
from ringzero.asm.encoder import Fixup, fits, fits_signed, signed_as
from ringzero.asm.expressions import UNKNOWN, Address, Node, Scope, Unknown, Value, add, evaluate, scalar
from ringzero.asm.items import MAX_TIMES, Code, Item, Reserve, Row, Switch, constant_bytes, constant_size
from ringzero.asm.preprocessor import Preprocessor
from ringzero.asm.sections import MAX_BYTES, MAX_RESERVED, Layout, Section
from ringzero.asm.statements import StatementParser

T = TypeVar("T")
MAX_PASSES = 50


class State:
    """What items see while they run: the place, the symbols, and where the bytes go."""

    def __init__(self, report: Report, layout: Layout) -> None:
        self.report = report
        self.layout = layout
        self.scope = Scope()
        self.section: Section | None = None
        self.absolute: Value = 0
        self.last = False
        self.changed = False
        self.where = Location("", 0, "")
        self.fixups: list[tuple[Section, int, Fixup, Location]] = []
        self.rows: list[Row] = []
        self.budget = MAX_TIMES

    # --- the place ---

    def here(self) -> Value:
        """The value of `$`."""
        section = self.section
        return section.address(section.offset) if section is not None else self.absolute

    def offset(self) -> int:
        """Bytes from the start of the section."""
        if self.section is not None:
            return self.section.offset
        return scalar(self.absolute, "align in an absolute section") if isinstance(self.absolute, int) else 0

    def enter(self, section: Section) -> None:
        """Go on in this section."""
        self.section = section
        self.scope.start = section.address(0)

    def enter_absolute(self, value: Value) -> None:
        """Go on at an address of nobody's."""
        self.section = None
        self.absolute = self.scope.start = value

    def holds_nothing(self) -> bool:
        """Whether no bytes can stand here."""
        return self.section is None or bool(self.section.nobits)

    def align_section(self, step: int) -> None:
        """Raise the section's alignment."""
        if self.section is not None:
            self.section.align = max(self.section.align, step)

    # --- values ---

    def value(self, node: Node) -> Value:
        """The value of an expression here and now; in the last pass everything must be known."""
        if type(node) is int:
            return node
        self.scope.here = self.here()
        if not self.last:
            return evaluate(node, self.scope)
        return self.known(lambda scope: evaluate(node, scope))

    def known(self, compute: Callable[[Scope], T]) -> T:
        """What `compute` makes of the symbols; Mistake when it asks for one that nothing defines."""
        scope = self.scope
        scope.undefined.clear()
        result = compute(scope)
        if scope.undefined:
            name = min(scope.undefined)
            raise UnknownName(
                f"symbol {name} is not defined", name, scope.symbols, "define it or correct the name"
            )
        return result

    def count(self, node: Node, what: str) -> int:
        """A number that is not negative; what later lines define counts as 0 until it is known."""
        value = self.value(node)
        if isinstance(value, Unknown) and not self.last:
            return 0
        number = scalar(value, what)
        if number < 0:
            raise Mistake(f"{what} is {number}; it cannot be negative")
        return number

    def define(self, name: str, value: Value) -> None:
        """Give a symbol its value of this pass."""
        symbols = self.scope.symbols
        value = (
            UNKNOWN if isinstance(value, Unknown) else value
        )  # no sum of unknowns that grows from pass to pass
        if symbols.get(name, UNKNOWN) != value:
            self.changed = True
            symbols[name] = value

    # --- bytes ---

    def advance(self, length: int) -> None:
        """Leave room for `length` bytes."""
        section = self.section
        if section is None:
            raise Mistake("bytes in an absolute section or a struc; use resb, resw, resd or resq")
        if section.nobits:
            raise Mistake(
                f"section {section.name} is nobits and holds no bytes; use resb, or another section"
            )
        section.offset += length
        if section.offset > MAX_BYTES:
            raise Fatal(f"section {section.name} exceeds {MAX_BYTES} bytes; check times, align and incbin")

    def put(self, code: bytes, fixups: Sequence[Fixup], executable: bool) -> None:
        """Place bytes; in the last pass, keep them."""
        self.advance(len(code))
        if not self.last:
            return
        section = self.section
        assert section is not None
        at = len(section.code)
        section.code += code
        for fixup in fixups:
            self.fixups.append((section, at + fixup.offset, fixup, self.where))
        self.rows.append(Row(self.where, section, at, at + len(code), executable))

    def reserve(self, length: int) -> None:
        """Leave room without bytes; zeroes where the section has bytes."""
        section = self.section
        if length > MAX_RESERVED:
            raise Fatal(f"{length} bytes reserved; at most {MAX_RESERVED}")
        if section is None:
            self.absolute = add(self.absolute, length)
        elif not section.nobits:
            self.advance(length)
            if self.last:
                section.code += bytes(length)
        else:
            section.offset += length
            if section.offset > MAX_RESERVED:
                raise Fatal(
                    f"section {section.name} reserves more than {MAX_RESERVED} bytes; check resb and times"
                )
        if self.last:
            end = section.offset if section is not None else 0
            self.rows.append(Row(self.where, section, end - length if section is not None else 0, end, False))

    def repeat(self, item: Item, count: int) -> None:
        """Run an item `count` times, at once where it is the same each time."""
        size = constant_size(item)
        if size is not None and size * count > MAX_BYTES:
            raise Fatal(f"{count} times {size} bytes; an image has at most {MAX_BYTES}")
        code = constant_bytes(item)
        if not self.last and size is not None:
            self.advance(size * count)
        elif code is not None:
            if count:
                self.put(code * count, (), isinstance(item, Code))
        elif isinstance(item, Reserve) and isinstance(item.node, int):
            Reserve(item.size * count, item.node).run(self)
        else:
            self.budget -= count
            if self.budget < 0:
                raise Fatal(
                    f"more than {MAX_TIMES} repetitions of what depends on its place; use a table or a loop"
                )
            for _ in range(count):
                item.run(self)


class Assembler:
    """Runs one source through parsing, passes, layout and fixups."""

    def __init__(self, report: Report, preprocessor: Preprocessor) -> None:
        self.report = report
        self.preprocessor = preprocessor
        self.layout = Layout(report)
        self.state = State(report, self.layout)
        self.items: list[tuple[Item, Location]] = []
        self.globals: dict[str, Location] = {}
        self.labels: dict[str, Location] = {}
        self.parser = StatementParser(self)

    def run(self) -> None:
        """Assemble; mistakes are in the report, and the layout is made when there are none."""
        start = Location("", 0, "")
        self.add(Switch(self.layout.open(".text", start)), start)
        if not (self._first_pass() and self._settle()):
            return
        self._emit()
        self._check_globals()
        self.layout.place()
        if not self.report.errors:
            self._fix()

    def add(self, item: Item, where: Location) -> None:
        """Take an item and run it for the first time.

        What it finds wrong with values may be right in a later pass, and is told in the last one if not.
        """
        self.state.where = where
        try:
            item.run(self.state)
        except (Fatal, Forward):
            raise
        except Mistake:
            pass
        self.items.append((item, where))

    def _first_pass(self) -> bool:
        """Parse everything, running each item once; False when a mistake ends it all."""
        for tokens, where in self.preprocessor:
            try:
                self.parser.parse(tokens, where)
            except Fatal as mistake:
                self.report.error(where, mistake)
                return False
            except Mistake as mistake:
                self.report.error(where, mistake)
        self.parser.finish()
        self._define_section_symbols()
        return not self.preprocessor.ended

    def _define_section_symbols(self) -> None:
        for section in self.layout.sections:
            for number, end in enumerate(("vstart", "start")):
                self.state.scope.symbols[f"section.{section.name}.{end}"] = Address(
                    0, ((2 * section.index + number, 1),)
                )

    def _pass(self) -> bool:
        """Run every item; False when a mistake ends it all."""
        state = self.state
        state.changed = False
        state.budget = MAX_TIMES
        for section in self.layout.sections:
            section.offset = 0
        for item, where in self.items:
            state.where = where
            try:
                item.run(state)
            except Fatal as mistake:
                self.report.error(where, mistake)
                return False
            except Mistake as mistake:
                if state.last:
                    self.report.error(where, mistake)
        return True

    def _settle(self) -> bool:
        for _ in range(MAX_PASSES):
            if not self._pass():
                return False
            if not self.state.changed:
                return True
        self.report.error(
            self.state.where, f"sizes do not settle in {MAX_PASSES} passes; an expression depends on itself"
        )
        return False

    def _emit(self) -> None:
        self.state.last = True
        for section in self.layout.sections:
            section.code.clear()
        self._pass()

    def _check_globals(self) -> None:
        for name, where in self.globals.items():
            if name not in self.state.scope.symbols:
                self.report.error(
                    where, f"global {name} is not defined in this source; define it or remove the line"
                )

    def _fix(self) -> None:
        for section, at, fixup, where in self.state.fixups:
            value = self.layout.resolve(fixup.value)
            if fixup.modulo < 64:
                value = signed_as(value, fixup.modulo // 8)
            ok = fits_signed(value, fixup.size) if fixup.signed else fits(value, fixup.size)
            if not ok:
                kind = "sign-extended " if fixup.signed else ""
                self.report.error(
                    where,
                    f"{fixup.what}: {value & (1 << 64) - 1:#x} does not fit in {fixup.size * 8} {kind}bits; "
                    "use a 64-bit register, rel addressing, or an address in reach",
                )
                continue
            section.code[at : at + fixup.size] = (value & ((1 << fixup.size * 8) - 1)).to_bytes(
                fixup.size, "little"
            )

    def numbers(self) -> dict[str, int]:
        """Every symbol with its final value, unsigned; in the order of definition."""
        values: dict[str, int] = {}
        for name, value in self.state.scope.symbols.items():
            number = value if isinstance(value, int) else self.layout.resolve(value)
            values[name] = number & (1 << 64) - 1
        return values
