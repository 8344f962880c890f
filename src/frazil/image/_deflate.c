/* DEFLATE, always the same bytes for the same bytes: no library's version and no processor's abilities change them.
 *
 * `deflate(data, window, last)`: see _deflate.pyi. Matches are found through chains of positions with equal hashes, put off
 * by one byte where the next one is longer; each block gets Huffman codes of its own, or is stored where that is shorter.
 * Source of truth: RFC 1951. Nothing here may depend on the order of bytes in words, or on addresses. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum {
    WINDOW = 1 << 15,
    HASH_BITS = 16,
    LONGEST = 258,
    SHORTEST = 3,
    CHAIN = 40,        /* positions looked at for one match */
    CHAIN_LATER = 10,  /* where a good match is known already */
    GOOD = 16,
    LAZY = 24,         /* matches of this length are taken at once */
    ENOUGH = 96,       /* matches of this length end the search */
    FAR_SHORT = 4096,  /* three bytes from farther away cost more than they save */
    BLOCK = 24 * 1024, /* symbols in a block */
    SPARE = 2 * LONGEST, /* more of them than a match that is put off again and again can add */
    LITERALS = 286,
    DISTANCES = 30,
    CODES = 19,
    LARGEST_INPUT = 1 << 30,
};

typedef struct {
    uint16_t length;   /* a literal's byte, or a match's length */
    uint16_t distance; /* 0: a literal */
} Symbol;

typedef struct {
    uint8_t *out;
    size_t size, room;
    uint64_t bits;
    int count;
    int failed;
    uint32_t literal_count[LITERALS], distance_count[DISTANCES];
    int symbols;
    Symbol symbol[BLOCK];
    int32_t head[1 << HASH_BITS];
    int32_t previous[WINDOW];
} State;

static const uint16_t length_base[29] = {3,  4,  5,  6,  7,  8,  9,  10, 11,  13,  15,  17,  19,  23, 27,
                                         31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258};
static const uint8_t length_extra[29] = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2,
                                         2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0};
static const uint16_t distance_base[30] = {1,   2,   3,   4,   5,   7,    9,    13,   17,   25,   33,   49,   65,    97,    129,
                                           193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577};
static const uint8_t distance_extra[30] = {0, 0, 0, 0, 1, 1, 2, 2,  3,  3,  4,  4,  5,  5,  6,
                                           6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13};
static const uint8_t code_order[CODES] = {16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};

static uint8_t length_code[LONGEST + 1];
static uint8_t near_code[257], far_code[257]; /* of distances up to 256, and of those above in steps of 128 */

static void make_tables(void) {
    for (int code = 0; code < 29; code++)
        for (int length = length_base[code]; length < (code < 28 ? length_base[code + 1] : LONGEST + 1); length++)
            length_code[length] = (uint8_t)code;
    length_code[LONGEST] = 28;
    for (int code = 0; code < DISTANCES; code++)
        for (int distance = distance_base[code]; distance < distance_base[code] + (1 << distance_extra[code]); distance++) {
            if (distance <= 256)
                near_code[distance] = (uint8_t)code;
            else
                far_code[(distance - 1) >> 7] = (uint8_t)code;
        }
}

static int code_of_distance(int distance) { return distance <= 256 ? near_code[distance] : far_code[(distance - 1) >> 7]; }

/* -- bits --------------------------------------------------------------------------------------------------------- */

static void reserve(State *s, size_t more) {
    if (s->room - s->size >= more)
        return;
    size_t room = s->room * 2 + more;
    uint8_t *out = realloc(s->out, room);
    if (out == NULL) {
        s->failed = 1;
        s->size = 0;
        return;
    }
    s->out = out;
    s->room = room;
}

/* At most 32 bits at once; the output has room. */
static void put(State *s, uint32_t value, int count) {
    s->bits |= (uint64_t)value << s->count;
    s->count += count;
    while (s->count >= 8) {
        s->out[s->size++] = (uint8_t)s->bits;
        s->bits >>= 8;
        s->count -= 8;
    }
}

static void align(State *s) {
    if (s->count)
        put(s, 0, 8 - s->count);
}

static void put_stored(State *s, const uint8_t *data, size_t size, int last) {
    do {
        size_t part = size < 65535 ? size : 65535;
        reserve(s, part + 16);
        if (s->failed)
            return;
        put(s, (uint32_t)(last && part == size), 3);
        align(s);
        put(s, (uint32_t)part | (uint32_t)(~part & 0xffff) << 16, 32);
        memcpy(s->out + s->size, data, part);
        s->size += part;
        data += part;
        size -= part;
    } while (size);
}

/* -- codes -------------------------------------------------------------------------------------------------------- */

typedef struct {
    uint32_t count;
    uint16_t symbol;
} Leaf;

static int by_count(const void *a, const void *b) {
    const Leaf *one = a, *other = b;
    if (one->count != other->count)
        return one->count < other->count ? -1 : 1;
    return (int)one->symbol - (int)other->symbol;
}

/* How deep the leaves of Huffman's tree lie, the rarest first: two queues, since sums come in order. */
static void tree_depths(const Leaf *leaf, int leaves, int *depth) {
    uint64_t weight[LITERALS];
    int parent_of_leaf[LITERALS], parent[LITERALS], node_depth[LITERALS];
    int next_leaf = 0, next_node = 0, nodes = 0;
    while (nodes < leaves - 1) {
        weight[nodes] = 0;
        for (int side = 0; side < 2; side++) {
            if (next_leaf < leaves && (next_node == nodes || leaf[next_leaf].count <= weight[next_node])) {
                weight[nodes] += leaf[next_leaf].count;
                parent_of_leaf[next_leaf++] = nodes;
            } else {
                weight[nodes] += weight[next_node];
                parent[next_node++] = nodes;
            }
        }
        nodes++;
    }
    node_depth[nodes - 1] = 0;
    for (int node = nodes - 2; node >= 0; node--)
        node_depth[node] = node_depth[parent[node]] + 1;
    for (int i = 0; i < leaves; i++)
        depth[i] = node_depth[parent_of_leaf[i]] + 1;
}

/* Lengths of codes for these counts, none longer than `limit`. At least one symbol has a code, so that readers agree. */
static void code_lengths(const uint32_t *count, int symbols, int limit, uint8_t *length) {
    Leaf leaf[LITERALS];
    int depth[LITERALS], of_length[LITERALS] = {0};
    int leaves = 0;
    memset(length, 0, (size_t)symbols);
    for (int i = 0; i < symbols; i++)
        if (count[i])
            leaf[leaves++] = (Leaf){count[i], (uint16_t)i};
    if (leaves < 2) {
        length[leaves ? leaf[0].symbol : 0] = 1;
        return;
    }
    qsort(leaf, (size_t)leaves, sizeof leaf[0], by_count);
    tree_depths(leaf, leaves, depth);
    /* Too long codes become `limit` long; others are made longer until all fit. */
    uint64_t used = 0, whole = 1ull << limit;
    for (int i = 0; i < leaves; i++) {
        int own = depth[i] < limit ? depth[i] : limit;
        of_length[own]++;
        used += whole >> own;
    }
    while (used > whole) {
        int own = limit - 1;
        while (!of_length[own])
            own--;
        of_length[own]--;
        of_length[own + 1]++;
        used -= (whole >> own) - (whole >> (own + 1));
    }
    for (; used < whole; used++) { /* one step too far: readers want all room used */
        of_length[limit]--;
        of_length[limit - 1]++;
    }
    int at = 0;
    for (int own = limit; own > 0; own--)
        for (int i = 0; i < of_length[own]; i++)
            length[leaf[at++].symbol] = (uint8_t)own;
}

/* Codes of these lengths, their first bit lowest. */
static void codes_of(const uint8_t *length, int symbols, uint16_t *code) {
    int of_length[16] = {0}, next[16] = {0};
    for (int i = 0; i < symbols; i++)
        of_length[length[i]]++;
    of_length[0] = 0;
    for (int own = 1; own < 16; own++)
        next[own] = (next[own - 1] + of_length[own - 1]) << 1;
    for (int i = 0; i < symbols; i++) {
        int value = next[length[i]], turned = 0;
        if (!length[i])
            continue;
        next[length[i]]++;
        for (int bit = 0; bit < length[i]; bit++)
            turned |= (value >> bit & 1) << (length[i] - 1 - bit);
        code[i] = (uint16_t)turned;
    }
}

/* The lengths themselves, written with repeats: `out` gets code and extra bits. */
static int repeat_lengths(const uint8_t *length, int count, uint8_t (*out)[2]) {
    int size = 0;
    for (int i = 0; i < count;) {
        int same = 1;
        while (i + same < count && length[i + same] == length[i])
            same++;
        int left = same;
        if (!length[i]) {
            while (left >= 3) {
                int part = left < 138 ? left : 138;
                out[size][0] = part < 11 ? 17 : 18;
                out[size++][1] = (uint8_t)(part < 11 ? part - 3 : part - 11);
                left -= part;
            }
        } else {
            out[size][0] = length[i];
            out[size++][1] = 0;
            left--;
            while (left >= 3) {
                int part = left < 6 ? left : 6;
                out[size][0] = 16;
                out[size++][1] = (uint8_t)(part - 3);
                left -= part;
            }
        }
        while (left-- > 0) {
            out[size][0] = length[i];
            out[size++][1] = 0;
        }
        i += same;
    }
    return size;
}

/* -- blocks ------------------------------------------------------------------------------------------------------- */

typedef struct {
    uint8_t literal[LITERALS], distance[DISTANCES], code[CODES];
    uint8_t repeat[LITERALS + DISTANCES][2];
    int literals, distances, codes, repeats;
    uint64_t size; /* in bits, header included */
} Plan;

static int code_extra(int code) { return code == 16 ? 2 : code == 17 ? 3 : code == 18 ? 7 : 0; }

static void plan_block(State *s, Plan *plan) {
    uint32_t code_count[CODES] = {0};
    uint8_t all[LITERALS + DISTANCES];
    s->literal_count[256] = 1;
    code_lengths(s->literal_count, LITERALS, 15, plan->literal);
    code_lengths(s->distance_count, DISTANCES, 15, plan->distance);
    for (plan->literals = LITERALS; plan->literals > 257 && !plan->literal[plan->literals - 1];)
        plan->literals--;
    for (plan->distances = DISTANCES; plan->distances > 1 && !plan->distance[plan->distances - 1];)
        plan->distances--;
    memcpy(all, plan->literal, (size_t)plan->literals);
    memcpy(all + plan->literals, plan->distance, (size_t)plan->distances);
    plan->repeats = repeat_lengths(all, plan->literals + plan->distances, plan->repeat);
    for (int i = 0; i < plan->repeats; i++)
        code_count[plan->repeat[i][0]]++;
    code_lengths(code_count, CODES, 7, plan->code);
    for (plan->codes = CODES; plan->codes > 4 && !plan->code[code_order[plan->codes - 1]];)
        plan->codes--;
    plan->size = 3 + 14 + 3 * (uint64_t)plan->codes;
    for (int i = 0; i < plan->repeats; i++)
        plan->size += (uint64_t)plan->code[plan->repeat[i][0]] + (uint64_t)code_extra(plan->repeat[i][0]);
    for (int i = 0; i < LITERALS; i++)
        plan->size += (uint64_t)s->literal_count[i] * (plan->literal[i] + (i > 256 ? length_extra[i - 257] : 0u));
    for (int i = 0; i < DISTANCES; i++)
        plan->size += (uint64_t)s->distance_count[i] * (plan->distance[i] + (unsigned)distance_extra[i]);
}

static void put_header(State *s, const Plan *plan, int last) {
    uint16_t code[CODES] = {0};
    codes_of(plan->code, CODES, code);
    put(s, (uint32_t)last | 2 << 1, 3);
    put(s, (uint32_t)(plan->literals - 257), 5);
    put(s, (uint32_t)(plan->distances - 1), 5);
    put(s, (uint32_t)(plan->codes - 4), 4);
    for (int i = 0; i < plan->codes; i++)
        put(s, plan->code[code_order[i]], 3);
    for (int i = 0; i < plan->repeats; i++) {
        int own = plan->repeat[i][0];
        put(s, code[own], plan->code[own]);
        if (code_extra(own))
            put(s, plan->repeat[i][1], code_extra(own));
    }
}

static void put_symbols(State *s, const Plan *plan) {
    uint16_t literal[LITERALS] = {0}, distance[DISTANCES] = {0};
    codes_of(plan->literal, LITERALS, literal);
    codes_of(plan->distance, DISTANCES, distance);
    for (int i = 0; i < s->symbols; i++) {
        Symbol symbol = s->symbol[i];
        if (!symbol.distance) {
            put(s, literal[symbol.length], plan->literal[symbol.length]);
            continue;
        }
        int own = length_code[symbol.length];
        put(s, literal[257 + own] | (uint32_t)(symbol.length - length_base[own]) << plan->literal[257 + own],
            plan->literal[257 + own] + length_extra[own]);
        own = code_of_distance(symbol.distance);
        put(s, distance[own] | (uint32_t)(symbol.distance - distance_base[own]) << plan->distance[own],
            plan->distance[own] + distance_extra[own]);
    }
    put(s, literal[256], plan->literal[256]);
}

/* The gathered symbols, which stand for these bytes. */
static void end_block(State *s, const uint8_t *data, size_t size, int last) {
    Plan plan;
    plan_block(s, &plan);
    uint64_t stored = 8 * (uint64_t)size + 42 * (size / 65535 + 1);
    if (plan.size >= stored) {
        put_stored(s, data, size, last);
    } else {
        reserve(s, (size_t)(plan.size / 8) + 16);
        if (!s->failed) {
            put_header(s, &plan, last);
            put_symbols(s, &plan);
        }
    }
    s->symbols = 0;
    memset(s->literal_count, 0, sizeof s->literal_count);
    memset(s->distance_count, 0, sizeof s->distance_count);
}

/* -- matches ------------------------------------------------------------------------------------------------------ */

static uint32_t hash_at(const uint8_t *at) {
    uint32_t value = (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16;
    return value * 2654435761u >> (32 - HASH_BITS);
}

static void enter(State *s, const uint8_t *data, int32_t at) {
    uint32_t hash = hash_at(data + at);
    s->previous[at & (WINDOW - 1)] = s->head[hash];
    s->head[hash] = at;
}

static int common(const uint8_t *one, const uint8_t *other, int limit) {
    int length = 0;
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    while (length + 8 <= limit) {
        uint64_t a, b;
        memcpy(&a, one + length, 8);
        memcpy(&b, other + length, 8);
        if (a != b)
            return length + (__builtin_ctzll(a ^ b) >> 3);
        length += 8;
    }
#endif
    while (length < limit && one[length] == other[length])
        length++;
    return length;
}

/* The longest match that is longer than `known`; its length, or `known`. */
static int find_match(const State *s, const uint8_t *data, int32_t at, int limit, int known, int *distance) {
    int tries = known >= GOOD ? CHAIN_LATER : CHAIN;
    int32_t lowest = at - WINDOW;
    if (known >= limit)
        return known;
    for (int32_t from = s->head[hash_at(data + at)]; from >= 0 && from > lowest && tries--;
         from = s->previous[from & (WINDOW - 1)]) {
        if (from >= at || data[from + known] != data[at + known] || data[from] != data[at])
            continue;
        int length = common(data + from, data + at, limit);
        if (length > known && (length > SHORTEST || at - from <= FAR_SHORT)) {
            known = length;
            *distance = at - from;
            if (known >= ENOUGH || known >= limit)
                break;
        }
    }
    return known;
}

static void add(State *s, int length, int distance) {
    s->symbol[s->symbols++] = (Symbol){(uint16_t)length, (uint16_t)distance};
    if (distance) {
        s->literal_count[257 + length_code[length]]++;
        s->distance_count[code_of_distance(distance)]++;
    } else {
        s->literal_count[length]++;
    }
}

/* `data[start..end)` after what lies before it. */
static void compress(State *s, const uint8_t *data, int32_t start, int32_t end, int last) {
    int32_t at = start, block = start;
    int32_t entered = start > WINDOW ? start - WINDOW : 0; /* positions below are in the chains */
    int length = SHORTEST - 1, distance = 0, waiting = 0;   /* the match at the byte before, if that one waits */
    while (at < end && !s->failed) {
        int limit = end - at < LONGEST ? end - at : LONGEST;
        int own = SHORTEST - 1, own_distance = 0;
        while (entered < at && entered + SHORTEST <= end)
            enter(s, data, entered++);
        if (limit >= SHORTEST && !(waiting && length >= LAZY))
            own = find_match(s, data, at, limit, waiting ? length : SHORTEST - 1, &own_distance);
        if (waiting && length >= SHORTEST && !(own_distance && own > length)) {
            add(s, length, distance);
            at += length - 1;
            waiting = 0;
            length = SHORTEST - 1;
        } else {
            if (waiting)
                add(s, data[at - 1], 0);
            waiting = 1;
            length = own_distance ? own : SHORTEST - 1;
            distance = own_distance;
            at++;
            if (length < SHORTEST) { /* nothing to wait for */
                add(s, data[at - 1], 0);
                waiting = 0;
            }
        }
        if (s->symbols >= BLOCK - SPARE && !waiting) {
            end_block(s, data + block, (size_t)(at - block), last && at == end);
            block = at;
        }
    }
    if (waiting) {
        if (length >= SHORTEST)
            add(s, length, distance);
        else
            add(s, data[at - 1], 0);
        at = end;
    }
    if (s->symbols || (last && start == end))
        end_block(s, data + block, (size_t)(end - block), last);
}

static int run(State *s, const uint8_t *data, int32_t start, int32_t end, int last) {
    memset(s->head, 0xff, sizeof s->head);
    memset(s->previous, 0xff, sizeof s->previous);
    compress(s, data, start, end, last);
    reserve(s, 16);
    if (s->failed)
        return -1;
    if (last) {
        align(s);
    } else { /* an empty stored block: what follows begins at a byte */
        put(s, 0, 3);
        align(s);
        put(s, 0xffff0000u, 32);
    }
    return 0;
}

static PyObject *native_deflate(PyObject *module, PyObject *arguments) {
    (void)module;
    Py_buffer data, window;
    int last;
    if (!PyArg_ParseTuple(arguments, "y*y*p", &data, &window, &last))
        return NULL;
    PyObject *result = NULL;
    State *s = NULL;
    uint8_t *whole = NULL;
    size_t before = window.len > WINDOW ? WINDOW : (size_t)window.len, size = before + (size_t)data.len;
    if (data.len > LARGEST_INPUT) {
        PyErr_SetString(PyExc_ValueError, "too much at once");
        goto done;
    }
    s = calloc(1, sizeof *s);
    whole = malloc(size + 8);
    if (s == NULL || whole == NULL) {
        PyErr_NoMemory();
        goto done;
    }
    int failed;
    Py_BEGIN_ALLOW_THREADS
    memcpy(whole, (const uint8_t *)window.buf + ((size_t)window.len - before), before);
    memcpy(whole + before, data.buf, (size_t)data.len);
    failed = run(s, whole, (int32_t)before, (int32_t)size, last);
    Py_END_ALLOW_THREADS
    if (failed)
        PyErr_NoMemory();
    else
        result = PyBytes_FromStringAndSize((const char *)s->out, (Py_ssize_t)s->size);
done:
    if (s != NULL)
        free(s->out);
    free(s);
    free(whole);
    PyBuffer_Release(&data);
    PyBuffer_Release(&window);
    return result;
}

static PyMethodDef methods[] = {
    {"deflate", native_deflate, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_deflate", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__deflate(void) {
    make_tables();
    return PyModule_Create(&definition);
}
