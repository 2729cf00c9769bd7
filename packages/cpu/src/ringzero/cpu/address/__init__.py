"""Addresses: what stands between an instruction's address and memory, for engines and handlers alike."""
