/* The µop loop.
 *
 * A block's steps are charged when it is entered, so inside a block `left` runs ahead; whatever leaves at instruction
 * `index` gives back n - index of them. The lazy flags live in two locals and are folded into RFLAGS on the way out.
 * The bodies of the µops come from `uops_gen.h`, printed from the list in uops/table.py; this file gives the macros in them
 * their meaning. Compilers with computed goto dispatch through a table of labels, others through a switch. */
#if defined(__GNUC__) && !defined(__clang__)
/* Between a thousand labels that may all follow each other these find nothing, and take GCC most of its time. */
#pragma GCC optimize("no-tree-fre", "no-tree-pre", "no-gcse")
#endif

#include "core.h"

#if (defined(__GNUC__) || defined(__clang__)) && !defined(RZ_NO_COMPUTED_GOTO)
#define RZ_COMPUTED_GOTO 1
#endif

/* `mode._open`: present, writable data that expands up; CS may be code that can be read. */
static int open_to_all(uint64_t attr, int cs)
{
    return (attr & 0x8E) == 0x82 || (cs && (attr & 0x8A) == 0x8A);
}

static uint64_t mode_word(const uint64_t *R)
{
    uint64_t mode = R[RZ_SLOT_cpl];
    if (R[RZ_SLOT_efer] & RZ_EFER_LMA)
        mode |= RZ_MODE_LMA | (R[RZ_SLOT_cs_attr] & 0x200 ? RZ_MODE_LONG : 0);
    if (!(mode & RZ_MODE_LONG)) {
        mode |= R[RZ_SLOT_cs_attr] & 0x400 ? RZ_MODE_BIG : 0;
        mode |= R[RZ_SLOT_ss_attr] & 0x400 ? RZ_MODE_STACK_BIG : 0;
        mode |= R[RZ_SLOT_cs_base] << RZ_MODE_BASE_SHIFT;
        for (int s = 0; s < 4; s++) /* es cs ss ds */
            if (R[RZ_SLOT_es_base + s] || R[RZ_SLOT_es_limit + s] != 0xFFFFFFFF
                || !open_to_all(R[RZ_SLOT_es_attr + s], s == 1))
                mode |= RZ_MODE_SEGMENTED;
    }
    if (R[RZ_SLOT_cr0] & RZ_CR0_PE)
        mode |= RZ_MODE_PROTECTED;
    if (R[RZ_SLOT_cpl] == 3 && R[RZ_SLOT_cr0] & RZ_CR0_AM && R[RZ_SLOT_rflags] & RZ_RFLAGS_AC)
        mode |= RZ_MODE_ALIGN;
    return mode;
}

/* RFLAGS but for its arithmetic flags, which become the lazy pair. AC takes part in the mode at CPL 3. */
static void set_flags(rz_engine *e, uint64_t value)
{
    uint64_t *R = e->state;
    R[RZ_SLOT_rflags] = (value & ~RZ_RFLAGS_ARITHMETIC & 0xFFFFFFFFULL) | RZ_RFLAGS_FIXED;
    if (R[RZ_SLOT_cpl] == 3) {
        R[RZ_SLOT_mode] = mode_word(R);
        if (e->returns_context != RZ_CONTEXT(e))
            rz_forget_returns(e);
    }
}

/* The mode may have changed: which translations do accesses see now? */
static rz_tlb *enter_mode(rz_engine *e)
{
    rz_note_mode(e);
    if (e->returns_context != RZ_CONTEXT(e))
        rz_forget_returns(e);
    e->user = (e->state[RZ_SLOT_mode] & RZ_MODE_CPL) == 3;
    return &e->tlb[e->user];
}

static uint64_t address(const rz_block *b, uint64_t index)
{
    uint64_t linear = b->linear + b->offsets[index];
    return b->mode & RZ_MODE_LONG ? linear : linear & 0xFFFFFFFF;
}

/* Where `readslot` and `writeslot` lead. */
static uint64_t *slot(rz_engine *e, uint64_t index) { return index < RZ_SLOTS ? &e->state[index] : &e->nowhere; }

static int window_open(const uint64_t *R)
{
    return R[RZ_SLOT_rflags] & RZ_RFLAGS_TF || (R[RZ_SLOT_rflags] & RZ_RFLAGS_IF && R[RZ_SLOT_attention] & RZ_WAITING);
}

/* Whether this is the place that somebody waits to be come back to. */
static int has_returned(const uint64_t *R)
{
    return R[RZ_SLOT_attention] & RZ_RETURNING && R[RZ_SLOT_rip] == R[RZ_SLOT_return_rip]
           && R[RZ_SLOT_rsp] == R[RZ_SLOT_return_rsp];
}

/* A store has just changed a page table. If the running code no longer lies where it did, the µops to run instead:
 * the storing one again (its store is done), the rest of its instruction, then a fresh look-up; else NULL. */
static RZ_COLD const rz_uop *after_remapping(rz_engine *e, const rz_block *b, const rz_uop *u)
{
    uint64_t physical, second;
    if (b->flags & RZ_BLOCK_MICRO)
        return NULL;
    if (!rz_fetch_page(e, rz_where(b->mode, b->linear), &physical) && physical == b->physical && !(b->flags & RZ_BLOCK_DEAD)) {
        if (b->physical2 == RZ_NO_PAGE)
            return NULL;
        if (!rz_fetch_page(e, rz_second_page(b), &second) && second == b->physical2)
            return NULL;
    }
    u = rz_rest(e, b, u);
    *e->detour = *b;
    e->detour->flags |= RZ_BLOCK_UNLINKED;
    e->detour->link[0] = e->detour->link[1] = NULL;
    return u;
}

#define RZ_A R[u->a]
#define RZ_B R[u->b]
#define RZ_D R[u->d]
#define RZ_S R[u->scale]
#define RZ_I ((uint64_t)u->imm)
#define RZ_SCALE ((uint64_t)u->scale)
#define RZ_RES res
#define RZ_AUX aux
#define RZ_STATE(name) R[RZ_SLOT_##name]
#define RZ_INDEXED(index) (*slot(e, index))
/* Steps left, but for those in reserve, before the instruction that runs. */
#define RZ_BEFORE() ((uint64_t)left + block->n - u->index)
#define RZ_STEP() (R[RZ_SLOT_end_step] - (uint64_t)left - rest)

#define RZ_TYPE(width) RZ_TYPE_##width
#define RZ_TYPE_8 uint8_t
#define RZ_TYPE_16 uint16_t
#define RZ_TYPE_32 uint32_t
#define RZ_TYPE_64 uint64_t
#define RZ_HOST(entry, at) ((void *)(uintptr_t)((entry)->addend + (at)))
#define RZ_STACK_BIT ((u->scale & 0x80) >> 1) /* RZ_STACK_ACCESS */

/* The tag is compared with the access's last byte: one that crosses into another page misses. */
#define RZ_READ_FROM(width, target, ea, table, tag, how)                                                               \
    do {                                                                                                               \
        uint64_t at_ = (ea);                                                                                           \
        const rz_entry *entry_ = RZ_TLB_ENTRY(table, at_);                                                             \
        if (RZ_LIKELY(((at_ + (width / 8 - 1)) & ~RZ_OFFSET) == entry_->tag)) {                                        \
            RZ_TYPE(width) value_;                                                                                     \
            memcpy(&value_, RZ_HOST(entry_, at_), width / 8);                                                          \
            target = value_;                                                                                           \
        } else {                                                                                                       \
            e->before = RZ_BEFORE();                                                                                   \
            reason = rz_slow_load(e, at_, width / 8, (how) | RZ_STACK_BIT);                                            \
            if (RZ_UNLIKELY(reason))                                                                                   \
                goto leave_before;                                                                                     \
            target = e->loaded;                                                                                        \
        }                                                                                                              \
    } while (0)
#define RZ_WRITE_TO(width, ea, value, table, how)                                                                      \
    do {                                                                                                               \
        uint64_t at_ = (ea);                                                                                           \
        RZ_TYPE(width) value_ = (RZ_TYPE(width))(value);                                                               \
        const rz_entry *entry_ = RZ_TLB_ENTRY(table, at_);                                                             \
        if (RZ_LIKELY(((at_ + (width / 8 - 1)) & ~RZ_OFFSET) == entry_->write)) {                                      \
            memcpy(RZ_HOST(entry_, at_), &value_, width / 8);                                                          \
        } else {                                                                                                       \
            e->before = RZ_BEFORE();                                                                                   \
            reason = rz_slow_store(e, at_, width / 8, value_, (how) | RZ_STACK_BIT);                                   \
            if (RZ_UNLIKELY(reason)) {                                                                                 \
                const rz_uop *instead_;                                                                                \
                if (reason != RZ_REMAPPED)                                                                             \
                    goto leave_before;                                                                                 \
                instead_ = after_remapping(e, block, u);                                                               \
                if (instead_) {                                                                                        \
                    u = instead_;                                                                                      \
                    block = e->detour;                                                                                 \
                }                                                                                                      \
            }                                                                                                          \
        }                                                                                                              \
    } while (0)
#define RZ_LOAD(width, target, ea) RZ_READ_FROM(width, target, ea, tlb, read, 0)
#define RZ_LOADW(width, target, ea) RZ_READ_FROM(width, target, ea, tlb, write, RZ_HOW_WRITE)
#define RZ_LOADS(width, target, ea) RZ_READ_FROM(width, target, ea, &e->tlb[0], read, RZ_SYSTEM_ACCESS)
#define RZ_LOADWS(width, target, ea)                                                                                   \
    RZ_READ_FROM(width, target, ea, &e->tlb[0], write, RZ_SYSTEM_ACCESS | RZ_HOW_WRITE)
#define RZ_STORE(width, ea, value) RZ_WRITE_TO(width, ea, value, tlb, 0)
#define RZ_STORES(width, ea, value) RZ_WRITE_TO(width, ea, value, &e->tlb[0], RZ_SYSTEM_ACCESS)

#define RZ_SEGMENT(target, segment, offset, how)                                                                       \
    do {                                                                                                               \
        uint64_t linear_;                                                                                              \
        reason = rz_segment(e, segment, offset, how, &linear_);                                                        \
        if (RZ_UNLIKELY(reason))                                                                                       \
            goto leave_before;                                                                                         \
        target = linear_;                                                                                              \
    } while (0)

#define RZ_AHEAD(what)                                                                                                 \
    do {                                                                                                               \
        if (left > 0)                                                                                                  \
            left -= (int64_t)rz_ahead(e, (uint64_t)left, what);                                                       \
    } while (0)

#define RZ_FLAGS() ((R[RZ_SLOT_rflags] & ~RZ_RFLAGS_ARITHMETIC) | rz_arithmetic(res, aux))
#define RZ_SET_FLAGS(value)                                                                                            \
    do {                                                                                                               \
        uint64_t flags_ = (value);                                                                                     \
        res = rz_lazy_res(flags_);                                                                                     \
        aux = rz_lazy_aux(flags_);                                                                                     \
        set_flags(e, flags_);                                                                                          \
        if (RZ_UNLIKELY(e->log.on)) {                                                                                  \
            e->before = RZ_BEFORE();                                                                                   \
            rz_log_flags(e, flags_);                                                                                   \
        }                                                                                                              \
    } while (0)
#define RZ_SHADE(step)                                                                                                 \
    do {                                                                                                               \
        R[RZ_SLOT_shadow] = (step);                                                                                    \
        if (RZ_UNLIKELY(e->log.on))                                                                                    \
            rz_log_window(e, R[RZ_SLOT_shadow], 2);                                                                    \
    } while (0)
#define RZ_NOTE()                                                                                                      \
    do {                                                                                                               \
        if (RZ_UNLIKELY(e->log.on)) {                                                                                  \
            e->before = RZ_BEFORE();                                                                                   \
            rz_log_access(e, 0, 0, RZ_ACCESS_SYSTEM);                                                                  \
        }                                                                                                              \
    } while (0)
#define RZ_SET_MODE()                                                                                                  \
    do {                                                                                                               \
        R[RZ_SLOT_mode] = mode_word(R);                                                                                \
        tlb = enter_mode(e);                                                                                           \
    } while (0)
#define RZ_FAULT(vector, error)                                                                                        \
    do {                                                                                                               \
        R[RZ_SLOT_fault_vector] = (vector);                                                                            \
        R[RZ_SLOT_fault_error] = (error);                                                                              \
        goto faulted;                                                                                                  \
    } while (0)
#define RZ_SKIP() (u += u->imm)

#define RZ_ENTER()                                                                                                     \
    do {                                                                                                               \
        left -= block->n;                                                                                              \
        if (RZ_UNLIKELY(left < 0))                                                                                     \
            goto short_of_steps;                                                                                       \
        u = block->uops;                                                                                               \
        RZ_DISPATCH();                                                                                                 \
    } while (0)
#define RZ_JUMP(k)                                                                                                     \
    do {                                                                                                               \
        rz_block *to_ = block->link[k];                                                                                \
        if (RZ_UNLIKELY(!to_)) {                                                                                       \
            which = k;                                                                                                 \
            goto unlinked;                                                                                             \
        }                                                                                                              \
        block = to_;                                                                                                   \
        RZ_ENTER();                                                                                                    \
    } while (0)
#define RZ_BRANCH(condition)                                                                                           \
    do {                                                                                                               \
        if (condition)                                                                                                 \
            RZ_JUMP(0);                                                                                                \
        else                                                                                                           \
            RZ_JUMP(1);                                                                                                \
    } while (0)
#define RZ_GOTO(target)                                                                                                \
    do {                                                                                                               \
        uint64_t rip_ = (target);                                                                                      \
        const rz_jump *jump_ = RZ_JUMP_OF(e, rip_);                                                                    \
        R[RZ_SLOT_rip] = rip_;                                                                                         \
        if (RZ_UNLIKELY(jump_->linear != rip_ || jump_->context != RZ_CONTEXT(e) || left == 0))                        \
            goto look_up;                                                                                              \
        block = jump_->block;                                                                                          \
        RZ_ENTER();                                                                                                    \
    } while (0)
#define RZ_CALLED() (e->returns[e->calls++ % RZ_RETURNS] = block)
#define RZ_RETURN(where)                                                                                               \
    do {                                                                                                               \
        uint64_t rip_ = (where);                                                                                       \
        rz_block *from_ = e->returns[--e->calls % RZ_RETURNS], *to_ = from_->link[1];                                  \
        if (RZ_UNLIKELY(from_->target[1] != rip_ || !to_)) {                                                           \
            R[RZ_SLOT_rip] = rip_;                                                                                     \
            goto returned;                                                                                             \
        }                                                                                                              \
        block = to_;                                                                                                   \
        RZ_ENTER();                                                                                                    \
    } while (0)
#define RZ_GOTO_WINDOW(target)                                                                                         \
    do {                                                                                                               \
        R[RZ_SLOT_rip] = (target);                                                                                     \
        goto window;                                                                                                   \
    } while (0)
#define RZ_NEXT_WINDOW()                                                                                               \
    do {                                                                                                               \
        R[RZ_SLOT_rip] = block->target[1];                                                                             \
        goto window;                                                                                                   \
    } while (0)
#define RZ_SYSTEM() goto to_system
#define RZ_STOP() goto stopped
#define RZ_PROBE()                                                                                                     \
    do {                                                                                                               \
        if (R[RZ_SLOT_resume] != address(block, u->index) + 1) {                                                       \
            reason = RZ_LEAVE_PROBE;                                                                                   \
            goto leave_before;                                                                                         \
        }                                                                                                              \
        R[RZ_SLOT_resume] = 0;                                                                                         \
    } while (0)

#ifdef RZ_COMPUTED_GOTO
#define RZ_OP(number, name) L_##name:
#define RZ_DISPATCH() goto *labels[u->op]
#define RZ_NEXT                                                                                                        \
    u++;                                                                                                               \
    RZ_DISPATCH();
#else
#define RZ_OP(number, name) case number:
#define RZ_DISPATCH() goto dispatch
#define RZ_NEXT                                                                                                        \
    u++;                                                                                                               \
    RZ_DISPATCH();
#endif

/* Run from `block`, or from rip if it is NULL, with `left` steps at hand while `rest` more stay in reserve. */
static int run(rz_engine *e, rz_block *block, int64_t left, uint64_t rest)
{
#ifdef RZ_COMPUTED_GOTO
#define RZ_LABEL(number, name) [number] = &&L_##name,
    static const void *const labels[RZ_ALL_UOPS] = {
        RZ_EACH(RZ_LABEL)[RZ_OWN_DEAD] = &&L_own_dead, [RZ_OWN_STRADDLE] = &&L_own_straddle,
        [RZ_OWN_BUDGET] = &&L_own_budget, [RZ_OWN_AGAIN] = &&L_own_again, [RZ_OWN_END] = &&L_own_end,
    };
#endif
    uint64_t *const R = e->state;
    uint64_t res = rz_lazy_res(R[RZ_SLOT_rflags]), aux = rz_lazy_aux(R[RZ_SLOT_rflags]);
    rz_tlb *tlb = enter_mode(e);
    const rz_uop *u;
    int reason, which;

    e->rest = rest;
    if (!block)
        goto look_up;
    RZ_ENTER();

#ifndef RZ_COMPUTED_GOTO
dispatch:
    switch (u->op) {
#endif

#ifdef __clang__ /* printed C has more parentheses than a person would write */
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wparentheses-equality"
#endif
#define RZ_BODIES
#include "uops_gen.h"
#undef RZ_BODIES
#ifdef __clang__
#pragma clang diagnostic pop
#endif

    RZ_OP(RZ_OWN_DEAD, own_dead)
    {
        left += block->n;
        R[RZ_SLOT_rip] = block->linear;
        goto find;
    }
    RZ_OP(RZ_OWN_STRADDLE, own_straddle)
    {
        e->before = (uint64_t)left + block->n;
        if (!rz_straddle_holds(e, block)) {
            left += block->n;
            R[RZ_SLOT_rip] = block->linear;
            goto find;
        }
    }
    RZ_NEXT
    RZ_OP(RZ_OWN_BUDGET, own_budget)
    {
        reason = RZ_LEAVE_BUDGET;
        goto leave_before;
    }
    RZ_OP(RZ_OWN_AGAIN, own_again)
    {
        left += block->n - u->index;
        R[RZ_SLOT_rip] = address(block, u->index);
        goto look_up;
    }
    RZ_OP(RZ_OWN_END, own_end)
    {
        reason = RZ_BAD_END;
        goto leave_before;
    }
#ifndef RZ_COMPUTED_GOTO
    }
    reason = RZ_BAD_UOP; /* the verifier lets no other number through */
    goto leave_before;
#endif

unlinked:
    R[RZ_SLOT_rip] = block->target[which];
    e->before = (uint64_t)left;
    if (left > 0) {
        rz_block *to = rz_find_linked(e, block, block->target[which]);
        if (to) {
            block->link[which] = to;
            block = to;
            e->counts[RZ_COUNT_LINKS]++;
            RZ_ENTER();
        }
    }
    goto look_up;
returned: /* not where the last call came from, or that call does not know its next block yet */
    e->before = (uint64_t)left;
    if (left > 0) {
        rz_block *from = e->returns[e->calls % RZ_RETURNS], *to = NULL;
        if (from->target[1] == R[RZ_SLOT_rip] && from != e->single && from != e->detour)
            to = rz_find_linked(e, from, R[RZ_SLOT_rip]);
        if (to) {
            block = from->link[1] = to;
            RZ_ENTER();
        }
    }
look_up:
    if (left <= 0)
        goto exhausted;
    {
        const rz_jump *jump = RZ_JUMP_OF(e, R[RZ_SLOT_rip]);
        if (jump->linear == R[RZ_SLOT_rip] && jump->context == RZ_CONTEXT(e)) {
            block = jump->block;
            RZ_ENTER();
        }
    }
find:
    e->before = (uint64_t)left;
    reason = RZ_LEAVE_MISS;
    block = rz_find(e, R[RZ_SLOT_rip], &reason);
    if (!block)
        goto out;
    *RZ_JUMP_OF(e, R[RZ_SLOT_rip]) = (rz_jump){.linear = R[RZ_SLOT_rip], .context = RZ_CONTEXT(e), .block = block};
    RZ_ENTER();

short_of_steps:
    left += block->n;
    if (block->flags & RZ_BLOCK_DEAD) {
        R[RZ_SLOT_rip] = block->linear;
        if (left > 0)
            goto find;
    }
    if (left == 0) {
        R[RZ_SLOT_rip] = block->linear;
        goto exhausted;
    }
    u = rz_truncate(e, block, (uint64_t)left);
    left -= block->n;
    RZ_DISPATCH();
exhausted:
    reason = block && block->flags & RZ_BLOCK_MICRO ? RZ_LEAVE_STOP : RZ_LEAVE_BUDGET;
    goto out;

window:
    if (RZ_UNLIKELY(has_returned(R))) {
        reason = RZ_LEAVE_RETURN;
        goto out;
    }
    if (window_open(R)) {
        reason = RZ_LEAVE_WINDOW;
        goto out;
    }
    goto look_up;
stopped:
    reason = RZ_LEAVE_STOP;
    if (block->flags & RZ_BLOCK_MICRO)
        goto out;
    goto leave_before;
to_system:
    R[RZ_SLOT_exit_d] = u->d;
    R[RZ_SLOT_exit_a] = u->a;
    R[RZ_SLOT_exit_b] = u->b;
    R[RZ_SLOT_exit_s] = u->scale;
    R[RZ_SLOT_exit_imm] = RZ_I;
    R[RZ_SLOT_next_rip] = address(block, u->index + 1);
    reason = RZ_LEAVE_SYSTEM;
    goto leave_before;
faulted:
    R[RZ_SLOT_fault_address] = 0;
    reason = RZ_LEAVE_FAULT;
leave_before:
    left += block->n - u->index;
    R[RZ_SLOT_rip] = address(block, u->index);
out:
    R[RZ_SLOT_rflags] = RZ_FLAGS();
    R[RZ_SLOT_res] = R[RZ_SLOT_aux] = 0;
    R[RZ_SLOT_left] = (uint64_t)left + rest;
    return reason;
}

int rz_run(rz_engine *e)
{
    uint64_t left = e->state[RZ_SLOT_left], most = 1ULL << 62;
    return left > most ? run(e, NULL, (int64_t)most, left - most) : run(e, NULL, (int64_t)left, 0);
}

int rz_micro(rz_engine *e, const uint8_t *uops, uint64_t count)
{
    static const uint16_t nowhere[2] = {0, 0};
    rz_block *b = e->single;
    int error;
    if (!count || count > RZ_SCRATCH)
        return RZ_BAD_BLOCK;
    *b = (rz_block){.flags = RZ_BLOCK_MICRO, .linear = e->state[RZ_SLOT_rip], .mode = e->state[RZ_SLOT_mode],
                    .physical2 = RZ_NO_PAGE, .raw = b->uops, .raw_count = (uint16_t)count, .offsets = nowhere};
    memcpy(b->uops, uops, count * sizeof *b->uops);
    b->uops[count] = (rz_uop){.op = RZ_OWN_END};
    error = rz_verify(b->uops, count, 1);
    rz_log_attempt(e);
    return error ? error : run(e, b, 0, e->state[RZ_SLOT_left]);
}

int rz_once(rz_engine *e, uint64_t linear, uint64_t physical, uint64_t physical2, uint64_t mode,
            const uint8_t *uops, uint64_t count, const uint8_t *offsets, uint64_t target0, uint64_t target1)
{
    rz_block numbers = {.n = 1, .target = {target0, target1}, .linear = linear, .physical = physical,
                        .physical2 = physical2, .mode = mode, .raw_count = (uint16_t)count};
    int error;
    if (!count || count > RZ_SCRATCH - 2)
        return RZ_BAD_BLOCK;
    error = rz_make_single(e, numbers, uops, offsets);
    if (error)
        return error;
    if (!e->state[RZ_SLOT_left])
        return RZ_LEAVE_BUDGET;
    return run(e, e->single, 1, e->state[RZ_SLOT_left] - 1);
}
