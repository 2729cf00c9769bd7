"""Sections and where they lie: the layout rules of nasm's flat binary format, for both of our formats.

`start` is where a section is loaded, `vstart` where its code believes to be; a label's value is made from vstart.
Sections with bytes (progbits) stand in the order of their starts; one without start= stands behind the section
before it, or behind the one that follows= names. Sections without bytes (nobits) have a vstart only.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ringzero.asm.diagnostics import Location, Mistake, Report
from ringzero.asm.expressions import Address, wrap

MAX_BYTES = 1 << 26
"""Bytes of the whole image: `times 1000000000 nop` is a mistake, not a program."""
MAX_RESERVED = 1 << 40
"""Bytes that a section may reserve."""
_MASK = (1 << 64) - 1


@dataclass(slots=True)
class Section:
    """One section. The bases of its addresses are 2*index (vstart) and 2*index + 1 (start).

    `offset` is the present offset while the passes run, and the section's length afterwards. `physical` is where a
    loader puts it: `start`, but a section without bytes stays as far from its vstart as the one before it.
    """

    name: str
    index: int
    where: Location
    nobits: bool | None = None
    align: int = 0
    valign: int = 0
    start: int | None = None
    vstart: int | None = None
    follows: str = ""
    vfollows: str = ""
    offset: int = 0
    physical: int = 0
    code: bytearray = field(default_factory=bytearray)

    def address(self, offset: int) -> Address:
        """The address of a byte of this section, as far as it is known before the layout."""
        return Address(offset, ((2 * self.index, 1),))

    @property
    def load(self) -> int:
        """`start`, once the layout is made."""
        assert self.start is not None
        return self.start

    @property
    def linked(self) -> int:
        """`vstart`, once the layout is made."""
        assert self.vstart is not None
        return self.vstart

    def set_type(self, nobits: bool) -> None:
        """progbits or nobits, once."""
        if self.nobits is not None and self.nobits != nobits:
            was, now = ("nobits", "progbits") if self.nobits else ("progbits", "nobits")
            raise Mistake(
                f"section {self.name} is {was} already; {now} must be said where it is first opened"
            )
        self.nobits = nobits

    def set_number(self, name: str, value: int) -> None:
        """align= valign= start= vstart="""
        value &= _MASK
        if name in ("align", "valign"):
            if value == 0 or value & (value - 1):
                raise Mistake(f"{name}={value} is not a power of two; write 1, 2, 4, 8, 16 …")
            setattr(self, name, max(value, getattr(self, name)))
        else:
            before = getattr(self, name)
            if before is not None and before != value:
                raise Mistake(f"{name} of section {self.name} is {before:#x} already; say it once")
            setattr(self, name, value)
        for place, unit in (("start", "align"), ("vstart", "valign")):
            at, step = getattr(self, place), getattr(self, unit)
            if at is not None and step and at % step:
                raise Mistake(f"{place}={at:#x} of section {self.name} contradicts {unit}={step}; change one")

    def set_follows(self, name: str, target: str) -> None:
        """follows= vfollows="""
        place = "start" if name == "follows" else "vstart"
        if getattr(self, place) is not None:
            raise Mistake(f"{name}= and {place}= of section {self.name} exclude each other; remove one")
        setattr(self, name, target)


def align_up(value: int, step: int) -> int:
    """The next multiple of a power of two."""
    return (value + step - 1) & -step & _MASK


class Layout:
    """All sections of an assembly; `place` decides their addresses."""

    def __init__(self, report: Report) -> None:
        self.report = report
        self.sections: list[Section] = []
        self.by_name: dict[str, Section] = {}
        self.origin: int | None = None
        self.progbits: list[Section] = []

    def open(self, name: str, where: Location) -> Section:
        """The section of this name, made if it is new; .text and .data have bytes, .bss has none."""
        section = self.by_name.get(name)
        if section is None:
            if len(self.sections) >= 1000:
                raise Mistake("more than 1000 sections; use fewer")
            section = Section(
                name, len(self.sections), where, {".text": False, ".data": False, ".bss": True}.get(name)
            )
            self.sections.append(section)
            self.by_name[name] = section
        return section

    def resolve(self, value: Address) -> int:
        """The number that an address is, once the layout is made."""
        total = value.offset
        for base, count in value.terms:
            section = self.sections[base // 2]
            total += count * (section.load if base % 2 else section.linked)
        return wrap(total)

    def place(self) -> None:
        """Decide start and vstart of every section; mistakes are filed, and leave something usable behind."""
        for section in self.sections:
            section.nobits = bool(section.nobits)
            if section.nobits:
                self._check(section, self._virtual_only(section))
        self.progbits = self._order([s for s in self.sections if not s.nobits])
        self._starts()
        self._vstarts()

    def _check(self, section: Section, mistake: str) -> None:
        if mistake:
            self.report.error(section.where, mistake)

    @staticmethod
    def _virtual_only(section: Section) -> str:
        """For a section without bytes, real attributes mean the virtual ones."""
        if section.start is None and not section.align and not section.follows:
            return ""
        mixed = section.vstart is not None or section.valign or section.vfollows
        section.vstart = section.start if section.vstart is None else section.vstart
        section.valign = section.valign or section.align
        section.vfollows = section.vfollows or section.follows
        section.follows = ""
        if mixed:
            return (
                f"nobits section {section.name} mixes real and virtual attributes; write valign=, vstart=, vfollows= "
                "only, and no align inside"
            )
        return ""

    def _order(self, sections: list[Section]) -> list[Section]:
        """A group is a section with start= or follows= and those behind it; follows= splices, start= sorts."""
        groups: list[list[Section]] = []
        for section in sections:
            if not groups or section.start is not None or section.follows:
                groups.append([])
            groups[-1].append(section)
        free = [group for group in groups if not group[0].follows]
        bound = [group for group in groups if group[0].follows]
        while bound:
            left = [group for group in bound if not _splice(group, free)]
            if len(left) == len(bound):
                for group in left:
                    leader = group[0]
                    self._check(leader, f"section {leader.name} follows {leader.follows}, which has no place")
                free += left
                break
            bound = left
        ordered: list[list[Section]] = []
        for group in free:
            start = group[0].start or 0
            at = next((n for n, g in enumerate(ordered) if (g[0].start or 0) > start), len(ordered))
            ordered.insert(at, group)
        return [section for group in ordered for section in group]

    def _starts(self) -> None:
        end = self.origin or 0
        for number, section in enumerate(self.progbits):
            if section.start is None:
                step = section.align or (4 if number else 1)
                section.start = align_up(end, step) if number or self.origin is not None else end
            if section.vstart is None and not section.vfollows:
                section.vstart = align_up(end, section.valign) if section.valign else section.start
            if self.origin is not None and section.start < self.origin:
                self._check(section, f"section {section.name} starts before org {self.origin:#x}; move one")
                continue
            if number == 0:
                end = section.start
            if section.start < end:
                if section.offset:
                    self._overlap(number, section)
                continue
            end = section.start + section.offset
        if self.progbits:
            first = self.progbits[0].load
            size = max(s.load + s.offset for s in self.progbits) - first
            if size > MAX_BYTES:
                last = max(self.progbits, key=lambda s: s.load + s.offset)
                self._check(last, f"the image would have {size} bytes; at most {MAX_BYTES}, check start=")

    def _overlap(self, number: int, section: Section) -> None:
        before = [s for s in self.progbits[:number] if s.offset and s.load + s.offset > section.load]
        other = before[-1].name if before else "another"
        self._check(section, f"section {section.name} overlaps section {other}; change start= or align=")

    def _vstarts(self) -> None:
        ordered = self.progbits + [s for s in self.sections if s.nobits]
        waiting = [s for s in ordered if s.vstart is None]
        while waiting:
            left = [s for s in waiting if not self._follow(s)]
            if len(left) == len(waiting):
                for section in left:
                    self._check(
                        section, f"vfollows= of section {section.name} goes round in a circle; use vstart="
                    )
                    section.vstart = 0
                break
            waiting = left
        for section in ordered:
            if section.start is None:
                section.start = section.vstart
        for section in ordered:
            section.physical = self._physical(section)

    def _physical(self, section: Section) -> int:
        if not section.nobits:
            return section.load
        below = [s for s in self.progbits if s.offset and s.linked <= section.linked]
        before = max(below, key=lambda s: s.linked, default=None)
        return (section.linked + (before.load - before.linked if before else 0)) & _MASK

    def _follow(self, section: Section) -> bool:
        """Put the section behind the one that it follows, if that one has its place."""
        if section.vfollows:
            target = self.by_name.get(section.vfollows)
            if target is None:
                self._check(
                    section, f"section {section.name} vfollows {section.vfollows}, which is not there"
                )
                section.vstart = 0
                return True
        elif section.name == ".bss" or section.index == 0:
            target = self.progbits[-1]
        else:
            target = self.sections[section.index - 1]
        if target.vstart is None:
            return False
        section.vstart = align_up(target.vstart + target.offset, section.valign or 4)
        return True

    def flat(self) -> bytes:
        """The flat binary: all progbits sections from the first one's start, gaps of zeroes between them."""
        image = bytearray()
        if not self.progbits:
            return b""
        first = self.progbits[0].load
        for section in self.progbits:
            if section.offset:
                image += bytes(max(0, section.load - first - len(image)))
                image += section.code
        return bytes(image)


def _splice(group: list[Section], groups: list[list[Section]]) -> bool:
    """Put a group behind the section that its leader follows; False when that one has no place yet."""
    for home in groups:
        for at, section in enumerate(home):
            if section.name == group[0].follows:
                home[at + 1 : at + 1] = group
                return True
    return False
