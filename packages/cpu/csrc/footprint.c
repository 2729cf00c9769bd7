/* Footprints, as machine/footprint.py tells them: a bitmap of bytes for each page that was touched, in four kinds. */
#include "footprint.h"

#include <stdlib.h>
#include <string.h>

#include "core.h"

#define RZ_NEVER (~0ULL)

typedef struct {
    uint64_t number, bits[RZ_TOUCHED][64];
} touched;

struct rz_footprint {
    uint64_t devices;
    int system;
    touched *pages;
    uint32_t *slots; /* open addressing: 0, or one more than a page's place */
    uint64_t count, room, slot_count;
};

#define RZ_FIRST_SLOTS 64

rz_footprint *rz_footprint_new(void)
{
    rz_footprint *f = calloc(1, sizeof *f);
    if (!f)
        return NULL;
    f->slot_count = RZ_FIRST_SLOTS;
    f->slots = calloc(f->slot_count, sizeof *f->slots);
    if (!f->slots) {
        free(f);
        return NULL;
    }
    return f;
}

void rz_footprint_free(rz_footprint *f)
{
    if (!f)
        return;
    free(f->pages);
    free(f->slots);
    free(f);
}

/* Where a page's number stands among the slots, or the free one where it would. */
static uint64_t slot_of(const rz_footprint *f, uint64_t number)
{
    uint64_t mask = f->slot_count - 1, at = (number * 0x9E3779B97F4A7C15ULL >> 32) & mask;
    while (f->slots[at] && f->pages[f->slots[at] - 1].number != number)
        at = (at + 1) & mask;
    return at;
}

static const touched *known(const rz_footprint *f, uint64_t number)
{
    uint32_t place = f->slots[slot_of(f, number)];
    return place ? &f->pages[place - 1] : NULL;
}

/* Twice the slots, at most half of them taken. */
static int spread(rz_footprint *f)
{
    uint32_t *wider = calloc(2 * f->slot_count, sizeof *wider);
    if (!wider)
        return RZ_BAD_SPACE;
    free(f->slots);
    f->slots = wider;
    f->slot_count *= 2;
    for (uint64_t n = 0; n < f->count; n++)
        f->slots[slot_of(f, f->pages[n].number)] = (uint32_t)n + 1;
    return 0;
}

/* The page's sets, empty ones if it is new. NULL: no memory. */
static touched *page_of(rz_footprint *f, uint64_t number)
{
    uint64_t at = slot_of(f, number);
    if (f->slots[at])
        return &f->pages[f->slots[at] - 1];
    if (f->count == f->room) {
        uint64_t room = f->room ? 2 * f->room : 8;
        touched *pages = realloc(f->pages, room * sizeof *pages);
        if (!pages)
            return NULL;
        f->pages = pages;
        f->room = room;
    }
    if (2 * (f->count + 1) > f->slot_count) {
        if (spread(f))
            return NULL;
        at = slot_of(f, number);
    }
    memset(&f->pages[f->count], 0, sizeof *f->pages);
    f->pages[f->count].number = number;
    f->slots[at] = (uint32_t)++f->count;
    return &f->pages[f->count - 1];
}

/* The bytes of an access of 1 to 15 bytes on one page: bits of a word and of the next. */
typedef struct {
    uint64_t page, low, high;
    unsigned word;
} bytes;

static bytes bytes_of(uint64_t what)
{
    uint64_t address = what >> 16, run = (1ULL << (what >> 4 & 15)) - 1;
    unsigned offset = (unsigned)(address & RZ_OFFSET), bit = offset & 63;
    bytes b = {address / RZ_PAGE, run << bit, bit ? run >> (64 - bit) : 0, offset >> 6};
    if (b.word == 63)
        b.high = 0; /* records end with their page */
    return b;
}

static int meets(const touched *t, int which, const bytes *b)
{
    const uint64_t *bits = t->bits[which];
    return (bits[b->word] & b->low) || (b->high && bits[b->word + 1] & b->high);
}

static void put(touched *t, int which, const bytes *b)
{
    t->bits[which][b->word] |= b->low;
    if (b->high)
        t->bits[which][b->word + 1] |= b->high;
}

static int add(rz_footprint *f, uint64_t what)
{
    unsigned kind = (unsigned)(what & 15);
    bytes b = bytes_of(what);
    touched *t;
    if (kind == RZ_ACCESS_SYSTEM) {
        f->system = 1;
        return 0;
    }
    if (kind == RZ_ACCESS_DEVICE_READ || kind == RZ_ACCESS_DEVICE_WRITE) {
        f->devices |= 1ULL << (what >> 8 & 63);
        return 0;
    }
    t = page_of(f, b.page);
    if (!t)
        return RZ_BAD_SPACE;
    if (kind == RZ_ACCESS_READ) { /* of what the footprint wrote itself it depends on nobody */
        b.low &= ~t->bits[RZ_TOUCHED_WRITES][b.word];
        b.high &= b.high ? ~t->bits[RZ_TOUCHED_WRITES][b.word + 1] : 0;
        put(t, RZ_TOUCHED_READS, &b);
        return 0;
    }
    if (kind == RZ_ACCESS_MARK)
        put(t, RZ_TOUCHED_MARKED, &b);
    put(t, kind == RZ_ACCESS_WRITE ? RZ_TOUCHED_WRITES : RZ_TOUCHED_WALKED, &b);
    return 0;
}

/* The first record of a step that is not below `step`. */
static uint64_t from_step(const rz_record *records, uint64_t count, uint64_t step)
{
    uint64_t low = 0;
    while (low < count) {
        uint64_t middle = low + (count - low) / 2;
        if (records[middle].step < step)
            low = middle + 1;
        else
            count = middle;
    }
    return low;
}

int rz_footprint_add(rz_footprint *f, const rz_path *path, uint64_t from, uint64_t to)
{
    for (uint64_t i = 0; i < path->walk_count && path->walks[i].step < to; i++)
        if (add(f, path->walks[i].what))
            return RZ_BAD_SPACE;
    for (uint64_t i = from_step(path->accesses, path->count, from); i < path->count && path->accesses[i].step < to; i++)
        if (add(f, path->accesses[i].what))
            return RZ_BAD_SPACE;
    return 0;
}

/* Without what lies in the dead window. */
static bytes alive(const bytes *b, uint64_t what, uint64_t dead_from, uint64_t dead_to)
{
    bytes left = *b;
    uint64_t address = what >> 16, size = what >> 4 & 15;
    if (address >= dead_to || address + size <= dead_from)
        return left;
    for (uint64_t i = 0; i < size; i++)
        if (address + i >= dead_from && address + i < dead_to) {
            unsigned bit = (unsigned)((address + i) & 63);
            uint64_t *word = ((address + i) & RZ_OFFSET) >> 6 == b->word ? &left.low : &left.high;
            *word &= ~(1ULL << bit);
        }
    return left;
}

static int conflicts(const rz_footprint *f, uint64_t what, uint64_t dead_from, uint64_t dead_to)
{
    unsigned kind = (unsigned)(what & 15);
    const touched *t;
    bytes b;
    if (kind == RZ_ACCESS_SYSTEM)
        return 1;
    if (kind == RZ_ACCESS_DEVICE_READ || kind == RZ_ACCESS_DEVICE_WRITE)
        return (f->devices & ~(1ULL << RZ_NO_DEVICE)) >> (what >> 8 & 63) & 1;
    b = bytes_of(what);
    t = known(f, b.page);
    if (!t)
        return 0;
    switch (kind) {
    case RZ_ACCESS_READ:
        return meets(t, RZ_TOUCHED_WRITES, &b) || meets(t, RZ_TOUCHED_MARKED, &b);
    case RZ_ACCESS_WALK:
        return meets(t, RZ_TOUCHED_WRITES, &b);
    case RZ_ACCESS_MARK: /* bits that are only ever set: two marks, or a mark and a walk, may change places */
        return meets(t, RZ_TOUCHED_WRITES, &b) || meets(t, RZ_TOUCHED_READS, &b);
    default:
        if (meets(t, RZ_TOUCHED_READS, &b) || meets(t, RZ_TOUCHED_WALKED, &b))
            return 1;
        b = alive(&b, what, dead_from, dead_to);
        return meets(t, RZ_TOUCHED_WRITES, &b);
    }
}

/* What was walked once may be walked again at any later step: a conflict with it is one from `from` on. */
static uint64_t first_walk(const rz_footprint *f, const rz_path *path, uint64_t from, uint64_t to)
{
    for (uint64_t i = 0; i < path->walk_count && path->walks[i].step < to; i++)
        if (conflicts(f, path->walks[i].what, 0, 0))
            return path->walks[i].step < from ? from : path->walks[i].step;
    return RZ_NEVER;
}

uint64_t rz_first_conflict(const rz_footprint *f, const rz_path *path, uint64_t from, uint64_t to, uint64_t dead_from,
                           uint64_t dead_to)
{
    uint64_t walk;
    if (from >= to)
        return RZ_NEVER;
    if (f->system)
        return from;
    walk = first_walk(f, path, from, to);
    if (walk < to)
        to = walk;
    for (uint64_t i = from_step(path->accesses, path->count, from); i < path->count && path->accesses[i].step < to; i++)
        if (conflicts(f, path->accesses[i].what, dead_from, dead_to))
            return path->accesses[i].step;
    return walk;
}

static int touches(uint64_t what, unsigned kind, uint64_t first, uint64_t end)
{
    uint64_t address = what >> 16;
    return (what & 15) == kind && address < end && address + (what >> 4 & 15) > first;
}

uint64_t rz_first_read(const rz_path *path, uint64_t from, uint64_t to, uint64_t first, uint64_t end)
{
    const rz_record *a = path->accesses;
    for (uint64_t i = from_step(a, path->count, from); i < path->count && a[i].step < to; i++) {
        uint64_t next = i + 1;
        if (!touches(a[i].what, RZ_ACCESS_READ, first, end))
            continue;
        while (next < path->count && a[next].step == a[i].step && !touches(a[next].what, RZ_ACCESS_WRITE, first, end))
            next++;
        if (next == path->count || a[next].step != a[i].step)
            return a[i].step;
    }
    return RZ_NEVER;
}

uint64_t rz_footprint_devices(const rz_footprint *f) { return f->devices; }

int rz_footprint_system(const rz_footprint *f) { return f->system; }

uint64_t rz_footprint_page(const rz_footprint *f, uint64_t n, int which, uint64_t bits[64])
{
    if (n >= f->count || which < 0 || which >= RZ_TOUCHED)
        return RZ_NEVER;
    memcpy(bits, f->pages[n].bits[which], sizeof f->pages[n].bits[which]);
    return f->pages[n].number;
}

/* Note that a walk has read an entry: 1 if it is the first to. Negative: no memory. */
int rz_footprint_walked(rz_footprint *f, uint64_t address, uint64_t size)
{
    bytes b = bytes_of(address << 16 | size << 4);
    touched *t = page_of(f, b.page);
    if (!t)
        return RZ_BAD_SPACE;
    if (meets(t, RZ_TOUCHED_WALKED, &b))
        return 0;
    put(t, RZ_TOUCHED_WALKED, &b);
    return 1;
}
