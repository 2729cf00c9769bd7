/* The native engine's interface: what Python sees of the µop loop, of translation and of the block cache.
 *
 * Nothing here knows x86 beyond µops, address translation and RFLAGS. Every size, address and number that comes in is
 * checked before memory is touched; what is refused returns a negative RZ_BAD_…. */
#ifndef RZ_ENGINE_H
#define RZ_ENGINE_H

#include <stddef.h>
#include <stdint.h>

#include "decode.h"

/* cdef: begin */
typedef struct rz_engine rz_engine;

/* Of the log of accesses. `what`: address << 16 | device << 8 | size << 4 | kind; in windows 0, 1 (IF) or 2 (a step in a shadow). */
typedef struct {
    uint64_t step, what;
} rz_record;

#define RZ_BAD_BLOCK -1 /* numbers of a block that cannot be: addresses, offsets, counts */
#define RZ_BAD_UOP -2   /* a µop with an unknown number, slot, index or skip */
#define RZ_BAD_END -3   /* control ran past the last µop */
#define RZ_BAD_SPACE -4 /* larger than the whole arena */

/* What the lists were that this library was built from: compare before use. */
uint64_t rz_lists_digest(void);

/* `state`: the slots. `ram`, `page_flags`: physical memory and a flag byte for each of its 4 KiB pages. All three stay
 * the caller's and must outlive the engine. `arena` bounds the bytes kept of translated blocks. NULL: no memory. */
rz_engine *rz_new(uint64_t *state, uint8_t *ram, uint64_t ram_size, uint8_t *page_flags, uint64_t arena);
void rz_free(rz_engine *e);

/* Run until something leaves; a `Leave` reason or RZ_BAD_END. */
int rz_run(rz_engine *e);
/* Run a microprogram: all its µops have index 0, it charges no step. */
int rz_micro(rz_engine *e, const uint8_t *uops, uint64_t count);
/* Register a block. `uops` are 16 bytes each; `offsets` 2 * (n + 1) bytes. 0 or RZ_BAD_…. */
int rz_install(rz_engine *e, uint64_t linear, uint64_t physical, uint64_t physical2, uint64_t mode, uint64_t n,
               const uint8_t *uops, uint64_t count, const uint8_t *offsets, uint64_t target0, uint64_t target1);
/* Run a block of one instruction that is not registered. Once it has retired: STOP, WINDOW or RETURN. */
int rz_once(rz_engine *e, uint64_t linear, uint64_t physical, uint64_t physical2, uint64_t mode,
            const uint8_t *uops, uint64_t count, const uint8_t *offsets, uint64_t target0, uint64_t target1);
/* Drop the blocks that were made of these physical bytes. */
void rz_invalidate(rz_engine *e, uint64_t physical, uint64_t length);
void rz_flush_blocks(rz_engine *e);
void rz_flush_translations(rz_engine *e);
/* Drop every cached permission to write: page flags have been set behind the engine's back. */
void rz_protect(rz_engine *e);
/* Translate as the CPU does, setting A and D. `access` is a sum of READ, WRITE, FETCH, USER, IMPLICIT. 0, or Leave.FAULT with the
 * fault slots filled. `physical` may lie outside of RAM. */
int rz_translate(rz_engine *e, uint64_t linear, int access, uint64_t *physical);

/* Where a linear address leads, for people who look: no fault, no bit changed, no permission asked. 0 when nowhere. */
int rz_peek(const rz_engine *e, uint64_t linear, uint64_t *physical);

/* A number of a template: a factor for each of symbols.ATOMS, cut to `bits`. */
typedef struct {
    int8_t imm, disp, next, rip, length;
    uint8_t bits, unused[2];
} rz_patch;

/* What has been learned of an instruction: a template, or that there can be none (`refused`). See templates.py. */
typedef struct {
    int imm, disp, refused, alone, ended;
    uint64_t count, target;
    rz_patch target_patch;
} rz_learned;

/* Where a block of code lies and how it is read, and the first probe in its way (or ~0); then what was made of it
 * (instructions, bytes, µops, taken branch), or the instruction that must be learned first. */
typedef struct {
    uint64_t linear, physical, mode, ip_mask, probe;
    int code_bits;
    uint64_t n, length, count, target;
    rz_insn unknown;
} rz_place;

#define RZ_LOWER_UNKNOWN 1   /* at->unknown must be learned first; then ask again */
#define RZ_LOWER_IN_PYTHON 2 /* templates cannot make this block */
/* Make and register the block at a place on one page. 0, one of the two above, or RZ_BAD_…. */
int rz_lower(rz_engine *e, rz_place *at);
/* The raw µops of the last block that rz_lower made. */
const uint8_t *rz_drafted(const rz_engine *e);
/* `uops`: what->count of 16 bytes; `patches`: as many of 8. 0 or RZ_BAD_…. */
int rz_learn(rz_engine *e, uint64_t mode, const rz_insn *insn, const rz_learned *what, const uint8_t *uops,
             const uint8_t *patches);

#define RZ_COUNT_BLOCKS 0  /* blocks alive */
#define RZ_COUNT_WALKS 1   /* page walks */
#define RZ_COUNT_FLUSHES 2 /* of translations */
#define RZ_COUNT_LINKS 3   /* links patched */
#define RZ_COUNT_ARENA 4   /* times that the arena was full */
#define RZ_COUNT_UOPS 5    /* optimised µops alive and dead since the arena was last empty */
#define RZ_COUNTS 6
/* Figures for tests and reports; no guest can see them. */
uint64_t rz_count(const rz_engine *e, int which);
/* cdef: end */

#endif
