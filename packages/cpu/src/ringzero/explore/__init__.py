"""The explorer: every placement of interrupts within a bound, or the shortest schedule that breaks a kernel.

    schedule    what may be chosen: placements, lines, sources
    experiment  what is asked: an image, a window of its run, what may interrupt it, how to judge
    entering    to the start of a window, the shortest way
    player      plays one schedule from the window's start to its end
    compare     when two states are the same for our purposes
    threads     the guest's threads, as its stage list says how to find them
    oracles     what may be wrong with a run
    clocks      whether a tick reads what is declared to decide nothing
    remarks     what a run shows that is no failure: locks that can deadlock, how long interrupts are off
    search      iterative bounding: no preemption, one, two, ...
    hunt        a whole run by chance, and the window found behind
    chance      schedules by chance, beyond the bound
    rates       how often a timer may tick: the longest period at which the guest livelocks
    timeline    a schedule played and written down: who ran when, what interrupted whom (recorder and locks do it)
    report      a page and a trace for Perfetto, made of a result and timelines
    result      what a search has found, in values that every report is made from

Rule of this room: a verdict is a function of the experiment and the bound, never of the host's clock, of how many
workers ran, or in which order they finished. Who wants a limit in seconds hands in a callable that says when to stop.
"""
