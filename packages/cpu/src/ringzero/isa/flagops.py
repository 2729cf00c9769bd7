"""Instructions that set single flags, move flags through ah, or do nothing at all."""

from __future__ import annotations

from ringzero.isa.form import form

form("cmc", "F5", flags="c", reads="c")
form("clc", "F8", flags="c")
form("stc", "F9", flags="c")
form("cli", "FA", flags="i")
form("sti", "FB", flags="i")
form("cld", "FC", flags="d")
form("std", "FD", flags="d")
form("sahf", "9E", size="8", flags="szapc")
form("lahf", "9F", size="8", reads="szapc")

form("nop", "REX.B0 90", note="with REX.B it is xchg r8, rax")
form("pause", "F3 REX.B0 90")
form("nop", "0F 1F /0", "rm")

# Hints: they address memory and never touch it.
form("prefetchnta", "0F 18 /0", "m8")
form("prefetcht0", "0F 18 /1", "m8")
form("prefetcht1", "0F 18 /2", "m8")
form("prefetcht2", "0F 18 /3", "m8")
form("prefetch", "0F 0D /0", "m8")
form("prefetchw", "0F 0D /1", "m8")

form("lfence", "NP 0F AE /5 mod=3")
form("mfence", "NP 0F AE /6 mod=3")
form("sfence", "NP 0F AE /7 mod=3")
