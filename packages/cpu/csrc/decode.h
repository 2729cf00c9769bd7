/* The decode loop: x86 bytes in, instruction records out. What a record means is said in ringzero/isa/record.py. */
#ifndef RZ_DECODE_H
#define RZ_DECODE_H

#include <stddef.h>
#include <stdint.h>

/* cdef: begin */
typedef struct {
    uint16_t form;
    uint8_t length, opsize, addrsize, seg, prefixes, rex;
    uint8_t mod, reg, rm, base, index, scale, opreg, override;
    int64_t disp, imm;
} rz_insn;

/* Decode at most `max` instructions from the first of `n` bytes on; mode is 64 or 32. Returns the number of records
   written to `out`. Goes on behind bytes that are no instruction, and ends at a truncated one. */
size_t rz_decode(const uint8_t *code, size_t n, int mode, rz_insn *out, size_t max);

/* Digest of the instruction table that this was built from. */
const char *rz_table_digest(void);
/* cdef: end */

#endif
