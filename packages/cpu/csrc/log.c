/* The log of accesses. While it is on, no translation is cached where the loop's fast path would find it, so that every
 * access comes through the slow path, which tells the log. What cannot be kept for want of memory is not passed over
 * in silence: the whole log is void then. */
#include "log.h"

#include <stdlib.h>

#include "core.h"

#define RZ_MOST_RECORDS (1ULL << 26)
#define RZ_VEIL 2ULL
#define RZ_UNKNOWN (~0ULL)

static void append(rz_engine *e, int list, uint64_t step, uint64_t what)
{
    uint64_t count = e->log.lists[list].count, room = e->log.lists[list].room;
    if (count == room) {
        rz_record *wider;
        room = room ? 2 * room : 1024;
        wider = room > RZ_MOST_RECORDS ? NULL : realloc(e->log.lists[list].records, room * sizeof *wider);
        if (!wider) {
            e->log.failed = 1;
            return;
        }
        e->log.lists[list].records = wider;
        e->log.lists[list].room = room;
    }
    e->log.lists[list].records[count] = (rz_record){step, what};
    e->log.lists[list].count = count + 1;
}

void rz_log_switch(rz_engine *e, int on)
{
    rz_footprint_free(e->log.walked);
    e->log.walked = on ? rz_footprint_new() : NULL;
    e->log.on = on;
    e->log.failed = on && !e->log.walked;
    for (int list = 0; list < RZ_LOGS; list++)
        e->log.lists[list].count = 0;
    e->log.attempt = 0;
    e->log.open = e->log.shadow = RZ_UNKNOWN;
    e->veil = on ? RZ_VEIL : 0;
    rz_flush_translations(e);
}

void rz_log_free(rz_engine *e)
{
    rz_footprint_free(e->log.walked);
    for (int list = 0; list < RZ_LOGS; list++)
        free(e->log.lists[list].records);
}

const rz_record *rz_log_of(const rz_engine *e, int list, uint64_t *count)
{
    static const rz_record none;
    if (e->log.failed || list < 0 || list >= RZ_LOGS)
        return NULL;
    *count = e->log.lists[list].count;
    return *count ? e->log.lists[list].records : &none;
}

void rz_log_add(rz_engine *e, uint64_t step, uint64_t what) { append(e, RZ_LOG_ACCESSES, step, what); }

void rz_log_window(rz_engine *e, uint64_t step, uint64_t value)
{
    if (value == 2 ? step == e->log.shadow : value == e->log.open)
        return;
    if (value == 2)
        e->log.shadow = step;
    else
        e->log.open = value;
    append(e, RZ_LOG_WINDOWS, step, value);
}

void rz_log_drop(rz_engine *e, uint64_t step)
{
    uint64_t *count = &e->log.lists[RZ_LOG_ACCESSES].count;
    while (*count > e->log.attempt && e->log.lists[RZ_LOG_ACCESSES].records[*count - 1].step == step)
        --*count;
}

void rz_log_attempt(rz_engine *e) { e->log.attempt = e->log.lists[RZ_LOG_ACCESSES].count; }

void rz_log_access(rz_engine *e, uint64_t physical, uint64_t size, uint64_t kind)
{
    append(e, RZ_LOG_ACCESSES, rz_step(e), physical << 16 | size << 4 | kind);
}

void rz_log_walk(rz_engine *e, uint64_t step, uint64_t entry, uint64_t size, uint64_t kind)
{
    int first = e->log.walked ? 1 : RZ_BAD_SPACE;
    if (first > 0 && kind == RZ_ACCESS_WALK)
        first = rz_footprint_walked(e->log.walked, entry, size);
    if (first < 0)
        e->log.failed = 1;
    else if (first)
        append(e, RZ_LOG_WALKS, step, entry << 16 | size << 4 | kind);
}

/* An instruction, or a delivery, has set RFLAGS: interrupts may come in, or not, before the next one. */
void rz_log_flags(rz_engine *e, uint64_t flags)
{
    rz_log_window(e, rz_step(e) + 1, flags & RZ_RFLAGS_IF ? 1 : 0);
}
