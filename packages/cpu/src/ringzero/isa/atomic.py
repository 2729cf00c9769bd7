"""Compare-and-exchange and exchange-and-add: what LOCK was made for (xchg itself is with the moves)."""

from __future__ import annotations

from ringzero.isa.form import form

form("cmpxchg", "0F B0 /r", "rm8, r8", flags="oszapc", lock=True)
form("cmpxchg", "0F B1 /r", "rm, r", flags="oszapc", lock=True)
form("cmpxchg8b", "0F C7 /1", "m64", size="y", flags="z", lock=True)
form("cmpxchg16b", "REX.W 0F C7 /1", "m128", size="y", modes="64", flags="z", lock=True)
form("xadd", "0F C0 /r", "rm8, r8", flags="oszapc", lock=True)
form("xadd", "0F C1 /r", "rm, r", flags="oszapc", lock=True)
