/* Store objects as the tar of a layer: listed, read, written and hashed without Python, the hash on a processor of its own.
 *
 * `Layer(objects, parents, owner, most)`: see _layer.pyi. The bytes are those of packages/oci/tree.py, which is the source
 * of truth. What is listed is kept (at most `most` entries, else it is listed again), so that sizes are known before a
 * byte is read. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>

#include "../native/sha256.h"
#include "../native/tar_header.h"

enum {
    ROOM = 1 << 18,  /* of a block */
    BLOCKS = 16,     /* that lie between who reads and who hashes */
    ALONE = 4 << 20, /* a layer of fewer bytes is hashed by who reads */
    DEEPEST = 250,   /* folders in one another: each takes room on the stack, and a descriptor */
};

typedef enum { FAILED_SYSTEM = 1, FAILED_TYPE, FAILED_CHANGED, FAILED_DEPTH, FAILED_MEMORY, FAILED_PYTHON } Failure;

typedef struct {
    char *inside, *place; /* the path in the image without its first slash; the path on disk */
    size_t inside_size, place_size;
} Object;

typedef struct {
    uint64_t size;
    size_t at;             /* of the path on disk, then of a link's target */
    uint32_t path, target; /* their lengths */
    uint32_t object;
    char kind;             /* 'd', 'f', 'x', 'l' */
} Item;

typedef struct {
    PyObject_HEAD
    Object *objects;
    char **parents;
    size_t object_count, parent_count;
    Owner owner;
    Item *items;
    size_t count, capacity, most;
    Bytes texts;
    int kept;
    uint64_t size;
} Layer;

/* Bytes on their way: blocks are filled and written by one thread, and hashed by another in the same order. */
typedef struct {
    uint8_t *blocks;
    size_t sizes[BLOCKS];
    uint64_t filled, hashed; /* counts of blocks; under the mutex, as `ended` */
    int ended, threaded;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t more, room;
    Sha256 hash;
    uint64_t total;
    size_t used;             /* of the block that is being filled */
    int descriptor;          /* or -1 */
    PyObject *write;         /* or NULL */
    PyThreadState *python;
} Output;

typedef struct {
    Layer *layer;
    Output *output; /* NULL: entries are listed */
    Bytes path;     /* of what is looked at */
    Bytes header;
    uint32_t object;
    int depth;
    Failure failure;
    int error;
} Walk;

static PyObject *unfit; /* ValueError(reason, path) */

static int failed(Walk *walk, Failure failure) {
    walk->failure = failure;
    walk->error = errno;
    return -1;
}

/* -- output ------------------------------------------------------------------------------------------------------- */

static void *hash_blocks(void *argument) {
    Output *output = argument;
    pthread_mutex_lock(&output->mutex);
    for (;;) {
        while (output->hashed == output->filled && !output->ended)
            pthread_cond_wait(&output->more, &output->mutex);
        if (output->hashed == output->filled)
            break;
        size_t number = output->hashed % BLOCKS;
        pthread_mutex_unlock(&output->mutex);
        sha256_add(&output->hash, output->blocks + number * ROOM, output->sizes[number]);
        pthread_mutex_lock(&output->mutex);
        output->hashed++;
        pthread_cond_signal(&output->room);
    }
    pthread_mutex_unlock(&output->mutex);
    return NULL;
}

static int start_output(Output *output, uint64_t size) {
    sigset_t all, before;
    sha256_begin(&output->hash);
    output->blocks = malloc((size_t)BLOCKS * ROOM);
    if (output->blocks == NULL)
        return -1;
    pthread_mutex_init(&output->mutex, NULL);
    pthread_cond_init(&output->more, NULL);
    pthread_cond_init(&output->room, NULL);
    if (size > ALONE) { /* signals are for the main thread */
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        output->threaded = pthread_create(&output->thread, NULL, hash_blocks, output) == 0;
        pthread_sigmask(SIG_SETMASK, &before, NULL);
    }
    return 0;
}

static void end_output(Output *output) {
    if (output->blocks == NULL)
        return;
    if (output->threaded) {
        pthread_mutex_lock(&output->mutex);
        output->ended = 1;
        pthread_cond_signal(&output->more);
        pthread_mutex_unlock(&output->mutex);
        pthread_join(output->thread, NULL);
    }
    pthread_mutex_destroy(&output->mutex);
    pthread_cond_destroy(&output->more);
    pthread_cond_destroy(&output->room);
    free(output->blocks);
}

/* Whether Python is content: a signal's handler may raise. */
static int ask_python(Walk *walk) {
    PyEval_RestoreThread(walk->output->python);
    int result = PyErr_CheckSignals();
    walk->output->python = PyEval_SaveThread();
    return result ? failed(walk, FAILED_PYTHON) : 0;
}

static int write_out(Walk *walk, const uint8_t *data, size_t size) {
    int descriptor = walk->output->descriptor;
    while (size) {
        ssize_t written = write(descriptor, data, size);
        if (written >= 0) {
            data += written;
            size -= (size_t)written;
            if (size && ask_python(walk)) /* an interrupt may have cut it short */
                return -1;
        } else if (errno == EAGAIN) {
            struct pollfd wanted = {.fd = descriptor, .events = POLLOUT};
            poll(&wanted, 1, 1000);
            if (ask_python(walk))
                return -1;
        } else if (errno != EINTR) {
            walk->path.size = 0; /* what is read is not to blame */
            return failed(walk, FAILED_SYSTEM);
        } else if (ask_python(walk)) {
            return -1;
        }
    }
    return 0;
}

static int give_python(Walk *walk, const uint8_t *data, size_t size) {
    PyEval_RestoreThread(walk->output->python);
    PyObject *block = PyBytes_FromStringAndSize((const char *)data, (Py_ssize_t)size);
    PyObject *done = block == NULL ? NULL : PyObject_CallOneArg(walk->output->write, block);
    int result = done == NULL || PyErr_CheckSignals();
    Py_XDECREF(block);
    Py_XDECREF(done);
    walk->output->python = PyEval_SaveThread();
    return result ? failed(walk, FAILED_PYTHON) : 0;
}

static int flush(Walk *walk) {
    Output *output = walk->output;
    size_t number = output->filled % BLOCKS, size = output->used;
    const uint8_t *block = output->blocks + number * ROOM;
    if (size == 0)
        return 0;
    output->total += size;
    if (output->threaded) { /* the hash begins while this is written */
        pthread_mutex_lock(&output->mutex);
        output->sizes[number] = size;
        output->filled++;
        pthread_cond_signal(&output->more);
        pthread_mutex_unlock(&output->mutex);
    } else {
        sha256_add(&output->hash, block, size);
        output->filled++;
    }
    if (output->descriptor >= 0 && write_out(walk, block, size))
        return -1;
    if (output->write != NULL && give_python(walk, block, size))
        return -1;
    if (output->write == NULL && output->filled % 64 == 0 && ask_python(walk))
        return -1;
    output->used = 0;
    if (output->threaded) {
        pthread_mutex_lock(&output->mutex);
        while (output->filled - output->hashed >= BLOCKS)
            pthread_cond_wait(&output->room, &output->mutex);
        pthread_mutex_unlock(&output->mutex);
    }
    return 0;
}

/* Room for at least one byte, and how much. */
static uint8_t *free_room(Output *output, size_t *room) {
    *room = ROOM - output->used;
    return output->blocks + output->filled % BLOCKS * ROOM + output->used;
}

/* `data` NULL: zeros. */
static int put(Walk *walk, const uint8_t *data, size_t size) {
    while (size) {
        size_t room;
        uint8_t *at = free_room(walk->output, &room);
        size_t part = size < room ? size : room;
        if (data == NULL)
            memset(at, 0, part);
        else
            memcpy(at, data, part);
        data = data == NULL ? NULL : data + part;
        size -= part;
        walk->output->used += part;
        if (part == room && flush(walk))
            return -1;
    }
    return 0;
}

static int put_contents(Walk *walk, int descriptor, uint64_t left) {
    while (left) {
        size_t room;
        uint8_t *at = free_room(walk->output, &room);
        ssize_t got = read(descriptor, at, left < room ? (size_t)left : room);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return failed(walk, FAILED_SYSTEM);
        if (got == 0)
            return failed(walk, FAILED_CHANGED);
        left -= (uint64_t)got;
        walk->output->used += (size_t)got;
        if ((size_t)got == room && flush(walk))
            return -1;
    }
    return 0;
}

static int put_file(Walk *walk, const char *path, uint64_t size) {
    struct stat status;
    int descriptor = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK), result = -1;
    if (descriptor < 0)
        return failed(walk, errno == ELOOP ? FAILED_CHANGED : FAILED_SYSTEM);
    if (fstat(descriptor, &status))
        failed(walk, FAILED_SYSTEM);
    else if (!S_ISREG(status.st_mode) || (uint64_t)status.st_size != size)
        failed(walk, FAILED_CHANGED);
    else
        result = put_contents(walk, descriptor, size);
    close(descriptor);
    return result ? -1 : put(walk, NULL, (size_t)(-size & (TAR_BLOCK - 1)));
}

/* -- entries ------------------------------------------------------------------------------------------------------ */

/* The name in the image: that of the object, and what follows the object's place on disk. */
static int make_header(Walk *walk, const Item *item, const char *path, const char *target) {
    const Object *object = &walk->layer->objects[item->object];
    Bytes name = {0};
    int result = -1;
    walk->header.size = 0;
    if (!bytes_add(&name, object->inside, object->inside_size) &&
        !bytes_add(&name, path + object->place_size, item->path - object->place_size)) {
        TarEntry entry = {
            .name = {name.data, name.size},
            .target = {(const uint8_t *)target, item->target},
            .type = item->kind == 'd' ? '5' : item->kind == 'l' ? '2' : '0',
            .mode = item->kind == 'l' ? 0777 : item->kind == 'f' ? 0444 : 0555,
            .size = item->size,
        };
        result = tar_header(&walk->header, &entry, &walk->layer->owner);
    }
    free(name.data);
    return result ? failed(walk, FAILED_MEMORY) : 0;
}

static int keep(Layer *layer, const Item *item, const char *path, const char *target) {
    if (layer->count == layer->capacity) {
        size_t wanted = layer->capacity ? 2 * layer->capacity : 256;
        Item *items = realloc(layer->items, wanted * sizeof *items);
        if (items == NULL)
            return -1;
        layer->items = items;
        layer->capacity = wanted;
    }
    layer->items[layer->count] = *item;
    layer->items[layer->count++].at = layer->texts.size;
    return bytes_add(&layer->texts, path, item->path + 1) || bytes_add(&layer->texts, target, item->target + 1);
}

static void forget_items(Layer *layer) {
    free(layer->items);
    free(layer->texts.data);
    layer->items = NULL;
    layer->texts = (Bytes){0};
    layer->count = layer->capacity = 0;
    layer->kept = 0;
}

static int visit(Walk *walk, const Item *item, const char *path, const char *target) {
    Layer *layer = walk->layer;
    if (make_header(walk, item, path, target))
        return -1;
    if (walk->output != NULL) {
        if (put(walk, walk->header.data, walk->header.size))
            return -1;
        return item->size ? put_file(walk, path, item->size) : 0;
    }
    layer->size += walk->header.size + (item->size + TAR_BLOCK - 1) / TAR_BLOCK * TAR_BLOCK;
    if (layer->kept && layer->count == layer->most)
        forget_items(layer);
    return layer->kept && keep(layer, item, path, target) ? failed(walk, FAILED_MEMORY) : 0;
}

static int list_folder(Walk *walk, int folder, const char *name);

/* `walk->path` is that of `name` in `folder`. */
static int look_at(Walk *walk, int folder, const char *name, mode_t kind) {
    char target[PATH_MAX + 1] = "";
    struct stat status;
    Item item = {.path = (uint32_t)walk->path.size, .object = walk->object};
    if (kind == S_IFREG) {
        if (fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW))
            return failed(walk, FAILED_SYSTEM);
        if (!S_ISREG(status.st_mode))
            return failed(walk, FAILED_CHANGED);
        item.kind = status.st_mode & 0100 ? 'x' : 'f';
        item.size = (uint64_t)status.st_size;
    } else if (kind == S_IFLNK) {
        ssize_t size = readlinkat(folder, name, target, PATH_MAX);
        if (size < 0)
            return failed(walk, FAILED_SYSTEM);
        target[size] = 0;
        item.kind = 'l';
        item.target = (uint32_t)size;
    } else if (kind == S_IFDIR) {
        item.kind = 'd';
    } else {
        return failed(walk, FAILED_TYPE);
    }
    if (bytes_add(&walk->path, "", 1))
        return failed(walk, FAILED_MEMORY);
    walk->path.size--;
    if (visit(walk, &item, (const char *)walk->path.data, target))
        return -1;
    return kind == S_IFDIR ? list_folder(walk, folder, name) : 0;
}

static int list_folder(Walk *walk, int folder, const char *name) {
    Listing listing = {0};
    size_t outer = walk->path.size;
    int result = -1;
    if (walk->depth == DEEPEST)
        return failed(walk, FAILED_DEPTH);
    DIR *stream = open_folder(folder, name);
    if (stream == NULL)
        return failed(walk, errno == ELOOP ? FAILED_CHANGED : FAILED_SYSTEM);
    walk->depth++;
    if (list(&listing, stream)) {
        failed(walk, FAILED_SYSTEM);
        goto end;
    }
    if (listing.count)
        qsort_r(listing.found, listing.count, sizeof *listing.found, by_name, listing.names.data);
    for (size_t i = 0; i < listing.count; i++) {
        const char *inner = (const char *)listing.names.data + listing.found[i].at;
        walk->path.size = outer;
        if (bytes_add(&walk->path, "/", 1) || bytes_add(&walk->path, inner, strlen(inner))) {
            failed(walk, FAILED_MEMORY);
            goto end;
        }
        if (look_at(walk, dirfd(stream), inner, listing.found[i].kind))
            goto end;
    }
    walk->path.size = outer;
    result = 0;
end:
    walk->depth--;
    forget(&listing);
    closedir(stream);
    return result;
}

static int put_parents(Walk *walk) {
    Layer *layer = walk->layer;
    for (size_t i = 0; i < layer->parent_count; i++) {
        TarEntry entry = {.name = {(uint8_t *)layer->parents[i], strlen(layer->parents[i])}, .type = '5', .mode = 0755};
        walk->header.size = 0;
        if (tar_header(&walk->header, &entry, &layer->owner))
            return failed(walk, FAILED_MEMORY);
        if (walk->output == NULL)
            layer->size += walk->header.size;
        else if (put(walk, walk->header.data, walk->header.size))
            return -1;
    }
    return 0;
}

static int walk_all(Walk *walk) {
    struct stat status;
    if (put_parents(walk))
        return -1;
    for (size_t i = 0; i < walk->layer->object_count; i++) {
        const Object *object = &walk->layer->objects[i];
        walk->path.size = 0;
        walk->object = (uint32_t)i;
        if (bytes_add(&walk->path, object->place, object->place_size))
            return failed(walk, FAILED_MEMORY);
        if (lstat(object->place, &status))
            return failed(walk, FAILED_SYSTEM);
        if (look_at(walk, AT_FDCWD, object->place, status.st_mode & S_IFMT))
            return -1;
    }
    return 0;
}

static int write_kept(Walk *walk) {
    Layer *layer = walk->layer;
    if (put_parents(walk))
        return -1;
    for (size_t i = 0; i < layer->count; i++) {
        const Item *item = &layer->items[i];
        const char *path = (const char *)layer->texts.data + item->at;
        walk->path.size = 0;
        if (bytes_add(&walk->path, path, item->path))
            return failed(walk, FAILED_MEMORY);
        if (visit(walk, item, path, path + item->path + 1))
            return -1;
    }
    return 0;
}

/* -- Python ------------------------------------------------------------------------------------------------------- */

static PyObject *report(const Walk *walk) {
    if (walk->failure == FAILED_PYTHON)
        return NULL;
    if (walk->failure == FAILED_MEMORY)
        return PyErr_NoMemory();
    if (walk->failure == FAILED_SYSTEM && walk->path.size == 0) {
        errno = walk->error;
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    PyObject *path = PyUnicode_DecodeFSDefaultAndSize((char *)walk->path.data, (Py_ssize_t)walk->path.size);
    if (path == NULL)
        return NULL;
    if (walk->failure == FAILED_SYSTEM) {
        errno = walk->error;
        PyErr_SetFromErrnoWithFilenameObject(PyExc_OSError, path);
    } else {
        const char *reason = walk->failure == FAILED_TYPE ? "type" : walk->failure == FAILED_DEPTH ? "depth" : "changed";
        PyObject *arguments = Py_BuildValue("(sO)", reason, path);
        if (arguments != NULL)
            PyErr_SetObject(unfit, arguments);
        Py_XDECREF(arguments);
    }
    Py_DECREF(path);
    return NULL;
}

static int take_owner(Owner *owner, PyObject *value) {
    const char *user, *group;
    long long uid, gid, mtime;
    if (!PyArg_ParseTuple(value, "LLyyL", &uid, &gid, &user, &group, &mtime))
        return -1;
    *owner = (Owner){.uid = uid, .gid = gid, .mtime = mtime};
    strncpy(owner->uname, user, sizeof owner->uname - 1);
    strncpy(owner->gname, group, sizeof owner->gname - 1);
    return 0;
}

static int take_objects(Layer *layer, PyObject *objects) {
    Py_ssize_t count = PyList_GET_SIZE(objects);
    layer->objects = calloc((size_t)count + 1, sizeof *layer->objects);
    if (layer->objects == NULL)
        return PyErr_NoMemory() == NULL ? -1 : 0;
    for (Py_ssize_t i = 0; i < count; i++) {
        const char *inside, *place;
        Object *object = &layer->objects[i];
        if (!PyTuple_Check(PyList_GET_ITEM(objects, i))) {
            PyErr_SetString(PyExc_TypeError, "pairs needed");
            return -1;
        }
        if (!PyArg_ParseTuple(PyList_GET_ITEM(objects, i), "yy", &inside, &place))
            return -1;
        object->inside = strdup(inside);
        object->place = strdup(place);
        layer->object_count++;
        if (object->inside == NULL || object->place == NULL)
            return PyErr_NoMemory() == NULL ? -1 : 0;
        object->inside_size = strlen(inside);
        object->place_size = strlen(place);
    }
    return 0;
}

static int take_parents(Layer *layer, PyObject *parents) {
    Py_ssize_t count = PyList_GET_SIZE(parents);
    layer->parents = calloc((size_t)count + 1, sizeof *layer->parents);
    if (layer->parents == NULL)
        return PyErr_NoMemory() == NULL ? -1 : 0;
    for (Py_ssize_t i = 0; i < count; i++) {
        const char *name = PyBytes_AsString(PyList_GET_ITEM(parents, i));
        if (name == NULL)
            return -1;
        layer->parents[layer->parent_count] = strdup(name);
        if (layer->parents[layer->parent_count] == NULL)
            return PyErr_NoMemory() == NULL ? -1 : 0;
        layer->parent_count++;
    }
    return 0;
}

static PyObject *layer_new(PyTypeObject *type, PyObject *arguments, PyObject *keywords) {
    PyObject *objects, *parents, *owner;
    Py_ssize_t most;
    if (keywords != NULL && PyDict_GET_SIZE(keywords)) {
        PyErr_SetString(PyExc_TypeError, "no keywords");
        return NULL;
    }
    if (!PyArg_ParseTuple(
            arguments, "O!O!O!n", &PyList_Type, &objects, &PyList_Type, &parents, &PyTuple_Type, &owner, &most
        ))
        return NULL;
    Layer *layer = (Layer *)type->tp_alloc(type, 0);
    if (layer == NULL)
        return NULL;
    if (take_objects(layer, objects) || take_parents(layer, parents) || take_owner(&layer->owner, owner)) {
        Py_DECREF(layer);
        return NULL;
    }
    layer->most = most > 0 ? (size_t)most : 0;
    layer->kept = 1;
    layer->size = 2 * TAR_BLOCK;
    Walk walk = {.layer = layer};
    int result;
    Py_BEGIN_ALLOW_THREADS
    result = walk_all(&walk);
    Py_END_ALLOW_THREADS
    if (result) {
        report(&walk);
        Py_CLEAR(layer);
    }
    free(walk.path.data);
    free(walk.header.data);
    return (PyObject *)layer;
}

static void layer_dealloc(Layer *layer) {
    for (size_t i = 0; i < layer->object_count; i++) {
        free(layer->objects[i].inside);
        free(layer->objects[i].place);
    }
    for (size_t i = 0; i < layer->parent_count; i++)
        free(layer->parents[i]);
    free(layer->objects);
    free(layer->parents);
    forget_items(layer);
    Py_TYPE(layer)->tp_free((PyObject *)layer);
}

static PyObject *hex(const uint8_t digest[SHA256_DIGEST]) {
    char text[2 * SHA256_DIGEST];
    for (int i = 0; i < SHA256_DIGEST; i++) {
        text[2 * i] = "0123456789abcdef"[digest[i] >> 4];
        text[2 * i + 1] = "0123456789abcdef"[digest[i] & 15];
    }
    return PyUnicode_FromStringAndSize(text, sizeof text);
}

static PyObject *layer_write(Layer *layer, PyObject *target) {
    Output output = {.descriptor = -1};
    Walk walk = {.layer = layer, .output = &output};
    uint8_t digest[SHA256_DIGEST];
    if (PyLong_Check(target)) {
        long number = PyLong_AsLong(target);
        if (number < 0 || number > INT_MAX) {
            if (!PyErr_Occurred())
                PyErr_SetString(PyExc_ValueError, "not a file's number");
            return NULL;
        }
        output.descriptor = (int)number;
    } else if (target != Py_None) {
        output.write = target;
    }
    output.python = PyEval_SaveThread();
    int result = start_output(&output, layer->size) ? failed(&walk, FAILED_MEMORY) : 0;
    if (!result)
        result = layer->kept ? write_kept(&walk) : walk_all(&walk);
    if (!result)
        result = put(&walk, NULL, 2 * TAR_BLOCK) || flush(&walk);
    end_output(&output);
    PyEval_RestoreThread(output.python);
    if (!result && output.total != layer->size) { /* files came or went between the two walks */
        walk.path.size = 0;
        failed(&walk, FAILED_CHANGED);
        result = -1;
    }
    PyObject *found = NULL;
    if (result) {
        report(&walk);
    } else {
        sha256_end(&output.hash, digest);
        found = hex(digest);
    }
    free(walk.path.data);
    free(walk.header.data);
    return found;
}

static PyObject *layer_size(Layer *layer, void *closure) {
    (void)closure;
    return PyLong_FromUnsignedLongLong(layer->size);
}

static PyObject *native_header(PyObject *module, PyObject *arguments) {
    (void)module;
    Py_buffer name, target;
    PyObject *owner_value;
    const char *type;
    unsigned long long size;
    unsigned mode;
    Owner owner;
    if (!PyArg_ParseTuple(
            arguments, "y*y*sIKO!", &name, &target, &type, &mode, &size, &PyTuple_Type, &owner_value
        ))
        return NULL;
    PyObject *made = NULL;
    if (!take_owner(&owner, owner_value)) {
        TarEntry entry = {
            {name.buf, (size_t)name.len}, {target.buf, (size_t)target.len}, type[0], mode, size,
        };
        Bytes out = {0};
        made = tar_header(&out, &entry, &owner) ? PyErr_NoMemory()
                                                : PyBytes_FromStringAndSize((char *)out.data, (Py_ssize_t)out.size);
        free(out.data);
    }
    PyBuffer_Release(&name);
    PyBuffer_Release(&target);
    return made;
}

static PyMethodDef layer_methods[] = {
    {"write", (PyCFunction)layer_write, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef layer_fields[] = {
    {"size", (getter)layer_size, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyTypeObject layer_type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "frazil.image._layer.Layer",
    .tp_basicsize = sizeof(Layer),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_dealloc = (destructor)layer_dealloc,
    .tp_methods = layer_methods,
    .tp_getset = layer_fields,
    .tp_new = layer_new,
};

static PyMethodDef methods[] = {
    {"header", native_header, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "frazil.image._layer", NULL, -1, methods, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__layer(void) {
    sha256_choose(0);
    unfit = PyErr_NewException("frazil.image._layer.Unfit", PyExc_ValueError, NULL);
    PyObject *module = PyModule_Create(&definition);
    if (module == NULL || unfit == NULL || PyModule_AddType(module, &layer_type) ||
        PyModule_AddObjectRef(module, "Unfit", unfit))
        return NULL;
    return module;
}
