/* SHA-256 (FIPS 180-4), by the processor's own instructions where it has them.
 *
 * Store paths are made of these hashes, thousands in an evaluation; loading a library of cryptography takes longer than
 * all of them together. */
#ifndef FRAZIL_SHA256_H
#define FRAZIL_SHA256_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#if defined(__x86_64__) && defined(__GNUC__)
#include <cpuid.h>
#include <immintrin.h>
#define FRAZIL_SHA_NI 1
#endif

enum { SHA256_BLOCK = 64, SHA256_DIGEST = 32 };

typedef struct {
    uint32_t state[8];
    uint64_t size;
    uint8_t rest[SHA256_BLOCK]; /* what does not fill a block yet: size % 64 bytes */
} Sha256;

static const uint32_t sha256_constants[64] __attribute__((aligned(16))) = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t sha256_load(const uint8_t *p) {
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static uint32_t sha256_rotate(uint32_t x, int n) {
    return x >> n | x << (32 - n);
}

static void sha256_blocks_plain(uint32_t state[8], const uint8_t *data, size_t count) {
    for (; count; count--, data += SHA256_BLOCK) {
        uint32_t w[64], v[8];
        for (int i = 0; i < 16; i++)
            w[i] = sha256_load(data + 4 * i);
        for (int i = 16; i < 64; i++) {
            uint32_t a = w[i - 15], b = w[i - 2];
            w[i] = w[i - 16] + w[i - 7] + (sha256_rotate(a, 7) ^ sha256_rotate(a, 18) ^ a >> 3) +
                   (sha256_rotate(b, 17) ^ sha256_rotate(b, 19) ^ b >> 10);
        }
        memcpy(v, state, sizeof v);
        for (int i = 0; i < 64; i++) {
            uint32_t e = v[4], a = v[0];
            uint32_t one = v[7] + (sha256_rotate(e, 6) ^ sha256_rotate(e, 11) ^ sha256_rotate(e, 25)) +
                           ((e & v[5]) ^ (~e & v[6])) + sha256_constants[i] + w[i];
            uint32_t two = (sha256_rotate(a, 2) ^ sha256_rotate(a, 13) ^ sha256_rotate(a, 22)) +
                           ((a & v[1]) ^ (a & v[2]) ^ (v[1] & v[2]));
            memmove(v + 1, v, 7 * sizeof v[0]);
            v[4] += one;
            v[0] = one + two;
        }
        for (int i = 0; i < 8; i++)
            state[i] += v[i];
    }
}

#ifdef FRAZIL_SHA_NI
/* The instructions want the state as (a b e f) and (c d g h), highest first, and do two rounds each. */
__attribute__((target("sha,sse4.1,ssse3"))) static void
sha256_blocks_fast(uint32_t state[8], const uint8_t *data, size_t count) {
    const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0bLL, 0x0405060700010203LL);
    __m128i low = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)state), 0xb1);
    __m128i high = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(state + 4)), 0x1b);
    __m128i abef = _mm_alignr_epi8(low, high, 8), cdgh = _mm_blend_epi16(high, low, 0xf0);
    for (; count; count--, data += SHA256_BLOCK) {
        __m128i first = abef, second = cdgh, w[4];
        for (int i = 0; i < 4; i++)
            w[i] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(data + 16 * i)), swap);
#pragma GCC unroll 16
        for (int i = 0; i < 16; i++) {
            __m128i now = w[i & 3];
            __m128i sum = _mm_add_epi32(now, _mm_load_si128((const __m128i *)(sha256_constants + 4 * i)));
            cdgh = _mm_sha256rnds2_epu32(cdgh, abef, sum);
            abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(sum, 0x0e));
            if (i < 12) {
                __m128i last = w[(i + 3) & 3];
                __m128i next = _mm_add_epi32(
                    _mm_sha256msg1_epu32(now, w[(i + 1) & 3]), _mm_alignr_epi8(last, w[(i + 2) & 3], 4));
                w[i & 3] = _mm_sha256msg2_epu32(next, last);
            }
        }
        abef = _mm_add_epi32(abef, first);
        cdgh = _mm_add_epi32(cdgh, second);
    }
    low = _mm_shuffle_epi32(abef, 0x1b);
    high = _mm_shuffle_epi32(cdgh, 0xb1);
    _mm_storeu_si128((__m128i *)state, _mm_blend_epi16(low, high, 0xf0));
    _mm_storeu_si128((__m128i *)(state + 4), _mm_alignr_epi8(high, low, 8));
}

static int sha256_has_instructions(void) {
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & 1u << 9) || !(c & 1u << 19)) /* SSSE3, SSE4.1 */
        return 0;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && b & 1u << 29;
}
#endif

static void (*sha256_blocks)(uint32_t state[8], const uint8_t *data, size_t count) = sha256_blocks_plain;

/* Once, when the module is loaded. */
static void sha256_choose(int plain) {
    sha256_blocks = sha256_blocks_plain;
#ifdef FRAZIL_SHA_NI
    if (!plain && sha256_has_instructions())
        sha256_blocks = sha256_blocks_fast;
#else
    (void)plain;
#endif
}

static void sha256_begin(Sha256 *hash) {
    static const uint32_t start[8] = {
        0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
    };
    memcpy(hash->state, start, sizeof start);
    hash->size = 0;
}

static void sha256_add(Sha256 *hash, const void *bytes, size_t size) {
    const uint8_t *data = bytes;
    size_t have = hash->size % SHA256_BLOCK;
    hash->size += size;
    if (have) {
        size_t part = SHA256_BLOCK - have < size ? SHA256_BLOCK - have : size;
        memcpy(hash->rest + have, data, part);
        data += part;
        size -= part;
        if (have + part < SHA256_BLOCK)
            return;
        sha256_blocks(hash->state, hash->rest, 1);
    }
    sha256_blocks(hash->state, data, size / SHA256_BLOCK);
    if (size % SHA256_BLOCK)
        memcpy(hash->rest, data + size - size % SHA256_BLOCK, size % SHA256_BLOCK);
}

static void sha256_end(Sha256 *hash, uint8_t digest[SHA256_DIGEST]) {
    uint8_t end[2 * SHA256_BLOCK] = {0x80};
    uint64_t bits = hash->size * 8;
    size_t have = hash->size % SHA256_BLOCK, pad = (have < 56 ? 56 : 120) - have;
    for (int i = 0; i < 8; i++)
        end[pad + i] = (uint8_t)(bits >> (56 - 8 * i));
    sha256_add(hash, end, pad + 8);
    for (int i = 0; i < SHA256_DIGEST; i++)
        digest[i] = (uint8_t)(hash->state[i / 4] >> (24 - 8 * (i % 4)));
}

#endif
