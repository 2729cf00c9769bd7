/* Arithmetic that the bodies of µops use, on unsigned 64-bit words. Nothing here is undefined for any operand. */
#ifndef RZ_ARITH_H
#define RZ_ARITH_H

#include <stdint.h>

#if defined(__GNUC__) || defined(__clang__)
#define RZ_LIKELY(x) __builtin_expect(!!(x), 1)
#define RZ_UNLIKELY(x) __builtin_expect(!!(x), 0)
#define RZ_COLD __attribute__((noinline, cold))
#else
#define RZ_LIKELY(x) (x)
#define RZ_UNLIKELY(x) (x)
#define RZ_COLD
#endif

#define RZ_TOP 0x8000000000000000ULL

#define RZ_SX8(x) ((uint64_t)(int64_t)(int8_t)(x))
#define RZ_SX16(x) ((uint64_t)(int64_t)(int16_t)(x))
#define RZ_SX32(x) ((uint64_t)(int64_t)(int32_t)(x))

/* The lazy carry vector (see flags.py) of a vector of carries: bits W-1, W-2 to the top, bit 3 stays. */
#define RZ_CARRIES8(v) ((((v) << 56) & 0xC000000000000000ULL) | ((v) & 8))
#define RZ_CARRIES16(v) ((((v) << 48) & 0xC000000000000000ULL) | ((v) & 8))
#define RZ_CARRIES32(v) ((((v) << 32) & 0xC000000000000000ULL) | ((v) & 8))
#define RZ_CARRIES64(v) ((v) & 0xC000000000000008ULL)

/* Counts beyond 63 give what shifting one by one would. */
static inline uint64_t RZ_SHL(uint64_t x, uint64_t count) { return count < 64 ? x << count : 0; }
static inline uint64_t RZ_SHR(uint64_t x, uint64_t count) { return count < 64 ? x >> count : 0; }
static inline uint64_t RZ_SAR(uint64_t x, uint64_t count)
{
    uint64_t sign = 0 - (x >> 63);
    return count < 64 ? (x ^ sign) >> count ^ sign : sign;
}

static inline uint64_t RZ_SLT(uint64_t x, uint64_t y) { return (int64_t)x < (int64_t)y; }

/* 1 if the low byte has an even number of ones. */
static inline uint64_t RZ_PARITY(uint64_t x)
{
    x ^= x >> 4;
    return (0x9669u >> (x & 15)) & 1;
}

#if defined(__GNUC__) || defined(__clang__)
static inline uint64_t RZ_BSWAP64(uint64_t x) { return __builtin_bswap64(x); }
static inline uint64_t RZ_CTZ(uint64_t x) { return x ? (uint64_t)__builtin_ctzll(x) : 64; }
static inline uint64_t RZ_CLZ(uint64_t x) { return x ? (uint64_t)__builtin_clzll(x) : 64; }
static inline uint64_t RZ_POPCNT(uint64_t x) { return (uint64_t)__builtin_popcountll(x); }
#else
static inline uint64_t RZ_BSWAP64(uint64_t x)
{
    x = (x & 0x00FF00FF00FF00FFULL) << 8 | (x >> 8 & 0x00FF00FF00FF00FFULL);
    x = (x & 0x0000FFFF0000FFFFULL) << 16 | (x >> 16 & 0x0000FFFF0000FFFFULL);
    return x << 32 | x >> 32;
}
static inline uint64_t RZ_POPCNT(uint64_t x)
{
    uint64_t n = 0;
    for (; x; x &= x - 1)
        n++;
    return n;
}
static inline uint64_t RZ_CTZ(uint64_t x) { return x ? RZ_POPCNT((x & (0 - x)) - 1) : 64; }
static inline uint64_t RZ_CLZ(uint64_t x)
{
    uint64_t n = 64;
    for (; x; x >>= 1)
        n--;
    return n;
}
#endif

/* CRC-32C (polynomial 11EDC6F41h, bits reversed) of `bits` bits of data, onto crc (SDM 2A, CRC32). */
static inline uint64_t RZ_CRC32C(uint64_t crc, uint64_t data, unsigned bits)
{
    crc = (crc & 0xFFFFFFFF) ^ data;
    while (bits--)
        crc = crc >> 1 ^ (crc & 1 ? 0x82F63B78 : 0);
    return crc;
}

/* The low bits of x to the places where mask has ones, and back (SDM 2B, PDEP and PEXT). */
static inline uint64_t RZ_PDEP(uint64_t x, uint64_t mask)
{
    uint64_t result = 0;
    for (; mask; mask &= mask - 1, x >>= 1)
        result |= x & 1 ? mask & (0 - mask) : 0;
    return result;
}
static inline uint64_t RZ_PEXT(uint64_t x, uint64_t mask)
{
    uint64_t result = 0, bit = 1;
    for (; mask; mask &= mask - 1, bit <<= 1)
        result |= x & mask & (0 - mask) ? bit : 0;
    return result;
}

#if defined(__SIZEOF_INT128__)
static inline uint64_t RZ_MULHU(uint64_t x, uint64_t y) { return (uint64_t)((unsigned __int128)x * y >> 64); }
/* The quotient of high:low by v; high < v. */
static inline uint64_t RZ_UDIV(uint64_t high, uint64_t low, uint64_t v)
{
    return (uint64_t)(((unsigned __int128)high << 64 | low) / v);
}
#else
static inline uint64_t RZ_MULHU(uint64_t x, uint64_t y)
{
    uint64_t xl = x & 0xFFFFFFFF, xh = x >> 32, yl = y & 0xFFFFFFFF, yh = y >> 32;
    uint64_t middle = xh * yl + (xl * yl >> 32), other = xl * yh + (middle & 0xFFFFFFFF);
    return xh * yh + (middle >> 32) + (other >> 32);
}
static inline uint64_t RZ_UDIV(uint64_t high, uint64_t low, uint64_t v)
{
    uint64_t quotient = 0;
    for (int bit = 63; bit >= 0; bit--) {
        uint64_t out = high >> 63;
        high = high << 1 | (low >> bit & 1);
        if (out || high >= v) {
            high -= v;
            quotient |= 1ULL << bit;
        }
    }
    return quotient;
}
#endif

static inline uint64_t RZ_MULHS(uint64_t x, uint64_t y)
{
    return RZ_MULHU(x, y) - (x >> 63 ? y : 0) - (y >> 63 ? x : 0);
}

/* Signed division of high:low, each `width` bits, by v: 1 and the truncated quotient's magnitude and sign, or 0 if it
 * does not fit the width or v is 0. */
static inline int rz_sdiv(unsigned width, uint64_t high, uint64_t low, uint64_t v, uint64_t *quotient)
{
    uint64_t mask = ~0ULL >> (64 - width), sign = 1ULL << (width - 1);
    int dividend_negative = (high & sign) != 0, negative = dividend_negative != ((v & sign) != 0);
    uint64_t divisor = v & sign ? (0 - v) & mask : v, magnitude;
    if (dividend_negative) { /* negate high:low */
        high = (~high + (low == 0)) & mask;
        low = (0 - low) & mask;
    }
    if (high >= divisor)
        return 0;
    magnitude = width == 64 ? RZ_UDIV(high, low, divisor) : (high << width | low) / divisor;
    if (magnitude > sign - !negative)
        return 0;
    *quotient = negative ? (0 - magnitude) & mask : magnitude;
    return 1;
}

#define RZ_DEFINE_SDIV(width)                                                                                          \
    static inline uint64_t RZ_SDIV##width(uint64_t high, uint64_t low, uint64_t v)                                     \
    {                                                                                                                  \
        uint64_t quotient = 0;                                                                                         \
        rz_sdiv(width, high, low, v, &quotient);                                                                       \
        return quotient;                                                                                               \
    }                                                                                                                  \
    static inline uint64_t RZ_SDIV_FAULTS##width(uint64_t high, uint64_t low, uint64_t v)                              \
    {                                                                                                                  \
        uint64_t quotient = 0;                                                                                         \
        return !rz_sdiv(width, high, low, v, &quotient);                                                               \
    }
RZ_DEFINE_SDIV(8)
RZ_DEFINE_SDIV(16)
RZ_DEFINE_SDIV(32)
RZ_DEFINE_SDIV(64)

#endif
