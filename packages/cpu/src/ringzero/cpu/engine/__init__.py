"""Engines: what runs µops. `pyengine` defines them, `native` is the C core; each is as good as the other."""
