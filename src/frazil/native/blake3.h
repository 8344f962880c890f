/* BLAKE3, the hash without a key and with 32 bytes of output. Source: the BLAKE3 paper, sections 2.1 to 2.5.
 *
 * The input is cut into chunks of 1024 bytes, the leaves of a binary tree. Where much is given at once, LANES chunks are
 * compressed side by side, a word of each in one vector. */
#ifndef FRAZIL_BLAKE3_H
#define FRAZIL_BLAKE3_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
    BLAKE3_BLOCK = 64,
    BLAKE3_CHUNK = 1024,
    BLAKE3_DIGEST = 32,
    BLAKE3_DEPTH = 54, /* 2^64 bytes are 2^54 chunks */
    BLAKE3_LANES = 8,
};
enum { BLAKE3_CHUNK_START = 1, BLAKE3_CHUNK_END = 2, BLAKE3_PARENT = 4, BLAKE3_ROOT = 8 };

typedef struct {
    uint32_t value[8];          /* of the chunk at hand, as far as its blocks were compressed */
    uint64_t chunk;             /* its number */
    uint32_t blocks;            /* how many were compressed */
    uint32_t held;              /* bytes in `block`; the last block waits, since it is compressed differently */
    uint8_t block[BLAKE3_BLOCK];
    uint32_t depth;             /* of the finished subtrees, largest first */
    uint32_t subtrees[BLAKE3_DEPTH][8];
} Blake3;

static const uint32_t blake3_start[8] = {
    0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
};
/* The order of the message's words in each of the seven rounds: each follows from the one before. */
static const uint8_t blake3_order[7][16] = {
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, {2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8},
    {3, 4, 10, 12, 13, 2, 7, 14, 6, 5, 9, 0, 11, 15, 8, 1}, {10, 7, 12, 9, 14, 3, 13, 15, 4, 0, 11, 2, 5, 8, 1, 6},
    {12, 13, 9, 11, 15, 10, 14, 8, 7, 2, 5, 3, 0, 1, 6, 4}, {9, 14, 11, 5, 8, 12, 15, 1, 13, 3, 0, 10, 2, 6, 4, 7},
    {11, 15, 5, 0, 1, 9, 8, 6, 14, 10, 2, 12, 3, 4, 7, 13},
};

static inline uint32_t blake3_load(const uint8_t *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

#define BLAKE3_TURN(x, n) ((x) >> (n) | (x) << (32 - (n)))
#define BLAKE3_MIX(s, a, b, c, d, first, second) \
    do { \
        s[a] += s[b] + (first); \
        s[d] = BLAKE3_TURN(s[d] ^ s[a], 16); \
        s[c] += s[d]; \
        s[b] = BLAKE3_TURN(s[b] ^ s[c], 12); \
        s[a] += s[b] + (second); \
        s[d] = BLAKE3_TURN(s[d] ^ s[a], 8); \
        s[c] += s[d]; \
        s[b] = BLAKE3_TURN(s[b] ^ s[c], 7); \
    } while (0)
/* For numbers and for vectors of them. */
#define BLAKE3_ROUNDS(s, m) \
    _Pragma("GCC unroll 7") for (int round = 0; round < 7; round++) { \
        const uint8_t *at = blake3_order[round]; \
        BLAKE3_MIX(s, 0, 4, 8, 12, m[at[0]], m[at[1]]); \
        BLAKE3_MIX(s, 1, 5, 9, 13, m[at[2]], m[at[3]]); \
        BLAKE3_MIX(s, 2, 6, 10, 14, m[at[4]], m[at[5]]); \
        BLAKE3_MIX(s, 3, 7, 11, 15, m[at[6]], m[at[7]]); \
        BLAKE3_MIX(s, 0, 5, 10, 15, m[at[8]], m[at[9]]); \
        BLAKE3_MIX(s, 1, 6, 11, 12, m[at[10]], m[at[11]]); \
        BLAKE3_MIX(s, 2, 7, 8, 13, m[at[12]], m[at[13]]); \
        BLAKE3_MIX(s, 3, 4, 9, 14, m[at[14]], m[at[15]]); \
    }

/* `value` becomes the block's chaining value. */
static void blake3_compress(uint32_t value[8], const uint8_t *block, uint64_t counter, uint32_t size, uint32_t flags) {
    uint32_t s[16], m[16];
    for (int i = 0; i < 16; i++)
        m[i] = blake3_load(block + 4 * i);
    memcpy(s, value, 32);
    memcpy(s + 8, blake3_start, 16);
    s[12] = (uint32_t)counter;
    s[13] = (uint32_t)(counter >> 32);
    s[14] = size;
    s[15] = flags;
    BLAKE3_ROUNDS(s, m)
    for (int i = 0; i < 8; i++)
        value[i] = s[i] ^ s[i + 8];
}

static void blake3_store(uint8_t *out, const uint32_t value[8]) {
    for (int i = 0; i < 32; i++)
        out[i] = (uint8_t)(value[i / 4] >> 8 * (i % 4));
}

static void blake3_join(uint32_t left[8], const uint32_t right[8], uint32_t flags) {
    uint8_t block[BLAKE3_BLOCK];
    blake3_store(block, left);
    blake3_store(block + 32, right);
    memcpy(left, blake3_start, 32);
    blake3_compress(left, block, 0, BLAKE3_BLOCK, BLAKE3_PARENT | flags);
}

#if defined(__GNUC__)
#define BLAKE3_WIDE 1
typedef uint32_t Blake3Vector __attribute__((vector_size(4 * BLAKE3_LANES)));

/* LANES whole chunks, the first of which has the number `chunk`. */
static inline __attribute__((always_inline)) void
blake3_chunks_any(uint32_t values[BLAKE3_LANES][8], const uint8_t *data, uint64_t chunk) {
    Blake3Vector value[8], s[16], m[16], low, high;
    for (int i = 0; i < 8; i++)
        value[i] = blake3_start[i] - (Blake3Vector){0};
    for (int lane = 0; lane < BLAKE3_LANES; lane++) {
        low[lane] = (uint32_t)(chunk + (uint64_t)lane);
        high[lane] = (uint32_t)((chunk + (uint64_t)lane) >> 32);
    }
    for (int block = 0; block < BLAKE3_CHUNK / BLAKE3_BLOCK; block++) {
        uint32_t flags = block == 0 ? BLAKE3_CHUNK_START : 0;
        if (block == BLAKE3_CHUNK / BLAKE3_BLOCK - 1)
            flags |= BLAKE3_CHUNK_END;
        for (int word = 0; word < 16; word++)
            for (int lane = 0; lane < BLAKE3_LANES; lane++)
                m[word][lane] = blake3_load(data + lane * BLAKE3_CHUNK + block * BLAKE3_BLOCK + 4 * word);
        for (int i = 0; i < 8; i++)
            s[i] = value[i];
        for (int i = 0; i < 4; i++)
            s[i + 8] = blake3_start[i] - (Blake3Vector){0};
        s[12] = low;
        s[13] = high;
        s[14] = (uint32_t)BLAKE3_BLOCK - (Blake3Vector){0};
        s[15] = flags - (Blake3Vector){0};
        BLAKE3_ROUNDS(s, m)
        for (int i = 0; i < 8; i++)
            value[i] = s[i] ^ s[i + 8];
    }
    for (int lane = 0; lane < BLAKE3_LANES; lane++)
        for (int i = 0; i < 8; i++)
            values[lane][i] = value[i][lane];
}

static void blake3_chunks_plain(uint32_t values[BLAKE3_LANES][8], const uint8_t *data, uint64_t chunk) {
    blake3_chunks_any(values, data, chunk);
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static void
blake3_chunks_avx2(uint32_t values[BLAKE3_LANES][8], const uint8_t *data, uint64_t chunk) {
    blake3_chunks_any(values, data, chunk);
}
#endif

static void (*blake3_chunks)(uint32_t[BLAKE3_LANES][8], const uint8_t *, uint64_t) = blake3_chunks_plain;

/* Whether vectors of 256 bits are used. */
static int blake3_choose(int plain) {
    blake3_chunks = blake3_chunks_plain;
#if defined(__x86_64__)
    if (!plain && __builtin_cpu_supports("avx2")) {
        blake3_chunks = blake3_chunks_avx2;
        return 1;
    }
#endif
    (void)plain;
    return 0;
}
#else
static int blake3_choose(int plain) {
    (void)plain;
    return 0;
}
#endif

static void blake3_begin(Blake3 *state) {
    memset(state, 0, sizeof *state);
    memcpy(state->value, blake3_start, 32);
}

/* A finished chunk's value; `count` chunks are finished with it. As many subtrees grow together as the number of chunks
   has zeros at its end. More input must be known to follow: the last joining of all is of another kind. */
static void blake3_finish_chunk(Blake3 *state, const uint32_t value[8], uint64_t count) {
    uint32_t whole[8];
    memcpy(whole, value, 32);
    for (; !(count & 1); count >>= 1) {
        uint32_t *left = state->subtrees[--state->depth];
        blake3_join(left, whole, 0);
        memcpy(whole, left, 32);
    }
    memcpy(state->subtrees[state->depth++], whole, 32);
}

/* The block that was held, now that more follows. */
static void blake3_flush(Blake3 *state) {
    uint32_t flags = state->blocks == 0 ? BLAKE3_CHUNK_START : 0;
    if (state->blocks == BLAKE3_CHUNK / BLAKE3_BLOCK - 1)
        flags |= BLAKE3_CHUNK_END;
    blake3_compress(state->value, state->block, state->chunk, BLAKE3_BLOCK, flags);
    state->held = 0;
    if (++state->blocks == BLAKE3_CHUNK / BLAKE3_BLOCK) {
        state->blocks = 0;
        blake3_finish_chunk(state, state->value, ++state->chunk);
        memcpy(state->value, blake3_start, 32);
    }
}

static void blake3_add(Blake3 *state, const uint8_t *data, size_t size) {
    while (size) {
        if (state->held == BLAKE3_BLOCK)
            blake3_flush(state);
#ifdef BLAKE3_WIDE
        while (!state->held && !state->blocks && size > BLAKE3_LANES * BLAKE3_CHUNK) {
            uint32_t values[BLAKE3_LANES][8];
            blake3_chunks(values, data, state->chunk);
            for (int lane = 0; lane < BLAKE3_LANES; lane++)
                blake3_finish_chunk(state, values[lane], ++state->chunk);
            data += BLAKE3_LANES * BLAKE3_CHUNK;
            size -= BLAKE3_LANES * BLAKE3_CHUNK;
        }
#endif
        size_t part = BLAKE3_BLOCK - state->held;
        if (part > size)
            part = size;
        memcpy(state->block + state->held, data, part);
        state->held += (uint32_t)part;
        data += part;
        size -= part;
    }
}

static void blake3_end(const Blake3 *state, uint8_t digest[BLAKE3_DIGEST]) {
    uint32_t value[8], flags = BLAKE3_CHUNK_END;
    uint8_t block[BLAKE3_BLOCK] = {0};
    memcpy(value, state->value, 32);
    memcpy(block, state->block, state->held);
    if (state->blocks == 0)
        flags |= BLAKE3_CHUNK_START;
    if (state->depth == 0)
        flags |= BLAKE3_ROOT;
    blake3_compress(value, block, state->chunk, state->held, flags);
    for (uint32_t depth = state->depth; depth--;) {
        uint32_t left[8];
        memcpy(left, state->subtrees[depth], 32);
        blake3_join(left, value, depth == 0 ? BLAKE3_ROOT : 0);
        memcpy(value, left, 32);
    }
    blake3_store(digest, value);
}
#endif
