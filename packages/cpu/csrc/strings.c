/* Repeated string instructions, many iterations at once.
 *
 * Only what the loop's fast path would serve is done here: both elements lie on pages that the cache permits, so no
 * iteration can fault, leave, touch a device, a page table or translated code. At least one iteration is always left to
 * the µops behind, which find the end, set the flags and meet whatever lies on the next page. So nobody can tell. */
#include "core.h"

typedef struct {
    unsigned kind, shift; /* an element has 1 << shift bytes */
    uint64_t mask;        /* of the address size */
    int down, while_equal;
} repeated;

static int read_what(const rz_engine *e, uint64_t what, repeated *s)
{
    unsigned size = what & 15, address_size = what >> 4 & 15;
    if (!size || size > 8 || size & (size - 1))
        return 0;
    if (address_size != 8 && address_size != 4 && address_size != 2)
        return 0;
    s->kind = what >> 8 & 15;
    s->shift = size == 8 ? 3 : size >> 1;
    s->mask = ~0ULL >> (64 - 8 * address_size);
    s->down = (e->state[RZ_SLOT_rflags] & RZ_RFLAGS_DF) != 0;
    s->while_equal = (what >> 12 & 1) == 0;
    return s->kind >= RZ_MOVS && s->kind <= RZ_SCAS;
}

/* How many elements from `at` on lie whole on its page. */
static uint64_t on_page(const repeated *s, uint64_t at)
{
    uint64_t offset = at & RZ_OFFSET;
    if (offset + (1ULL << s->shift) > RZ_PAGE)
        return 0;
    return s->down ? (offset >> s->shift) + 1 : (RZ_PAGE - offset) >> s->shift;
}

/* Where `at` lies in RAM if the cache permits the access, else NULL. */
static uint8_t *host(const rz_engine *e, uint64_t at, int write)
{
    const rz_entry *entry = RZ_TLB_ENTRY(&e->tlb[e->user], at);
    return (write ? entry->write : entry->read) == (at & ~RZ_OFFSET) ? (uint8_t *)(uintptr_t)(entry->addend + at) : NULL;
}

/* Element by element, as iterations do: what one writes the next may read. */
static void move_each(uint8_t *to, const uint8_t *from, uint64_t count, size_t size, int down)
{
    ptrdiff_t step = down ? -(ptrdiff_t)size : (ptrdiff_t)size;
    for (; count; count--, to += step, from += step) {
        uint64_t element;
        memcpy(&element, from, size);
        memcpy(to, &element, size);
    }
}

/* Upwards onto what will be read: the bytes from `from` to `to` are repeated, a longer piece each time. */
static void repeat_pattern(uint8_t *to, const uint8_t *from, uint64_t length)
{
    uint64_t known = (uint64_t)(to - from);
    while (length) {
        uint64_t piece = length < known ? length : known;
        memcpy(to, from, piece);
        to += piece;
        length -= piece;
        known += piece;
    }
}

static void move(const repeated *s, uint8_t *to, uint8_t *from, uint64_t count)
{
    uint64_t size = 1ULL << s->shift, length = count << s->shift;
    uint64_t ahead = (uint64_t)(s->down ? from - to : to - from);
    if (ahead - 1 >= length - 1) { /* 0, or out of the way */
        uint64_t back = s->down ? length - size : 0;
        memmove(to - back, from - back, length);
    } else if (!s->down && ahead >= size) {
        repeat_pattern(to, from, length);
    } else {
        move_each(to, from, count, size, s->down);
    }
}

static void fill(const repeated *s, uint8_t *to, uint64_t value, uint64_t count)
{
    uint64_t size = 1ULL << s->shift, length = count << s->shift;
    to -= s->down ? length - size : 0;
    memcpy(to, &value, size);
    repeat_pattern(to + size, to, length - size);
}

/* How many of `count` elements go on: those before the first that ends the instruction. */
static uint64_t compare(const repeated *s, const uint8_t *left, const uint8_t *right, uint64_t count)
{
    size_t size = (size_t)1 << s->shift;
    ptrdiff_t step = s->down ? -(ptrdiff_t)size : (ptrdiff_t)size, left_step = s->kind == RZ_SCAS ? 0 : step;
    uint64_t done = 0;
    for (; done < count; done++, left += left_step, right += step) {
        uint64_t x = 0, y = 0;
        memcpy(&x, left, size);
        memcpy(&y, right, size);
        if ((x == y) != s->while_equal)
            break;
    }
    return done;
}

/* x86's write of a register by its size: 4 bytes clear the upper half, 2 and 1 keep the rest. */
static void put(uint64_t *slot, uint64_t value, uint64_t mask)
{
    *slot = mask >= 0xFFFFFFFF ? value & mask : (*slot & ~mask) | (value & mask);
}

static void advance(const repeated *s, uint64_t *slot, uint64_t count)
{
    uint64_t by = count << s->shift;
    put(slot, s->down ? *slot - by : *slot + by, s->mask);
}

/* Do up to `most` iterations on one page of each side; returns how many. */
static uint64_t one_page(rz_engine *e, const repeated *s, uint64_t most)
{
    uint64_t *rax = &e->state[RZ_SLOT_rax], *rsi = &e->state[RZ_SLOT_rsi], *rdi = &e->state[RZ_SLOT_rdi];
    int reads = s->kind == RZ_MOVS || s->kind == RZ_LODS || s->kind == RZ_CMPS, compares = s->kind >= RZ_CMPS;
    uint8_t *from = NULL, *to = NULL;
    uint64_t count = most;
    if (reads) {
        uint64_t room = on_page(s, *rsi & s->mask);
        from = host(e, *rsi & s->mask, 0);
        count = !from ? 0 : room < count ? room : count;
    }
    if (s->kind != RZ_LODS) {
        uint64_t room = on_page(s, *rdi & s->mask);
        to = host(e, *rdi & s->mask, !compares);
        count = !to ? 0 : room < count ? room : count;
    }
    if (compares && count) /* the last here is known not to fault: it sets the flags */
        count = compare(s, from ? from : (const uint8_t *)rax, to, count - 1);
    if (!count)
        return 0;
    if (s->kind == RZ_MOVS)
        move(s, to, from, count);
    if (s->kind == RZ_STOS)
        fill(s, to, *rax, count);
    if (s->kind == RZ_LODS) {
        uint64_t value = 0, by = (count - 1) << s->shift;
        memcpy(&value, s->down ? from - by : from + by, (size_t)1 << s->shift);
        put(rax, value, ~0ULL >> (64 - (8 << s->shift)));
    }
    if (reads)
        advance(s, rsi, count);
    if (s->kind != RZ_LODS)
        advance(s, rdi, count);
    return count;
}

/* Do iterations ahead of the one that has been charged, at most `left`; returns how many. */
uint64_t rz_ahead(rz_engine *e, uint64_t left, uint64_t what)
{
    uint64_t *rcx = &e->state[RZ_SLOT_rcx], done = 0, most, now;
    repeated s;
    if (!read_what(e, what, &s) || !(*rcx & s.mask))
        return 0;
    most = (*rcx & s.mask) - 1;
    most = left < most ? left : most;
    while (done < most && (now = one_page(e, &s, most - done)))
        done += now;
    if (done) {
        put(rcx, *rcx - done, s.mask);
        e->state[RZ_SLOT_rflags] |= RZ_RFLAGS_RF; /* as the `repeat` behind each iteration but the last does */
    }
    return done;
}
