"""Lowering: from bytes to blocks of µops, and the builder's words in which the instruction table's rows speak."""
