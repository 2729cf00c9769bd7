"""Multi-line macros and repetitions: collecting their bodies, calling them, and the stack of what is being read.

A body is kept as text and expanded when it is read: that is why a macro may define macros, and a %rep may count. A
macro is not expanded inside itself.
"""

from __future__ import annotations

from ringzero.asm.conditions import Conditions
from ringzero.asm.diagnostics import Fatal, Location, Mistake, Report
from ringzero.asm.frames import Body, Frame, Macro, split_arguments
from ringzero.asm.lexer import is_ident, strip
from ringzero.asm.textmacros import TextDirectives

MAX_LINES = 500_000
"""Lines that one assembly may come to; %rep and macros multiply."""
MAX_DEPTH = 200
"""Files, macro calls and repetitions open at once."""

_OPENS = {"%macro": "%endmacro", "%imacro": "%endmacro", "%rep": "%endrep"}


class MultiMacros(TextDirectives, Conditions):
    """Macros, repetitions and the stack of frames; the preprocessor inherits them."""

    def __init__(self, report: Report) -> None:
        super().__init__()
        self.report = report
        self.frames: list[Frame] = []
        self.macros: dict[str, list[Macro]] = {}
        self.unique = 0
        self.lines = 0
        self.where = Location("", 0, "")
        self._collecting: tuple[str, Location, Body, int] | None = None
        self._pending: Macro | int | None = None

    # --- the stack ---

    def _push(self, frame: Frame) -> None:
        if len(self.frames) >= MAX_DEPTH:
            raise Fatal(
                f"more than {MAX_DEPTH} files, macros and repetitions inside each other; end the recursion"
            )
        self.frames.append(frame)

    def _pop(self) -> None:
        frame = self.frames[-1]
        for condition in frame.conditions:
            self.report.error(
                condition.where, "%if without its %endif; close it in the same file, macro or %rep"
            )
        if self._collecting and len(self.frames) == 1:
            opener, where, _, _ = self._collecting
            self.report.error(where, f"{opener} without its {_OPENS[opener]}; close it in the same file")
            self._collecting = None
        if frame.macro:
            frame.macro.running -= 1
        self.frames.pop()

    def _next(self) -> tuple[Frame, int, str] | None:
        while self.frames:
            frame = self.frames[-1]
            if frame.at < len(frame.lines):
                frame.at += 1
                return (frame, *frame.lines[frame.at - 1])
            if frame.lines and frame.count < frame.repeats:
                frame.count, frame.at = frame.count + 1, 0
                continue
            self._pop()
        return None

    def _count_line(self) -> None:
        self.lines += 1
        if self.lines > MAX_LINES:
            raise Fatal(f"more than {MAX_LINES} lines after expansion; a %rep or a macro multiplies them")

    def _macro_frame(self) -> Frame | None:
        """The call whose parameters %1 … are: the nearest macro below any repetitions."""
        for frame in reversed(self.frames):
            if frame.macro is not None:
                return frame
            if frame.call is None and not frame.repeats:
                return None
        return None

    # --- bodies ---

    def _collect(self, start: str, number: int, text: str) -> tuple[str, ...] | None:
        """Keep a line of the body that is being collected."""
        assert self._collecting is not None
        opener, where, body, depth = self._collecting
        name = directive_name(start)
        closer = _OPENS[opener]
        if _OPENS.get(name) == closer:
            depth += 1
        elif name == closer or (closer == "%endmacro" and name == "%endm"):
            depth -= 1
        if depth:
            body.append((number, text))
            self._collecting = (opener, where, body, depth)
            return None
        self._collecting = None
        self.where = where
        self._finish(body)
        return None

    def _finish(self, body: Body) -> None:
        pending, self._pending = self._pending, None
        frame = self.frames[-1]
        if isinstance(pending, Macro):
            pending.body = body
            known = self.macros.setdefault(pending.name, [])
            known[:] = [m for m in known if (m.least, m.most) != (pending.least, pending.most)] + [pending]
        elif isinstance(pending, int) and pending > 0:
            self._push(Frame(frame.file, body, frame.call, repeats=pending, count=1))

    # --- macro calls ---

    def _call(self, tokens: tuple[str, ...]) -> bool:
        words = strip(tokens)
        if not words:
            return False
        known, label, rest = self._named(words[0]), "", words[1:]
        if known is None and len(words) > 1:
            after = strip(words[1:])
            colon = after[0] == ":"
            after = strip(after[1:]) if colon else after
            if after and is_ident(words[0]) and (known := self._named(after[0])):
                label, rest = words[0], after[1:]
        if not known:
            return False
        arguments = split_arguments(rest)
        for macro in known:
            if macro.takes(len(arguments)) and not macro.running:
                self._enter(macro, rest, label)
                return True
        if any(not macro.running for macro in known):
            wanted = " or ".join(_arity(macro) for macro in known)
            raise Mistake(f"macro {known[0].name} called with {len(arguments)} parameters; it takes {wanted}")
        return False

    def _named(self, token: str) -> list[Macro] | None:
        known = self.macros.get(token)
        if known is None and token.lower() in self.macros:
            known = [m for m in self.macros[token.lower()] if m.fold]
        return known or None

    def _enter(self, macro: Macro, rest: list[str], label: str) -> None:
        arguments = split_arguments(rest, macro.most if macro.greedy else None)
        if macro.most is None or len(arguments) < macro.most:
            missing = len(arguments) - macro.least
            arguments += macro.defaults[missing : None if macro.most is None else macro.most - macro.least]
        self.unique += 1
        where = self.where
        call = Location(where.file, where.line, where.text) if where.inner else where
        body = macro.body
        if label and not any("%00" in text for _, text in body):
            body = [(body[0][0] if body else 0, f"{label}:"), *body]
        macro.running += 1
        self._push(
            Frame(macro.file, body, call, macro=macro, arguments=arguments, label=label, unique=self.unique)
        )

    # --- directives ---

    def _do_macro(self, words: list[str], fold: bool = False) -> None:
        """%macro name count | least-most[+] | least-* [defaults]"""
        if not words or not is_ident(words[0]):
            raise self._bad_body("%macro", Mistake("%macro needs a name; write %macro name 0"))
        name = words[0].lower() if fold else words[0]
        try:
            self._pending = _signature(name, strip(words[1:]), self.frames[-1].file, fold)
        except Mistake as mistake:
            raise self._bad_body("%macro", mistake) from None
        self._collecting = ("%macro", self.where, [], 1)

    def _bad_body(self, opener: str, mistake: Mistake) -> Mistake:
        """Skip the body of a header that is wrong, so that one mistake is told once."""
        self._pending = None
        self._collecting = (opener, self.where, [], 1)
        return mistake

    def _do_imacro(self, words: list[str]) -> None:
        """%imacro: %macro whose name is matched without case"""
        self._do_macro(words, fold=True)

    def _do_unmacro(self, words: list[str]) -> None:
        """%unmacro name count"""
        if len(words) < 2:
            raise Mistake("%unmacro needs a name and a number of parameters")
        gone = _signature(words[0], strip(words[1:]), "", False)
        known = self.macros.get(gone.name, [])
        known[:] = [m for m in known if (m.least, m.most) != (gone.least, gone.most)]

    def _do_rep(self, words: list[str]) -> None:
        """%rep count"""
        try:
            count = self.constant(words, "%rep") if words else 0
            if count > MAX_LINES:
                raise Mistake(f"%rep {count}: at most {MAX_LINES} repetitions")
        except Mistake as mistake:
            raise self._bad_body("%rep", mistake) from None
        self._pending = max(count, 0)
        self._collecting = ("%rep", self.where, [], 1)

    def _do_exitrep(self, words: list[str]) -> None:
        """%exitrep"""
        depth = len(self.frames) - 1
        while depth >= 0 and not self.frames[depth].repeats:
            depth -= 1
        if depth < 0:
            raise Mistake("%exitrep outside %rep; remove it")
        self.frames[depth].conditions.clear()
        while len(self.frames) > depth:
            self.frames[-1].conditions.clear()
            self._pop()

    def _do_rotate(self, words: list[str]) -> None:
        """%rotate count"""
        frame = self._macro_frame()
        if frame is None:
            raise Mistake("%rotate outside a macro; remove it")
        frame.rotation += self.constant(words, "%rotate")


def directive_name(text: str) -> str:
    """`%name` at the start of the text, or nothing when what stands there is no directive (%1, %%local, %{…})."""
    end = 1
    while end < len(text) and (text[end].isalnum() or text[end] == "_"):
        end += 1
    name = text[:end].lower()
    return name if text[:1] == "%" and name[1:2].isalpha() else ""


def _arity(macro: Macro) -> str:
    most = "or more" if macro.most is None or macro.greedy else f"to {macro.most}"
    return str(macro.least) if macro.most == macro.least and not macro.greedy else f"{macro.least} {most}"


def _signature(name: str, words: list[str], file: str, fold: bool) -> Macro:
    counts, rest = "", list(words)
    while rest and rest[0] != " " and (rest[0][0].isdigit() or rest[0] in ("-", "*", "+")):
        counts += rest.pop(0)
    if rest and rest[0].lower() == ".nolist":
        rest.pop(0)
    greedy = counts.endswith("+")
    least, dash, most = counts.rstrip("+").partition("-")
    if not least.isdigit() or (dash and most != "*" and not most.isdigit()):
        raise Mistake(
            f"{counts or 'nothing'} is no number of parameters; write %macro {name} 2, 1-3, 1-* or 1+"
        )
    top = None if most == "*" else int(most or least)
    if top is not None and (top < int(least) or top > 10_000):
        raise Mistake(f"a macro takes no {counts} parameters; the least comes first, at most 10000")
    return Macro(name, int(least), top, greedy, split_arguments(rest), file, fold=fold)
