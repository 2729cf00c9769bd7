"""The commands that this package adds to `ringzero`: `boot` and `kernel build`."""

from __future__ import annotations

from typing import Any

import click

from ringzero.cli.asm import put
from ringzero.cli.guest import Options, guest_options, make_machine, run_guest
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
