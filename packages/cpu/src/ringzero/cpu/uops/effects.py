"""Effects of µops as Python and as C: two printers over one syntax tree.

Both begin from the effect's text (`table`), with the width put in and constants folded. C's unsigned 64-bit
arithmetic wraps by itself; the Python printer puts a mask where a value could grow past 64 bits or below zero.
"""

from __future__ import annotations

import ast
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cache

from ringzero.cpu.uops.table import Uop

M64 = (1 << 64) - 1
_MEMORY_READS = ("LOAD", "LOADW", "LOADS", "LOADWS")
_BINARY = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.LShift: "<<", ast.RShift: ">>", ast.BitAnd: "&",
           ast.BitOr: "|", ast.BitXor: "^", ast.FloorDiv: "//", ast.Mod: "%"}  # fmt: skip
_COMPARE = {ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">="}
_FOLD: dict[type, Callable[[int, int], int]] = {
    ast.Add: lambda x, y: x + y, ast.Sub: lambda x, y: x - y, ast.Mult: lambda x, y: x * y,
    ast.LShift: lambda x, y: x << y, ast.RShift: lambda x, y: x >> y, ast.BitAnd: lambda x, y: x & y,
    ast.Eq: lambda x, y: int(x == y),
}  # fmt: skip


class _Specialise(ast.NodeTransformer):
    """Put the width's constants in, then fold what has become constant."""

    def __init__(self, width: int) -> None:
        mask = (1 << width) - 1
        self.constants = {"W": width, "MASK": mask, "SIGN": 1 << (width - 1)}
        self.width = width

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if node.id in self.constants:
            return ast.Constant(self.constants[node.id])
        if node.id == "EA":
            return ast.parse("A + (B << (scale & 3)) + I", mode="eval").body
        return node

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        self.generic_visit(node)
        fold = _FOLD.get(type(node.op))
        if fold and isinstance(node.left, ast.Constant) and isinstance(node.right, ast.Constant):
            return ast.Constant(fold(node.left.value, node.right.value))  # type: ignore[arg-type]
        if (
            isinstance(node.op, ast.BitAnd)
            and isinstance(node.right, ast.Constant)
            and node.right.value == M64
        ):
            return node.left
        return node

    def visit_IfExp(self, node: ast.IfExp) -> ast.expr:
        self.generic_visit(node)
        test = node.test
        if isinstance(test, ast.Compare) and isinstance(test.left, ast.Constant):
            right = test.comparators[0]
            if isinstance(right, ast.Constant):
                return node.body if test.left.value == right.value else node.orelse
        return node

    def visit_Call(self, node: ast.Call) -> ast.expr:
        """SX and CARRIES are arithmetic on the width, not functions."""
        self.generic_visit(node)
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if name == "SX" and self.width == 64:
            return node.args[0]
        if name in ("CARRIES", "SX", "SDIV", "SDIV_FAULTS"):
            args = node.args[1:] if name.startswith("SDIV") else node.args
            return ast.Call(ast.Name(f"{name}{self.width}", ast.Load()), args, [])
        return node


def _drop_flags(body: list[ast.stmt]) -> list[ast.stmt]:
    """The statements without writes of the lazy flags, and without the locals that only these needed."""

    def writes_flags(statement: ast.stmt) -> bool:
        target = statement.targets[0] if isinstance(statement, ast.Assign) else None
        return isinstance(target, ast.Name) and target.id in ("RES", "AUX")

    def prune(statements: list[ast.stmt], drop: Callable[[ast.stmt], bool]) -> list[ast.stmt]:
        kept = []
        for statement in statements:
            if isinstance(statement, ast.If):
                statement.body = prune(statement.body, drop) or [ast.Pass()]
                statement.orelse = prune(statement.orelse, drop)
            if not drop(statement):
                kept.append(statement)
        return kept

    body = prune(body, writes_flags)
    while True:
        read = {
            n.id for s in body for n in ast.walk(s) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)
        }
        size = sum(1 for s in body for _ in ast.walk(s))

        def unread(statement: ast.stmt, read: set[str] = read) -> bool:
            target = statement.targets[0] if isinstance(statement, ast.Assign) else None
            return isinstance(target, ast.Name) and target.id.islower() and target.id not in read

        body = prune(body, unread)
        if size == sum(1 for s in body for _ in ast.walk(s)):
            return body


def _put(width: int) -> str:
    return "D = {}" if width >= 32 else f"D = (D & {M64 ^ ((1 << width) - 1)}) | {{}}"


@cache
def statements(uop: Uop) -> list[ast.stmt]:
    """The effect of `uop` as a syntax tree, specialised to its width; not to be changed."""
    lines = []
    for line in uop.effect.split("\n"):
        stripped = line.strip()
        if stripped.startswith("PUT("):
            line = line[: len(line) - len(stripped)] + _put(uop.width).format(f"({stripped[4:-1]})")
        lines.append(line)
    tree = ast.parse("\n".join(lines))
    body = _Specialise(uop.width).visit(tree).body
    return _drop_flags(body) if _is_quiet(uop) else body


def _is_quiet(uop: Uop) -> bool:
    return not uop.flags and ("RES =" in uop.effect or "AUX =" in uop.effect)


class Printer(ABC):
    """What both languages share. `names` maps the effect's names to the language's text."""

    names: dict[str, str]

    def expression(self, node: ast.expr) -> str:
        match node:
            case ast.Name(id=name):
                return self.names.get(name, name)
            case ast.Constant(value=int(value)):
                return self.constant(value)
            case ast.Attribute(value=ast.Name(id="state"), attr=slot):
                return self.slot(slot)
            case ast.Subscript(value=ast.Name(id="R"), slice=index):
                return self.indexed(self.expression(index))
            case ast.BinOp(left=left, op=op, right=right):
                return self.binary(left, op, right)
            case ast.UnaryOp(op=ast.Invert(), operand=operand):
                return f"~{self.expression(operand)}"
            case ast.Compare(left=left, ops=[op], comparators=[right]):
                return f"({self.expression(left)} {_COMPARE[type(op)]} {self.expression(right)})"
            case ast.Call(func=ast.Name(id=name), args=args):
                return self.call(name, [self.expression(a) for a in args])
            case ast.IfExp(test=test, body=body, orelse=other):
                return self.choice(*(self.expression(n) for n in (test, body, other)))
        raise ValueError(f"effect: {ast.unparse(node)}: not in the subset")

    def constant(self, value: int) -> str:
        return str(value)

    @abstractmethod
    def slot(self, name: str) -> str: ...

    @abstractmethod
    def indexed(self, index: str) -> str: ...

    @abstractmethod
    def call(self, name: str, args: list[str]) -> str: ...

    @abstractmethod
    def choice(self, test: str, body: str, other: str) -> str: ...

    def binary(self, left: ast.expr, op: ast.operator, right: ast.expr) -> str:
        return f"({self.expression(left)} {_BINARY[type(op)]} {self.expression(right)})"


class CPrinter(Printer):
    """An effect as a C block. Names of the machine become `RZ_…` macros, which the µop loop defines."""

    def __init__(self) -> None:
        self.names = {n: f"RZ_{n}" for n in ("A", "B", "D", "S", "I", "RES", "AUX")} | {"scale": "RZ_SCALE"}

    def constant(self, value: int) -> str:
        return f"{value & M64:#x}ULL" if value > 9 else f"{value}ULL"

    def slot(self, name: str) -> str:
        return f"RZ_STATE({name})"

    def indexed(self, index: str) -> str:
        return f"RZ_INDEXED({index})"

    def binary(self, left: ast.expr, op: ast.operator, right: ast.expr) -> str:
        sign = "/" if isinstance(op, ast.FloorDiv) else _BINARY[type(op)]
        return f"({self.expression(left)} {sign} {self.expression(right)})"

    def call(self, name: str, args: list[str]) -> str:
        return f"RZ_{name}({', '.join(args)})"

    def choice(self, test: str, body: str, other: str) -> str:
        return f"({test} ? {body} : {other})"

    def block(self, uop: Uop) -> str:
        """The effect's statements, locals declared, on one line."""
        body = statements(uop)
        names = {
            n.id
            for s in body
            for n in ast.walk(s)
            if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
        }
        local = sorted(n for n in names if n.islower())
        declare = f"uint64_t {', '.join(f'{n} = 0' for n in local)}; " if local else ""
        return declare + " ".join(self.statement(s, uop) for s in body)

    def statement(self, node: ast.stmt, uop: Uop) -> str:
        match node:
            case ast.Assign([target], ast.Call(ast.Name(id=name), [ea])) if name in _MEMORY_READS:
                return f"RZ_{name}({uop.width}, {self.expression(target)}, {self.expression(ea)});"
            case ast.Assign(targets=[target], value=ast.Call(func=ast.Name(id="SEGMENT"), args=args)):
                return (
                    f"RZ_SEGMENT({self.expression(target)}, {', '.join(self.expression(a) for a in args)});"
                )
            case ast.Assign(targets=[target], value=value):
                return f"{self.expression(target)} = {self.expression(value)};"
            case ast.Expr(value=ast.Call(func=ast.Name(id=("STORE" | "STORES") as name), args=[ea, value])):
                return f"RZ_{name}({uop.width}, {self.expression(ea)}, {self.expression(value)});"
            case ast.Expr(value=value):
                return f"{self.expression(value)};"
            case ast.If(test=test, body=body, orelse=other):
                text = f"if ({self.expression(test)}) {{ {' '.join(self.statement(s, uop) for s in body)} }}"
                return text + (
                    f" else {{ {' '.join(self.statement(s, uop) for s in other)} }}" if other else ""
                )
            case ast.Pass():
                return ""
        raise ValueError(f"effect of {uop.name}: {ast.unparse(node)}: not in the subset")


class PythonPrinter(Printer):
    """An effect as the body of a Python function; `fields` says how the µop's operands are written.

    What an expression may exceed is tracked coarsely: sums, products, left shifts, differences and complements are
    masked unless a BitAnd with something that fits is around them.
    """

    def __init__(self, fields: dict[str, str], slot: Callable[[str], str]) -> None:
        self.names = fields
        self._slot = slot
        self.unmasked: set[int] = set()  # by id(): of the nodes of one effect, which `lines` keeps alive
        self.masked_pairs: set[tuple[int, int]] = set()

    def slot(self, name: str) -> str:
        return self._slot(name)

    def indexed(self, index: str) -> str:
        return f"R[{index}]"

    def call(self, name: str, args: list[str]) -> str:
        inline = _PYTHON_INLINE.get(name)
        return f"({inline.format(*args)})" if inline else f"{name}({', '.join(args)})"

    def choice(self, test: str, body: str, other: str) -> str:
        return f"({body} if {test} else {other})"

    def expression(self, node: ast.expr) -> str:
        text = super().expression(node)
        if isinstance(node, ast.UnaryOp) and id(node) not in self.unmasked:
            return f"({text} & {M64})"
        return text

    def binary(self, left: ast.expr, op: ast.operator, right: ast.expr) -> str:
        if isinstance(op, ast.BitAnd):
            # One side may be anything if the other fits into 64 bits.
            if isinstance(right, (ast.Constant, ast.Name)):
                self._unmask(left)
            elif isinstance(right, ast.UnaryOp):
                self._unmask(right)
        text = f"({self.expression(left)} {_BINARY[type(op)]} {self.expression(right)})"
        grows = isinstance(op, (ast.Add, ast.Sub, ast.Mult, ast.LShift))
        parent_masks = (id(left), id(right)) in self.masked_pairs
        return f"({text} & {M64})" if grows and not parent_masks else text

    def _unmask(self, node: ast.expr) -> None:
        """`node` stands under a mask: it and the sums it is made of may grow."""
        if isinstance(node, ast.UnaryOp):
            self.unmasked.add(id(node))
            self._unmask(node.operand)
        elif isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Add, ast.Sub, ast.Mult)):
            self.masked_pairs.add((id(node.left), id(node.right)))
            self._unmask(node.left)
            self._unmask(node.right)

    def lines(self, uop: Uop, indent: str = "    ") -> list[str]:
        """The effect's statements, one a line."""
        self.unmasked.clear()
        self.masked_pairs.clear()
        body = statements(uop)
        return [line for s in body for line in self.statement(s, uop, indent)]

    def statement(self, node: ast.stmt, uop: Uop, indent: str) -> list[str]:
        match node:
            case ast.Assign(targets=[target], value=value):
                text = self._value(value, uop)
                plus = "+" if isinstance(value, ast.Compare) else ""
                return [f"{indent}{self.expression(target)} = {plus}{text}"]
            case ast.Expr(value=ast.Call(func=ast.Name(id=("STORE" | "STORES") as name), args=[ea, value])):
                text = f"{self.expression(ea)}, {self.expression(value)}, {self.names['scale']}"
                return [f"{indent}{name}{uop.width}({text})"]
            case ast.Expr(value=ast.Call(func=ast.Name(id=name), args=args)):
                return [indent + _PYTHON_STATEMENTS[name].format(*(self.expression(a) for a in args))]
            case ast.If(test=test, body=body, orelse=other):
                lines = [f"{indent}if {self.expression(test)}:"]
                lines += [x for s in body for x in self.statement(s, uop, indent + "    ")]
                if other:
                    lines.append(f"{indent}else:")
                    lines += [x for s in other for x in self.statement(s, uop, indent + "    ")]
                return lines
            case ast.Pass():
                return [indent + "pass"]
        raise ValueError(f"effect of {uop.name}: {ast.unparse(node)}: not in the subset")

    def _value(self, value: ast.expr, uop: Uop) -> str:
        match value:
            case ast.Call(func=ast.Name(id=name), args=[ea]) if name in _MEMORY_READS:
                return f"{name}{uop.width}({self.expression(ea)}, {self.names['scale']})"
        return self.expression(value)


#: Codes by which a Python µop tells the engine how it ends the block; None goes on.
TARGET_0, TARGET_1, GOTO, GOTO_WINDOW, NEXT_WINDOW, SYSTEM, STOP = range(7)

_PYTHON_STATEMENTS = {
    "JUMP": "return {0}",
    "BRANCH": "return " + f"{TARGET_0} if {{0}} else {TARGET_1}",
    "GOTO": f"R[RIP] = {{0}}; return {GOTO}",
    "GOTO_WINDOW": f"R[RIP] = {{0}}; return {GOTO_WINDOW}",
    "NEXT_WINDOW": f"return {NEXT_WINDOW}",
    "SYSTEM": f"return {SYSTEM}",
    "STOP": f"return {STOP}",
    "PROBE": "PROBE(R); return None",
    "SKIP": "return -imm",
    "FAULT": "FAULT({0}, {1})",
    "SET_FLAGS": "SET_FLAGS(R, {0})",
    "SET_MODE": "SET_MODE(R)",
    "AHEAD": "AHEAD(R, {0})",
    "SHADE": "SHADE(R, {0})",
    "NOTE": "NOTE(R)",
    "CALLED": "pass",
    "RETURN": f"R[RIP] = {{0}}; return {GOTO}",
}
_PYTHON_INLINE = {
    "CARRIES8": "(({0} << 56) & 0xC000000000000000) | ({0} & 8)",
    "CARRIES16": "(({0} << 48) & 0xC000000000000000) | ({0} & 8)",
    "CARRIES32": "(({0} << 32) & 0xC000000000000000) | ({0} & 8)",
    "CARRIES64": "{0} & 0xC000000000000008",
    "SX8": "(({0} ^ 0x80) - 0x80) & 0xFFFFFFFFFFFFFFFF",
    "SX16": "(({0} ^ 0x8000) - 0x8000) & 0xFFFFFFFFFFFFFFFF",
    "SX32": "(({0} ^ 0x80000000) - 0x80000000) & 0xFFFFFFFFFFFFFFFF",
    "SHL": "({0} << {1}) & 0xFFFFFFFFFFFFFFFF",
    "SHR": "{0} >> {1}",
    "SLT": "({0} ^ 0x8000000000000000) < ({1} ^ 0x8000000000000000)",
    "PARITY": "PARITY_TABLE[{0} & 0xFF]",
    "FLAGS": "FLAGS(R)",
    "STEP": "STEP(R)",
}
