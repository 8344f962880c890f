/* What an evaluation does with files thousands of times, without Python's objects in between.
 *
 * `sha256`, `Sha256`: hashes. `read_file`, `list_folder`: what evaluation reads. `archive`: a file tree, packed and hashed.
 * `Writer`: a thread that writes store objects meanwhile. What each promises is said in _native.pyi; see also
 * docs/design/instantiate.md. */

#define _GNU_SOURCE
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "native/archive.h"
#include "native/lines.h"
#include "native/naming.h"
#include "native/sha256.h"
#include "native/writer.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

static PyObject *regular, *directory, *symlink_, *unknown;

/* -- texts of derivations ----------------------------------------------------------------------------------------- */

static PyObject *native_join(PyObject *module, PyObject *const *arguments, Py_ssize_t count) {
    (void)module;
    const void *data;
    size_t size, whole = 0;
    for (Py_ssize_t i = 0; i < count; i++) {
        if (piece(arguments[i], &data, &size))
            return NULL;
        whole += size;
    }
    PyObject *result = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)whole);
    if (result == NULL)
        return NULL;
    char *at = PyBytes_AS_STRING(result);
    for (Py_ssize_t i = 0; i < count; i++) {
        piece(arguments[i], &data, &size);
        memcpy(at, data, size);
        at += size;
    }
    return result;
}

/* What stands after a backslash for each byte that cannot stand for itself in an ATerm's string. */
static const char escapes[256] = {['"'] = '"', ['\\'] = '\\', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't'};

static int add_quoted(Bytes *out, PyObject *text) {
    const void *data;
    size_t size;
    if (piece(text, &data, &size))
        return -1;
    if (bytes_reserve(out, 2 * size + 32)) { /* whole vectors are stored */
        PyErr_NoMemory();
        return -1;
    }
    const uint8_t *from = data, *end = from + size;
    uint8_t *at = out->data + out->size;
    *at++ = '"';
    while (from < end) {
#ifdef __SSE2__
        /* Most texts have nothing to be escaped for long: 16 bytes at once. */
        while (end - from >= 16) {
            __m128i some = _mm_loadu_si128((const __m128i *)from);
            __m128i marked = _mm_or_si128(_mm_cmpeq_epi8(some, _mm_set1_epi8('"')),
                                          _mm_cmpeq_epi8(some, _mm_set1_epi8('\\')));
            marked = _mm_or_si128(marked, _mm_or_si128(_mm_cmpeq_epi8(some, _mm_set1_epi8('\n')),
                                                       _mm_cmpeq_epi8(some, _mm_set1_epi8('\r'))));
            marked = _mm_or_si128(marked, _mm_cmpeq_epi8(some, _mm_set1_epi8('\t')));
            _mm_storeu_si128((__m128i *)at, some);
            int mask = _mm_movemask_epi8(marked), plain = mask ? __builtin_ctz((unsigned)mask) : 16;
            from += plain;
            at += plain;
            if (mask)
                break;
        }
        if (from == end)
            break;
#endif
        uint8_t byte = *from++;
        if (escapes[byte]) {
            *at++ = '\\';
            byte = (uint8_t)escapes[byte];
        }
        *at++ = byte;
    }
    *at++ = '"';
    out->size = (size_t)(at - out->data);
    return 0;
}

/* Whether a text is in a list of others, all of Latin-1 characters. */
static int is_listed(PyObject *text, PyObject *list) {
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list); i++) {
        PyObject *other = PyList_GET_ITEM(list, i);
        const void *data, *others;
        size_t size, length;
        if (other == text)
            return 1;
        if (piece(text, &data, &size) || piece(other, &others, &length))
            return -1;
        if (size == length && !memcmp(data, others, size))
            return 1;
    }
    return 0;
}

static int add_variables(Bytes *out, PyObject *environment, PyObject *names, PyObject *blank, PyObject *places) {
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(names); i++) {
        PyObject *name = PyList_GET_ITEM(names, i);
        int is_blank = is_listed(name, blank);
        if (is_blank < 0 || bytes_add(out, ",(", i ? 2 : 0) || (!i && bytes_add(out, "(", 1)) || add_quoted(out, name) ||
            bytes_add(out, ",", 1))
            return -1;
        if (is_blank) {
            PyObject *place = PyLong_FromSize_t(out->size + 1);
            int bad = place == NULL || PyList_Append(places, place);
            Py_XDECREF(place);
            if (bad || bytes_add(out, "\"\"", 2))
                return -1;
        } else {
            PyObject *value = PyDict_GetItemWithError(environment, name);
            if (value == NULL) {
                if (!PyErr_Occurred())
                    PyErr_SetObject(PyExc_KeyError, name);
                return -1;
            }
            if (add_quoted(out, value))
                return -1;
        }
        if (bytes_add(out, ")", 1))
            return -1;
    }
    return 0;
}

static PyObject *native_variables(PyObject *module, PyObject *arguments) {
    (void)module;
    PyObject *environment, *names, *blank;
    if (!PyArg_ParseTuple(arguments, "O!O!O!", &PyDict_Type, &environment, &PyList_Type, &names, &PyList_Type, &blank))
        return NULL;
    static Bytes buffer; /* used under the interpreter's lock, and not kept where it became large */
    PyObject *places = PyList_New(0), *text = NULL, *result = NULL;
    buffer.size = 0;
    if (places != NULL && !add_variables(&buffer, environment, names, blank, places))
        text = PyBytes_FromStringAndSize((char *)buffer.data, (Py_ssize_t)buffer.size);
    else if (!PyErr_Occurred())
        PyErr_NoMemory();
    if (text != NULL)
        result = PyTuple_Pack(2, text, places);
    Py_XDECREF(text);
    Py_XDECREF(places);
    if (buffer.capacity > ARCHIVE_STREAM) {
        free(buffer.data);
        buffer = (Bytes){0};
    }
    return result;
}

/* A dict's keys, each with its set of texts: `("KEY",["A","B"]),…`, all in order. Nothing in them needs escapes. */
static int add_wanted(Bytes *out, PyObject *wanted) {
    PyObject *keys = PyDict_Keys(wanted);
    if (keys == NULL || PyList_Sort(keys)) {
        Py_XDECREF(keys);
        return -1;
    }
    int bad = 0;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(keys) && !bad; i++) {
        PyObject *key = PyList_GET_ITEM(keys, i), *set = PyDict_GetItemWithError(wanted, key);
        PyObject *names = set == NULL ? NULL : PySequence_List(set);
        const void *data;
        size_t size;
        bad = names == NULL || (PyList_GET_SIZE(names) > 1 && PyList_Sort(names)) || piece(key, &data, &size) ||
              bytes_add(out, i ? ",(\"" : "(\"", i ? 3 : 2) || bytes_add(out, data, size) || bytes_add(out, "\",[", 3);
        for (Py_ssize_t j = 0; !bad && j < PyList_GET_SIZE(names); j++)
            bad = piece(PyList_GET_ITEM(names, j), &data, &size) ||
                  bytes_add(out, j ? ",\"" : "\"", j ? 2 : 1) || bytes_add(out, data, size) || bytes_add(out, "\"", 1);
        bad = bad || bytes_add(out, "])", 2);
        Py_XDECREF(names);
    }
    Py_DECREF(keys);
    if (bad && !PyErr_Occurred())
        PyErr_NoMemory();
    return bad;
}

static PyObject *native_wanted(PyObject *module, PyObject *wanted) {
    (void)module;
    if (!PyDict_Check(wanted)) {
        PyErr_SetString(PyExc_TypeError, "a dict needed");
        return NULL;
    }
    static Bytes buffer; /* as above */
    buffer.size = 0;
    PyObject *text = add_wanted(&buffer, wanted) ? NULL : PyBytes_FromStringAndSize((char *)buffer.data, (Py_ssize_t)buffer.size);
    if (buffer.capacity > ARCHIVE_STREAM) {
        free(buffer.data);
        buffer = (Bytes){0};
    }
    return text;
}

static PyObject *native_choose(PyObject *module, PyObject *plain) {
    (void)module;
    int wanted = PyObject_IsTrue(plain);
    if (wanted < 0)
        return NULL;
    sha256_choose(wanted);
    return PyBool_FromLong(sha256_blocks != sha256_blocks_plain);
}

typedef struct {
    PyObject_HEAD
    Sha256 hash;
} HashObject;

static PyObject *hash_new(PyTypeObject *type, PyObject *arguments, PyObject *keywords) {
    Py_buffer view = {0};
    (void)keywords;
    if (!PyArg_ParseTuple(arguments, "|y*", &view))
        return NULL;
    HashObject *self = (HashObject *)type->tp_alloc(type, 0);
    if (self != NULL) {
        sha256_begin(&self->hash);
        if (view.obj != NULL)
            sha256_add(&self->hash, view.buf, (size_t)view.len);
    }
    if (view.obj != NULL)
        PyBuffer_Release(&view);
    return (PyObject *)self;
}

static PyObject *hash_update(HashObject *self, PyObject *data) {
    Py_buffer view;
    if (PyObject_GetBuffer(data, &view, PyBUF_SIMPLE))
        return NULL;
    if (view.len > ARCHIVE_PIECE) {
        Sha256 hash = self->hash; /* other threads may look at it meanwhile */
        Py_BEGIN_ALLOW_THREADS
        sha256_add(&hash, view.buf, (size_t)view.len);
        Py_END_ALLOW_THREADS
        self->hash = hash;
    } else {
        sha256_add(&self->hash, view.buf, (size_t)view.len);
    }
    PyBuffer_Release(&view);
    Py_RETURN_NONE;
}

static PyObject *hash_digest(HashObject *self, PyObject *none) {
    (void)none;
    uint8_t digest[SHA256_DIGEST];
    Sha256 hash = self->hash;
    sha256_end(&hash, digest);
    return PyBytes_FromStringAndSize((char *)digest, SHA256_DIGEST);
}

static PyObject *hash_hexdigest(HashObject *self, PyObject *none) {
    (void)none;
    uint8_t digest[SHA256_DIGEST];
    Sha256 hash = self->hash;
    sha256_end(&hash, digest);
    return hex(digest);
}

static PyMethodDef hash_methods[] = {
    {"update", (PyCFunction)hash_update, METH_O, NULL},
    {"digest", (PyCFunction)hash_digest, METH_NOARGS, NULL},
    {"hexdigest", (PyCFunction)hash_hexdigest, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyTypeObject hash_type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "frazil._native.Sha256",
    .tp_basicsize = sizeof(HashObject),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_methods = hash_methods,
    .tp_new = hash_new,
};

/* -- reading ------------------------------------------------------------------------------------------------------ */

static PyObject *system_error(int error, PyObject *path) {
    errno = error;
    return PyErr_SetFromErrnoWithFilenameObject(PyExc_OSError, path);
}

/* Whatever is no plain file, or says that it is empty (as in /proc), is read until it ends. */
static PyObject *read_until_end(int descriptor, PyObject *path) {
    Bytes bytes = {0};
    ssize_t got = 1;
    int error = 0;
    Py_BEGIN_ALLOW_THREADS
    while (got != 0 && !error) {
        if (bytes_reserve(&bytes, ARCHIVE_PIECE)) {
            error = ENOMEM;
            break;
        }
        got = read(descriptor, bytes.data + bytes.size, ARCHIVE_PIECE);
        if (got > 0)
            bytes.size += (size_t)got;
        else if (got < 0 && errno != EINTR)
            error = errno;
    }
    Py_END_ALLOW_THREADS
    PyObject *result = error ? system_error(error, path)
                             : PyBytes_FromStringAndSize((char *)bytes.data, (Py_ssize_t)bytes.size);
    free(bytes.data);
    return result;
}

static PyObject *read_sized(int descriptor, size_t size, PyObject *path) {
    PyObject *result = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)size);
    if (result == NULL)
        return NULL;
    char *data = PyBytes_AS_STRING(result);
    size_t have = 0;
    int error = 0;
    Py_BEGIN_ALLOW_THREADS
    while (have < size) {
        ssize_t got = read(descriptor, data + have, size - have);
        if (got > 0)
            have += (size_t)got;
        else if (got == 0)
            break;
        else if (errno != EINTR) {
            error = errno;
            break;
        }
    }
    Py_END_ALLOW_THREADS
    if (error) {
        Py_DECREF(result);
        return system_error(error, path);
    }
    if (have < size)
        _PyBytes_Resize(&result, (Py_ssize_t)have);
    return result;
}

static PyObject *native_read_file(PyObject *module, PyObject *path) {
    (void)module;
    const char *name = PyBytes_AsString(path);
    if (name == NULL)
        return NULL;
    if (strlen(name) != (size_t)PyBytes_GET_SIZE(path)) {
        PyErr_SetString(PyExc_ValueError, "embedded null byte");
        return NULL;
    }
    struct stat status;
    int descriptor, error = 0;
    Py_BEGIN_ALLOW_THREADS
    descriptor = open(name, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0 || fstat(descriptor, &status))
        error = errno;
    else if (S_ISDIR(status.st_mode))
        error = EISDIR;
    Py_END_ALLOW_THREADS
    PyObject *result = NULL;
    if (error)
        system_error(error, path);
    else if (S_ISREG(status.st_mode) && status.st_size > 0)
        result = read_sized(descriptor, (size_t)status.st_size, path);
    else
        result = read_until_end(descriptor, path);
    if (descriptor >= 0)
        close(descriptor);
    return result;
}

static PyObject *native_exists(PyObject *module, PyObject *path) {
    (void)module;
    struct stat status;
    const char *name = PyBytes_AsString(path);
    return name == NULL ? NULL : PyBool_FromLong(lstat(name, &status) == 0);
}

static PyObject *native_is_plain_file(PyObject *module, PyObject *path) {
    (void)module;
    struct stat status;
    const char *name = PyBytes_AsString(path);
    return name == NULL ? NULL : PyBool_FromLong(stat(name, &status) == 0 && S_ISREG(status.st_mode));
}

static PyObject *kind_name(mode_t kind) {
    return kind == S_IFREG ? regular : kind == S_IFDIR ? directory : kind == S_IFLNK ? symlink_ : unknown;
}

static PyObject *native_list_folder(PyObject *module, PyObject *path) {
    (void)module;
    const char *name = PyBytes_AsString(path);
    if (name == NULL)
        return NULL;
    if (strlen(name) != (size_t)PyBytes_GET_SIZE(path)) {
        PyErr_SetString(PyExc_ValueError, "embedded null byte");
        return NULL;
    }
    Listing listing = {0};
    int error = 0;
    Py_BEGIN_ALLOW_THREADS
    DIR *stream = opendir(name);
    if (stream == NULL || list(&listing, stream))
        error = errno ? errno : ENOMEM;
    if (stream != NULL)
        closedir(stream);
    Py_END_ALLOW_THREADS
    PyObject *result = error ? system_error(error, path) : PyDict_New();
    for (size_t i = 0; result != NULL && i < listing.count; i++) {
        const char *inner = (const char *)listing.names.data + listing.found[i].at;
        PyObject *key = PyUnicode_DecodeLatin1(inner, (Py_ssize_t)strlen(inner), NULL);
        if (key == NULL || PyDict_SetItem(result, key, kind_name(listing.found[i].kind)))
            Py_CLEAR(result);
        Py_XDECREF(key);
    }
    forget(&listing);
    return result;
}

/* -- archives ----------------------------------------------------------------------------------------------------- */

typedef struct {
    PyObject_HEAD
    Bytes bytes;
    PyObject *digest;
    uint64_t size;
} ArchiveObject;

static void archive_dealloc(ArchiveObject *self) {
    free(self->bytes.data);
    Py_XDECREF(self->digest);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyObject *archive_digest(ArchiveObject *self, void *none) {
    (void)none;
    return Py_NewRef(self->digest);
}

static PyObject *archive_size(ArchiveObject *self, void *none) {
    (void)none;
    return PyLong_FromUnsignedLongLong(self->size);
}

static PyObject *archive_contents(ArchiveObject *self, void *none) {
    (void)none;
    if (self->bytes.data == NULL)
        Py_RETURN_NONE;
    return PyBytes_FromStringAndSize((char *)self->bytes.data, (Py_ssize_t)self->bytes.size);
}

static PyGetSetDef archive_fields[] = {
    {"digest", (getter)archive_digest, NULL, NULL, NULL},
    {"size", (getter)archive_size, NULL, NULL, NULL},
    {"contents", (getter)archive_contents, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyTypeObject archive_type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "frazil._native.Archive",
    .tp_basicsize = sizeof(ArchiveObject),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .tp_dealloc = (destructor)archive_dealloc,
    .tp_getset = archive_fields,
};

static PyObject *unfit; /* ValueError(reason, path): what an archive cannot hold, or what changed meanwhile */

static PyObject *archive_error(const Archiving *a) {
    static const char *const reasons[] = {
        [FAILED_DEPTH] = "depth", [FAILED_TYPE] = "type", [FAILED_CHANGED] = "changed", [FAILED_SHORTER] = "shorter",
    };
    if (a->failure == FAILED_MEMORY)
        return PyErr_NoMemory();
    PyObject *path = PyUnicode_DecodeFSDefaultAndSize((char *)a->path.data, (Py_ssize_t)a->path.size);
    if (path == NULL)
        return NULL;
    if (a->failure == FAILED_SYSTEM) {
        system_error(a->error, path);
    } else {
        PyObject *arguments = Py_BuildValue("(sO)", reasons[a->failure], path);
        if (arguments != NULL)
            PyErr_SetObject(unfit, arguments);
        Py_XDECREF(arguments);
    }
    Py_DECREF(path);
    return NULL;
}

/* Memory that the last archive needed and nobody kept: most are of the same size. */
static Bytes spare;

static PyObject *native_archive(PyObject *module, PyObject *arguments) {
    (void)module;
    PyObject *path;
    Py_ssize_t keep;
    if (!PyArg_ParseTuple(arguments, "O&n", PyUnicode_FSConverter, &path, &keep))
        return NULL;
    Archiving a = {.limit = keep > 0 ? (size_t)keep : 0, .kept = keep > 0, .out = spare, .descriptor = -1};
    spare = (Bytes){0};
    a.out.size = 0;
    uint8_t digest[SHA256_DIGEST];
    int result;
    Py_BEGIN_ALLOW_THREADS
    result = make_archive(&a, PyBytes_AS_STRING(path), digest);
    Py_END_ALLOW_THREADS
    Py_DECREF(path);
    ArchiveObject *made = NULL;
    if (result)
        archive_error(&a);
    else
        made = PyObject_New(ArchiveObject, &archive_type);
    free(a.path.data);
    if (made != NULL) {
        made->bytes = (Bytes){0};
        made->size = a.total;
        made->digest = PyBytes_FromStringAndSize((char *)digest, SHA256_DIGEST);
        if (made->digest == NULL) {
            Py_CLEAR(made);
        } else if (a.kept) {
            uint8_t *fitting = realloc(a.out.data, a.out.size);
            made->bytes = (Bytes){fitting != NULL ? fitting : a.out.data, a.out.size, a.out.size};
            return (PyObject *)made;
        }
    }
    free(spare.data); /* another thread may have left its own */
    spare = a.out;
    return (PyObject *)made;
}

#include "native/dumper.h"
#include "native/exchange.h"
#include "native/unpacker.h"

/* -- the writer --------------------------------------------------------------------------------------------------- */

typedef struct {
    PyObject_HEAD
    Writing writing;
    PyObject *owners; /* keeps the contents of files alive */
} WriterObject;

static PyObject *writer_new(PyTypeObject *type, PyObject *arguments, PyObject *keywords) {
    PyObject *path;
    if (keywords != NULL && PyDict_GET_SIZE(keywords)) {
        PyErr_SetString(PyExc_TypeError, "no keywords");
        return NULL;
    }
    if (!PyArg_ParseTuple(arguments, "O&", PyUnicode_FSConverter, &path))
        return NULL;
    WriterObject *self = (WriterObject *)type->tp_alloc(type, 0);
    if (self == NULL) {
        Py_DECREF(path);
        return NULL;
    }
    Writing *writing = &self->writing;
    pthread_mutex_init(&writing->mutex, NULL);
    pthread_cond_init(&writing->news, NULL);
    pthread_cond_init(&writing->quiet, NULL);
    writing->process = getpid();
    writing->exact = -1;
    writing->folder = open(PyBytes_AS_STRING(path), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    self->owners = PyList_New(0);
    if (writing->folder < 0)
        system_error(errno, path);
    else if (self->owners != NULL && (errno = start_writing(writing)) != 0)
        PyErr_SetFromErrno(PyExc_OSError);
    Py_DECREF(path);
    if (!writing->running)
        Py_CLEAR(self);
    return (PyObject *)self;
}

static void writer_dealloc(WriterObject *self) {
    Writing *writing = &self->writing;
    Py_BEGIN_ALLOW_THREADS
    stop_writing(writing);
    Py_END_ALLOW_THREADS
    for (size_t i = 0; i < writing->count; i++) {
        if (writing->jobs[i]->is_archive && i >= writing->next)
            free(writing->jobs[i]->data);
        free(writing->jobs[i]);
    }
    free(writing->jobs);
    if (writing->folder >= 0)
        close(writing->folder);
    Py_XDECREF(self->owners);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static int is_at_work(const WriterObject *self) {
    return self->writing.running && self->writing.process == getpid();
}

static PyObject *writer_add_archive(WriterObject *self, PyObject *object) {
    if (!PyObject_TypeCheck(object, &archive_type)) {
        PyErr_SetString(PyExc_TypeError, "an Archive needed");
        return NULL;
    }
    ArchiveObject *archive = (ArchiveObject *)object;
    Writing *writing = &self->writing;
    Py_ssize_t number = -1;
    if (is_at_work(self) && archive->bytes.data != NULL) {
        pthread_mutex_lock(&writing->mutex);
        int room = writing->held + archive->bytes.size <= WRITER_HOLDS;
        pthread_mutex_unlock(&writing->mutex);
        if (room)
            number = give_job(writing, archive->bytes.data, archive->bytes.size, 1);
        if (number >= 0)
            archive->bytes = (Bytes){0};
    }
    return PyLong_FromSsize_t(number);
}

static PyObject *writer_add_file(WriterObject *self, PyObject *contents) {
    if (!PyBytes_Check(contents)) {
        PyErr_SetString(PyExc_TypeError, "bytes needed");
        return NULL;
    }
    if (!is_at_work(self))
        return PyLong_FromLong(-1);
    if (PyList_Append(self->owners, contents))
        return NULL;
    return PyLong_FromSsize_t(
        give_job(&self->writing, (uint8_t *)PyBytes_AS_STRING(contents), (size_t)PyBytes_GET_SIZE(contents), 0));
}

static PyObject *writer_finish(WriterObject *self, PyObject *none) {
    (void)none;
    int quiet = !is_at_work(self);
    while (!quiet) {
        Py_BEGIN_ALLOW_THREADS
        quiet = wait_for_quiet(&self->writing, 100000000);
        Py_END_ALLOW_THREADS
        if (!quiet && PyErr_CheckSignals())
            return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *writer_stop(WriterObject *self, PyObject *none) {
    (void)none;
    Py_BEGIN_ALLOW_THREADS
    stop_writing(&self->writing);
    Py_END_ALLOW_THREADS
    Py_RETURN_NONE;
}

/* The job where it is done, with or without success; else NULL, and an error where there never was one. */
static Job *finished_job(WriterObject *self, PyObject *index) {
    Writing *writing = &self->writing;
    Py_ssize_t number = PyNumber_AsSsize_t(index, PyExc_IndexError);
    if (number == -1 && PyErr_Occurred())
        return NULL;
    if (writing->process != getpid())
        return NULL;
    pthread_mutex_lock(&writing->mutex);
    int known = number >= 0 && (size_t)number < writing->count;
    Job *job = known && writing->idle && (size_t)number < writing->next ? writing->jobs[number] : NULL;
    pthread_mutex_unlock(&writing->mutex);
    if (!known)
        PyErr_SetString(PyExc_IndexError, "no such object");
    return job;
}

static PyObject *writer_written(WriterObject *self, PyObject *number) {
    Job *job = finished_job(self, number);
    if (PyErr_Occurred())
        return NULL;
    return PyBool_FromLong(job != NULL && job->written);
}

static PyObject *writer_is_folder(WriterObject *self, PyObject *number) {
    Job *job = finished_job(self, number);
    if (PyErr_Occurred())
        return NULL;
    return PyBool_FromLong(job != NULL && job->is_folder);
}

static PyObject *writer_digest(WriterObject *self, PyObject *number) {
    Job *job = finished_job(self, number);
    if (PyErr_Occurred())
        return NULL;
    if (job == NULL || !job->written || job->is_archive) {
        PyErr_SetString(PyExc_ValueError, "not a file that was written");
        return NULL;
    }
    return PyBytes_FromStringAndSize((char *)job->digest, SHA256_DIGEST);
}

static PyObject *writer_place(WriterObject *self, PyObject *arguments) {
    PyObject *number, *path;
    if (!PyArg_ParseTuple(arguments, "OO&", &number, PyUnicode_FSConverter, &path))
        return NULL;
    Job *job = finished_job(self, number);
    if (!PyErr_Occurred() && (job == NULL || !job->written))
        PyErr_SetString(PyExc_ValueError, "it was not written");
    if (!PyErr_Occurred()) {
        if (place(&self->writing, job, PyBytes_AS_STRING(path)))
            system_error(errno, path);
        else
            job->written = 0;
    }
    Py_DECREF(path);
    if (PyErr_Occurred())
        return NULL;
    Py_RETURN_NONE;
}

static PyMethodDef writer_methods[] = {
    {"add_archive", (PyCFunction)writer_add_archive, METH_O, NULL},
    {"add_file", (PyCFunction)writer_add_file, METH_O, NULL},
    {"finish", (PyCFunction)writer_finish, METH_NOARGS, NULL},
    {"stop", (PyCFunction)writer_stop, METH_NOARGS, NULL},
    {"written", (PyCFunction)writer_written, METH_O, NULL},
    {"is_folder", (PyCFunction)writer_is_folder, METH_O, NULL},
    {"digest", (PyCFunction)writer_digest, METH_O, NULL},
    {"place", (PyCFunction)writer_place, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyTypeObject writer_type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "frazil._native.Writer",
    .tp_basicsize = sizeof(WriterObject),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_dealloc = (destructor)writer_dealloc,
    .tp_methods = writer_methods,
    .tp_new = writer_new,
};

/* -- the module --------------------------------------------------------------------------------------------------- */

static PyMethodDef methods[] = {
    {"sha256", (PyCFunction)(void (*)(void))native_sha256, METH_FASTCALL, NULL},
    {"sha256_hex", (PyCFunction)(void (*)(void))native_sha256_hex, METH_FASTCALL, NULL},
    {"hash_part", (PyCFunction)(void (*)(void))native_hash_part, METH_FASTCALL, NULL},
    {"base32", native_base32, METH_O, NULL},
    {"from_base32", native_from_base32, METH_O, NULL},
    {"split_base", (PyCFunction)(void (*)(void))native_split_base, METH_FASTCALL, NULL},
    {"join", (PyCFunction)(void (*)(void))native_join, METH_FASTCALL, NULL},
    {"variables", native_variables, METH_VARARGS, NULL},
    {"wanted", native_wanted, METH_O, NULL},
    {"is_name", native_is_name, METH_O, NULL},
    {"is_hash_part", native_is_hash_part, METH_O, NULL},
    {"choose_plain", native_choose, METH_O, NULL},
    {"read_file", native_read_file, METH_O, NULL},
    {"list_folder", native_list_folder, METH_O, NULL},
    {"exists", native_exists, METH_O, NULL},
    {"is_plain_file", native_is_plain_file, METH_O, NULL},
    {"line_starts", native_line_starts, METH_O, NULL},
    {"archive", native_archive, METH_VARARGS, NULL},
    {"dump", native_dump, METH_VARARGS, NULL},
    {"receive", native_receive, METH_VARARGS, NULL},
    {"exchange", native_exchange, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "frazil._native", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__native(void) {
    sha256_choose(0);
    classify_characters();
    regular = PyUnicode_InternFromString("regular");
    directory = PyUnicode_InternFromString("directory");
    symlink_ = PyUnicode_InternFromString("symlink");
    unknown = PyUnicode_InternFromString("unknown");
    unfit = PyErr_NewException("frazil._native.Unfit", PyExc_ValueError, NULL);
    unsound = PyErr_NewException("frazil._native.Unsound", PyExc_ValueError, NULL);
    PyObject *module = PyModule_Create(&definition);
    if (module == NULL || regular == NULL || directory == NULL || symlink_ == NULL || unknown == NULL || unfit == NULL ||
        unsound == NULL)
        return NULL;
    PyTypeObject *types[] = {&hash_type, &archive_type, &unpacker_type, &writer_type, &exchanges_type};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (PyModule_AddType(module, types[i]))
            return NULL;
    if (PyModule_AddObjectRef(module, "Unfit", unfit) || PyModule_AddObjectRef(module, "Unsound", unsound))
        return NULL;
    return module;
}
