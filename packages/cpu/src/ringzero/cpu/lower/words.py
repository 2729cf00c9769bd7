"""Words: 64-bit values that set no flag, for addresses and microcode."""

from __future__ import annotations

from ringzero.cpu.lower.emitter import CONSTANTS, Emitter, K, Value
from ringzero.cpu.state import SLOT


class Words(Emitter):
    """Arithmetic and comparison on whole slots, the processor's own memory accesses, and RFLAGS as a word."""

    def plus(self, x: Value, y: Value) -> int:
        return self._binary_quiet("add", x, y)

    def minus(self, x: Value, y: Value) -> int:
        return self._binary_quiet("sub", x, y)

    def bits(self, x: Value, mask: Value) -> int:
        return self._binary_quiet("and", x, mask)

    def either(self, x: Value, y: Value) -> int:
        return self._binary_quiet("or", x, y)

    def differ(self, x: Value, y: Value) -> int:
        return self._binary_quiet("xor", x, y)

    def left(self, x: Value, count: Value) -> int:
        return self._binary_quiet("shl", x, count)

    def right(self, x: Value, count: Value) -> int:
        return self._binary_quiet("shr", x, count)

    def _binary_quiet(self, name: str, x: Value, y: Value) -> int:
        t = self.temp()
        if type(y) in CONSTANTS:
            self.emit(f"{name}iq64", t, self.slot(x), imm=y)
        else:
            self.emit(f"{name}q64", t, self.slot(x), y)
        return t

    def combine(self, name: str, x: int, y: int) -> int:
        """A µop of two values that sets no flag, by its whole name."""
        t = self.temp()
        self.emit(name, t, x, y)
        return t

    def low_bits(self, x: int, count: int) -> int:
        """The low `count` bits of x, zeros above them."""
        return self.combine("lowbits", x, count)

    def field(self, x: Value, low: int, width: int) -> int:
        """Bits low … low + width - 1 of x."""
        return self.bits(self.right(x, K(low)) if low else x, K((1 << width) - 1))

    def equal(self, x: Value, y: Value) -> int:
        return self._binary("eq", "", x, y)

    def unequal(self, x: Value, y: Value) -> int:
        return self._binary("ne", "", x, y)

    def below(self, x: Value, y: Value) -> int:
        """1 if x < y, unsigned."""
        return self._binary("ltu", "", x, y)

    def negate(self, condition: Value) -> int:
        """1 if `condition` is 0, else 0."""
        return self.equal(condition, K(0))

    def select(self, condition: int, x: Value, y: Value) -> int:
        """x if `condition` is not 0, else y."""
        t = self.temp()
        self.emit("select", t, condition, self.slot(x), self.slot(y))
        return t

    def noncanonical(self, x: int) -> int:
        t = self.temp()
        self.emit("noncanonical", t, x)
        return t

    def copy(self, x: Value) -> int:
        """A copy in a fresh temporary, safe from later writes of x."""
        t = self.temp()
        if type(x) in CONSTANTS:
            self.emit("movi64", t, imm=x)
        else:
            self.emit("mov64", t, x)
        return t

    def get(self, name: str) -> int:
        """The slot of that name, as a value."""
        return SLOT[name]

    def set(self, name: str, value: Value) -> None:
        """Write the slot of that name."""
        if type(value) in CONSTANTS:
            self.emit("movi64", SLOT[name], imm=value)
        else:
            self.emit("mov64", SLOT[name], value)

    def load_system(self, linear: int, size: int, offset: int = 0, write: bool = False) -> int:
        """A supervisor access of the processor itself to descriptor tables, the TSS or a new stack."""
        t = self.temp()
        self.emit(f"{'ldw' if write else 'lds'}_system{size * 8}", t, linear, imm=offset)
        return t

    def store_system(self, linear: int, size: int, value: Value, offset: int = 0) -> None:
        self.emit(f"st_system{size * 8}", self.slot(value), linear, imm=offset)

    def cut(self, value: int, size: int) -> int:
        """The low `size` bytes of a value."""
        if size == 8:
            return value
        t = self.temp()
        self.emit(f"zx{size * 8}", t, value)
        return t

    # --- flags as a word ---------------------------------------------------------------------------------------------

    def flags(self) -> int:
        """RFLAGS, the lazy flags put in."""
        t = self.temp()
        self.emit("getflags", t)
        return t

    def set_flags(self, value: Value, mask: Value) -> None:
        """RFLAGS under `mask` := value."""
        if type(mask) in CONSTANTS:
            self.emit("setflags", a=self.slot(value), imm=mask)
        else:
            self.emit("setflagsr", a=self.slot(value), b=mask)
