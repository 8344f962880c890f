/* Requests for small files and their answers over connections that stay open (HTTP/1.1), without the interpreter's
 * lock. Part of _native.c.
 *
 * Only the plainest answer is understood here: a status, one Content-Length, a body that is wholly there. Of any other
 * the bytes that have come are given back, and store/http.py reads on. Source of truth: RFC 9112. */
#ifndef FRAZIL_EXCHANGE_H
#define FRAZIL_EXCHANGE_H

#include <poll.h>
#include <sys/socket.h>
#include <time.h>

enum {
    EXCHANGE_HEAD = 1 << 16,  /* bytes of a head at most */
    EXCHANGE_FIRST = 1 << 12, /* room for an answer at first */
    EXCHANGES = 64,           /* at once */
    EXCHANGE_SLICE = 100,     /* milliseconds that a signal may wait to be looked at */
};

typedef enum { EXCHANGE_ON, EXCHANGE_WHOLE, EXCHANGE_OTHER, EXCHANGE_FAILED } ExchangeState;

typedef struct {
    int descriptor;
    PyObject *request, *key;
    size_t sent;
    uint8_t *data;
    size_t have, room, seen; /* seen: bytes of the head that hold no end of it */
    size_t head, size;       /* once the head is whole: its length, and that of all */
    int64_t heard;           /* milliseconds: when anything moved */
    ExchangeState state;
    int error;
} Exchange;

static int64_t milliseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int exchange_is_blank(uint8_t c) {
    return c == ' ' || c == '\t' || c == '\r';
}

/* Whether a head is of the plainest kind; then `length` is that of the body. */
static int exchange_is_plain(const uint8_t *at, const uint8_t *end, uint64_t *length) {
    int known = 0;
    if (end - at < 12 || memcmp(at, "HTTP/1.", 7) || at[8] != ' ' || memcmp(at + 9, "204", 3) == 0 ||
        memcmp(at + 9, "304", 3) == 0 || at[9] < '2' || at[9] > '5')
        return 0;
    for (at = memchr(at, '\n', (size_t)(end - at)); at != NULL && ++at < end;
         at = memchr(at, '\n', (size_t)(end - at))) {
        const uint8_t *line = memchr(at, '\n', (size_t)(end - at));
        const uint8_t *colon = line == NULL ? NULL : memchr(at, ':', (size_t)(line - at));
        if (colon == NULL)
            continue;
        size_t size = (size_t)(colon - at);
        if (size == 17 && strncasecmp((const char *)at, "transfer-encoding", size) == 0)
            return 0;
        if (exchange_is_blank(*at) || exchange_is_blank(colon[-1]))
            return 0;
        if (size != 14 || strncasecmp((const char *)at, "content-length", size))
            continue;
        const uint8_t *digit = colon + 1;
        uint64_t number = 0;
        while (digit < line && exchange_is_blank(*digit))
            digit++;
        const uint8_t *first = digit;
        for (; digit < line && *digit >= '0' && *digit <= '9'; digit++)
            number = number * 10 + (uint64_t)(*digit - '0');
        if (digit == first || digit - first > 15 || known)
            return 0;
        while (digit < line && exchange_is_blank(*digit))
            digit++;
        if (digit != line)
            return 0;
        known = 1;
        *length = number;
    }
    return known;
}

/* Where the head ends: after an empty line. 0: not there yet. */
static size_t exchange_head_end(Exchange *e) {
    const uint8_t *at = e->data + e->seen, *end = e->data + e->have;
    while (at < end && (at = memchr(at, '\n', (size_t)(end - at))) != NULL) {
        e->seen = (size_t)(at - e->data);
        if (end - at >= 2 && at[1] == '\n')
            return e->seen + 2;
        if (end - at >= 3 && at[1] == '\r' && at[2] == '\n')
            return e->seen + 3;
        if (end - at < 3)
            return 0;
        at++;
    }
    if (at == NULL)
        e->seen = e->have;
    return 0;
}

static void exchange_look(Exchange *e, size_t maximum) {
    uint64_t length = 0;
    if (!e->size) {
        e->head = exchange_head_end(e);
        if (!e->head) {
            if (e->have > EXCHANGE_HEAD)
                e->state = EXCHANGE_OTHER;
            return;
        }
        if (e->head > EXCHANGE_HEAD || !exchange_is_plain(e->data, e->data + e->head, &length) || length > maximum) {
            e->state = EXCHANGE_OTHER;
            return;
        }
        e->size = e->head + (size_t)length;
    }
    if (e->have >= e->size)
        e->state = e->have == e->size ? EXCHANGE_WHOLE : EXCHANGE_OTHER;
}

static void exchange_fail(Exchange *e, int error) {
    e->state = EXCHANGE_FAILED;
    e->error = error;
}

/* Does what can be done without waiting. */
static void exchange_step(Exchange *e, size_t maximum) {
    size_t size = (size_t)PyBytes_GET_SIZE(e->request);
    while (e->sent < size) {
        const char *rest = PyBytes_AS_STRING(e->request) + e->sent;
        ssize_t done = send(e->descriptor, rest, size - e->sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return;
        if (done < 0) {
            exchange_fail(e, errno);
            return;
        }
        e->sent += (size_t)done;
    }
    while (e->state == EXCHANGE_ON) {
        size_t wanted = e->size ? e->size : e->have + EXCHANGE_FIRST / 2;
        if (e->room < wanted) {
            size_t room = wanted < EXCHANGE_FIRST ? EXCHANGE_FIRST : e->size ? wanted : 2 * wanted;
            uint8_t *larger = realloc(e->data, room);
            if (larger == NULL) {
                exchange_fail(e, ENOMEM);
                return;
            }
            e->data = larger;
            e->room = room;
        }
        ssize_t done = recv(e->descriptor, e->data + e->have, e->room - e->have, MSG_DONTWAIT);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return;
        if (done < 0) {
            exchange_fail(e, errno);
            return;
        }
        if (!done) {
            e->state = EXCHANGE_OTHER; /* whoever reads on finds the end, too */
            return;
        }
        e->have += (size_t)done;
        exchange_look(e, maximum);
    }
}

static void exchange_begin(Exchange *e, int descriptor, PyObject *request, PyObject *key) {
    memset(e, 0, sizeof *e);
    e->descriptor = descriptor;
    e->request = Py_NewRef(request);
    e->key = Py_XNewRef(key);
}

static void exchange_end(Exchange *e) {
    free(e->data);
    Py_CLEAR(e->request);
    Py_CLEAR(e->key);
    e->data = NULL;
}

/* Waits for a moment at most; what has not moved for `patience` milliseconds (0: ever) fails. How many are done. */
static int exchange_round(Exchange *all, int count, size_t maximum, int64_t patience, int slice) {
    struct pollfd waits[EXCHANGES];
    int done = 0;
    for (int i = 0; i < count; i++) {
        waits[i].fd = all[i].descriptor;
        waits[i].events = all[i].sent < (size_t)PyBytes_GET_SIZE(all[i].request) ? POLLOUT : POLLIN;
        waits[i].revents = 0;
    }
    int ready = poll(waits, (nfds_t)count, slice);
    int64_t now = milliseconds();
    for (int i = 0; i < count; i++) {
        if (ready > 0 && waits[i].revents) {
            exchange_step(&all[i], maximum);
            all[i].heard = now;
        } else if (patience && now - all[i].heard > patience) {
            exchange_fail(&all[i], ETIMEDOUT);
        }
        done += all[i].state != EXCHANGE_ON;
    }
    return done;
}

/* (bytes, length of the head, whether all is there); the exchange is over. */
static PyObject *exchange_answer(const Exchange *e) {
    return Py_BuildValue(
        "y#nO", (const char *)e->data, (Py_ssize_t)e->have, (Py_ssize_t)e->head,
        e->state == EXCHANGE_WHOLE ? Py_True : Py_False
    );
}

/* exchange(descriptor, request, maximum, patience): one at once. */
static PyObject *native_exchange(PyObject *self, PyObject *arguments) {
    Exchange one;
    int descriptor;
    PyObject *request, *result = NULL;
    Py_ssize_t maximum;
    long long patience;
    (void)self;
    if (!PyArg_ParseTuple(arguments, "iSnL", &descriptor, &request, &maximum, &patience))
        return NULL;
    exchange_begin(&one, descriptor, request, NULL);
    while (one.state == EXCHANGE_ON) {
        Py_BEGIN_ALLOW_THREADS
        if (!one.heard) {
            one.heard = milliseconds();
            exchange_step(&one, (size_t)maximum);
        }
        int64_t until = milliseconds() + EXCHANGE_SLICE;
        while (one.state == EXCHANGE_ON && milliseconds() < until)
            exchange_round(&one, 1, (size_t)maximum, patience, EXCHANGE_SLICE);
        Py_END_ALLOW_THREADS
        if (PyErr_CheckSignals())
            goto end;
    }
    result = one.state == EXCHANGE_FAILED ? system_error(one.error, NULL) : exchange_answer(&one);
end:
    exchange_end(&one);
    return result;
}

typedef struct {
    PyObject_HEAD
    int count, busy;
    size_t maximum;
    int64_t patience;
    Exchange all[EXCHANGES];
} ExchangesObject;

static PyObject *exchanges_new(PyTypeObject *type, PyObject *arguments, PyObject *keywords) {
    Py_ssize_t maximum;
    long long patience;
    (void)keywords;
    if (!PyArg_ParseTuple(arguments, "nL", &maximum, &patience))
        return NULL;
    ExchangesObject *self = (ExchangesObject *)type->tp_alloc(type, 0);
    if (self != NULL) {
        self->maximum = (size_t)maximum;
        self->patience = patience;
    }
    return (PyObject *)self;
}

static void exchanges_dealloc(ExchangesObject *self) {
    while (self->count)
        exchange_end(&self->all[--self->count]);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

/* start(descriptor, request, key): the request is sent as far as that needs no waiting. */
static PyObject *exchanges_start(ExchangesObject *self, PyObject *arguments) {
    int descriptor;
    PyObject *request, *key;
    if (!PyArg_ParseTuple(arguments, "iSO", &descriptor, &request, &key))
        return NULL;
    if (self->busy || self->count == EXCHANGES) {
        PyErr_SetString(PyExc_RuntimeError, "too many requests at once");
        return NULL;
    }
    Exchange *e = &self->all[self->count++];
    exchange_begin(e, descriptor, request, key);
    self->busy = 1;
    Py_BEGIN_ALLOW_THREADS
    e->heard = milliseconds();
    exchange_step(e, self->maximum);
    Py_END_ALLOW_THREADS
    self->busy = 0;
    Py_RETURN_NONE;
}

/* wait(): [(key, bytes, length of the head, whether it is whole)] or (key, errno, 0, False) of those that are over; an
 * empty list after a moment. */
static PyObject *exchanges_wait(ExchangesObject *self, PyObject *none) {
    (void)none;
    if (self->busy) {
        PyErr_SetString(PyExc_RuntimeError, "another thread waits already");
        return NULL;
    }
    PyObject *found = PyList_New(0);
    if (found == NULL || !self->count)
        return found;
    int over = 0;
    for (int i = 0; i < self->count; i++)
        over |= self->all[i].state != EXCHANGE_ON;
    if (!over) {
        self->busy = 1;
        Py_BEGIN_ALLOW_THREADS
        exchange_round(self->all, self->count, self->maximum, self->patience, EXCHANGE_SLICE);
        Py_END_ALLOW_THREADS
        self->busy = 0;
    }
    for (int i = 0; i < self->count;) {
        Exchange *e = &self->all[i];
        if (e->state == EXCHANGE_ON) {
            i++;
            continue;
        }
        PyObject *one = e->state == EXCHANGE_FAILED
                            ? Py_BuildValue("OinO", e->key, e->error, (Py_ssize_t)0, Py_False)
                            : Py_BuildValue(
                                  "Oy#nO", e->key, (const char *)e->data, (Py_ssize_t)e->have, (Py_ssize_t)e->head,
                                  e->state == EXCHANGE_WHOLE ? Py_True : Py_False
                              );
        if (one == NULL || PyList_Append(found, one)) {
            Py_XDECREF(one);
            Py_DECREF(found);
            return NULL;
        }
        Py_DECREF(one);
        exchange_end(e);
        *e = self->all[--self->count];
    }
    return found;
}

static PyMethodDef exchanges_methods[] = {
    {"start", (PyCFunction)exchanges_start, METH_VARARGS, NULL},
    {"wait", (PyCFunction)exchanges_wait, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyTypeObject exchanges_type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "frazil._native.Exchanges",
    .tp_basicsize = sizeof(ExchangesObject),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_dealloc = (destructor)exchanges_dealloc,
    .tp_methods = exchanges_methods,
    .tp_new = exchanges_new,
};

#endif
