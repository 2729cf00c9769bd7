/* Linear to physical: the page walk and its cache.
 *
 * One walk serves the three kinds of paging (SDM 3A 4.3-4.5), as `mmu.py` tells it: two levels of 4-byte entries, PAE
 * behind its four PDPTE registers, four levels in long mode.
 *
 * The cache is unobservable. A page whose entries a walk has read carries TABLE in its flags, and a store into it
 * flushes; A and D are set when they are first needed, so an entry that is cached has nothing left to write; and a
 * permission to write is cached only for a page without flags. */
#include "mmu.h"

#define RZ_ADDRESS (((1ULL << 52) - 1) & ~RZ_OFFSET)
#define RZ_RESERVED_ADDRESS (((1ULL << 52) - 1) & ~((1ULL << RZ_PHYSICAL_BITS) - 1))
#define RZ_RESERVED_PAE (RZ_RESERVED_ADDRESS | 0x7FFULL << 52)
/* Of a 4 MiB page: its bits 20:13 are bits 39:32 of its address, as far as there are such (PSE-36). */
#define RZ_RESERVED_4M ((1ULL << 22) - (1ULL << (RZ_PHYSICAL_BITS - 19)))

/* Bytes of a page-table entry. */
static int entry_size(const rz_engine *e) { return long_mode(e) || e->state[RZ_SLOT_cr4] & RZ_CR4_PAE ? 8 : 4; }

static uint64_t read_entry(const rz_engine *e, uint64_t physical, int size)
{
    uint64_t value = 0;
    if (physical >= e->ram_size) /* nobody answers where there is no RAM */
        return size == 8 ? ~0ULL : RZ_LOW32;
    memcpy(&value, e->ram + physical, (size_t)size);
    return value;
}

static int page_fault(rz_engine *e, uint64_t linear, int access, uint64_t error)
{
    int has_nx = e->state[RZ_SLOT_efer] & RZ_EFER_NXE && entry_size(e) == 8;
    int tell_fetch = has_nx || e->state[RZ_SLOT_cr4] & RZ_CR4_SMEP;
    error |= access & RZ_HOW_WRITE ? 2 : 0;
    error |= access & RZ_HOW_USER ? 4 : 0;
    error |= access & RZ_HOW_FETCH && tell_fetch ? 16 : 0;
    return fault(e, 14, error, linear);
}

static void note_filled(rz_engine *e, const rz_tlb *tlb, uint64_t linear)
{
    uint64_t at = (uint64_t)(tlb - e->tlb) * RZ_TLB_SIZE + RZ_TLB_OFFSET(linear) / sizeof(rz_entry);
    if (e->filled_count < RZ_FILLED)
        e->filled[e->filled_count] = (uint16_t)at;
    if (e->filled_count <= RZ_FILLED)
        e->filled_count++;
}

/* How many entries may be filled, and the n-th of them. */
static uint32_t filled_entries(const rz_engine *e)
{
    return e->filled_count > RZ_FILLED ? 2 * RZ_TLB_SIZE : e->filled_count;
}

static uint32_t filled_at(const rz_engine *e, uint32_t n) { return e->filled_count > RZ_FILLED ? n : e->filled[n]; }

static rz_entry *entry_at(rz_engine *e, uint32_t at)
{
    return &e->tlb[at / RZ_TLB_SIZE].entries[at % RZ_TLB_SIZE];
}

/* Forget the write permission of one physical page, under whatever linear address it was cached. */
void rz_drop_write_tags(rz_engine *e, uint64_t page)
{
    uint64_t base = (uint64_t)(uintptr_t)e->ram + page * RZ_PAGE;
    for (uint32_t n = 0; n < filled_entries(e); n++) {
        rz_entry *entry = entry_at(e, filled_at(e, n));
        if (entry->write != RZ_NO_TAG && entry->addend + entry->write == base)
            entry->write = RZ_NO_TAG;
    }
}

void rz_protect(rz_engine *e)
{
    for (uint32_t n = 0; n < filled_entries(e); n++)
        entry_at(e, filled_at(e, n))->write = RZ_NO_TAG;
}

/* The ring is full of calls that nothing returns to. */
void rz_forget_returns(rz_engine *e)
{
    for (int i = 0; i < RZ_RETURNS; i++)
        e->returns[i] = e->single;
    e->returns_context = RZ_CONTEXT(e);
}

void rz_flush_translations(rz_engine *e)
{
    for (uint32_t n = 0; n < filled_entries(e); n++) {
        uint32_t at = filled_at(e, n);
        rz_entry *entry = entry_at(e, at);
        entry->read = entry->write = entry->fetch = e->tlb[at / RZ_TLB_SIZE].permitted[at % RZ_TLB_SIZE] = RZ_NO_TAG;
    }
    e->filled_count = 0;
    for (uint64_t i = 0; i < e->tables_used; i++)
        e->page_flags[e->tables[i]] &= (uint8_t)~RZ_TABLE;
    e->tables_used = 0;
    e->generation++;
    rz_forget_returns(e);
    e->counts[RZ_COUNT_FLUSHES]++;
}

static void mark_table(rz_engine *e, uint64_t page)
{
    uint8_t flags = e->page_flags[page];
    if (flags & RZ_TABLE)
        return;
    if (!flags)
        rz_drop_write_tags(e, page);
    e->page_flags[page] = (uint8_t)(flags | RZ_TABLE);
    if (e->tables_used < sizeof e->tables / sizeof *e->tables)
        e->tables[e->tables_used++] = (uint32_t)page; /* one that finds no place keeps its flag: slower, not wrong */
}

enum { MAY_READ = 1, MAY_WRITE = 2, MAY_FETCH = 4 };

/* Cache a translation. `may` holds what this privilege may do without anything left to check or to set. */
static void fill(rz_engine *e, uint64_t linear, uint64_t physical, int access, int may)
{
    rz_tlb *tlb = &e->tlb[access & RZ_HOW_USER ? 1 : 0];
    rz_entry *entry = RZ_TLB_ENTRY(tlb, linear);
    uint64_t tag = linear & ~RZ_OFFSET, page = physical / RZ_PAGE;
    if (page >= e->pages)
        return;
    if (!(e->state[RZ_SLOT_mode] & RZ_MODE_LONG) && linear > RZ_LOW32)
        return; /* code outside 64-bit mode must not find what lies beyond its 4 GiB */
    if (watched(e, tag, RZ_PAGE, 1) || (e->log.on && access & RZ_HOW_FETCH))
        may &= MAY_FETCH; /* data there is looked at each time; or, what a fetch finds, data have not walked to */
    entry->read = may & MAY_READ ? tag | e->veil : RZ_NO_TAG;
    entry->fetch = may & MAY_FETCH ? tag : RZ_NO_TAG;
    entry->write = may & MAY_WRITE && !e->page_flags[page] && !e->log.on ? tag : RZ_NO_TAG;
    tlb->permitted[RZ_TLB_OFFSET(linear) / sizeof(rz_entry)] = may & MAY_WRITE ? tag : RZ_NO_TAG;
    entry->addend = (uint64_t)(uintptr_t)e->ram + page * RZ_PAGE - tag;
    note_filled(e, tlb, linear);
}

/* The entries that a walk has read, its leaf last, and what they allow together. */
typedef struct {
    uint64_t address[4], entry[4];
    uint64_t all, any; /* AND and OR of the entries */
    int levels, size;
    int read; /* entries that were read: the levels, and one more where the walk failed */
} walked;

/* Bits that must be 0 in an entry whose table is indexed from bit `shift` on (SDM 3A, tables 4-4 to 4-20). */
static uint64_t reserved_bits(const rz_engine *e, int size, int shift, int large)
{
    uint64_t bits = long_mode(e) ? RZ_RESERVED_ADDRESS : RZ_RESERVED_PAE;
    if (size == 4)
        return large ? RZ_RESERVED_4M : 0;
    if (!(e->state[RZ_SLOT_efer] & RZ_EFER_NXE))
        bits |= RZ_PTE_NX;
    if (shift == 39)
        bits |= RZ_PTE_PS;
    if (large)
        bits |= (1ULL << shift) - (1ULL << 13); /* bit 12 of a large page's entry is PAT */
    return bits;
}

static uint64_t page_of(uint64_t leaf, int shift)
{
    if (shift == 22)
        return (leaf & 0xFFC00000) | (leaf & 0x1FE000) << 19;
    return leaf & RZ_ADDRESS & ~((1ULL << shift) - 1);
}

/* Read the entries down to the leaf: -1, or what a page fault's error code has for the failure (0, or P and RSVD). */
static int descend(const rz_engine *e, uint64_t linear, walked *w, uint64_t *physical)
{
    uint64_t table = e->state[RZ_SLOT_cr3];
    int size = entry_size(e), bits = size == 8 ? 9 : 10, shift = 39;
    if (size == 4) {
        table &= RZ_LOW32;
        shift = 22;
    } else if (!long_mode(e)) {
        table = e->state[RZ_SLOT_pdpte0 + (linear >> 30 & 3)];
        shift = 21;
        if (!(table & RZ_PTE_P))
            return 0;
    }
    w->all = ~0ULL;
    w->size = size;
    for (;; shift -= bits) {
        uint64_t index = linear >> shift & ((1ULL << bits) - 1), address = (table & RZ_ADDRESS) + index * (uint64_t)size;
        uint64_t entry = read_entry(e, address, size);
        int large = entry & RZ_PTE_PS && shift != 12 && shift != 39 && (size == 8 || e->state[RZ_SLOT_cr4] & RZ_CR4_PSE);
        w->address[w->read++] = address;
        if (!(entry & RZ_PTE_P))
            return 0;
        if (entry & reserved_bits(e, size, shift, large))
            return 9;
        w->entry[w->levels++] = entry;
        w->all &= entry;
        w->any |= entry;
        table = entry;
        if (large || shift == 12) {
            *physical = page_of(entry, shift) | (linear & ((1ULL << shift) - 1));
            return -1;
        }
    }
}

/* What the tables allow this privilege (SDM 3A 4.6.1), and whether data may be cached: with SMAP it hangs on RFLAGS.AC. */
static int permissions(const rz_engine *e, const walked *w, int access, int *cacheable)
{
    uint64_t cr4 = e->state[RZ_SLOT_cr4];
    int user_page = (w->all & RZ_PTE_U) != 0, may = MAY_READ | MAY_WRITE | MAY_FETCH;
    *cacheable = 1;
    if (w->any & RZ_PTE_NX)
        may &= ~MAY_FETCH;
    if (access & RZ_HOW_USER) {
        if (!(w->all & RZ_PTE_W))
            may &= ~MAY_WRITE;
        return user_page ? may : 0;
    }
    if (!(w->all & RZ_PTE_W) && e->state[RZ_SLOT_cr0] & RZ_CR0_WP)
        may &= ~MAY_WRITE;
    if (user_page && cr4 & RZ_CR4_SMEP)
        may &= ~MAY_FETCH;
    if (user_page && cr4 & RZ_CR4_SMAP) {
        *cacheable = 0;
        if (access & RZ_SYSTEM_ACCESS || !(e->state[RZ_SLOT_rflags] & RZ_RFLAGS_AC))
            may &= MAY_FETCH;
    }
    return may;
}

/* Set A at every level and D at the leaf where they are not. Entries among translated code go out first, as a store. */
static int set_accessed(rz_engine *e, const walked *w, int access)
{
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < w->levels; i++) {
            int dirty = access & RZ_HOW_WRITE && i == w->levels - 1;
            uint64_t entry = w->entry[i] | RZ_PTE_A | (dirty ? RZ_PTE_D : 0), address = w->address[i];
            if (entry == w->entry[i])
                continue;
            if (pass) {
                memcpy(e->ram + address, &entry, (size_t)w->size);
                e->page_flags[address / RZ_PAGE] &= (uint8_t)~RZ_CLEAN;
                if (RZ_UNLIKELY(e->log.on))
                    rz_log_walk(e, rz_step(e), address, (uint64_t)w->size, RZ_ACCESS_MARK);
            } else if (holds_code(e, address, (uint64_t)w->size)) {
                if (!(access & RZ_HOST_WALK))
                    return leave_at(e, RZ_LEAVE_CODE, address, (uint64_t)w->size);
                rz_invalidate(e, address, (uint64_t)w->size);
            }
        }
    for (int i = 0; i < w->levels; i++)
        if (w->address[i] < e->ram_size)
            mark_table(e, w->address[i] / RZ_PAGE);
    return 0;
}

/* Translations of addresses beyond 4 GiB must be gone when code outside 64-bit mode runs; jumps that were remembered are
 * of no use to a code segment with another base or limit. */
void rz_note_mode(rz_engine *e)
{
    uint64_t mode = e->state[RZ_SLOT_mode], is_long = mode & RZ_MODE_LONG;
    uint64_t base = mode >> RZ_MODE_BASE_SHIFT, limit = rz_code_limit(e->state);
    if (e->was_long && !is_long)
        rz_flush_translations(e);
    else if (base != e->code_base || limit != e->code_limit)
        e->generation++;
    e->was_long = is_long;
    e->code_base = base;
    e->code_limit = limit;
}

/* Translate, setting A and D once the whole walk has succeeded, and cache the result. */
int rz_walk(rz_engine *e, uint64_t linear, int access, uint64_t *physical)
{
    walked w = {0};
    int reason, may, cacheable, need;
    linear = truncated(e, linear, access);
    e->counts[RZ_COUNT_WALKS]++;
    if (!paging(e)) {
        *physical = linear;
        fill(e, linear, linear, access, MAY_READ | MAY_WRITE | MAY_FETCH);
        return 0;
    }
    if (noncanonical(linear))
        return fault(e, access & RZ_STACK_ACCESS ? 12 : 13, 0, 0);
    reason = descend(e, linear, &w, physical);
    for (int i = 0; RZ_UNLIKELY(e->log.on) && i < w.read; i++)
        rz_log_walk(e, rz_step(e), w.address[i], (uint64_t)w.size, RZ_ACCESS_WALK);
    if (reason >= 0)
        return page_fault(e, linear, access, (uint64_t)reason);
    may = permissions(e, &w, access, &cacheable);
    need = access & RZ_HOW_FETCH ? MAY_FETCH : access & RZ_HOW_WRITE ? MAY_WRITE : MAY_READ;
    if (!(may & need))
        return page_fault(e, linear, access, 1);
    reason = set_accessed(e, &w, access);
    if (reason)
        return reason;
    if (!(access & RZ_HOW_WRITE) && !(w.entry[w.levels - 1] & RZ_PTE_D))
        may &= ~MAY_WRITE; /* the first write has D to set */
    if (!cacheable)
        may &= MAY_FETCH;
    fill(e, linear, *physical, access, may);
    return 0;
}

int rz_peek(const rz_engine *e, uint64_t linear, uint64_t *physical)
{
    walked w = {0};
    *physical = linear = truncated(e, linear, RZ_SYSTEM_ACCESS);
    return !paging(e) || (!noncanonical(linear) && descend(e, linear, &w, physical) < 0);
}

int rz_translate(rz_engine *e, uint64_t linear, int access, uint64_t *physical)
{
    access &= RZ_HOW_WRITE | RZ_HOW_FETCH | RZ_HOW_USER | RZ_SYSTEM_ACCESS;
    e->before = e->state[RZ_SLOT_left];
    e->rest = 0;
    rz_note_mode(e);
    return rz_walk(e, linear, access | RZ_HOST_WALK, physical);
}

/* The physical address of code, through the cache. */
int rz_fetch_page(rz_engine *e, uint64_t linear, uint64_t *physical)
{
    int access = RZ_HOW_FETCH | privilege(e, 0);
    const rz_entry *entry = RZ_TLB_ENTRY(&e->tlb[access & RZ_HOW_USER ? 1 : 0], linear);
    if (entry->fetch == (linear & ~RZ_OFFSET)) {
        *physical = entry->addend + linear - (uint64_t)(uintptr_t)e->ram;
        return 0;
    }
    return rz_walk(e, linear, access | RZ_HOST_WALK, physical);
}
