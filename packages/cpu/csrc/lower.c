/* Blocks from templates: bytes are decoded, each instruction's µops are copied from a template with its numbers filled
 * in, and the block is installed, all without a Python object.
 *
 * What a template is and what it holds for is said in ringzero/cpu/lower/templates.py, where they are learned. Here they are
 * found: a *shape* is a mode and all of a record but immediate, displacement and length; under it hang its templates. */
#include <stdlib.h>

#include "core.h"
#include "decode.h"

#define BUCKETS 4096
#define MOST_SHAPES 65536   /* then all are forgotten: a guest may go through any number of modes */
#define MOST_OF_SHAPE 512   /* as many for single values */
#define MOST_INSTRUCTIONS 64

enum { ANY, ZERO_OR_NOT, ONE_VALUE };

typedef struct template template;
struct template {
    template *next;
    int64_t imm, disp; /* what it holds for, as `held` reduces it */
    uint64_t target;
    rz_patch target_patch;
    uint32_t count;
    int ended, constant; /* constant: no µop has a number to fill in */
    rz_uop uops[];       /* and behind them as many patches */
};

typedef struct shape shape;
struct shape {
    shape *next;
    uint64_t mode, words[2];
    int imm, disp, refused, alone;
    uint32_t count;
    template *templates;
};

struct rz_templates {
    shape *buckets[BUCKETS];
    uint64_t shapes;
};

typedef char rz_insn_has_no_holes[sizeof(rz_insn) == 32 && sizeof(rz_patch) == 8 ? 1 : -1];

static void forget_templates(shape *s)
{
    while (s->templates) {
        template *t = s->templates;
        s->templates = t->next;
        free(t);
    }
    s->count = 0;
}

static void forget_shapes(struct rz_templates *all)
{
    for (int i = 0; i < BUCKETS; i++)
        while (all->buckets[i]) {
            shape *s = all->buckets[i];
            all->buckets[i] = s->next;
            forget_templates(s);
            free(s);
        }
    all->shapes = 0;
}

void rz_forget_templates(rz_engine *e)
{
    if (e->templates) {
        forget_shapes(e->templates);
        free(e->templates);
    }
    e->templates = NULL;
}

/* --- finding ----------------------------------------------------------------------------------------------------- */

static void words_of(const rz_insn *insn, uint64_t words[2])
{
    rz_insn shape = *insn;
    shape.length = 0;
    memcpy(words, &shape, 16);
}

static shape **bucket_of(struct rz_templates *all, uint64_t mode, const uint64_t words[2])
{
    uint64_t x = (words[0] ^ (words[1] << 23 | words[1] >> 41) ^ mode * 0xD6E8FEB86659FD93ULL) * 0x9E3779B97F4A7C15ULL;
    return &all->buckets[x >> 52];
}

static shape *find_shape(struct rz_templates *all, uint64_t mode, const uint64_t words[2])
{
    shape *s = *bucket_of(all, mode, words);
    while (s && !(s->words[0] == words[0] && s->words[1] == words[1] && s->mode == mode))
        s = s->next;
    return s;
}

static int64_t held(int how, int64_t value) { return how == ANY ? 0 : how == ZERO_OR_NOT ? value != 0 : value; }

static const template *find_template(shape *s, const rz_insn *insn)
{
    int64_t imm = held(s->imm, insn->imm), disp = held(s->disp, insn->disp);
    template **at = &s->templates, *t;
    while (*at && !((*at)->imm == imm && (*at)->disp == disp))
        at = &(*at)->next;
    t = *at;
    if (t && t != s->templates) { /* to the front */
        *at = t->next;
        t->next = s->templates;
        s->templates = t;
    }
    return t;
}

/* --- learning ---------------------------------------------------------------------------------------------------- */

static shape *new_shape(rz_engine *e, uint64_t mode, const uint64_t words[2])
{
    shape *s = calloc(1, sizeof *s), **bucket;
    if (!e->templates)
        e->templates = calloc(1, sizeof *e->templates);
    if (!s || !e->templates) {
        free(s);
        return NULL;
    }
    if (e->templates->shapes++ >= MOST_SHAPES) {
        forget_shapes(e->templates);
        e->templates->shapes = 1;
    }
    bucket = bucket_of(e->templates, mode, words);
    *s = (shape){.next = *bucket, .mode = mode, .words = {words[0], words[1]}};
    return *bucket = s;
}

static int all_constant(const rz_patch *patches, uint64_t count)
{
    static const rz_patch none = {.bits = 64};
    for (uint64_t i = 0; i < count; i++)
        if (memcmp(&patches[i], &none, sizeof none))
            return 0;
    return 1;
}

static template *new_template(const rz_insn *insn, const rz_learned *what, const uint8_t *uops, const uint8_t *patches)
{
    template *t = malloc(sizeof *t + what->count * (sizeof(rz_uop) + sizeof(rz_patch)));
    if (!t)
        return NULL;
    *t = (template){.imm = held(what->imm, insn->imm), .disp = held(what->disp, insn->disp), .target = what->target,
                    .target_patch = what->target_patch, .count = (uint32_t)what->count, .ended = what->ended,
                    .constant = all_constant((const rz_patch *)patches, what->count)};
    memcpy(t->uops, uops, what->count * sizeof(rz_uop));
    memcpy(t->uops + what->count, patches, what->count * sizeof(rz_patch));
    return t;
}

int rz_learn(rz_engine *e, uint64_t mode, const rz_insn *insn, const rz_learned *what, const uint8_t *uops,
             const uint8_t *patches)
{
    uint64_t words[2];
    shape *s = NULL;
    template *t;
    if (what->count > RZ_SCRATCH)
        return RZ_BAD_BLOCK;
    words_of(insn, words);
    if (e->templates)
        s = find_shape(e->templates, mode, words);
    if (!s)
        s = new_shape(e, mode, words);
    t = s ? new_template(insn, what, uops, patches) : NULL;
    if (!t)
        return RZ_BAD_SPACE;
    /* what was learned for more than holds is forgotten */
    if (s->imm != what->imm || s->disp != what->disp || s->count >= MOST_OF_SHAPE)
        forget_templates(s);
    s->imm = what->imm;
    s->disp = what->disp;
    s->refused = what->refused;
    s->alone = what->alone;
    t->next = s->templates;
    s->templates = t;
    s->count++;
    return 0;
}

/* --- filling in -------------------------------------------------------------------------------------------------- */

static uint64_t patched(uint64_t constant, rz_patch p, const rz_insn *insn, uint64_t rip, uint64_t next)
{
    uint64_t value = constant + (uint64_t)p.imm * (uint64_t)insn->imm + (uint64_t)p.disp * (uint64_t)insn->disp +
                     (uint64_t)p.next * next + (uint64_t)p.rip * rip + (uint64_t)p.length * insn->length;
    return p.bits < 64 ? value & ((1ULL << p.bits) - 1) : value;
}

static void fill(rz_uop *out, const template *t, const rz_insn *insn, uint64_t rip, uint64_t next, uint64_t index)
{
    const rz_patch *patches = (const rz_patch *)(t->uops + t->count);
    for (uint32_t i = 0; i < t->count; i++) {
        out[i] = t->uops[i];
        out[i].index = (uint16_t)index;
        if (!t->constant)
            out[i].imm = (int64_t)patched((uint64_t)out[i].imm, patches[i], insn, rip, next);
    }
}

/* One block in the making. */
typedef struct {
    uint64_t n, count, target;
    int ended;
    uint16_t offsets[MOST_INSTRUCTIONS + 1];
} draft;

enum { GO_ON = 0, BLOCK_ENDS = -1 }; /* beside RZ_LOWER_… */

/* Append one instruction, or say that the block ends before or behind it, or that Python must see to it. */
static int append(rz_engine *e, const rz_place *at, draft *d, const rz_insn *insn)
{
    uint64_t rip = at->linear + d->offsets[d->n], next = (rip + insn->length) & at->ip_mask, words[2];
    const template *t;
    shape *s;
    if (rip >= at->probe) /* the block ends before it; Python sees to it, and to what lies behind one that was missed */
        return d->n && rip == at->probe ? BLOCK_ENDS : RZ_LOWER_IN_PYTHON;
    if (insn->form == RZ_INVALID_FORM)
        return d->n ? BLOCK_ENDS : RZ_LOWER_IN_PYTHON;
    words_of(insn, words);
    s = e->templates ? find_shape(e->templates, at->mode, words) : NULL;
    if (!s)
        return RZ_LOWER_UNKNOWN;
    if (d->n && s->alone)
        return BLOCK_ENDS;
    if (s->refused || !rip || !next)
        return RZ_LOWER_IN_PYTHON;
    t = find_template(s, insn);
    if (!t)
        return RZ_LOWER_UNKNOWN;
    if (d->count + t->count > RZ_SCRATCH - 3)
        return RZ_LOWER_IN_PYTHON;
    fill(e->draft + d->count, t, insn, rip, next, d->n);
    d->count += t->count;
    d->target = patched(t->target, t->target_patch, insn, rip, next);
    d->ended = t->ended;
    d->offsets[d->n + 1] = (uint16_t)(d->offsets[d->n] + insn->length);
    d->n++;
    return t->ended || s->alone ? BLOCK_ENDS : GO_ON;
}

/* Decode a few at a time, for a block seldom needs many. */
static int draft_block(rz_engine *e, rz_place *at, draft *d)
{
    rz_insn insns[8];
    uint64_t room = RZ_PAGE - (at->physical & RZ_OFFSET);
    while (d->n < MOST_INSTRUCTIONS && d->offsets[d->n] < room) {
        uint64_t from = d->offsets[d->n];
        size_t count = rz_decode(e->ram + at->physical + from, room - from, at->code_bits, insns, 8);
        for (size_t i = 0; i < count && d->n < MOST_INSTRUCTIONS; i++) {
            int found = append(e, at, d, &insns[i]);
            if (found == GO_ON)
                continue;
            at->unknown = insns[i];
            return found == BLOCK_ENDS ? 0 : found;
        }
    }
    return 0;
}

int rz_lower(rz_engine *e, rz_place *at)
{
    draft d;
    int found;
    at->length = d.n = d.count = d.target = d.offsets[0] = 0;
    d.ended = 0;
    if (at->physical >= e->ram_size)
        return RZ_LOWER_IN_PYTHON;
    found = draft_block(e, at, &d);
    if (found)
        return found;
    if (!d.ended)
        e->draft[d.count++] = (rz_uop){.op = RZ_UOP_next, .a = RZ_SLOT_zero, .b = RZ_SLOT_zero,
                                       .index = (uint16_t)(d.n - 1)};
    at->n = d.n;
    at->length = d.offsets[d.n];
    at->count = d.count;
    at->target = d.target;
    return rz_install(e, at->linear, at->physical, RZ_NO_PAGE, at->mode, d.n, (const uint8_t *)e->draft, d.count,
                      (const uint8_t *)d.offsets, d.target, (at->linear + at->length) & at->ip_mask);
}

const uint8_t *rz_drafted(const rz_engine *e) { return (const uint8_t *)e->draft; }
