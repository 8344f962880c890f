/* Where the lines of a text begin: numbers of two bytes if the text has fewer than 65,536, else of four. Lines end at
 * LF, CR, or CR LF. Needs Python.h. */
#ifndef FRAZIL_LINES_H
#define FRAZIL_LINES_H

#include <stdint.h>
#include <string.h>

#include "folders.h"

enum { SHORT_TEXT = 1 << 16 };

static int add_start(Bytes *starts, size_t start, size_t size) {
    uint32_t wide = (uint32_t)start;
    uint16_t narrow = (uint16_t)start;
    return size < SHORT_TEXT ? bytes_add(starts, &narrow, sizeof narrow) : bytes_add(starts, &wide, sizeof wide);
}

/* Where the line ends that begins at `start`, its ending included; `size` if it has none. */
static size_t end_of_line(const char *text, size_t start, size_t size, int only_feeds) {
    const char *feed = memchr(text + start, '\n', size - start), *end = feed == NULL ? text + size : feed;
    const char *lone = only_feeds ? NULL : memchr(text + start, '\r', (size_t)(end - (text + start)));
    if (lone != NULL && lone + 1 != feed)
        return (size_t)(lone + 1 - text);
    return feed == NULL ? size : (size_t)(feed + 1 - text);
}

static PyObject *native_line_starts(PyObject *module, PyObject *object) {
    (void)module;
    if (!PyBytes_Check(object) || PyBytes_GET_SIZE(object) > (Py_ssize_t)UINT32_MAX) {
        PyErr_SetString(PyExc_TypeError, "bytes needed, less than 4 GiB");
        return NULL;
    }
    const char *text = PyBytes_AS_STRING(object);
    size_t size = (size_t)PyBytes_GET_SIZE(object), start = 0;
    int only_feeds = memchr(text, '\r', size) == NULL, failed;
    Bytes starts = {0};
    failed = add_start(&starts, 0, size);
    while (!failed && start < size) {
        start = end_of_line(text, start, size, only_feeds);
        if (start == size && text[size - 1] != '\n' && text[size - 1] != '\r')
            break;
        failed = add_start(&starts, start, size);
    }
    PyObject *result =
        failed ? PyErr_NoMemory() : PyBytes_FromStringAndSize((char *)starts.data, (Py_ssize_t)starts.size);
    free(starts.data);
    return result;
}

#endif
