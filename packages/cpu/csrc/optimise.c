/* Lists of µops before they run: the verifier, the optimiser, and the cuts that exact steps need.
 *
 * The raw µops of a block are kept beside the optimised ones, because a block that ends early needs the flags that its
 * later instructions would have overwritten. Of µops that touch memory or may leave none is moved or dropped, and none
 * merged with another but a block's last jump with what stands before it, so the k-th of them in one list is the k-th
 * in the other, up to a block's last. */
#include "core.h"

static unsigned bits_of(const rz_uop *u) { return u->op < RZ_UOPS ? rz_uop_info[u->op].bits : 0; }
static unsigned twin_of(const rz_uop *u) { return u->op < RZ_UOPS ? rz_uop_info[u->op].twin : RZ_UOP_IS_NO_TWIN; }

/* µops that end an instruction for good must be the block's last instruction's; these two leave before it. */
static int leaves_before(const rz_uop *u) { return u->op == RZ_UOP_system || u->op == RZ_UOP_stop; }

static int ends(const rz_uop *u) { return bits_of(u) & RZ_UOP_IS_ENDS || u->op == RZ_UOP_fault; }

static int good_skip(const rz_uop *uops, uint64_t count, uint64_t i)
{
    uint64_t over = (uint64_t)uops[i].imm;
    return over < count - i - 1 && uops[i + over].index == uops[i].index;
}

/* Whether every number in these µops is in range: 0 or RZ_BAD_UOP, RZ_BAD_END. */
int rz_verify(const rz_uop *uops, uint64_t count, uint64_t n)
{
    unsigned index = 0;
    for (uint64_t i = 0; i < count; i++) {
        const rz_uop *u = &uops[i];
        unsigned bits = bits_of(u);
        if (u->op >= RZ_UOPS || u->d >= RZ_SLOTS || u->a >= RZ_SLOTS || u->b >= RZ_SLOTS)
            return RZ_BAD_UOP;
        if (bits & RZ_UOP_IS_NAMES_S && u->scale >= RZ_SLOTS)
            return RZ_BAD_UOP;
        if (u->index < index || u->index >= n)
            return RZ_BAD_UOP;
        if (bits & RZ_UOP_IS_SKIPS && !good_skip(uops, count, i))
            return RZ_BAD_UOP;
        if (bits & RZ_UOP_IS_ENDS && u->index != n - 1 && !leaves_before(u))
            return RZ_BAD_UOP;
        index = u->index;
    }
    return count && ends(&uops[count - 1]) ? 0 : RZ_BAD_END;
}

enum { SKIPPED = 1, LANDED = 2 };

/* Where skips pass over and land: counts of µops there must stay as they are. */
static void mark_skips(const rz_uop *raw, uint64_t count, uint8_t *marks)
{
    memset(marks, 0, count);
    for (uint64_t i = 0; i < count; i++)
        if (bits_of(&raw[i]) & RZ_UOP_IS_SKIPS) {
            uint64_t over = (uint64_t)raw[i].imm;
            for (uint64_t k = 0; k < over; k++)
                marks[i + 1 + k] |= SKIPPED;
            marks[i + 1 + over] |= LANDED;
        }
}

/* Backwards: where the flags that a µop writes are written again before anything can see them, its quiet twin does. */
static void drop_dead_flags(const rz_uop *raw, uint64_t count, rz_uop *out)
{
    int live = 1;
    for (uint64_t i = count; i-- > 0;) {
        unsigned bits = bits_of(&raw[i]), twin = twin_of(&raw[i]);
        out[i] = raw[i];
        if (bits & RZ_UOP_IS_WRITES_FLAGS && !live && twin != RZ_UOP_IS_NO_TWIN) {
            out[i].op = (uint16_t)(twin == RZ_UOP_IS_DROP ? RZ_UOP_nop : twin);
            continue;
        }
        if (bits & RZ_UOP_IS_WRITES_FLAGS)
            live = 0;
        if (bits & (RZ_UOP_IS_READS_FLAGS | RZ_UOP_IS_BARRIER))
            live = 1;
    }
}

/* The µop that does both of a pair, or RZ_UOP_IS_NO_TWIN. */
static unsigned fused(const rz_uop *first, const rz_uop *second)
{
    unsigned row = rz_fuse_row[first->op], condition = second->op - RZ_FIRST_CONDITION;
    return row && second->op >= RZ_FIRST_CONDITION && condition < 16 ? rz_fused[row - 1][condition] : RZ_UOP_IS_NO_TWIN;
}

static int fits(int64_t value) { return value == (int32_t)value; }

static int is_temp(unsigned slot) { return slot >= RZ_SLOT_t0 && slot <= RZ_SLOT_t127; }

/* Whether a later µop of the instruction names the slot: a temporary lives no longer than that. */
static int named_later(const rz_uop *raw, uint64_t count, uint64_t i, unsigned slot)
{
    unsigned index = raw[i].index;
    while (++i < count && raw[i].index == index)
        if (raw[i].d == slot || raw[i].a == slot || raw[i].b == slot || raw[i].scale == slot)
            return 1;
    return 0;
}

/* Make `first` do what it and `second` do, by the rule `how` (JOINS in uops/table.py), or return 0. */
static int join(rz_uop *first, const rz_uop *second, unsigned how)
{
    unsigned t = first->d;
    int wide = how == RZ_JOIN_OF ? second->op == RZ_UOP_st64 : rz_uop_info[second->op].bits & RZ_UOP_IS_WIDE;
    const rz_uop *constant = how == RZ_JOIN_OF ? first : second, *place = how == RZ_JOIN_OF ? second : first;
    uint64_t both = (uint64_t)place->imm << 32 | (uint32_t)constant->imm;
    if (how == RZ_JOIN_OF || how == RZ_JOIN_WITH)
        if (!fits(place->imm) || (wide && !fits(constant->imm))) /* at 32 bits and less, more count for nothing */
            return 0;
    if (how == RZ_JOIN_OF) {
        if (second->d != t || second->a == t || second->b == t)
            return 0;
        *first = *second;
        first->imm = (int64_t)both;
        return 1;
    }
    if (how == RZ_JOIN_WITH || how == RZ_JOIN_OVER) {
        if (second->a != t)
            return 0;
        first->d = second->d;
        first->imm = how == RZ_JOIN_WITH ? (int64_t)both : first->imm;
        return 1;
    }
    if (second->b != t || second->a == t)
        return 0;
    if (how == RZ_JOIN_INTO && second->d != second->a)
        return 0;
    first->d = second->a;
    return 1;
}

/* Let `first` do the work of out[i] as well, if there is a µop for the two. */
static int joined(rz_uop *first, const rz_uop *raw, const rz_uop *out, uint64_t count, uint64_t i)
{
    const rz_uop *second = &out[i];
    if (!is_temp(first->d) || first->index != second->index || named_later(raw, count, i, first->d))
        return 0;
    for (unsigned row = rz_join_row[first->op]; rz_joins[row].both && rz_joins[row].first == first->op; row++)
        if (rz_joins[row].second == second->op && join(first, second, rz_joins[row].how)) {
            first->op = rz_joins[row].both;
            return 1;
        }
    return 0;
}

/* Write the optimised form of verified raw µops to `out`, which has room for `count`; returns how many. */
uint64_t rz_optimise(const rz_uop *raw, uint64_t count, rz_uop *out)
{
    uint8_t marks[RZ_SCRATCH];
    uint64_t used = 0;
    int mergeable = 0; /* whether out[used - 1] may be the first of a pair */
    mark_skips(raw, count, marks);
    drop_dead_flags(raw, count, out);
    for (uint64_t i = 0; i < count; i++) {
        unsigned both = mergeable && !marks[i] ? fused(&out[used - 1], &out[i]) : RZ_UOP_IS_NO_TWIN;
        if (both != RZ_UOP_IS_NO_TWIN) {
            if (!(bits_of(&out[used - 1]) & RZ_UOP_IS_BARRIER)) /* one that may fault keeps its place */
                out[used - 1].index = out[i].index;
            out[used - 1].op = (uint16_t)both;
            mergeable = 0;
            continue;
        }
        if (mergeable && !marks[i] && joined(&out[used - 1], raw, out, count, i))
            continue;
        if (out[i].op == RZ_UOP_nop && !marks[i])
            continue;
        out[used++] = out[i];
        mergeable = !(marks[i] & SKIPPED);
    }
    return used;
}

/* The first `steps` instructions of a block, then RZ_OWN_BUDGET. */
const rz_uop *rz_truncate(rz_engine *e, const rz_block *b, uint64_t steps)
{
    uint64_t used = 0;
    while (used < b->raw_count && b->raw[used].index < steps)
        used++;
    memcpy(e->scratch, b->raw, used * sizeof *b->raw);
    e->scratch[used] = (rz_uop){.op = RZ_OWN_BUDGET, .index = (uint16_t)steps};
    e->scratch_from = 0;
    return e->scratch;
}

/* Which raw µop `at` is: a µop that touches memory, in the block's list or in the scratch list. */
static uint64_t raw_position(const rz_engine *e, const rz_block *b, const rz_uop *at)
{
    uint64_t barriers = 0, i = 0;
    if (at >= e->scratch && at < e->scratch + RZ_SCRATCH)
        return e->scratch_from + (uint64_t)(at - e->scratch);
    for (const rz_uop *u = b->uops; u <= at; u++)
        barriers += (bits_of(u) & RZ_UOP_IS_BARRIER) != 0;
    while (barriers -= (bits_of(&b->raw[i]) & RZ_UOP_IS_BARRIER) != 0)
        i++;
    return i;
}

/* What is left of the instruction that `at` belongs to, from `at` on, then RZ_OWN_AGAIN. */
const rz_uop *rz_rest(rz_engine *e, const rz_block *b, const rz_uop *at)
{
    uint64_t from = raw_position(e, b, at), used = 0;
    unsigned index = b->raw[from].index;
    while (from + used < b->raw_count && b->raw[from + used].index == index)
        used++;
    memcpy(e->scratch, b->raw + from, used * sizeof *b->raw);
    e->scratch[used] = (rz_uop){.op = RZ_OWN_AGAIN, .index = (uint16_t)(index + 1)};
    e->scratch_from = from;
    return e->scratch;
}
