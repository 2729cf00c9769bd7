/* What the files of the native engine share: the µop, the block, the translation entry, the engine.
 *
 * Caches here are unobservable: what a guest can see depends on its memory and slots alone, never on what happens to
 * be cached. Whatever is cached of a page obeys its byte in `page_flags`. */
#ifndef RZ_CORE_H
#define RZ_CORE_H

#include <stdint.h>
#include <string.h>

#include "arith.h"
#include "engine.h"
#include "footprint.h"
#include "log.h"
#include "uops_gen.h"

#define RZ_PAGE 4096ULL
#define RZ_OFFSET (RZ_PAGE - 1)
#define RZ_NO_PAGE (~0ULL) /* physical2 of a block on one page */
#define RZ_GRANULE_SHIFT 6

/* A µop's slots index the state: a byte that also carries STACK and a scale must not reach beyond it. */
typedef char rz_scale_byte_is_a_slot[RZ_SLOTS > 0x83 && RZ_SLOTS <= 256 ? 1 : -1];

typedef struct {
    uint16_t op;
    uint8_t d, a, b, scale;
    uint16_t index; /* of its instruction in the block */
    int64_t imm;
} rz_uop;

/* µops of the engine's own, numbered behind the list's. */
enum {
    RZ_OWN_DEAD = RZ_UOPS, /* first of a dropped block: find its successor */
    RZ_OWN_STRADDLE,       /* first of a block on two pages: does the second still translate as it did? */
    RZ_OWN_BUDGET,         /* steps ran out before instruction `index` */
    RZ_OWN_AGAIN,          /* instruction `index` must be found anew */
    RZ_OWN_END,            /* behind the last µop: never reached */
    RZ_ALL_UOPS
};

/* DEAD: dropped. UNLINKED: every way out goes through a full look-up. MICRO: a microprogram, not a block of guest code. */
enum { RZ_BLOCK_DEAD = 1, RZ_BLOCK_UNLINKED = 2, RZ_BLOCK_MICRO = 4 };

typedef struct rz_block rz_block;
struct rz_block {
    uint64_t target[2];
    uint64_t linear; /* as rip has it: an offset in the code segment, see rz_where */
    uint64_t physical, physical2, mode;
    uint64_t generation; /* when physical2 was last seen to be right */
    const rz_uop *raw;   /* as lowered, `raw_count` of them and RZ_OWN_END */
    const uint16_t *offsets;
    uint16_t raw_count, length;
    uint32_t limit; /* the code segment's that it was made under */
    rz_block *hash_next, *page_next[2];
    uint32_t flags, n; /* n: instructions; from here on what the loop reads when it enters */
    rz_block *link[2];
    rz_uop uops[]; /* optimised */
};

/* Tags are linear page addresses; RZ_NO_TAG is none. A page's bytes lie at addend + linear. */
#define RZ_NO_TAG 1ULL
typedef struct {
    uint64_t read, write, fetch, addend;
} rz_entry;

#define RZ_TLB_SIZE 1024
typedef struct {
    rz_entry entries[RZ_TLB_SIZE];
    uint64_t permitted[RZ_TLB_SIZE]; /* as write tags, of pages whose flags must be looked at */
} rz_tlb;

/* Byte offset of the entry for an address. Bit 0 of the page number goes into the index alone, so two neighbouring
 * pages never share an entry: an access that crosses a page cannot hit. The rest is XORed with higher bits. */
#define RZ_TLB_OFFSET(linear) ((((linear) >> 7) & 0x7FE0) ^ ((((linear) >> 16) ^ ((linear) >> 25)) & 0x7FC0))
#define RZ_TLB_ENTRY(tlb, linear) ((rz_entry *)((char *)(tlb) + RZ_TLB_OFFSET(linear)))

#define RZ_FILLED 512 /* entries that are noted as filled; with more, all are taken to be */

#define RZ_JUMPS 4096
typedef struct {
    uint64_t linear, context;
    rz_block *block;
    uint64_t unused;
} rz_jump;

#define RZ_JUMP_OF(e, at) (&(e)->jumps[((at) ^ (at) >> 12) & (RZ_JUMPS - 1)])

#define RZ_RETURNS 16

#define RZ_BUCKETS 16384

/* What is logged while `on`: see log.h. */
typedef struct {
    int on, failed; /* no memory for all of it */
    struct {
        rz_record *records;
        uint64_t count, room;
    } lists[RZ_LOGS];
    uint64_t attempt;       /* accesses from here on are of the instruction or the microprogram that runs */
    uint64_t open, shadow;  /* the last window: IF, or none yet; the last shadow */
    rz_footprint *walked;   /* entries that stand in the log */
} rz_log;

struct rz_engine {
    uint64_t *state;
    uint8_t *ram, *page_flags;
    uint64_t ram_size, pages;
    uint64_t generation; /* of translations: ++ at each flush */
    uint64_t loaded;     /* what a slow load read */
    uint64_t before, rest; /* steps left before the instruction that leaves the loop's fast path, and in reserve */
    uint64_t veil;         /* in tags for reading while accesses are logged: the loop finds none of its own */
    uint64_t nowhere;    /* a slot for numbers that are none */
    int user;            /* whether ordinary accesses are CPL 3's */
    uint64_t was_long;   /* the LONG bit of the mode that translations were cached in */
    uint64_t code_base, code_limit; /* of the segment that code runs in */
    uint64_t tables_used;
    uint64_t counts[RZ_COUNTS];
    rz_tlb tlb[2]; /* of supervisor, of user accesses */
    uint32_t filled_count;
    uint16_t filled[RZ_FILLED]; /* since the last flush, the user's behind the supervisor's */
    rz_jump jumps[RZ_JUMPS];
    rz_block *returns[RZ_RETURNS]; /* the blocks of the last calls, in a ring; good for one context */
    uint64_t calls, returns_context;
    rz_block *buckets[RZ_BUCKETS];
    rz_block **page_blocks; /* per physical page: its blocks */
    uint64_t *granules;     /* per physical page: 64-byte pieces that blocks were made of */
    uint32_t tables[256];   /* pages with the TABLE flag, forgotten at each flush */
    char *arena;
    uint64_t arena_size, arena_used;
    struct rz_templates *templates;
    rz_uop *draft;   /* µops of a block that is being made from templates */
    rz_uop *scratch; /* the rest of a block, or a microprogram */
    uint64_t scratch_from; /* which raw µop scratch[0] is */
    rz_block *single; /* run once, or a microprogram */
    rz_block *detour; /* the running block without its links, after a page table changed under it */
    uint16_t single_offsets[2];
    rz_log log;
};
#define RZ_SCRATCH 8192 /* µops: bounds a block and a microprogram */

/* What a jump entry is good for: one mode, and the translations since the last flush. A code segment with another base
 * or limit begins a generation of its own (rz_note_mode), so the mode's upper half, its base, takes no part. */
#define RZ_CONTEXT(e) ((e)->generation << 24 | ((e)->state[RZ_SLOT_mode] & 0xFFFFFF))

/* 64-bit code knows no limit. */
static inline uint64_t rz_code_limit(const uint64_t *state)
{
    return state[RZ_SLOT_mode] & RZ_MODE_LONG ? RZ_MODE_NO_LIMIT : state[RZ_SLOT_cs_limit];
}

/* The linear address of what rip names in code of this mode. */
static inline uint64_t rz_where(uint64_t mode, uint64_t rip)
{
    uint64_t base = mode >> RZ_MODE_BASE_SHIFT;
    return RZ_UNLIKELY(base) ? (rip + base) & 0xFFFFFFFF : rip;
}

/* Where the second page of a block on two begins. */
static inline uint64_t rz_second_page(const rz_block *b)
{
    uint64_t next = (rz_where(b->mode, b->linear) & ~RZ_OFFSET) + RZ_PAGE;
    return b->mode & RZ_MODE_LONG ? next : next & 0xFFFFFFFF;
}

/* mmu.c. What these return: 0, or the Leave reason with the fault slots filled. */
#define RZ_HOW_WRITE ((int)RZ_WRITE)
#define RZ_HOW_FETCH ((int)RZ_FETCH)
#define RZ_HOW_USER ((int)RZ_USER)
enum { RZ_SYSTEM_ACCESS = (int)RZ_IMPLICIT, RZ_STACK_ACCESS = 64, RZ_HOST_WALK = 128 };
#define RZ_REMAPPED 0x100 /* a store succeeded and changed a table: the running code may lie elsewhere now */
int rz_walk(rz_engine *e, uint64_t linear, int access, uint64_t *physical);
int rz_slow_load(rz_engine *e, uint64_t linear, unsigned size, int how);
int rz_slow_store(rz_engine *e, uint64_t linear, unsigned size, uint64_t value, int how);
int rz_fetch_page(rz_engine *e, uint64_t linear, uint64_t *physical);
void rz_note_mode(rz_engine *e);
void rz_forget_returns(rz_engine *e);
void rz_drop_write_tags(rz_engine *e, uint64_t page);
int rz_segment(rz_engine *e, uint64_t segment, uint64_t offset, uint64_t how, uint64_t *linear);

/* log.c: `e->before` says at which step. */
void rz_log_access(rz_engine *e, uint64_t physical, uint64_t size, uint64_t kind);
void rz_log_flags(rz_engine *e, uint64_t flags);
void rz_log_free(rz_engine *e);
static inline uint64_t rz_step(const rz_engine *e) { return e->state[RZ_SLOT_end_step] - e->before - e->rest; }

/* blocks.c */
rz_block *rz_find(rz_engine *e, uint64_t linear, int *reason);
rz_block *rz_find_linked(rz_engine *e, const rz_block *from, uint64_t linear);
int rz_straddle_holds(rz_engine *e, rz_block *block);
int rz_make_single(rz_engine *e, rz_block numbers, const uint8_t *uops, const uint8_t *offsets);

/* strings.c */
uint64_t rz_ahead(rz_engine *e, uint64_t left, uint64_t what);

/* lower.c */
void rz_forget_templates(rz_engine *e);

/* optimise.c */
int rz_verify(const rz_uop *uops, uint64_t count, uint64_t n);
uint64_t rz_optimise(const rz_uop *raw, uint64_t count, rz_uop *out);
const rz_uop *rz_truncate(rz_engine *e, const rz_block *block, uint64_t steps);
const rz_uop *rz_rest(rz_engine *e, const rz_block *block, const rz_uop *at);

/* flags and mode, as flags.py and mode.py say */
static inline uint64_t rz_arithmetic(uint64_t res, uint64_t aux)
{
    uint64_t carry = aux >> 63;
    return carry | RZ_PARITY(res ^ aux >> 8) << 2 | (aux & 8) << 1 | (res == 0 ? RZ_RFLAGS_ZF : 0) |
           ((res >> 63) ^ (aux & 1)) << 7 | (carry ^ (aux >> 62 & 1)) << 11;
}

static inline uint64_t rz_lazy_res(uint64_t rflags) { return rflags & RZ_RFLAGS_ZF ? 0 : 1; }
static inline uint64_t rz_lazy_aux(uint64_t rflags)
{
    uint64_t carry = rflags & 1, parity = ((rflags >> 2 & 1) ^ 1) ^ rz_lazy_res(rflags);
    return carry << 63 | (carry ^ (rflags >> 11 & 1)) << 62 | parity << 8 | (rflags & RZ_RFLAGS_AF) >> 1 |
           (rflags >> 7 & 1);
}

#endif
