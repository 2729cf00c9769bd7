"""The stack: push and pop of everything, frames."""

from __future__ import annotations

from ringzero.isa.form import form

form("push", "50+r", "o", size="d64")
form("pop", "58+r", "o", size="d64")
form("push", "68 iz", "imm", size="d64")
form("push", "6A ib", "simm8", size="d64")
form("push", "FF /6", "rm", size="d64")
form("pop", "8F /0", "rm", size="d64", note="a base of rsp is read after the increment (SDM 2B, POP)")

form("push", "06", "es", size="d64", modes="32")
form("pop", "07", "es", size="d64", modes="32")
form("push", "0E", "cs", size="d64", modes="32")
form("push", "16", "ss", size="d64", modes="32")
form("pop", "17", "ss", size="d64", modes="32")
form("push", "1E", "ds", size="d64", modes="32")
form("pop", "1F", "ds", size="d64", modes="32")
form("push", "0F A0", "fs", size="d64")
form("pop", "0F A1", "fs", size="d64")
form("push", "0F A8", "gs", size="d64")
form("pop", "0F A9", "gs", size="d64")

form("pushaw", "o16 60", modes="32", aliases="pusha")
form("pushad", "o32 60", modes="32", aliases="pusha")
form("popaw", "o16 61", modes="32", aliases="popa")
form("popad", "o32 61", modes="32", aliases="popa")

form("pushfw", "o16 9C", size="d64", reads="oszapcditnvr")
form("pushfd", "o32 9C", size="d64", modes="32", aliases="pushf", reads="oszapcditnvr")
form("pushfq", "o64 9C", size="d64", modes="64", aliases="pushf", reads="oszapcditnvr")
form("popfw", "o16 9D", size="d64", flags="oszapcditnr")
form("popfd", "o32 9D", size="d64", modes="32", aliases="popf", flags="oszapcditnr")
form("popfq", "o64 9D", size="d64", modes="64", aliases="popf", flags="oszapcditnr")

form("enter", "C8 iw ib", "imm16, level8", size="d64")
form("leave", "C9", size="d64")
