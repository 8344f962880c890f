/* Archives that nobody keeps: to a descriptor, or to a Python function. Part of _native.c. */
#ifndef FRAZIL_DUMPER_H
#define FRAZIL_DUMPER_H

#include <poll.h>

#include "archive.h"

typedef struct {
    PyObject *write;
    PyThreadState *state;
} Taker;

/* Who takes it may let us wait for long: an interrupt ends that. */
static int dump_is_interrupted(Archiving *a) {
    Taker *taker = a->taker;
    PyEval_RestoreThread(taker->state);
    int result = PyErr_CheckSignals();
    taker->state = PyEval_SaveThread();
    return result;
}

static int emit_to_descriptor(Archiving *a, const uint8_t *data, size_t size) {
    while (size) {
        ssize_t written = write(a->descriptor, data, size);
        if (written < 0 && errno == EAGAIN) {
            struct pollfd wanted = {.fd = a->descriptor, .events = POLLOUT};
            poll(&wanted, 1, 1000);
        } else if (written < 0 && errno != EINTR) {
            return -1;
        } else if (written > 0) {
            data += written;
            size -= (size_t)written;
        }
        if (size && dump_is_interrupted(a))
            return -1;
    }
    return 0;
}

static int emit_to_function(Archiving *a, const uint8_t *data, size_t size) {
    Taker *taker = a->taker;
    PyEval_RestoreThread(taker->state);
    PyObject *bytes = PyBytes_FromStringAndSize((const char *)data, (Py_ssize_t)size);
    PyObject *result = bytes == NULL ? NULL : PyObject_CallOneArg(taker->write, bytes);
    int failure = result == NULL;
    Py_XDECREF(bytes);
    Py_XDECREF(result);
    taker->state = PyEval_SaveThread();
    return failure ? -1 : 0;
}

static PyObject *native_dump(PyObject *module, PyObject *arguments) {
    (void)module;
    PyObject *path, *to;
    if (!PyArg_ParseTuple(arguments, "O&O", PyUnicode_FSConverter, &path, &to))
        return NULL;
    Taker taker = {.write = to};
    Archiving a = {.descriptor = -1, .emit = emit_to_function, .interrupted = dump_is_interrupted, .taker = &taker};
    if (PyLong_Check(to)) {
        a.emit = emit_to_descriptor;
        a.descriptor = PyObject_AsFileDescriptor(to);
        if (a.descriptor < 0) {
            Py_DECREF(path);
            return NULL;
        }
    }
    uint8_t digest[SHA256_DIGEST];
    taker.state = PyEval_SaveThread();
    int result = make_archive(&a, PyBytes_AS_STRING(path), digest);
    PyEval_RestoreThread(taker.state);
    Py_DECREF(path);
    if (result && a.failure != FAILED_OUTPUT) {
        archive_error(&a);
    } else if (result && a.descriptor >= 0 && !PyErr_Occurred()) {
        errno = a.error;
        PyErr_SetFromErrno(PyExc_OSError);
    }
    free(a.out.data);
    free(a.path.data);
    return result ? NULL : PyLong_FromUnsignedLongLong(a.total);
}

#endif
