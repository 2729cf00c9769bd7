/* Translated blocks: the arena they live in, how they are found, and how they go when their bytes change.
 *
 * A block is known by its physical address, rip, mode (with the code segment's base) and the segment's limit. A dropped block stays in the arena with a first
 * µop that looks for its successor, so links and jump entries into it never have to be undone; only when the arena is
 * full is everything forgotten at once. */
#include <stdlib.h>

#include "core.h"

static uint64_t bucket_of(uint64_t physical, uint64_t linear, uint64_t mode)
{
    uint64_t x = (physical ^ (linear >> 20) ^ mode << 40) * 0x9E3779B97F4A7C15ULL;
    return x >> 50; /* RZ_BUCKETS is 1 << 14 */
}

rz_engine *rz_new(uint64_t *state, uint8_t *ram, uint64_t ram_size, uint8_t *page_flags, uint64_t arena)
{
    rz_engine *e = calloc(1, sizeof *e);
    if (!e)
        return NULL;
    e->state = state;
    e->ram = ram;
    e->page_flags = page_flags;
    e->pages = ram_size / RZ_PAGE;
    e->ram_size = e->pages * RZ_PAGE;
    e->arena_size = arena & ~15ULL;
    e->arena = malloc(e->arena_size ? e->arena_size : 1);
    e->page_blocks = calloc(e->pages + 1, sizeof *e->page_blocks);
    e->granules = calloc(e->pages + 1, sizeof *e->granules);
    e->scratch = malloc((RZ_SCRATCH + 2) * sizeof *e->scratch);
    e->draft = malloc(RZ_SCRATCH * sizeof *e->draft);
    e->single = calloc(1, sizeof(rz_block) + (RZ_SCRATCH + 2) * sizeof(rz_uop));
    e->detour = calloc(1, sizeof(rz_block));
    if (!e->arena || !e->page_blocks || !e->granules || !e->scratch || !e->draft || !e->single || !e->detour) {
        rz_free(e);
        return NULL;
    }
    e->filled_count = RZ_FILLED + 1; /* an entry of zeros would be one of page 0 */
    rz_flush_translations(e);
    return e;
}

void rz_free(rz_engine *e)
{
    if (!e)
        return;
    free(e->arena);
    free(e->page_blocks);
    free(e->granules);
    free(e->scratch);
    free(e->draft);
    rz_forget_templates(e);
    rz_log_free(e);
    free(e->single);
    free(e->detour);
    free(e);
}

uint64_t rz_lists_digest(void) { return RZ_DIGEST; }

uint64_t rz_count(const rz_engine *e, int which) { return which >= 0 && which < RZ_COUNTS ? e->counts[which] : 0; }

void rz_flush_blocks(rz_engine *e)
{
    for (uint64_t page = 0; page < e->pages; page++)
        if (e->page_blocks[page]) {
            e->page_blocks[page] = NULL;
            e->granules[page] = 0;
            e->page_flags[page] &= (uint8_t)~RZ_CODE;
        }
    memset(e->buckets, 0, sizeof e->buckets);
    memset(e->jumps, 0, sizeof e->jumps);
    rz_forget_returns(e);
    e->arena_used = 0;
    e->counts[RZ_COUNT_BLOCKS] = 0;
    e->counts[RZ_COUNT_UOPS] = 0;
}

/* --- the pages of a block ---------------------------------------------------------------------------------------- */

static uint64_t first_part(const rz_block *b)
{
    uint64_t room = RZ_PAGE - (b->physical & RZ_OFFSET);
    return b->length < room ? b->length : room;
}

/* Pages that the block is listed under: the second only if it is another one. */
static int pages_of(const rz_block *b, uint64_t page[2])
{
    page[0] = b->physical / RZ_PAGE;
    page[1] = b->physical2 / RZ_PAGE;
    return b->physical2 == RZ_NO_PAGE || page[1] == page[0] ? 1 : 2;
}

static uint64_t granules_from(uint64_t start, uint64_t length)
{
    uint64_t first = start >> RZ_GRANULE_SHIFT, last = (start + length - 1) >> RZ_GRANULE_SHIFT;
    return length ? (~0ULL >> (63 - last)) & (~0ULL << first) : 0;
}

/* The granules of `page` that the block was made of. */
static uint64_t granules_of(const rz_block *b, uint64_t page)
{
    uint64_t bits = 0, first = first_part(b);
    if (b->physical / RZ_PAGE == page)
        bits = granules_from(b->physical & RZ_OFFSET, first);
    if (b->physical2 != RZ_NO_PAGE && b->physical2 / RZ_PAGE == page)
        bits |= granules_from(0, b->length - first);
    return bits;
}

static rz_block **next_on(rz_block *b, uint64_t page) { return &b->page_next[b->physical / RZ_PAGE == page ? 0 : 1]; }

static void list_block(rz_engine *e, rz_block *b)
{
    uint64_t page[2], bucket = bucket_of(b->physical, b->linear, b->mode);
    int count = pages_of(b, page);
    b->hash_next = e->buckets[bucket];
    e->buckets[bucket] = b;
    for (int i = 0; i < count; i++) {
        *next_on(b, page[i]) = e->page_blocks[page[i]];
        e->page_blocks[page[i]] = b;
        e->granules[page[i]] |= granules_of(b, page[i]);
        if (!e->page_flags[page[i]])
            rz_drop_write_tags(e, page[i]);
        e->page_flags[page[i]] |= RZ_CODE;
    }
    e->counts[RZ_COUNT_BLOCKS]++;
}

static void unlist_from_page(rz_engine *e, rz_block *b, uint64_t page)
{
    uint64_t bits = 0;
    rz_block **at = &e->page_blocks[page];
    while (*at)
        if (*at == b) {
            *at = *next_on(b, page);
        } else {
            bits |= granules_of(*at, page);
            at = next_on(*at, page);
        }
    e->granules[page] = bits;
    if (!e->page_blocks[page])
        e->page_flags[page] &= (uint8_t)~RZ_CODE;
}

static void drop(rz_engine *e, rz_block *b)
{
    uint64_t page[2];
    int count = pages_of(b, page);
    rz_block **at = &e->buckets[bucket_of(b->physical, b->linear, b->mode)];
    while (*at && *at != b)
        at = &(*at)->hash_next;
    if (*at)
        *at = b->hash_next;
    for (int i = 0; i < count; i++)
        unlist_from_page(e, b, page[i]);
    b->flags |= RZ_BLOCK_DEAD;
    b->uops[0].op = RZ_OWN_DEAD;
    e->counts[RZ_COUNT_BLOCKS]--;
}

/* Whole granules go: a store is turned away by granule, so none that it touches may be left. */
void rz_invalidate(rz_engine *e, uint64_t physical, uint64_t length)
{
    uint64_t end;
    if (physical >= e->ram_size || !length)
        return;
    end = length < e->ram_size - physical ? physical + length : e->ram_size;
    for (uint64_t page = physical / RZ_PAGE; page * RZ_PAGE < end; page++) {
        uint64_t from = page * RZ_PAGE < physical ? physical & RZ_OFFSET : 0;
        uint64_t to = (page + 1) * RZ_PAGE < end ? RZ_PAGE : end - page * RZ_PAGE;
        uint64_t bits = granules_from(from, to - from);
        rz_block *b = e->page_blocks[page];
        while (b && e->granules[page] & bits) {
            rz_block *next = *next_on(b, page);
            if (granules_of(b, page) & bits)
                drop(e, b);
            b = next;
        }
    }
}

/* --- finding ------------------------------------------------------------------------------------------------------- */

int rz_straddle_holds(rz_engine *e, rz_block *b)
{
    uint64_t physical;
    if (b->generation == e->generation)
        return 1;
    if (rz_fetch_page(e, rz_second_page(b), &physical) || physical != b->physical2)
        return 0;
    b->generation = e->generation;
    return 1;
}

static rz_block *find(rz_engine *e, uint64_t physical, uint64_t linear, uint64_t mode)
{
    rz_block *b = e->buckets[bucket_of(physical, linear, mode)];
    for (; b; b = b->hash_next)
        if (b->physical == physical && b->linear == linear && b->mode == mode && b->limit == e->code_limit &&
            (b->physical2 == RZ_NO_PAGE || rz_straddle_holds(e, b)))
            return b;
    return NULL;
}

/* The block at rip under the present translation and mode. NULL: `reason` may have become FAULT. */
rz_block *rz_find(rz_engine *e, uint64_t linear, int *reason)
{
    uint64_t physical;
    int fault = rz_fetch_page(e, rz_where(e->state[RZ_SLOT_mode], linear), &physical);
    if (fault) {
        *reason = fault;
        return NULL;
    }
    return find(e, physical, linear, e->state[RZ_SLOT_mode]);
}

/* The block at an address on the page that `from` begins on: known to translate as `from` did. */
rz_block *rz_find_linked(rz_engine *e, const rz_block *from, uint64_t linear)
{
    uint64_t to = rz_where(from->mode, linear), physical = (from->physical & ~RZ_OFFSET) | (to & RZ_OFFSET);
    if (from->flags & (RZ_BLOCK_UNLINKED | RZ_BLOCK_DEAD) || (rz_where(from->mode, from->linear) ^ to) & ~RZ_OFFSET)
        return NULL;
    return find(e, physical, linear, from->mode);
}

/* --- installing ------------------------------------------------------------------------------------------------------ */

static int good_place(const rz_engine *e, const rz_block *b)
{
    uint64_t room = RZ_PAGE - (b->physical & RZ_OFFSET);
    if (b->physical >= e->ram_size || (b->physical ^ rz_where(b->mode, b->linear)) & RZ_OFFSET || !b->length)
        return 0;
    if (b->physical2 == RZ_NO_PAGE)
        return b->length <= room;
    return b->n == 1 && b->length > room && b->length <= room + RZ_PAGE && b->physical2 < e->ram_size &&
           !(b->physical2 & RZ_OFFSET);
}

static int good_offsets(const uint16_t *offsets, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++)
        if (offsets[i + 1] <= offsets[i])
            return 0;
    return offsets[0] == 0;
}

/* Blocks that change what blocks are keyed by go on through a full look-up. */
static int changes_mode(const rz_uop *u)
{
    return u->op == RZ_UOP_setmode || u->op == RZ_UOP_setflags || u->op == RZ_UOP_setflagsr;
}

/* Fill `b`, whose numbers stand but for the µops, from raw µops and offsets that it owns. */
static int make(rz_engine *e, rz_block *b, rz_uop *raw, uint16_t *offsets)
{
    int error;
    b->raw = raw;
    b->offsets = offsets;
    if (!good_offsets(offsets, b->n))
        return RZ_BAD_BLOCK;
    b->length = offsets[b->n];
    if (!good_place(e, b))
        return RZ_BAD_BLOCK;
    error = rz_verify(raw, b->raw_count, b->n);
    for (uint32_t i = 0; i < b->raw_count && !error; i++)
        if (changes_mode(&raw[i]))
            b->flags |= RZ_BLOCK_UNLINKED;
    return error;
}

/* A block that is run once and never found again: as it was lowered, without links. */
int rz_make_single(rz_engine *e, rz_block numbers, const uint8_t *uops, const uint8_t *offsets)
{
    rz_block *b = e->single;
    rz_uop *raw = b->uops;
    int error;
    *b = numbers;
    b->flags |= RZ_BLOCK_UNLINKED;
    memcpy(e->single_offsets, offsets, 2 * sizeof *e->single_offsets);
    memcpy(raw, uops, b->raw_count * sizeof *raw);
    error = make(e, b, raw, e->single_offsets);
    raw[b->raw_count] = (rz_uop){.op = RZ_OWN_END};
    return error;
}

int rz_install(rz_engine *e, uint64_t linear, uint64_t physical, uint64_t physical2, uint64_t mode, uint64_t n,
               const uint8_t *uops, uint64_t count, const uint8_t *offsets, uint64_t target0, uint64_t target1)
{
    static const rz_uop end = {.op = RZ_OWN_END}, straddle = {.op = RZ_OWN_STRADDLE};
    uint64_t head, body, tail, size, used;
    rz_block *b;
    rz_uop *raw, *out;
    uint16_t *own_offsets;
    int error;
    if (!n || n > RZ_PAGE || !count || count > RZ_SCRATCH - 2)
        return RZ_BAD_BLOCK;
    head = sizeof *b + (count + 2) * sizeof *raw;
    body = (count + 1) * sizeof *raw;
    tail = ((n + 1) * sizeof *own_offsets + 15) & ~15ULL;
    size = (head + body + tail + 15) & ~15ULL;
    if (size > e->arena_size)
        return RZ_BAD_SPACE;
    if (size > e->arena_size - e->arena_used) {
        rz_flush_blocks(e);
        e->counts[RZ_COUNT_ARENA]++;
    }
    /* offsets, raw µops, then the block, whose unused end goes back to the arena */
    own_offsets = (uint16_t *)(e->arena + e->arena_used);
    raw = (rz_uop *)((char *)own_offsets + tail);
    b = (rz_block *)((char *)raw + body);
    memset(b, 0, sizeof *b);
    memcpy(own_offsets, offsets, (n + 1) * sizeof *own_offsets);
    memcpy(raw, uops, count * sizeof *raw);
    raw[count] = end;
    *b = (rz_block){.n = (uint32_t)n, .target = {target0, target1}, .linear = linear, .physical = physical,
                    .physical2 = physical2, .mode = mode, .limit = (uint32_t)rz_code_limit(e->state),
                    .raw_count = (uint16_t)count};
    error = make(e, b, raw, own_offsets);
    if (error)
        return error;
    out = b->uops;
    if (physical2 != RZ_NO_PAGE)
        *out++ = straddle;
    used = (uint64_t)(out - b->uops) + rz_optimise(raw, count, out);
    b->uops[used++] = end;
    e->counts[RZ_COUNT_UOPS] += used - 1;
    size = (tail + body + sizeof *b + used * sizeof *raw + 15) & ~15ULL;
    e->arena_used += size;
    list_block(e, b);
    return 0;
}
