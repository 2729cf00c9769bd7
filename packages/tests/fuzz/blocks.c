/* libFuzzer's way into the µop loop: blocks that no lowering would make, numbers that no driver would give, in any order.
 * Built and run by `python -m ringzero_tests.fuzz blocks`, which also writes the first inputs from real lowered blocks.
 *
 * An input is a list of commands, each a byte and its operands in little endian (fuzz.py writes the same):
 *
 *     0 begin     u8 bits: 1 paging, 2 CPL 3, 4 64-bit code, 8 page flags set        state, RAM and tables made anew
 *     1 install   block                                                              and go there
 *     2 once      block
 *     3 micro     u8 count, count µops
 *     4 run       u16 steps
 *     5 slot      u8 number, u64 value
 *     6 memory    u32 address, u8 count, bytes
 *     7 drop      u64 physical, u64 length      8 flush blocks      9 flush translations
 *     10 translate u64 linear, u8 access       11 page flags u8 page, u8 flags
 *     12 random    u64 seed, u8 blocks                                                well-formed blocks, made here
 *
 * block: u8 strange, u8 instructions, u8 µops, u16 place, lengths of the instructions (u8 each), u64 target, µops;
 * when `strange` is odd, also u64 linear, physical, physical2, mode, and 16 bits for each offset in place of lengths.
 * RAM, slots, µops and offsets lie in blocks of exactly their size, so that a step too far is seen. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core.h"

enum { RAM = 1 << 16, ARENA = 1 << 15, TABLES = 0x1000, PLACES = 0x8000, MOST_STEPS = 2048 };

static uint64_t *state;
static uint8_t *ram, *page_flags;
static rz_engine *engine;
static const uint8_t *at, *end;
static unsigned long long installed, refused, runs, steps;

static void report(void)
{
    fprintf(stderr, "blocks: %llu installed or run once, %llu refused, %llu runs, %llu steps\n", installed, refused, runs,
            steps);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    atexit(report);
    return 0;
}

static uint64_t take(size_t size)
{
    uint64_t value = 0;
    for (size_t i = 0; i < size; i++)
        value |= (uint64_t)(at < end ? *at++ : 0) << 8 * i;
    return value;
}

/* A copy of its own of the next bytes, zeros behind the input's end. */
static uint8_t *take_bytes(size_t size)
{
    size_t left = (size_t)(end - at), there = left < size ? left : size;
    uint8_t *bytes = calloc(1, size ? size : 1);
    memcpy(bytes, at, there);
    at += there;
    return bytes;
}

static void put64(uint32_t address, uint64_t value) { memcpy(ram + address, &value, 8); }

/* The first MiB mapped to itself by 4-level tables, for everybody to write; beyond RAM there is nothing. */
static void make_tables(void)
{
    for (uint32_t level = 0; level < 3; level++)
        put64(TABLES + level * 0x1000, (TABLES + (level + 1) * 0x1000) | 7);
    for (uint32_t page = 0; page < 256; page++)
        put64(TABLES + 0x3000 + page * 8, page * 0x1000 | 7);
    state[RZ_SLOT_cr3] = TABLES;
    state[RZ_SLOT_cr4] = 0x20;
    state[RZ_SLOT_cr0] |= RZ_CR0_PG;
}

static void begin(unsigned bits)
{
    static const rz_uop enter[2] = {{.op = RZ_UOP_setmode}, {.op = RZ_UOP_stop}};
    rz_free(engine);
    memset(state, 0, RZ_SLOTS * sizeof *state);
    memset(ram, 0, RAM);
    memset(page_flags, bits & 8 ? (int)RZ_CLEAN : 0, RAM / RZ_PAGE);
    state[RZ_SLOT_rflags] = 2;
    state[RZ_SLOT_cr0] = RZ_CR0_PE | RZ_CR0_WP;
    state[RZ_SLOT_efer] = bits & 4 ? RZ_EFER_LMA | RZ_EFER_NXE : 0;
    for (int i = 0; i < 6; i++) {
        state[RZ_SLOT_es_limit + i] = 0xFFFFFFFF;
        state[RZ_SLOT_es_attr + i] = 0xC93;
    }
    state[RZ_SLOT_cs_attr] = bits & 4 ? 0x29B : 0xC9B;
    state[RZ_SLOT_cpl] = bits & 2 ? 3 : 0;
    state[RZ_SLOT_rsp] = 0xC000;
    if (bits & 1 && bits & 4)
        make_tables();
    engine = rz_new(state, ram, RAM, page_flags, ARENA);
    if (!engine)
        abort();
    rz_micro(engine, (const uint8_t *)enter, 2);
}

typedef struct {
    uint64_t linear, physical, physical2, mode, n, count, target, following;
    uint8_t *uops, *offsets;
} numbers;

static void put_offsets(numbers *b, int strange)
{
    uint16_t *offsets = calloc(b->n + 1, sizeof *offsets);
    for (uint64_t i = 0; i <= b->n; i++)
        if (strange)
            offsets[i] = (uint16_t)take(2);
        else if (i < b->n)
            offsets[i + 1] = (uint16_t)(offsets[i] + take(1));
    b->following = b->linear + offsets[b->n];
    b->offsets = (uint8_t *)offsets;
}

/* `rz_once` takes one instruction, whatever the input says: its offsets are two. */
static numbers take_block(int once)
{
    numbers b = {0};
    int strange = take(1) & 1;
    b.n = take(1);
    if (once)
        b.n = 1;
    b.count = take(1);
    b.linear = b.physical = PLACES + take(2) % (RAM - PLACES);
    b.physical2 = RZ_NO_PAGE;
    b.mode = state[RZ_SLOT_mode];
    if (strange) {
        b.linear = take(8);
        b.physical = take(8);
        b.physical2 = take(8);
        b.mode = take(8);
    }
    put_offsets(&b, strange);
    b.target = take(8);
    b.uops = take_bytes(b.count * sizeof(rz_uop));
    return b;
}

static void block(int once)
{
    numbers b = take_block(once);
    int error = once ? rz_once(engine, b.linear, b.physical, b.physical2, b.mode, b.uops, b.count, b.offsets, b.target,
                               b.following)
                     : rz_install(engine, b.linear, b.physical, b.physical2, b.mode, b.n, b.uops, b.count, b.offsets, b.target,
                                  b.following);
    if (error < 0)
        refused++;
    else
        installed++;
    if (!once && !error)
        state[RZ_SLOT_rip] = b.linear;
    free(b.uops);
    free(b.offsets);
}

static void run_steps(uint64_t most)
{
    state[RZ_SLOT_left] = most;
    rz_run(engine);
    runs++;
    steps += most - state[RZ_SLOT_left];
}

static void memory(void)
{
    uint64_t address = take(4) % RAM, count = take(1);
    uint8_t *bytes = take_bytes(count);
    count = count < RAM - address ? count : RAM - address;
    memcpy(ram + address, bytes, count);
    free(bytes);
    rz_flush_translations(engine); /* as Memory.write does for pages with flags */
    rz_invalidate(engine, address, count);
}

static void micro(void)
{
    uint64_t count = take(1);
    uint8_t *uops = take_bytes(count * sizeof(rz_uop));
    rz_micro(engine, uops, count);
    free(uops);
}

/* --- blocks that the verifier lets through, for numbers: drawn here, because a mutated one seldom is ---------------- */

static uint64_t drawn;

static uint64_t draw(uint64_t below) /* xorshift64 */
{
    drawn ^= drawn << 13;
    drawn ^= drawn >> 7;
    drawn ^= drawn << 17;
    return drawn % below;
}

static uint8_t draw_slot(void) { return (uint8_t)(draw(16) ? draw(24) : draw(RZ_SLOTS)); }

static int64_t draw_number(void)
{
    switch (draw(4)) {
    case 0: return (int64_t)draw(16);
    case 1: return (int64_t)draw(RAM + 64);
    case 2: return (int64_t)(drawn >> draw(64));
    default: return -(int64_t)draw(256);
    }
}

static unsigned use_of(unsigned op) { return rz_uop_info[op].bits; }

static rz_uop draw_uop(unsigned index, int last)
{
    rz_uop u = {.d = draw_slot(), .a = draw_slot(), .b = draw_slot(), .index = (uint16_t)index, .imm = draw_number()};
    u.scale = (uint8_t)(draw(2) ? draw(4) : draw(RZ_SLOTS));
    do
        u.op = (uint16_t)draw(RZ_UOPS);
    while (!(use_of(u.op) & RZ_UOP_IS_ENDS) != !last || use_of(u.op) & RZ_UOP_IS_SKIPS);
    return u;
}

static void random_block(void)
{
    uint16_t offsets[9] = {0};
    uint64_t n = 1 + draw(8), count = n + draw(12), place = PLACES + draw(RAM - PLACES - 128) / 16 * 16;
    rz_uop *uops = calloc(count, sizeof *uops);
    for (uint64_t i = 0; i < count; i++)
        uops[i] = draw_uop((unsigned)(i * n / count), i == count - 1);
    for (uint64_t i = 0; i + 2 < count; i++)
        if (!draw(12) && uops[i].index == uops[i + 1].index)
            uops[i] = (rz_uop){.op = RZ_UOP_skipz, .a = draw_slot(), .index = uops[i].index, .imm = 1};
    for (uint64_t i = 0; i < n; i++)
        offsets[i + 1] = (uint16_t)(offsets[i] + 1 + draw(15));
    if (rz_install(engine, place, place, RZ_NO_PAGE, state[RZ_SLOT_mode], n, (uint8_t *)uops, count, (uint8_t *)offsets,
                   PLACES + draw(RAM - PLACES) / 16 * 16, place + offsets[n]))
        refused++;
    else
        installed++;
    free(uops);
    state[RZ_SLOT_rip] = place;
    run_steps(1 + draw(40));
}

static void random_blocks(uint64_t seed, uint64_t count)
{
    drawn = seed | 1;
    for (uint64_t i = 0; i < count; i++) {
        if (i % 16 == 0) {
            for (unsigned slot = 0; slot < 16; slot++)
                state[slot] = draw(4) ? draw(RAM) : drawn;
        }
        random_block();
    }
}

static void command(unsigned what)
{
    uint64_t first;
    switch (what) {
    case 0: begin((unsigned)take(1)); break;
    case 1: block(0); break;
    case 2:
        state[RZ_SLOT_left] = 1;
        block(1);
        break;
    case 3: micro(); break;
    case 4: run_steps(take(2) % MOST_STEPS); break;
    case 5:
        first = take(1);
        state[first % RZ_SLOTS] = take(8);
        break;
    case 6: memory(); break;
    case 7:
        first = take(8);
        rz_invalidate(engine, first, take(8));
        break;
    case 8: rz_flush_blocks(engine); break;
    case 9: rz_flush_translations(engine); break;
    case 10:
        first = take(8);
        uint64_t physical;
        rz_translate(engine, first, (int)take(1), &physical);
        break;
    case 12:
        first = take(8);
        random_blocks(first, take(1));
        break;
    default:
        first = take(1);
        page_flags[first % (RAM / RZ_PAGE)] |= take(1) & RZ_CLEAN;
        rz_protect(engine);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    at = data;
    end = data + size;
    state = calloc(RZ_SLOTS, sizeof *state);
    ram = malloc(RAM);
    page_flags = malloc(RAM / RZ_PAGE);
    drawn = 1;
    if (!size || data[0] % 13)
        begin(4);
    while (at < end)
        command((unsigned)take(1) % 13);
    rz_free(engine);
    engine = NULL;
    free(state);
    free(ram);
    free(page_flags);
    return 0;
}
