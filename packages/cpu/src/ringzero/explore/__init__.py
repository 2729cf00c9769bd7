"""The explorer: every placement of interrupts within a bound, or the shortest schedule that breaks a kernel.

    schedule    what may be chosen: placements, lines, sources
    experiment  what is asked: an image, a window of its run, what may interrupt it, how to judge
    guest       a kernel that comes as a package: what it offers to be explored
    entering    to the start of a window, the shortest way
    player      plays one schedule from the window's start to its end
    threads     the guest's threads, as its stage list says how to find them
    compare     when two states are the same for our purposes
    clocks      whether a tick reads what is declared to decide nothing
    oracles     what may be wrong with a run
    path        where the next interrupt may come, and what each step reads and writes
    slices      what runs between an interrupt and the moment at which the interrupted code goes on
    nodes       what a search is cut into: nodes and tasks, as plain values
    expand      one task: the places where one more preemption matters, and what comes of each
    search      iterative bounding: no preemption, one, two, ...
    workers     who does the tasks: this process, others, a Dask cluster
    frontier    where a search stands between two tasks, as a file
    brute       every schedule, one after the other: what the search is held to
    outcomes    every way in which an experiment can end
    chance      schedules by chance, beyond the bound
    hunt        a whole run by chance, and the window found behind
    rates       how often a timer may tick: the longest period at which the guest livelocks
    result      what a search has found, in values that every report is made from
    explain     all that is told of a counterexample, and the lines that tell it
    minimise    fewer preemptions, then earlier ones
    sites       where a placement lies: symbol, offset, visit
    replay      replay strings: a schedule as a line of text
    windows     the other boundaries that do it, and from where on nothing helps
    waiting     who waits for whom
    spinning    who spins for what
    difference  the first read that saw another value than in the passing run
    remarks     what a run shows that is no failure: locks that can deadlock, how long interrupts are off
    timeline    a schedule played and written down: who ran when, what interrupted whom
    recorder    writes a timeline while a player plays
    locks       which words are locks, as a run shows
    report      a page and a trace for Perfetto, made of a result and timelines

Rule of this room: a verdict is a function of the experiment and the bound, never of the host's clock, of how many
workers ran, or in which order they finished. Who wants a limit in seconds hands in a callable that says when to stop.
"""
