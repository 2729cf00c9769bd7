"""The commands that this package adds to `ringzero`: `boot`, `kernel build` and `museum`."""

from __future__ import annotations

from typing import Any

import click

from ringzero.cli.asm import put
from ringzero.cli.guest import COUNT, Options, guest_options, make_machine, run_guest
from ringzero_kernel.config import CONFIGURATIONS, DEFAULT, LAYOUTS, MEMORY, STAGES, SUCCESS_EXIT

LAYOUT = click.IntRange(LAYOUTS[0], LAYOUTS[-1])
BUG_OPTION = click.option("--bug", metavar="ID", help="Put one bug back, such as B8 (see bugs.toml).")


@click.command()
@click.option("--config", type=click.Choice(list(CONFIGURATIONS)), default=DEFAULT, show_default=True)
@click.option("--layout", type=LAYOUT, default=0, metavar="N", help="Move code and data by padding.")
@BUG_OPTION
@guest_options
def boot(config: str, layout: int, bug: str | None, **chosen: Any) -> int:
    """Assemble the kernel, boot it, and show every stage as it is reached."""
    from ringzero.machine.stages import read_stages
    from ringzero_kernel.build import build

    options = Options(**chosen)
    options.check()
    configuration = CONFIGURATIONS[config]
    machine = make_machine(build(layout, bug=bug), options, memory=MEMORY, append=configuration.command_line)
    return run_guest(
        machine,
        options,
        stages=read_stages(STAGES),
        configuration=configuration.name,
        success_exit=SUCCESS_EXIT,
        max_steps=configuration.max_steps,
    )


@click.group()
def kernel() -> None:
    """Work with the kernel's image."""


@kernel.command("build")
@click.option("-o", "out", required=True, metavar="FILE", help="The ELF file to write; - is standard output.")
@click.option("--layout", type=LAYOUT, default=0, metavar="N", help="Move code and data by padding.")
@BUG_OPTION
@click.option("--listing", metavar="FILE", help="Write a listing too.")
def build_command(out: str, layout: int, bug: str | None, listing: str | None) -> None:
    """Assemble the kernel into an ELF file that QEMU boots too (`qemu-system-x86_64 -kernel`)."""
    from ringzero_kernel.build import assemble_kernel

    made = assemble_kernel(layout, bug=bug)
    put(out, made.binary)
    if listing is not None:
        put(listing, made.listing.encode())


@click.command()
@click.argument("bugs", nargs=-1, metavar="[BUG]...")
@click.option(
    "--time-budget", "--time", "budget", metavar="DURATION", help="Stop after so long: 30s, 10m, 1h30m."
)
@click.option("--jobs", type=COUNT, default=1, show_default=True, help="Processes that search at a time.")
@click.option("--scheduler", metavar="ADDRESS", default="", help="A Dask scheduler whose workers search.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
@click.option("--junit", metavar="FILE", help="Write JUnit XML, a case a bug.")
def museum(**chosen: Any) -> int:
    """Put every known bug back, alone, and find it; show that the kernel without it holds.

    Status 0 when every BUG (all of them, unless named) is found as the list says, 1 when one is not, 3 when
    none is missing and one was not finished.
    """
    from ringzero_kernel.museum import walk_through

    return walk_through(**chosen)
