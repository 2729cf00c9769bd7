/* libFuzzer's way into the decode loop: any bytes, any mode. Built and run by `python -m ringzero_tests.fuzz decode`.
 *
 * The first byte of an input chooses the mode, the second how many records there is room for; the rest is code. Code and
 * records lie in blocks of exactly their size, so that the sanitizer sees the first byte read or written too far. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decode.h"
#include "isa_tables.h"

static unsigned long long instructions;

static void report(void) { fprintf(stderr, "decode: %llu instructions\n", instructions); }

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    atexit(report);
    return 0;
}

static void require(int holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "decode: %s\n", what);
    abort();
}

static void check(const rz_insn *insn, size_t left)
{
    require(insn->length >= 1 && insn->length <= RZ_MAX_LENGTH, "length not in 1..15");
    require(insn->length <= left, "longer than the bytes");
    if (insn->form == RZ_INVALID_FORM) {
        require(insn->imm >= 1 && insn->imm <= 3, "no reason why it is invalid");
        require(insn->imm != RZ_TRUNCATED || (insn->length == left && left < RZ_MAX_LENGTH), "cut short, but not by the end");
        return;
    }
    require(insn->form < sizeof rz_rows / 12, "no such row");
    require(insn->opsize == 1 || insn->opsize == 2 || insn->opsize == 4 || insn->opsize == 8, "operand size");
    require(insn->addrsize == 2 || insn->addrsize == 4 || insn->addrsize == 8, "address size");
    require(insn->mod < 4 && insn->reg < 16 && insn->rm < 16 && insn->opreg < 16 && insn->scale < 4, "ModRM");
    require(insn->base < 16 || insn->base >= RZ_RIP, "base");
    require(insn->index < 16 || insn->index == RZ_NO_REGISTER, "index");
    require(insn->seg < 6 || insn->seg == RZ_NO_SEGMENT, "segment");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const int modes[3] = {64, 32, 16};
    if (size < 2)
        return -1;
    int mode = modes[data[0] % 3];
    size_t n = size - 2, max = data[1], at = 0;
    uint8_t *code = malloc(n ? n : 1);
    rz_insn *records = malloc(max ? max * sizeof *records : 1), one;
    memcpy(code, data + 2, n);
    size_t count = rz_decode(code, n, mode, records, max);
    require(count <= max && count <= n, "more records than there is room or code for");
    for (size_t i = 0; i < count; i++) {
        check(&records[i], n - at);
        require(rz_decode(code + at, n - at, mode, &one, 1) == 1, "nothing where there was something");
        require(!memcmp(&one, &records[i], sizeof one), "read alone it is another instruction");
        at += records[i].length;
    }
    require(count == max || at == n, "stopped early");
    instructions += count;
    free(code);
    free(records);
    return 0;
}
