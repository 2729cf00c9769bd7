"""The µops: the one list of them, what they do, what C is told of both, and the blocks that they stand in."""
