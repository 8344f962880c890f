/* Texts as the bytes they are, and integers. Declared to Cython by lang/texts.pxd. */
#ifndef FRAZIL_VALUES_TEXTS_H
#define FRAZIL_VALUES_TEXTS_H

#include <Python.h>
#include <string.h>

/* Whether an absolute path has no doubled or trailing slash, and no part that begins with a dot. */
static inline int frazil_is_in_order(PyObject *text) {
    Py_ssize_t size = PyUnicode_GET_LENGTH(text);
    int kind = PyUnicode_KIND(text);
    const void *data = PyUnicode_DATA(text);
    if (size > 1 && PyUnicode_READ(kind, data, size - 1) == '/')
        return 0;
    for (Py_ssize_t i = 0; i < size - 1; i++) {
        if (kind == PyUnicode_1BYTE_KIND) {
            const char *found = memchr((const char *) data + i, '/', (size_t) (size - 1 - i));
            if (found == NULL)
                return 1;
            i = found - (const char *) data;
        }
        else if (PyUnicode_READ(kind, data, i) != '/')
            continue;
        Py_UCS4 next = PyUnicode_READ(kind, data, i + 1);
        if (next == '/' || next == '.')
            return 0;
    }
    return 1;
}
/* Views of a text of bytes, and of packed numbers. */
static inline const unsigned char *frazil_latin1(PyObject *text) {
    return (const unsigned char *) PyUnicode_DATA(text);
}
static inline const unsigned char *frazil_bytes(PyObject *data) {
    return (const unsigned char *) PyBytes_AS_STRING(data);
}
static inline int *frazil_ints(PyObject *data) {
    return PyBytes_Check(data) ? (int *) PyBytes_AS_STRING(data) : (int *) PyByteArray_AS_STRING(data);
}
static inline long long *frazil_words(PyObject *data) { return (long long *) PyByteArray_AS_STRING(data); }

/* Integers have 64 bits. */
static inline long long frazil_int(PyObject *number) {
#if PY_VERSION_HEX < 0x030C0000
    Py_ssize_t size = Py_SIZE(number);
    if (size == 1) return ((PyLongObject *) number)->ob_digit[0];
    if (size == 0) return 0;
    if (size == -1) return -(long long) ((PyLongObject *) number)->ob_digit[0];
#else
    if (PyUnstable_Long_IsCompact((PyLongObject *) number))
        return PyUnstable_Long_CompactValue((PyLongObject *) number);
#endif
    return PyLong_AsLongLong(number);
}
static PyObject *frazil_decimal(PyObject *number) {
    char digits[24], *at = digits + sizeof digits;
    long long value = frazil_int(number);
    unsigned long long rest = value < 0 ? 0ULL - (unsigned long long) value : (unsigned long long) value;
    do { *--at = (char) ('0' + rest % 10); rest /= 10; } while (rest != 0);
    if (value < 0) *--at = '-';
    return PyUnicode_FromStringAndSize(at, digits + sizeof digits - at);
}
/* Texts, one after the other. */
static PyObject *frazil_join(PyObject **parts, Py_ssize_t count) {
    Py_ssize_t i, size = 0;
    Py_UCS4 highest = 127;
    PyObject *text, *part;
    char *data;
    for (i = 0; i < count; i++) {
        part = parts[i];
        size += PyUnicode_GET_LENGTH(part);
        if (!PyUnicode_IS_ASCII(part)) highest = 255;
        if (__builtin_expect(PyUnicode_KIND(part) != PyUnicode_1BYTE_KIND, 0)) {
            PyErr_SetString(PyExc_ValueError, "not a byte string");
            return NULL;
        }
    }
    text = PyUnicode_New(size, highest);
    if (text == NULL || size == 0) return text;
    data = (char *) PyUnicode_DATA(text);
    for (i = 0; i < count; i++) {
        part = parts[i];
        size = PyUnicode_GET_LENGTH(part);
        memcpy(data, PyUnicode_DATA(part), (size_t) size);
        data += size;
    }
    return text;
}
static PyObject *frazil_joined(PyObject *parts) {
    return frazil_join(((PyListObject *) parts)->ob_item, PyList_GET_SIZE(parts));
}
static PyObject *frazil_joined2(PyObject *first, PyObject *second) {
    PyObject *parts[2] = {first, second};
    return frazil_join(parts, 2);
}
static PyObject *frazil_joined3(PyObject *first, PyObject *second, PyObject *third) {
    PyObject *parts[3] = {first, second, third};
    return frazil_join(parts, 3);
}
static inline int frazil_same_text(PyObject *left, PyObject *right) {
    Py_ssize_t size = PyUnicode_GET_LENGTH(left);
    if (left == right) return 1;
    if (size != PyUnicode_GET_LENGTH(right) || PyUnicode_KIND(left) != PyUnicode_KIND(right)) return 0;
    return memcmp(PyUnicode_DATA(left), PyUnicode_DATA(right), (size_t) size * PyUnicode_KIND(left)) == 0;
}
/* A string of JSON: what must be escaped is, and nothing else. None for what is no byte string. */
static PyObject *frazil_quoted(PyObject *text) {
    static const char digits[] = "0123456789abcdef";
    static const char letters[32] = {0, 0, 0, 0, 0, 0, 0, 0, 'b', 't', 'n', 0, 'f', 'r'};
    Py_ssize_t i, size = PyUnicode_GET_LENGTH(text), more = 2;
    const unsigned char *data = (const unsigned char *) PyUnicode_DATA(text);
    unsigned char *out, c;
    PyObject *quoted;
    if (PyUnicode_KIND(text) != PyUnicode_1BYTE_KIND) Py_RETURN_NONE;
    for (i = 0; i < size; i++) {
        c = data[i];
        if (c < 32) more += letters[c] ? 1 : 5;
        else if (c == 34 || c == 92) more++;
    }
    quoted = PyUnicode_New(size + more, PyUnicode_IS_ASCII(text) ? 127 : 255);
    if (quoted == NULL) return NULL;
    out = (unsigned char *) PyUnicode_DATA(quoted);
    *out++ = 34;
    if (more == 2) { memcpy(out, data, (size_t) size); out += size; }
    else for (i = 0; i < size; i++) {
        c = data[i];
        if (c >= 32) {
            if (c == 34 || c == 92) *out++ = 92;
            *out++ = c;
        }
        else if (letters[c]) { *out++ = 92; *out++ = (unsigned char) letters[c]; }
        else {
            out[0] = 92; out[1] = 'u'; out[2] = out[3] = '0';
            out[4] = digits[c >> 4];
            out[5] = digits[c & 15];
            out += 6;
        }
    }
    *out = 34;
    return quoted;
}
static inline unsigned char *frazil_writable(PyObject *data) { return (unsigned char *) PyByteArray_AS_STRING(data); }
/* symbols.c */
PyObject *frazil_symbol(PyObject *symbols, const unsigned char *text, Py_ssize_t start, Py_ssize_t end);

/* Where a name is among the few of a shape; all have been hashed. -1: nowhere. */
static Py_ssize_t frazil_place_among(PyObject *names, PyObject *name) {
    Py_ssize_t i, count = PyTuple_GET_SIZE(names);
    Py_hash_t hash;
    for (i = 0; i < count; i++)
        if (PyTuple_GET_ITEM(names, i) == name) return i;
    hash = PyObject_Hash(name);
    for (i = 0; i < count; i++) {
        PyObject *other = PyTuple_GET_ITEM(names, i);
        if (PyObject_Hash(other) == hash && PyUnicode_Compare(other, name) == 0) return i;
    }
    return -1;
}
#endif
