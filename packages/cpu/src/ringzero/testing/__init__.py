"""Kernels under pytest: the plugin that `pip install ringzero-cpu` brings.

    plugin     what pytest finds: options, marks, fixtures; it imports nothing of ours before a test needs it
    exploring  a marked test, played for every schedule

Rule of this room: a test's body is the judge. It runs at the end of every schedule's window, and what it asserts must
hold for all of them.
"""
