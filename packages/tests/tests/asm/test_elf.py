"""The ELF file: what binutils and gdb read of it, and that equal sources give equal files."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ringzero.asm import Assembly, Image, assemble

HERE = Path(__file__).parent
SOURCE = HERE / "sources" / "sections_start.asm"


@pytest.fixture(scope="module")
def assembly() -> Assembly:
    return assemble(SOURCE, name="pkg/sections_start.asm")


@pytest.fixture(scope="module")
def elf(assembly: Assembly, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("elf") / "image.elf"
    path.write_bytes(assembly.binary)
    return path


def output(*command: str) -> str:
    """What a tool says; it must have nothing to complain of."""
    run = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C"}
    )
    assert run.returncode == 0, run.stderr
    assert "warning" not in run.stderr.lower(), run.stderr
    return run.stdout


@pytest.mark.judge("readelf")
def test_readelf_reads_all(elf: Path) -> None:
    text = output("readelf", "-aW", str(elf))
    rows = [line.split() for line in text.splitlines() if line.strip().startswith(("LOAD", "NOTE"))]
    loads = {row[2]: (row[3], "".join(row[6:-1])) for row in rows if row[0] == "LOAD"}
    assert loads["0xffffffff80101000"] == ("0x0000000000101000", "RE")
    assert loads["0xffffffff80102000"] == ("0x0000000000102000", "R")
    assert loads["0xffffffff80103000"][0] == "0x0000000000103000"
    assert [row[1:4] for row in rows if row[0] == "NOTE"] == [rows[0][1:4]]
    assert "Xen" in text
    assert "Type:                              EXEC" in text


@pytest.mark.judge("readelf", "objdump", "gdb")
def test_symbols_lines_and_code_for_binutils_and_gdb(elf: Path, assembly: Assembly) -> None:
    kernel = assembly.symbols["kernel"]
    lines = output("objdump", "--dwarf=decodedline", str(elf))
    number = 1 + next(
        n for n, text in enumerate(SOURCE.read_text().splitlines()) if text.startswith("kernel:")
    )
    assert any(
        line.split()[1:3] == [str(number), hex(kernel)] for line in lines.splitlines() if hex(kernel) in line
    )
    code = output("objdump", "-d", "-M", "intel", "--no-show-raw-insn", str(elf))
    assert f"{kernel:016x} <kernel>:" in code
    said = output("gdb", "-batch", "-nx", "-ex", "info line kernel", "-ex", "info symbol kernel", str(elf))
    assert f'Line {number} of "pkg/sections_start.asm" starts at address {kernel:#x} <kernel>' in said


@pytest.mark.judge("gdb")
def test_gdb_lists_the_source(elf: Path) -> None:
    said = output(
        "gdb", "-batch", "-nx", "-ex", "set substitute-path pkg sources", "-ex", f"directory {HERE / 'sources'}",
        "-ex", "list kernel", str(elf),
    )  # fmt: skip
    assert "kernel: lea rax, [value]" in said


def test_image_reads_what_was_written(assembly: Assembly) -> None:
    image = assembly.image
    assert isinstance(image, Image)
    assert image.pvh_entry == image.symbols.address("boot")
    assert [(n.name, n.type) for n in image.notes] == [("Xen", 18)]
    by_vaddr = {segment.vaddr: segment for segment in image.segments}
    text, bss = by_vaddr[0xFFFFFFFF80101000], by_vaddr[assembly.symbols["stack"] - 4096]
    assert (text.paddr, text.flags, len(text.data)) == (0x101000, 5, text.memsz)
    assert (bss.paddr, bss.flags, bss.data) == (bss.vaddr - 0xFFFFFFFF80000000, 6, b"")
    loaded = bytearray(len(assembly.flat))
    for segment in image.segments:
        if segment.data:
            loaded[segment.paddr - 0x100000 :][: len(segment.data)] = b""
            loaded[segment.paddr - 0x100000 : segment.paddr - 0x100000 + len(segment.data)] = segment.data
    assert bytes(loaded) == assembly.flat


def test_symbols_and_lines(assembly: Assembly) -> None:
    image = assembly.image
    kernel = assembly.symbols["kernel"]
    assert image.symbols.address("kernel") == kernel
    assert image.symbols.nearest(kernel + 3) == ("kernel", 3)
    assert image.symbols.nearest(0) is None
    assert image.symbols.address("nosuch") is None
    file, line = image.lines.lookup(kernel) or ("", 0)
    assert file == "pkg/sections_start.asm"
    assert SOURCE.read_text().splitlines()[line - 1].startswith("kernel:")
    assert image.lines.lookup(kernel + 1) == (file, line)
    assert image.lines.lookup(0) is None
    assert kernel in image.lines.addresses(file, line)


def test_macro_lines_belong_to_the_call() -> None:
    image = assemble("%macro two 0\nnop\nhlt\n%endmacro\nstart: cli\ntwo\nsti\n", name="m.asm").image
    start = image.symbols.address("start")
    assert start is not None
    assert [image.lines.lookup(start + n) for n in range(4)] == [("m.asm", n) for n in (5, 6, 6, 7)]


def test_files_are_named_as_the_main_source_is(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "main.asm").write_text('%include "sub/part.asm"\nhlt\n')
    (tmp_path / "sub" / "part.asm").write_text("start: nop\n")
    image = assemble(tmp_path / "main.asm", name="pkg/asm/main.asm").image
    assert [image.lines.lookup(at) for at in (0, 1)] == [("pkg/asm/sub/part.asm", 1), ("pkg/asm/main.asm", 2)]


def test_equal_sources_give_equal_files_in_every_process(assembly: Assembly) -> None:
    script = (
        "import sys,hashlib,pathlib\nfrom ringzero.asm import assemble\n"
        "a = assemble(pathlib.Path(sys.argv[1]), name='pkg/sections_start.asm')\n"
        "print(hashlib.sha256(a.binary + a.listing.encode()).hexdigest())\n"
    )
    said = set()
    for seed in ("0", "1", "4242"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        said.add(subprocess.check_output([sys.executable, "-c", script, str(SOURCE)], env=environment))
    assert len(said) == 1


def test_listing() -> None:
    source = "%macro m 1\nmov eax, %1\n%endmacro\nbits 64\nstart: nop\nm 5\ntimes 10 db 1\nsection .bss\nx: resb 4\n"
    listing = assemble(source, name="l.asm").listing
    assert listing.splitlines() == [
        "; l.asm  .text",
        "     5  0000000000000000 90                start: nop",
        "     6+ 0000000000000001 b805000000        mov eax, 5",
        "     7  0000000000000006 0101010101010101  times 10 db 1",
        "     7  000000000000000e 0101",
        "; l.asm  .bss",
        "     9  0000000000000010 <res 0x4>         x: resb 4",
    ]


def test_rights_follow_names_and_contents() -> None:
    source = "".join(
        f"section {name} start={0x1000 * n}\n{body}\n"
        for n, (name, body) in enumerate(
            [
                (".text.a", "nop"),
                (".rodata", "db 1"),
                (".data", "db 1"),
                (".init", "nop"),
                (".other", "db 1"),
            ],
            1,
        )
    )
    assert [segment.flags for segment in assemble(source).image.segments] == [5, 4, 6, 5, 6]


def test_entry() -> None:
    assert assemble("org 0x1000\nnop\n_start: nop").image.entry == 0x1001
    assert assemble("org 0x1000\nnop\nglobal entry\nentry: nop").image.entry == 0x1001
    assert assemble("org 0x1000\nnop\nentry: nop").image.entry == 0x1000
