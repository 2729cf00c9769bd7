"""System instructions: segment and system registers, control and debug registers, MSRs, system calls, identity."""

from __future__ import annotations

from ringzero.isa.form import form

form("mov", "8C /r", "r_m16, sreg")
form("mov", "8E /r", "sreg, rm16", size="w", note="cs as a destination is #UD")

# mod is not looked at: the operand is always a register (SDM 2B, MOV to and from control registers).
form("mov", "0F 20 /r", "rr, creg", size="n", cpl=0, undefined="oszapc", mod_ignored=True)
form("mov", "0F 21 /r", "rr, dreg", size="n", cpl=0, undefined="oszapc", mod_ignored=True)
form("mov", "0F 22 /r", "creg, rr", size="n", cpl=0, undefined="oszapc", mod_ignored=True)
form("mov", "0F 23 /r", "dreg, rr", size="n", cpl=0, undefined="oszapc", mod_ignored=True)

form("sldt", "0F 00 /0", "r_m16")
form("str", "0F 00 /1", "r_m16")
form("lldt", "0F 00 /2", "rm16", size="w", cpl=0)
form("ltr", "0F 00 /3", "rm16", size="w", cpl=0)
form("sgdt", "0F 01 /0", "m", size="f64")
form("sidt", "0F 01 /1", "m", size="f64")
form("lgdt", "0F 01 /2", "m", size="f64", cpl=0)
form("lidt", "0F 01 /3", "m", size="f64", cpl=0)
form("smsw", "0F 01 /4", "r_m16")
form("lmsw", "0F 01 /6", "rm16", size="w", cpl=0)
form("invlpg", "0F 01 /7", "m", cpl=0)
form("swapgs", "0F 01 F8", modes="64", cpl=0)
form("rdtscp", "0F 01 F9")

# Intel has syscall in 64-bit mode only, AMD in compatibility mode too (SDM 2B, SYSCALL).
form("syscall", "0F 05", size="q", modes="64", flags="oszapcditnvr")
form("sysret", "0F 07", size="y", modes="64", cpl=0, flags="oszapcditn", note="to compatibility mode")
form("sysretq", "REX.W 0F 07", size="y", modes="64", cpl=0, flags="oszapcditn", note="to 64-bit mode")

form("clts", "0F 06", cpl=0)
form("invd", "0F 08", cpl=0)
form("wbinvd", "0F 09", cpl=0)
form("wrmsr", "0F 30", cpl=0)
form("rdtsc", "0F 31")
form("rdmsr", "0F 32", cpl=0)
form("cpuid", "0F A2")
form("fwait", "9B", aliases="wait")
