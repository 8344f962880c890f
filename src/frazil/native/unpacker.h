/* unpack.h as a Python object: a piece at a time, without the interpreter's lock. Part of _native.c. */
#ifndef FRAZIL_UNPACKER_H
#define FRAZIL_UNPACKER_H

#include "unpack.h"

typedef struct {
    PyObject_HEAD
    PyObject *folder, *name; /* bytes: where to, and how it is called there */
    int busy;                /* a thread is in it, without the interpreter's lock */
    Unpacking unpacking;
} UnpackerObject;

static PyObject *unsound; /* ValueError("archive" | "longer", message) */

static PyObject *unpacker_new(PyTypeObject *type, PyObject *arguments, PyObject *keywords) {
    PyObject *folder, *name;
    unsigned long long limit;
    (void)keywords;
    if (!PyArg_ParseTuple(arguments, "SSK", &folder, &name, &limit))
        return NULL;
    char *text;
    if (PyBytes_AsStringAndSize(folder, &text, NULL) || PyBytes_AsStringAndSize(name, &text, NULL))
        return NULL;
    int parent;
    Py_BEGIN_ALLOW_THREADS
    parent = open(PyBytes_AS_STRING(folder), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    Py_END_ALLOW_THREADS
    if (parent < 0)
        return system_error(errno, folder);
    UnpackerObject *self = (UnpackerObject *)type->tp_alloc(type, 0);
    if (self == NULL) {
        close(parent);
        return NULL;
    }
    self->folder = Py_NewRef(folder);
    self->name = Py_NewRef(name);
    unpack_begin(&self->unpacking, parent, PyBytes_AS_STRING(name), limit);
    return (PyObject *)self;
}

static void unpacker_dealloc(UnpackerObject *self) {
    unpack_close(&self->unpacking);
    Py_XDECREF(self->folder);
    Py_XDECREF(self->name);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyObject *unpacker_place(const UnpackerObject *self) {
    PyObject *path = PyBytes_FromFormat("%s/%s", PyBytes_AS_STRING(self->folder), PyBytes_AS_STRING(self->name));
    for (int i = 0; path != NULL && i < self->unpacking.depth; i++) {
        PyBytes_ConcatAndDel(&path, PyBytes_FromString("/"));
        if (path != NULL)
            PyBytes_ConcatAndDel(&path, PyBytes_FromString((const char *)self->unpacking.levels[i].name));
    }
    return path;
}

static PyObject *unpacker_failed(UnpackerObject *self) {
    Unpacking *u = &self->unpacking;
    if (u->failure == UNPACK_SYSTEM) {
        PyObject *path = unpacker_place(self);
        if (path != NULL)
            system_error(u->error, path);
        Py_XDECREF(path);
    } else {
        PyObject *message = PyUnicode_DecodeUTF8(u->message, (Py_ssize_t)u->said, "replace");
        PyObject *reason = message == NULL ? NULL
                                           : Py_BuildValue("(sO)", u->failure == UNPACK_BAD ? "archive" : "longer", message);
        if (reason != NULL)
            PyErr_SetObject(unsound, reason);
        Py_XDECREF(reason);
        Py_XDECREF(message);
    }
    unpack_close(u);
    return NULL;
}

static PyObject *unpacker_feed(UnpackerObject *self, PyObject *data) {
    Py_buffer view;
    if (self->busy || self->unpacking.parent < 0) {
        PyErr_SetString(PyExc_RuntimeError, "this archive takes no more");
        return NULL;
    }
    if (PyObject_GetBuffer(data, &view, PyBUF_SIMPLE))
        return NULL;
    int result;
    self->busy = 1;
    Py_BEGIN_ALLOW_THREADS
    result = unpack_feed(&self->unpacking, view.buf, (size_t)view.len);
    Py_END_ALLOW_THREADS
    self->busy = 0;
    PyBuffer_Release(&view);
    if (result)
        return unpacker_failed(self);
    Py_RETURN_NONE;
}

static PyObject *unpacker_finish(UnpackerObject *self, PyObject *none) {
    (void)none;
    Unpacking *u = &self->unpacking;
    if (self->busy || u->parent < 0) {
        PyErr_SetString(PyExc_RuntimeError, "this archive takes no more");
        return NULL;
    }
    if (u->state != AT_END) {
        unpack_bad(u, u->state == AT_MAGIC ? NO_ARCHIVE : "unexpected end of archive");
        return unpacker_failed(self);
    }
    uint8_t digest[SHA256_DIGEST];
    sha256_end(&u->hash, digest);
    unpack_close(u);
    return Py_BuildValue("y#K", (char *)digest, (Py_ssize_t)SHA256_DIGEST, (unsigned long long)u->total);
}

static PyObject *unpacker_close(UnpackerObject *self, PyObject *none) {
    (void)none;
    if (!self->busy)
        unpack_close(&self->unpacking);
    Py_RETURN_NONE;
}

static PyObject *unpacker_doing(UnpackerObject *self, void *none) {
    (void)none;
    return Py_BuildValue("sy#", self->unpacking.doing, self->unpacking.message, (Py_ssize_t)self->unpacking.said);
}

/* receive(folder, name, real, archive, digest): see receive_archive(). True where that went well. */
static PyObject *native_receive(PyObject *self, PyObject *arguments) {
    const char *folder, *name, *real, *digest;
    Py_buffer archive;
    Py_ssize_t size;
    int failed;
    (void)self;
    if (!PyArg_ParseTuple(arguments, "yyyy*y#", &folder, &name, &real, &archive, &digest, &size))
        return NULL;
    if (size != SHA256_DIGEST) {
        PyBuffer_Release(&archive);
        PyErr_SetString(PyExc_ValueError, "that is no SHA-256");
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS
    int parent = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    failed = parent < 0 ||
             receive_archive(parent, name, real, archive.buf, (size_t)archive.len, (const uint8_t *)digest);
    Py_END_ALLOW_THREADS
    PyBuffer_Release(&archive);
    return PyBool_FromLong(!failed);
}

static PyMethodDef unpacker_methods[] = {
    {"feed", (PyCFunction)unpacker_feed, METH_O, NULL},
    {"finish", (PyCFunction)unpacker_finish, METH_NOARGS, NULL},
    {"close", (PyCFunction)unpacker_close, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef unpacker_fields[] = {
    {"doing", (getter)unpacker_doing, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyTypeObject unpacker_type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "frazil._native.Unpacker",
    .tp_basicsize = sizeof(UnpackerObject),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_dealloc = (destructor)unpacker_dealloc,
    .tp_methods = unpacker_methods,
    .tp_getset = unpacker_fields,
    .tp_new = unpacker_new,
};

#endif
