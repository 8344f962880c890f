/* The Python module `frazil._blake3`: `Blake3` with `update`, `digest` and `hexdigest`, as `hashlib` has them. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "native/blake3.h"

#define MUCH 65536

typedef struct {
    PyObject_HEAD
    Blake3 hash;
} HashObject;

static int add(HashObject *self, PyObject *data) {
    Py_buffer view;
    if (PyObject_GetBuffer(data, &view, PyBUF_SIMPLE))
        return -1;
    if (view.len > MUCH) {
        Blake3 hash = self->hash; /* other threads may look at it meanwhile */
        Py_BEGIN_ALLOW_THREADS
        blake3_add(&hash, view.buf, (size_t)view.len);
        Py_END_ALLOW_THREADS
        self->hash = hash;
    } else {
        blake3_add(&self->hash, view.buf, (size_t)view.len);
    }
    PyBuffer_Release(&view);
    return 0;
}

static PyObject *hash_new(PyTypeObject *type, PyObject *arguments, PyObject *keywords) {
    PyObject *data = NULL;
    (void)keywords;
    if (!PyArg_ParseTuple(arguments, "|O", &data))
        return NULL;
    HashObject *self = (HashObject *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    blake3_begin(&self->hash);
    if (data != NULL && add(self, data)) {
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

static PyObject *hash_update(HashObject *self, PyObject *data) {
    if (add(self, data))
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *hash_digest(HashObject *self, PyObject *none) {
    (void)none;
    uint8_t digest[BLAKE3_DIGEST];
    blake3_end(&self->hash, digest);
    return PyBytes_FromStringAndSize((char *)digest, BLAKE3_DIGEST);
}

static PyObject *hash_hexdigest(HashObject *self, PyObject *none) {
    PyObject *digest = hash_digest(self, none);
    if (digest == NULL)
        return NULL;
    PyObject *text = PyObject_CallMethod(digest, "hex", NULL);
    Py_DECREF(digest);
    return text;
}

static PyMethodDef hash_methods[] = {
    {"update", (PyCFunction)hash_update, METH_O, NULL},
    {"digest", (PyCFunction)hash_digest, METH_NOARGS, NULL},
    {"hexdigest", (PyCFunction)hash_hexdigest, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyTypeObject hash_type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "frazil._blake3.Blake3",
    .tp_basicsize = sizeof(HashObject),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_methods = hash_methods,
    .tp_new = hash_new,
};

static PyObject *choose_plain(PyObject *module, PyObject *plain) {
    (void)module;
    int wanted = PyObject_IsTrue(plain);
    return wanted < 0 ? NULL : PyBool_FromLong(blake3_choose(wanted));
}

static PyMethodDef methods[] = {
    {"choose_plain", choose_plain, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "frazil._blake3", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__blake3(void) {
    blake3_choose(0);
    PyObject *module = PyModule_Create(&definition);
    if (module == NULL || PyModule_AddType(module, &hash_type)) {
        Py_XDECREF(module);
        return NULL;
    }
    return module;
}
