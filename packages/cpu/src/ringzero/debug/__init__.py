"""Looking at a run while it happens: traces. Nothing here changes what the guest sees."""
