"""Control flow: near and far jumps, calls and returns, loops, software interrupts, undefined instructions."""

from __future__ import annotations

from ringzero.isa.form import CONDITION_READS, CONDITIONS, form

# Near branches are 64-bit in 64-bit mode; Intel ignores 66 there, AMD honours it (SDM 2A 2.2.1.7; APM 3 1.2.4).
for _number, _names in enumerate(CONDITIONS):
    _aliases, _reads = " ".join(f"j{name}" for name in _names[1:]), CONDITION_READS[_number]
    form(f"j{_names[0]}", f"{0x70 + _number:02X} cb", "rel8", size="f64", reads=_reads, aliases=_aliases)
    form(f"j{_names[0]}", f"0F {0x80 + _number:02X} cz", "rel", size="f64", reads=_reads, aliases=_aliases)

form("jmp", "EB cb", "rel8", size="f64")
form("jmp", "E9 cz", "rel", size="f64")
form("jmp", "FF /4", "rm", size="f64")
form("call", "E8 cz", "rel", size="f64")
form("call", "FF /2", "rm", size="f64")
form("ret", "C3", size="f64", aliases="retn")
form("ret", "C2 iw", "imm16", size="f64", aliases="retn")

form("loopne", "E0 cb", "rel8", size="f64", reads="z", aliases="loopnz", note="counts in the address size")
form("loope", "E1 cb", "rel8", size="f64", reads="z", aliases="loopz", note="counts in the address size")
form("loop", "E2 cb", "rel8", size="f64", note="counts in the address size")
form("jcxz", "a16 E3 cb", "rel8", size="f64", modes="32")
form("jecxz", "a32 E3 cb", "rel8", size="f64")
form("jrcxz", "a64 E3 cb", "rel8", size="f64", modes="64")

form("jmp", "EA far", "far", modes="32")
form("call", "9A far", "far", modes="32")
form("jmp", "FF /5", "m_far", note="AMD ignores REX.W: 16:32 only")
form("call", "FF /3", "m_far", note="AMD ignores REX.W: 16:32 only")
form("retf", "CB")
form("retf", "CA iw", "imm16")

form("int3", "CC")
form("int", "CD ib", "imm8", size="v")
form("int1", "F1", aliases="icebp")
form("into", "CE", modes="32", reads="o")
form("iretw", "o16 CF", flags="oszapcditn")
form("iretd", "o32 CF", flags="oszapcditnvr", aliases="iret")
form("iretq", "o64 CF", modes="64", flags="oszapcditnr")

form("ud2", "0F 0B", note="is #UD, and decodes so that listings show it")
form("ud1", "0F B9 /r", "r, rm", note="is #UD")
form("hlt", "F4", cpl=0)
form("endbr64", "F3 0F 1E FA")
form("endbr32", "F3 0F 1E FB")
