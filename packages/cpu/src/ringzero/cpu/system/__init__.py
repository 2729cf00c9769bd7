"""System instructions: what the µop loop leaves to Python, and which processor the guest sees."""
