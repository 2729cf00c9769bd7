/* What the page walk and the accesses that need it ask alike. */
#ifndef RZ_MMU_H
#define RZ_MMU_H

#include "core.h"

#define RZ_LOW32 0xFFFFFFFFULL

static inline int long_mode(const rz_engine *e) { return (e->state[RZ_SLOT_efer] & RZ_EFER_LMA) != 0; }

static inline int paging(const rz_engine *e) { return (e->state[RZ_SLOT_cr0] & RZ_CR0_PG) != 0; }

static inline int privilege(const rz_engine *e, int how)
{
    return how & RZ_SYSTEM_ACCESS || !e->user ? 0 : RZ_HOW_USER;
}

static inline int fault(rz_engine *e, uint64_t vector, uint64_t error, uint64_t address)
{
    e->state[RZ_SLOT_fault_vector] = vector;
    e->state[RZ_SLOT_fault_error] = error;
    e->state[RZ_SLOT_fault_address] = address;
    return RZ_LEAVE_FAULT;
}

static inline int leave_at(rz_engine *e, int reason, uint64_t physical, uint64_t length)
{
    e->state[RZ_SLOT_fault_address] = physical;
    e->state[RZ_SLOT_fault_error] = length;
    return reason;
}

static inline int noncanonical(uint64_t linear) { return (linear + 0x800000000000ULL) >> 48 != 0; }

/* What the CPU makes of an address before it translates: 32 bits without paging and outside 64-bit mode. */
static inline uint64_t truncated(const rz_engine *e, uint64_t linear, int access)
{
    int wide = e->state[RZ_SLOT_mode] & RZ_MODE_LONG || (access & RZ_SYSTEM_ACCESS && long_mode(e));
    return wide && paging(e) ? linear : linear & RZ_LOW32;
}

static inline int holds_code(const rz_engine *e, uint64_t physical, uint64_t length)
{
    uint64_t page = physical / RZ_PAGE, first = (physical & RZ_OFFSET) >> RZ_GRANULE_SHIFT;
    uint64_t last = ((physical + length - 1) & RZ_OFFSET) >> RZ_GRANULE_SHIFT;
    uint64_t bits = (~0ULL >> (63 - last)) & (~0ULL << first);
    return (e->page_flags[page] & RZ_CODE) && (e->granules[page] & bits);
}

/* Whether an enabled hardware breakpoint on data watches some byte of [linear, linear + size) (SDM 3B 17.2). */
static inline int watched(const rz_engine *e, uint64_t linear, uint64_t size, int write)
{
    static const uint64_t masks[4] = {0, 1, 7, 3};
    uint64_t control = e->state[RZ_SLOT_dr7];
    for (int n = 0; n < 4 && control & 0xFF; n++) {
        uint64_t kind = control >> (16 + 4 * n) & 3, mask = masks[control >> (18 + 4 * n) & 3];
        uint64_t start = e->state[RZ_SLOT_dr0 + n] & ~mask;
        if ((control >> 2 * n & 3) && (kind == 3 || (kind == 1 && write)) &&
            (linear - start <= mask || start - linear < size))
            return 1;
    }
    return 0;
}

#endif
