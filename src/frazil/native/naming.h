/* SHA-256 of byte strings, Nix's base 32, and the grammar of store paths. A part of `_native.c`, whose Python functions
 * these are. */

#ifndef FRAZIL_NAMING_H
#define FRAZIL_NAMING_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "sha256.h"

/* -- hashes ------------------------------------------------------------------------------------------------------- */

/* A byte string in either of its forms: bytes, or the text of Latin-1 characters that the language works with. */
static int piece(PyObject *object, const void **data, size_t *size) {
    if (PyUnicode_Check(object) && PyUnicode_READY(object) == 0 && PyUnicode_KIND(object) == PyUnicode_1BYTE_KIND) {
        *data = PyUnicode_1BYTE_DATA(object);
        *size = (size_t)PyUnicode_GET_LENGTH(object);
        return 0;
    }
    if (PyBytes_Check(object)) {
        *data = PyBytes_AS_STRING(object);
        *size = (size_t)PyBytes_GET_SIZE(object);
        return 0;
    }
    if (!PyErr_Occurred())
        PyErr_SetString(PyExc_TypeError, "bytes or a text of Latin-1 characters needed");
    return -1;
}

static int digest_of(PyObject *const *pieces, Py_ssize_t count, uint8_t digest[SHA256_DIGEST]) {
    Sha256 hash;
    sha256_begin(&hash);
    for (Py_ssize_t i = 0; i < count; i++) {
        const void *data;
        size_t size;
        if (piece(pieces[i], &data, &size))
            return -1;
        sha256_add(&hash, data, size);
    }
    sha256_end(&hash, digest);
    return 0;
}

static PyObject *hex(const uint8_t digest[SHA256_DIGEST]) {
    static const char digits[] = "0123456789abcdef";
    PyObject *text = PyUnicode_New(2 * SHA256_DIGEST, 127);
    if (text != NULL) {
        Py_UCS1 *at = PyUnicode_1BYTE_DATA(text);
        for (int i = 0; i < SHA256_DIGEST; i++) {
            at[2 * i] = (Py_UCS1)digits[digest[i] >> 4];
            at[2 * i + 1] = (Py_UCS1)digits[digest[i] & 15];
        }
    }
    return text;
}

static PyObject *native_sha256(PyObject *module, PyObject *const *arguments, Py_ssize_t count) {
    (void)module;
    uint8_t digest[SHA256_DIGEST];
    return digest_of(arguments, count, digest) ? NULL : PyBytes_FromStringAndSize((char *)digest, SHA256_DIGEST);
}

static PyObject *native_sha256_hex(PyObject *module, PyObject *const *arguments, Py_ssize_t count) {
    (void)module;
    uint8_t digest[SHA256_DIGEST];
    return digest_of(arguments, count, digest) ? NULL : hex(digest);
}

/* Nix's base 32: the bytes as a number, lowest first, written from its highest digit on. */
static PyObject *base32(const uint8_t *data, Py_ssize_t size) {
    static const char digits[] = "0123456789abcdfghijklmnpqrsvwxyz";
    Py_ssize_t length = size ? (size * 8 - 1) / 5 + 1 : 0;
    PyObject *text = PyUnicode_New(length, 127);
    if (text != NULL) {
        Py_UCS1 *at = PyUnicode_1BYTE_DATA(text);
        for (Py_ssize_t n = 0; n < length; n++) {
            Py_ssize_t bit = 5 * n, byte = bit / 8;
            unsigned two = data[byte] | (byte + 1 < size ? (unsigned)data[byte + 1] << 8 : 0);
            at[length - 1 - n] = (Py_UCS1)digits[two >> bit % 8 & 31];
        }
    }
    return text;
}

static PyObject *native_base32(PyObject *module, PyObject *data) {
    (void)module;
    if (!PyBytes_Check(data)) {
        PyErr_SetString(PyExc_TypeError, "bytes needed");
        return NULL;
    }
    return base32((const uint8_t *)PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data));
}

/* The hash part of a store path: a SHA-256 folded to 160 bits, in base 32. */
static PyObject *native_hash_part(PyObject *module, PyObject *const *arguments, Py_ssize_t count) {
    (void)module;
    uint8_t digest[SHA256_DIGEST], folded[20] = {0};
    if (digest_of(arguments, count, digest))
        return NULL;
    for (int i = 0; i < SHA256_DIGEST; i++)
        folded[i % 20] ^= digest[i];
    return base32(folded, sizeof folded);
}

/* -- names of store paths ------------------------------------------------------------------------------------------ */

enum { NAME = 1, BASE32 = 2, LONGEST_NAME = 211, HASH_PART = 32 };
static uint8_t characters[256], values[256];

static void classify_characters(void) {
    for (const char *c = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ+-._?="; *c; c++)
        characters[(uint8_t)*c] |= NAME;
    uint8_t value = 0;
    for (const char *c = "0123456789abcdfghijklmnpqrsvwxyz"; *c; c++) {
        characters[(uint8_t)*c] |= BASE32;
        values[(uint8_t)*c] = value++;
    }
}

static int are(const Py_UCS1 *data, Py_ssize_t size, uint8_t class) {
    for (Py_ssize_t i = 0; i < size; i++)
        if (!(characters[data[i]] & class))
            return 0;
    return 1;
}

/* Whether a text consists of characters of a class, and of how many; -1 where it does not. */
static Py_ssize_t consists_of(PyObject *text, uint8_t class) {
    if (!PyUnicode_Check(text) || PyUnicode_READY(text) || PyUnicode_KIND(text) != PyUnicode_1BYTE_KIND)
        return -1;
    Py_ssize_t size = PyUnicode_GET_LENGTH(text);
    return are(PyUnicode_1BYTE_DATA(text), size, class) ? size : -1;
}

static int is_name(const Py_UCS1 *data, Py_ssize_t size) {
    if (size < 1 || size > LONGEST_NAME || !are(data, size, NAME))
        return 0;
    /* Neither `.` nor `..`, nor what begins with one of them and a dash. */
    Py_ssize_t dots = data[0] != '.' ? 0 : size > 1 && data[1] == '.' ? 2 : 1;
    return !dots || (size > dots && data[dots] != '-');
}

static PyObject *native_is_name(PyObject *module, PyObject *text) {
    (void)module;
    if (!PyUnicode_Check(text) || PyUnicode_READY(text) || PyUnicode_KIND(text) != PyUnicode_1BYTE_KIND)
        return PyErr_Occurred() ? NULL : Py_NewRef(Py_False);
    return PyBool_FromLong(is_name(PyUnicode_1BYTE_DATA(text), PyUnicode_GET_LENGTH(text)));
}

static PyObject *native_is_hash_part(PyObject *module, PyObject *text) {
    (void)module;
    int right = consists_of(text, BASE32) == HASH_PART;
    return PyErr_Occurred() ? NULL : PyBool_FromLong(right);
}

static PyObject *native_from_base32(PyObject *module, PyObject *text) {
    (void)module;
    Py_ssize_t length = consists_of(text, BASE32);
    if (length < 0)
        return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
    Py_ssize_t size = length * 5 / 8;
    PyObject *found = PyBytes_FromStringAndSize(NULL, size);
    if (found == NULL)
        return NULL;
    uint8_t *bytes = (uint8_t *)PyBytes_AS_STRING(found);
    const Py_UCS1 *digits = PyUnicode_1BYTE_DATA(text);
    memset(bytes, 0, (size_t)size);
    for (Py_ssize_t n = 0; n < length; n++) {
        Py_ssize_t bit = 5 * n, byte = bit / 8;
        unsigned two = (unsigned)values[digits[length - 1 - n]] << bit % 8;
        unsigned parts[] = {two & 0xff, two >> 8};
        for (int i = 0; i < 2; i++)
            if (byte + i < size)
                bytes[byte + i] |= (uint8_t)parts[i];
            else if (parts[i]) { /* a digit that has no room in the last byte */
                Py_DECREF(found);
                Py_RETURN_NONE;
            }
    }
    return found;
}

/* (hash part, name) of a store path's text from a character on; None for what is none. */
static PyObject *native_split_base(PyObject *module, PyObject *const *arguments, Py_ssize_t count) {
    (void)module;
    if (count != 2 || !PyUnicode_Check(arguments[0])) {
        PyErr_SetString(PyExc_TypeError, "a text and a number needed");
        return NULL;
    }
    PyObject *text = arguments[0];
    Py_ssize_t start = PyLong_AsSsize_t(arguments[1]);
    if (PyErr_Occurred() || PyUnicode_READY(text))
        return NULL;
    Py_ssize_t size = PyUnicode_GET_LENGTH(text) - start;
    if (start < 0 || size < HASH_PART + 2 || PyUnicode_KIND(text) != PyUnicode_1BYTE_KIND)
        Py_RETURN_NONE;
    const Py_UCS1 *data = PyUnicode_1BYTE_DATA(text) + start;
    if (data[HASH_PART] != '-' || !are(data, HASH_PART, BASE32) || !is_name(data + HASH_PART + 1, size - HASH_PART - 1))
        Py_RETURN_NONE;
    return Py_BuildValue("NN", PyUnicode_Substring(text, start, start + HASH_PART),
                         PyUnicode_Substring(text, start + HASH_PART + 1, start + size));
}

#endif
