"""`ringzero run`: boots any image that a boot protocol loads, with QEMU's option names where QEMU has one."""

from __future__ import annotations

from typing import Any

import click

from ringzero.cli.guest import COUNT, Options, guest_options, make_machine, run_guest
from ringzero.files import read_bounded


@click.command()
@click.argument("image", type=click.Path())
@click.option("--stages", metavar="FILE", help="A TOML list of the stages that must be reached.")
@click.option("--config", metavar="NAME", help="The configuration whose stages count. [all]")
@click.option(
    "-m", "memory", metavar="SIZE", default="16M", show_default=True, help="Memory, as QEMU takes it."
)
@click.option("-append", "--append", metavar="TEXT", default="", help="The guest's command line.")
@click.option(
    "-device", "--device", "devices", metavar="DEVICE", multiple=True,
    default=("isa-debug-exit,iobase=0xf4,iosize=4",), show_default=True, help="A device more, as QEMU takes it.",
)  # fmt: skip
@click.option("--success-exit", type=COUNT, metavar="N", help="The exit status that means success. [33]")
@guest_options
def run(
    image: str,
    stages: str | None,
    config: str | None,
    memory: str,
    append: str,
    devices: tuple[str, ...],
    success_exit: int | None,
    **chosen: Any,
) -> int:
    """Boot IMAGE, an ELF file, and follow it to its end; status 0 when it came to a good one."""
    from ringzero.asm.image import Image
    from ringzero.machine.harness import MAX_STEPS, SUCCESS_EXIT
    from ringzero.machine.memory import parse_size
    from ringzero.machine.stages import read_stages

    options = Options(**chosen)
    options.check()
    rows = read_stages(stages) if stages is not None else None
    if config is not None and rows is None:
        raise click.UsageError("--config chooses from the stages of a list; name one with --stages FILE")
    size = parse_size(memory)
    loaded = Image.from_bytes(read_bounded(image), image)
    machine = make_machine(loaded, options, memory=size, append=append, devices=devices)
    return run_guest(
        machine,
        options,
        stages=rows,
        configuration=config,
        success_exit=success_exit or SUCCESS_EXIT,
        max_steps=MAX_STEPS,
    )
