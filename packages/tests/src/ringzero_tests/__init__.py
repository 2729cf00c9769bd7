"""Judges of the machine: silicon, other emulators, generators of cases, recorded vectors."""
