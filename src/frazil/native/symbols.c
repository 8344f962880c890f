/* The one string for a name that a text holds. `symbols`, a dict, has them all; a table here, which may forget, finds
 * most without making a string first. Called with the interpreter's lock held; without there being one it is not used. */

#include <Python.h>
#include <stdint.h>
#include <string.h>

enum { SMALLEST = 2048, LARGEST = 1 << 16, PROBES = 8 };

typedef struct {
    PyObject *name;
    uint64_t hash;
} Known;

/* Of one evaluator at a time. */
static Known *table = NULL;
static PyObject *owner = NULL;
static size_t mask = 0, count = 0;

static uint64_t eight(const unsigned char *p) {
    uint64_t word;
    memcpy(&word, p, sizeof word);
    return word;
}

static uint64_t four(const unsigned char *p) {
    uint32_t word;
    memcpy(&word, p, sizeof word);
    return word;
}

/* Of all bytes. Names are short: mostly two words that overlap. */
static inline uint64_t hash_of(const unsigned char *text, size_t size) {
    const uint64_t factor = 0x9e3779b97f4a7c15;
    uint64_t hash = size;
    if (size >= 8) {
        for (size_t i = 0; i + 8 < size; i += 8)
            hash = (hash ^ eight(text + i)) * factor, hash ^= hash >> 32;
        hash = (hash ^ eight(text + size - 8)) * factor;
    }
    else if (size >= 4)
        hash = (hash ^ four(text) ^ four(text + size - 4) << 32) * factor;
    else if (size > 0)
        hash = (hash ^ (uint64_t)text[0] << 8 ^ (uint64_t)text[size / 2] << 16 ^ (uint64_t)text[size - 1] << 24) * factor;
    return hash ^ hash >> 29;
}

static inline int is_text(PyObject *name, const unsigned char *text, size_t size) {
    if ((size_t)PyUnicode_GET_LENGTH(name) != size)
        return 0;
    const unsigned char *other = PyUnicode_DATA(name);
    if (size >= 8 && size <= 16)
        return eight(text) == eight(other) && eight(text + size - 8) == eight(other + size - 8);
    return memcmp(other, text, size) == 0;
}

static void put(PyObject *name, uint64_t hash) {
    size_t i = 0, probe = 0;
    for (; probe < PROBES; probe++) {
        i = (hash + probe) & mask;
        if (table[i].name == NULL)
            break;
    }
    if (probe == PROBES)
        i = hash & mask;
    else
        count++;
    Known old = table[i];
    table[i] = (Known){Py_NewRef(name), hash};
    Py_XDECREF(old.name);
}

static void belong_to(PyObject *symbols) {
    for (size_t i = 0; table != NULL && i <= mask; i++)
        Py_CLEAR(table[i].name);
    count = 0;
    Py_XSETREF(owner, Py_NewRef(symbols));
}

static void grow(void) {
    Known *old = table;
    size_t size = old == NULL ? 0 : mask + 1, larger = size == 0 ? SMALLEST : 2 * size;
    Known *memory = PyMem_RawCalloc(larger, sizeof(Known));
    if (memory == NULL)
        return;
    table = memory;
    mask = larger - 1;
    count = 0;
    for (size_t i = 0; i < size; i++) {
        if (old[i].name == NULL)
            continue;
        put(old[i].name, old[i].hash);
        Py_DECREF(old[i].name);
    }
    PyMem_RawFree(old);
}

PyObject *frazil_symbol(PyObject *symbols, const unsigned char *text, Py_ssize_t start, Py_ssize_t end) {
    size_t size = (size_t)(end - start);
    text += start;
#if !defined(Py_GIL_DISABLED)
    uint64_t hash = hash_of(text, size);
    if (owner != symbols)
        belong_to(symbols);
    for (size_t probe = 0; probe < PROBES && table != NULL; probe++) {
        Known *entry = &table[(hash + probe) & mask];
        if (entry->name == NULL)
            break;
        if (entry->hash == hash && is_text(entry->name, text, size))
            return Py_NewRef(entry->name);
    }
#endif
    PyObject *name = PyUnicode_DecodeLatin1((const char *)text, (Py_ssize_t)size, NULL);
    if (name == NULL)
        return NULL;
    PyObject *known = PyDict_SetDefault(symbols, name, name);
    Py_XINCREF(known);
    Py_DECREF(name);
#if !defined(Py_GIL_DISABLED)
    if (known != NULL) {
        if (2 * count >= mask && mask + 1 < LARGEST)
            grow();
        if (table != NULL)
            put(known, hash);
    }
#endif
    return known;
}
