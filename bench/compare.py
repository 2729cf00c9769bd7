"""Prints two runs of the benchmarks beside each other: above 1 is faster than before.

python bench/compare.py RESULT.json EARLIER.json
"""

from __future__ import annotations

import sys

import results


def main() -> None:
    if len(sys.argv) != 3:
        sys.exit("usage: python bench/compare.py RESULT.json EARLIER.json")
    now, before = (results.read(path) for path in sys.argv[1:])
    earlier = {result.name: result.rate for result in before}
    for result in now:
        if result.name in earlier:
            print(f"{result.rate / earlier[result.name]:6.3f}  {result.name}")


if __name__ == "__main__":
    main()
