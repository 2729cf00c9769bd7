/* The decode loop, by tables made from the instruction table (isa_tables.h). It says what ringzero/isa/decode.py says,
   which is the version to read first. Rule of this file: no byte is read before it is known to be there. */

#include "decode.h"

#include <string.h>

#include "isa_tables.h"

#if defined(__GNUC__)
#define LIKELY(x) __builtin_expect(!!(x), 1)
#else
#define LIKELY(x) (x)
#endif

typedef struct {
    const uint8_t *prefixes; /* class by byte */
    const uint16_t *cells;   /* RZ_MAPS maps of 256 */
    unsigned opsizes;        /* where in a row the mode's operand sizes are */
    uint8_t addrsizes[2];    /* without and with 67 */
    uint8_t no_base;
} mode_tables;

static const mode_tables modes[3] = {
    {rz_prefix_classes, rz_cells, 0, {8, 4}, RZ_RIP},
    {rz_prefix_classes + 256, rz_cells + 256 * RZ_MAPS, 4, {4, 2}, RZ_NO_REGISTER},
    {rz_prefix_classes + 512, rz_cells + 512 * RZ_MAPS, 8, {2, 4}, RZ_NO_REGISTER},
};

/* `size` bytes at p, little endian, whatever the host. */
static inline uint64_t read_le(const uint8_t *p, unsigned size) {
    uint64_t value = 0;
    for (unsigned i = 0; i < size; i++) value |= (uint64_t)p[i] << (8 * i);
    return value;
}

static inline int64_t read_signed(const uint8_t *p, unsigned size) {
    switch (size) {
    case 1: return (int8_t)p[0];
    case 2: return (int16_t)read_le(p, 2);
    case 4: return (int32_t)read_le(p, 4);
    default: return (int64_t)read_le(p, 8);
    }
}

static size_t invalid(rz_insn *insn, size_t length, int reason) {
    memset(insn, 0, sizeof *insn);
    insn->form = RZ_INVALID_FORM;
    insn->length = (uint8_t)length;
    insn->seg = insn->override = RZ_NO_SEGMENT;
    insn->base = insn->index = RZ_NO_REGISTER;
    insn->imm = reason;
    return length;
}

/* The bytes ended: at the limit of an instruction's length, or because there are no more. */
static size_t ended(rz_insn *insn, const uint8_t *start, const uint8_t *stop) {
    size_t available = (size_t)(stop - start);
    return invalid(insn, available, available == RZ_MAX_LENGTH ? RZ_TOO_LONG : RZ_TRUNCATED);
}

/* Prefixes other than none: returns where the opcode is, or stop. */
static const uint8_t *read_prefixes(rz_insn *insn, const uint8_t *p, const uint8_t *stop, const uint8_t *classes) {
    unsigned prefixes = 0, rex = 0, class;
    for (; p < stop && (class = classes[*p]) != 0; p++) {
        if (class == RZ_REX_CLASS) {
            rex = *p;
            continue;
        }
        rex = 0; /* REX counts only directly before the opcode (SDM 2A 2.2.1) */
        if (class >= RZ_SEGMENT_CLASS) {
            if (class == RZ_IGNORED_CLASS) continue;
            prefixes |= RZ_SEGMENT_PREFIX;
            insn->override = (uint8_t)(class - RZ_SEGMENT_CLASS);
        } else if (class & (RZ_REP | RZ_REPNE)) { /* the last one counts */
            prefixes = (prefixes & ~(unsigned)(RZ_REP | RZ_REPNE)) | class;
        } else {
            prefixes |= class;
        }
    }
    insn->rex = (uint8_t)rex;
    insn->prefixes = (uint8_t)(rex ? prefixes | RZ_REX_PREFIX : prefixes);
    return p;
}

/* From a node down to a row or RZ_INVALID_CELL. `*looked` becomes 1 when ModRM was looked at, and 2
   when it had to be and was not there. */
static unsigned descend(unsigned cell, const rz_insn *insn, const uint8_t *p, const uint8_t *stop, size_t *looked) {
    while (cell & RZ_NODE) {
        const uint16_t *node = rz_nodes + (cell - RZ_NODE), *cells = node + 1;
        if (*node == RZ_DIM_MOD_REG || *node == RZ_DIM_RM_BITS) {
            if (p == stop) {
                *looked = 2;
                return RZ_INVALID_CELL;
            }
            *looked = 1;
        }
        switch (*node) {
        case RZ_DIM_MOD_REG: cell = cells[(*p >> 3 & 7) | (*p >= 0xC0 ? 8 : 0)]; break;
        case RZ_DIM_RM_BITS: cell = cells[*p & 7]; break;
        case RZ_DIM_REP_PREFIX: cell = cells[insn->prefixes >> 1 & 3]; break;
        case RZ_DIM_OPSIZE_BIT: cell = cells[insn->prefixes >> 3 & 1]; break;
        case RZ_DIM_ADDRSIZE_BIT: cell = cells[insn->prefixes >> 4 & 1]; break;
        case RZ_DIM_REX_R: cell = cells[insn->rex >> 2 & 1]; break;
        case RZ_DIM_REX_W: cell = cells[insn->rex >> 3 & 1]; break;
        default: cell = cells[insn->rex & 1]; break;
        }
    }
    return cell;
}

/* A VEX prefix whose first byte is `opcode`, p behind it (SDM 2A 2.3.5). Sets what it says, with vvvv in opreg, and the
   opcode's map; returns where the opcode is, or NULL when the bytes ended. What is not allowed (L, or a prefix before
   it) is told by LOCK, which no VEX row allows. */
static const uint8_t *read_vex(rz_insn *insn, const uint8_t *p, const uint8_t *stop, unsigned opcode, int wide,
                               unsigned *map) {
    const size_t size = opcode == 0xC4 ? 2 : 1;
    unsigned first, last, prefixes = insn->prefixes;
    if ((size_t)(stop - p) <= size) return NULL;
    first = p[0];
    last = size == 2 ? p[1] : first & 0x7F;
    *map = size == 2 ? first & 31 : 1;
    *map = *map >= 1 && *map <= 3 ? *map + RZ_VEX_MAPS : RZ_NO_MAP;
    insn->rex = (uint8_t)(wide ? 0x40 | (~first >> 5 & (size == 2 ? 7 : 4)) | (last >> 4 & 8) : 0);
    insn->opreg = (uint8_t)(~last >> 3 & 15);
    if (prefixes & RZ_NOT_BEFORE_VEX || last & 4) prefixes |= RZ_LOCK;
    prefixes = (prefixes & ~(unsigned)RZ_NOT_BEFORE_VEX) | (prefixes & RZ_LOCK) | RZ_VEX_PREFIX;
    insn->prefixes = (uint8_t)(prefixes | rz_vex_prefixes[last & 3]);
    return p + size;
}

/* Memory operand; p behind ModRM. Returns its end, or NULL when the bytes ended. */
static inline const uint8_t *read_address(rz_insn *insn, const uint8_t *p, const uint8_t *stop, uint8_t no_base) {
    unsigned low = insn->rm & 7, size = insn->mod == 1 ? 1 : insn->mod == 2 ? 4 : 0;
    insn->base = insn->rm;
    if (low == 4) {
        if (p == stop) return NULL;
        unsigned sib = *p++, index = (sib >> 3 & 7) | (insn->rex << 2 & 8);
        low = sib & 7;
        no_base = RZ_NO_REGISTER;
        insn->base = (uint8_t)(low | (insn->rex << 3 & 8));
        if (index != 4) { /* rsp is no index (SDM 2A table 2-3) */
            insn->index = (uint8_t)index;
            insn->scale = (uint8_t)(sib >> 6);
        }
    }
    if (insn->mod == 0 && low == 5) {
        insn->base = no_base;
        size = 4;
    }
    insn->seg = insn->base == 4 || insn->base == 5 ? 2 : 3; /* stack-based addressing means ss (SDM 1 3.7.4) */
    if (size == 0) return p;
    if ((size_t)(stop - p) < size) return NULL;
    insn->disp = size == 1 ? (int8_t)*p : read_signed(p, 4);
    return p + size;
}

/* The same for 16-bit addressing. */
static const uint8_t *read_address16(rz_insn *insn, const uint8_t *p, const uint8_t *stop) {
    unsigned low = insn->rm & 7, size = insn->mod;
    insn->base = rz_address16[2 * low];
    insn->index = rz_address16[2 * low + 1];
    if (insn->mod == 0 && low == 6) {
        insn->base = RZ_NO_REGISTER;
        size = 2;
    }
    insn->seg = insn->base == 5 ? 2 : 3;
    if (size == 0) return p;
    if ((size_t)(stop - p) < size) return NULL;
    insn->disp = read_signed(p, size);
    return p + size;
}

/* What stands behind ModRM. Returns its end, or NULL when the bytes ended. */
static inline const uint8_t *read_immediate(rz_insn *insn, const uint8_t *p, const uint8_t *stop, unsigned kind) {
    const unsigned half = insn->opsize == 2 ? 2 : 4;
    unsigned size;
    switch (kind) {
    case RZ_IMM_BYTE:
    case RZ_IMM_SIGNED_BYTE: size = 1; break;
    case RZ_IMM_SIZED: size = half; break;
    case RZ_IMM_FULL: size = insn->opsize; break;
    case RZ_IMM_OFFSET: size = insn->addrsize; break;
    case RZ_IMM_FAR: size = half + 2; break;
    case RZ_IMM_WORD: size = 2; break;
    default: size = 3; break;
    }
    if ((size_t)(stop - p) < size) return NULL;
    switch (kind) {
    case RZ_IMM_SIGNED_BYTE: insn->imm = (int8_t)*p; break;
    case RZ_IMM_BYTE: insn->imm = *p; break;
    case RZ_IMM_SIZED:
    case RZ_IMM_FULL: insn->imm = read_signed(p, size); break;
    case RZ_IMM_OFFSET:
        insn->disp = (int64_t)read_le(p, size);
        insn->seg = 3;
        break;
    case RZ_IMM_FAR:
        insn->imm = (int64_t)read_le(p, half);
        insn->disp = (int64_t)read_le(p + half, 2);
        break;
    case RZ_IMM_WORD: insn->imm = (int64_t)read_le(p, 2); break;
    default:
        insn->imm = (int64_t)read_le(p, 2);
        insn->disp = p[2];
        break;
    }
    return p + size;
}

/* One instruction at `start`, which is before `stop`; returns its length. */
static size_t decode_one(const uint8_t *start, const uint8_t *stop, const mode_tables *mode, rz_insn *insn) {
    const uint8_t *p = start;
    size_t looked = 0;
    unsigned map = 0, opcode, cell;

    memset(insn, 0, sizeof *insn);
    insn->seg = insn->override = RZ_NO_SEGMENT;
    insn->base = insn->index = RZ_NO_REGISTER;
    if (mode->prefixes[*p] != 0) {
        p = read_prefixes(insn, p, stop, mode->prefixes);
        if (p == stop) return ended(insn, start, stop);
    }

    opcode = *p++;
    if (opcode == 0x0F) {
        if (p == stop) return ended(insn, start, stop);
        opcode = *p++;
        map = 1;
        if (opcode == 0x38 || opcode == 0x3A) {
            map = opcode == 0x38 ? 2 : 3;
            if (p == stop) return ended(insn, start, stop);
            opcode = *p++;
        }
    }
    cell = mode->cells[256 * map + opcode];
    if (cell >= RZ_VEX_CELL) {
        cell = descend(cell, insn, p, stop, &looked);
        if (cell == RZ_VEX_CELL) {
            p = read_vex(insn, p, stop, opcode, mode->no_base == RZ_RIP, &map);
            if (p == NULL) return ended(insn, start, stop);
            opcode = *p++;
            looked = 0;
            cell = descend(mode->cells[256 * map + opcode], insn, p, stop, &looked);
        }
        if (looked == 2) return ended(insn, start, stop);
        if (cell == RZ_INVALID_CELL) return invalid(insn, (size_t)(p - start) + looked, RZ_INVALID);
    }

    const uint8_t *row = rz_rows + 16 * cell;
    const unsigned flags = row[12], rex = insn->rex, prefixes = insn->prefixes;
    insn->form = (uint16_t)cell;
    insn->opsize = row[mode->opsizes + ((rex >> 2 & 2) | (prefixes >> 3 & 1))];
    insn->addrsize = mode->addrsizes[prefixes >> 4 & 1];
    if (flags & RZ_ROW_PLUS_R) insn->opreg = (uint8_t)((opcode & 7) | (rex << 3 & 8));
    if (flags & RZ_ROW_MODRM) {
        if (p == stop) return ended(insn, start, stop);
        unsigned modrm = *p++;
        insn->mod = (uint8_t)(flags & RZ_ROW_MOD_IGNORED ? 3 : modrm >> 6);
        insn->reg = (uint8_t)((modrm >> 3 & 7) | (rex << 1 & 8));
        insn->rm = (uint8_t)((modrm & 7) | (rex << 3 & 8));
    }
    if (flags & RZ_ROW_MODRM && insn->mod != 3) {
        p = LIKELY(insn->addrsize != 2) ? read_address(insn, p, stop, mode->no_base) : read_address16(insn, p, stop);
        if (p == NULL) return ended(insn, start, stop);
    }
    if (row[13] != RZ_IMM_NONE) {
        p = read_immediate(insn, p, stop, row[13]);
        if (p == NULL) return ended(insn, start, stop);
    }
    if (prefixes & (RZ_LOCK | RZ_VEX_PREFIX)) {
        int refused = prefixes & RZ_LOCK && (!(flags & RZ_ROW_LOCK) || insn->mod == 3);
        if (prefixes & RZ_VEX_PREFIX && !(flags & RZ_ROW_VVVV)) refused |= insn->opreg;
        if (refused) return invalid(insn, (size_t)(p - start), RZ_INVALID);
        if (mode->no_base != RZ_RIP) insn->opreg &= 7;
    }
    if (insn->override != RZ_NO_SEGMENT && insn->seg != RZ_NO_SEGMENT) insn->seg = insn->override;
    insn->length = (uint8_t)(p - start);
    return insn->length;
}

size_t rz_decode(const uint8_t *code, size_t n, int mode, rz_insn *out, size_t max) {
    const mode_tables *tables = &modes[mode == 64 ? 0 : mode == 32 ? 1 : 2];
    size_t count = 0, at = 0;
    while (at < n && count < max) {
        const size_t left = n - at;
        const uint8_t *start = code + at;
        rz_insn *insn = out + count++;
        at += decode_one(start, start + (left < RZ_MAX_LENGTH ? left : RZ_MAX_LENGTH), tables, insn);
        if (insn->form == RZ_INVALID_FORM && insn->imm == RZ_TRUNCATED) break;
    }
    return count;
}

const char *rz_table_digest(void) {
    return RZ_TABLE_DIGEST;
}
