/* Every access to memory that the loop's fast path turns down, and segments outside 64-bit mode.
 *
 * All that can fault or leave comes first, for both pages of an access that lies on two; then the bytes. */
#include "mmu.h"

static int data_page(rz_engine *e, uint64_t linear, int how, uint64_t *physical)
{
    int access = how | privilege(e, how);
    rz_tlb *tlb = &e->tlb[access & RZ_HOW_USER ? 1 : 0];
    const rz_entry *entry = RZ_TLB_ENTRY(tlb, linear);
    uint64_t tag = linear & ~RZ_OFFSET;
    uint64_t held = how & RZ_HOW_WRITE ? tlb->permitted[RZ_TLB_OFFSET(linear) / sizeof(rz_entry)]
                                       : entry->read & ~e->veil;
    if (held == tag) {
        *physical = entry->addend + linear - (uint64_t)(uintptr_t)e->ram;
        return 0;
    }
    return rz_walk(e, linear, access, physical);
}

/* Where an access of 1 to 8 bytes lies: on one page or on two. */
typedef struct {
    uint64_t physical[2];
    unsigned length[2];
    int parts;
} span;

static int locate(rz_engine *e, uint64_t linear, unsigned size, int how, span *s)
{
    uint64_t at = truncated(e, linear, how);
    unsigned room = (unsigned)(RZ_PAGE - (at & RZ_OFFSET));
    s->parts = size > room ? 2 : 1;
    s->length[0] = s->parts == 2 ? room : size;
    s->length[1] = size - s->length[0];
    if (paging(e) && (noncanonical(at) || noncanonical(at + size - 1)))
        return fault(e, how & RZ_STACK_ACCESS ? 12 : 13, 0, 0);
    for (int i = 0; i < s->parts; i++) {
        int reason = data_page(e, i ? truncated(e, at + room, how) : at, how, &s->physical[i]);
        if (reason)
            return reason;
    }
    for (int i = 0; i < s->parts; i++) /* the RAM ends at a page's end */
        if (s->physical[i] >= e->ram_size)
            return leave_at(e, RZ_LEAVE_MMIO, s->physical[i], s->length[i]);
    for (int i = 0; how & RZ_HOW_WRITE && i < s->parts; i++)
        if (holds_code(e, s->physical[i], s->length[i]))
            return leave_at(e, RZ_LEAVE_CODE, s->physical[i], s->length[i]);
    return watched(e, at, size, how & RZ_HOW_WRITE) ? RZ_LEAVE_WATCH : 0;
}

/* The instruction leaves, and will be run again in another way, unless it has faulted. */
static int leave(rz_engine *e, int reason)
{
    if (e->log.on && reason != RZ_LEAVE_FAULT)
        rz_log_drop(e, rz_step(e));
    return reason;
}

static void log_span(rz_engine *e, const span *s, uint64_t kind)
{
    for (int i = 0; i < s->parts; i++)
        rz_log_access(e, s->physical[i], s->length[i], kind);
}

/* A load that the loop's translation entry did not serve, with `how` WRITE also all that the store will check. */
RZ_COLD int rz_slow_load(rz_engine *e, uint64_t linear, unsigned size, int how)
{
    span s;
    int reason = locate(e, linear, size, how, &s);
    if (reason)
        return leave(e, reason);
    if (e->log.on && !(how & RZ_SYSTEM_ACCESS && how & RZ_HOW_WRITE)) /* which asks whether it may write, and no more */
        log_span(e, &s, RZ_ACCESS_READ);
    e->loaded = 0;
    memcpy(&e->loaded, e->ram + s.physical[0], s.length[0]);
    if (s.parts == 2)
        memcpy((char *)&e->loaded + s.length[0], e->ram + s.physical[1], s.length[1]);
    return 0;
}

/* The page is dirty now, which may be all that kept the loop from writing to it. */
static void note_write(rz_engine *e, uint64_t linear, uint64_t page, int how)
{
    rz_tlb *tlb = &e->tlb[privilege(e, how) ? 1 : 0];
    uint64_t tag = linear & ~RZ_OFFSET;
    e->page_flags[page] &= (uint8_t)~RZ_CLEAN;
    if (!e->page_flags[page] && !e->log.on && tlb->permitted[RZ_TLB_OFFSET(linear) / sizeof(rz_entry)] == tag)
        RZ_TLB_ENTRY(tlb, linear)->write = tag;
}

RZ_COLD int rz_slow_store(rz_engine *e, uint64_t linear, unsigned size, uint64_t value, int how)
{
    span s;
    int reason = locate(e, linear, size, how | RZ_HOW_WRITE, &s), remapped = 0;
    if (reason)
        return leave(e, reason);
    if (e->log.on)
        log_span(e, &s, RZ_ACCESS_WRITE);
    memcpy(e->ram + s.physical[0], &value, s.length[0]);
    if (s.parts == 2)
        memcpy(e->ram + s.physical[1], (const char *)&value + s.length[0], s.length[1]);
    for (int i = 0; i < s.parts; i++) {
        uint64_t page = s.physical[i] / RZ_PAGE;
        if (e->page_flags[page] & RZ_TABLE) {
            e->page_flags[page] &= (uint8_t)~RZ_TABLE;
            remapped = 1;
        }
    }
    if (remapped)
        rz_flush_translations(e);
    for (int i = 0; i < s.parts; i++)
        note_write(e, truncated(e, linear, how) + (i ? s.length[0] : 0), s.physical[i] / RZ_PAGE, how);
    return remapped ? RZ_REMAPPED : 0;
}

/* Segmentation outside 64-bit mode (SDM 3A 5.3, 5.4): the linear address of an offset, or #GP(0), #SS(0). `how` holds
 * the width in bytes, and bit 4 for a write. */
int rz_segment(rz_engine *e, uint64_t segment, uint64_t offset, uint64_t how, uint64_t *linear)
{
    const uint64_t *state = e->state;
    uint64_t number = segment < 6 ? segment : 0, last = (offset & RZ_LOW32) + ((how & 15) ? (how & 15) - 1 : 0);
    uint64_t attr = state[RZ_SLOT_es_attr + number], limit = state[RZ_SLOT_es_limit + number];
    int code = (attr & 8) != 0, down = !code && attr & 4, bad = !(attr & 0x80);
    offset &= RZ_LOW32;
    if (how & 16)
        bad |= code || !(attr & 2);
    else
        bad |= code && !(attr & 2);
    if (down)
        bad |= offset <= limit || last > (attr & 0x400 ? RZ_LOW32 : 0xFFFF);
    else
        bad |= last > limit;
    *linear = (state[RZ_SLOT_es_base + number] + offset) & RZ_LOW32;
    return bad ? fault(e, number == 2 ? 12 : 13, 0, 0) : 0;
}
