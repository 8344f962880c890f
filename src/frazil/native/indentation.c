/* Strings between two single quotes (`lang/indentation.py`, which says the same in Python): where the text of one ends,
 * and what remains of it without its common indentation. */

#include <Python.h>
#include <string.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

/* The first `$` or `'` from i, or n. */
Py_ssize_t frazil_find_quote(const unsigned char *p, Py_ssize_t i, Py_ssize_t n) {
#if defined(__SSE2__)
    const __m128i dollar = _mm_set1_epi8('$'), quote = _mm_set1_epi8('\'');
    for (; i + 16 <= n; i += 16) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)(p + i));
        int found = _mm_movemask_epi8(_mm_or_si128(_mm_cmpeq_epi8(bytes, dollar), _mm_cmpeq_epi8(bytes, quote)));
        if (found)
            return i + __builtin_ctz((unsigned int)found);
    }
#endif
    while (i < n && p[i] != '$' && p[i] != '\'')
        i++;
    return i;
}

int frazil_has_null(const unsigned char *p, Py_ssize_t i, Py_ssize_t end) {
    return memchr(p + i, 0, (size_t)(end - i)) != NULL;
}

/* Where one text ended and the next begins: at the start of a line, after so many spaces? */
typedef struct {
    int at_start;
    Py_ssize_t spaces;
} Place;

#define NO_MINIMUM 1000000

/* Of all lines that hold more than spaces the fewest spaces before it. */
static Py_ssize_t measure(const char *p, Py_ssize_t size, Place *place, Py_ssize_t minimum) {
    const char *end = p + size;
    while (p < end) {
        if (place->at_start) {
            while (p < end && *p == ' ')
                p++, place->spaces++;
            if (p == end)
                break;
            if (*p != '\n') {
                place->at_start = 0;
                if (place->spaces < minimum)
                    minimum = place->spaces;
            }
        }
        p = memchr(p, '\n', (size_t)(end - p));
        if (p == NULL)
            break;
        p++;
        *place = (Place){1, 0};
    }
    return minimum;
}

/* A copy with at most so many spaces fewer at the start of each line; its size. */
static Py_ssize_t strip(const char *p, Py_ssize_t size, char *out, Py_ssize_t minimum, Place *place) {
    const char *end = p + size;
    char *to = out;
    while (p < end) {
        if (place->at_start) {
            for (; p < end && *p == ' '; p++)
                if (++place->spaces > minimum)
                    *to++ = ' ';
            if (p == end)
                break;
            if (*p != '\n')
                *place = (Place){0, 0};
        }
        const char *line_feed = memchr(p, '\n', (size_t)(end - p));
        const char *next = line_feed == NULL ? end : line_feed + 1;
        memcpy(to, p, (size_t)(next - p));
        to += next - p;
        p = next;
        if (line_feed != NULL)
            *place = (Place){1, 0};
    }
    return to - out;
}

/* `last`: spaces on the last line go, if it has nothing else and is not the only one. */
static PyObject *stripped(const char *p, Py_ssize_t size, Py_ssize_t minimum, Place *place, int last) {
    char few[1024], *out = size <= (Py_ssize_t)sizeof few ? few : PyMem_Malloc((size_t)size);
    if (out == NULL)
        return PyErr_NoMemory();
    Py_ssize_t length = strip(p, size, out, minimum, place);
    if (last) {
        Py_ssize_t end = length;
        while (end > 0 && out[end - 1] == ' ')
            end--;
        if (end > 0 && out[end - 1] == '\n')
            length = end;
    }
    PyObject *text = PyUnicode_DecodeLatin1(out, length, NULL);
    if (out != few)
        PyMem_Free(out);
    return text;
}

/* A string without escapes and interpolations. */
PyObject *frazil_strip_text(const unsigned char *p, Py_ssize_t start, Py_ssize_t end) {
    const char *text = (const char *)p + start;
    Place measured = {1, 0}, place = {1, 0};
    Py_ssize_t minimum = measure(text, end - start, &measured, NO_MINIMUM);
    return stripped(text, end - start, minimum, &place, 1);
}

static Py_ssize_t minimum_of(PyObject *parts) {
    Py_ssize_t minimum = NO_MINIMUM;
    Place place = {1, 0};
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(parts); i++) {
        PyObject *part = PyList_GET_ITEM(parts, i), *text = PyTuple_GET_ITEM(part, 2);
        if (PyTuple_GET_ITEM(part, 1) == Py_True)
            minimum = measure(PyUnicode_DATA(text), PyUnicode_GET_LENGTH(text), &place, minimum);
        else if (place.at_start) {
            place.at_start = 0;
            if (place.spaces < minimum)
                minimum = place.spaces;
        }
    }
    return minimum;
}

static int append(PyObject *out, PyObject *pos, PyObject *value) {
    PyObject *pair = PyTuple_Pack(2, pos, value);
    int failed = pair == NULL || PyList_Append(out, pair) < 0;
    Py_XDECREF(pair);
    return failed ? -1 : 0;
}

/* [(position, is text with indentation, text or expression)] -> [(position, text or expression)], no text empty. */
PyObject *frazil_strip_indentation(PyObject *parts) {
    Py_ssize_t minimum = minimum_of(parts), count = PyList_GET_SIZE(parts);
    PyObject *out = PyList_New(0);
    Place place = {1, 0};
    for (Py_ssize_t i = 0; out != NULL && i < count; i++) {
        PyObject *part = PyList_GET_ITEM(parts, i), *value = PyTuple_GET_ITEM(part, 2);
        int failed = 0;
        if (!PyUnicode_CheckExact(value)) {
            place = (Place){0, 0};
            failed = append(out, PyTuple_GET_ITEM(part, 0), value);
        }
        else {
            PyObject *text =
                stripped(PyUnicode_DATA(value), PyUnicode_GET_LENGTH(value), minimum, &place, i == count - 1);
            failed = text == NULL
                     || (PyUnicode_GET_LENGTH(text) > 0 && append(out, PyTuple_GET_ITEM(part, 0), text) < 0);
            Py_XDECREF(text);
        }
        if (failed)
            Py_CLEAR(out);
    }
    return out;
}
