/* Takes out of the way what stands between a place and its value: a thunk that is done.

   Whoever asks for a thunk's value puts that in the thunk's place. But a thunk is held in several places, by the set or
   list it was made in, by the argument it was handed on as, and by others that nobody asks any more; without this it
   would live as long as they do. Most of a large evaluation's thunks are done soon after they were made, and held by
   what was made at about the same time.

   In: the pieces of memory that the pool of `values` cuts its objects from. Each is gone through once, when some more
   have been filled, and only what lies near it is looked at: whatever is farther away would have to be waited for.
   Nothing is evaluated, and nothing ends but thunks whose value somebody holds. It happens where evaluation gives other
   threads a turn: who comes by there holds references of its own to all that it needs. */

#include <Python.h>
#include <stddef.h>
#include <stdint.h>

typedef struct { PyObject_HEAD PyObject *first, *second; } Pair;
typedef struct { PyObject_HEAD PyObject *up; Py_ssize_t size; PyObject *items[1]; } Slots;
typedef struct { PyObject_HEAD void *methods; PyObject *shape, *origin, *items[1]; } Attrs;
typedef struct { PyObject_HEAD Py_ssize_t count; } Shape;

static PyTypeObject *thunk_type, *env_type, *slots_type, *attrs_type;
static void *lazy_methods;

void frazil_sweep_kinds(
    PyTypeObject *thunk, PyTypeObject *env, PyTypeObject *slots, PyTypeObject *attrs, void *methods_of_lazy_sets
) {
    thunk_type = thunk;
    env_type = env;
    slots_type = slots;
    attrs_type = attrs;
    lazy_methods = methods_of_lazy_sets;
}

/* Longer lists are left alone: several may hold them, and each would go through them. */
#define LONGEST_LIST 64

/* What is looked at: nothing else's type is even read. */
typedef struct {
    char *begin;
    size_t size;
    PyTypeObject *thunks;
} Region;

static inline int is_near(const Region *near, const void *object) {
    return (uintptr_t) object - (uintptr_t) near->begin < near->size;
}

static inline void put_value(PyObject **place, PyObject *thunk) {
    PyObject *value = ((Pair *) thunk)->second;
    Py_INCREF(value);
    *place = value;
    Py_DECREF(thunk);
}

static inline void sweep_place(const Region *near, PyObject **place) {
    PyObject *held = *place; /* or NULL, which is far away */
    if (is_near(near, held) && Py_TYPE(held) == near->thunks && ((Pair *) held)->first == Py_None)
        put_value(place, held);
}

static void sweep_list(const Region *near, PyListObject *list) {
    Py_ssize_t i, size = Py_SIZE(list);
    if (size <= LONGEST_LIST)
        for (i = 0; i < size; i++)
            sweep_place(near, &list->ob_item[i]);
}

static inline void sweep_places(const Region *near, PyObject **place, PyObject **end) {
    for (; place < end; place++) {
        PyObject *held = *place;
        if (!is_near(near, held))
            continue;
        if (Py_TYPE(held) == &PyList_Type)
            sweep_list(near, (PyListObject *) held);
        else
            sweep_place(near, place);
    }
}

/* Whether it is an object: in unused memory the first word is a link, or 0. */
static inline int is_live(const void *memory) { return *(const size_t *) memory - 1 < (size_t) UINT32_MAX; }

/* Goes through one object, or unused memory, which has the size of what was there last; where it ends. */
static inline char *sweep_object(const Region *near, char *memory) {
    PyObject *object = (PyObject *) memory;
    PyTypeObject *type = Py_TYPE(object);
    if (type == near->thunks) {
        Pair *pair = (Pair *) object;
        if (is_live(memory) && pair->first == Py_None && is_near(near, pair->second) &&
            Py_TYPE(pair->second) == &PyList_Type)
            sweep_list(near, (PyListObject *) pair->second);
        return (char *) (pair + 1);
    }
    if (type == env_type) {
        if (is_live(memory))
            sweep_place(near, &((Pair *) object)->second);
        return (char *) ((Pair *) object + 1);
    }
    if (type == attrs_type) {
        Attrs *attrs = (Attrs *) object;
        int has_shape = attrs->shape != Py_None, is_lazy = attrs->methods == lazy_methods;
        PyObject **end = attrs->items + (has_shape ? ((Shape *) attrs->shape)->count : 2);
        if (has_shape && is_live(memory))
            sweep_places(near, attrs->items, end);
        return (char *) (end + is_lazy);
    }
    if (type == slots_type) {
        Slots *slots = (Slots *) object;
        if (is_live(memory))
            sweep_places(near, slots->items, slots->items + slots->size);
        return (char *) (slots->items + slots->size);
    }
    return memory + type->tp_basicsize;
}

/* Smaller evaluations are spared the time. */
#define FIRST_SWEEP 16
/* Pieces that are filled first. Wider bounds, and other ages from 2 to 16, found next to nothing more. */
#define AGE 8
#define BEFORE ((size_t) 4 << 20)
#define AFTER ((size_t) 8 << 20)

typedef struct { char *begin, *end; } Piece;
static Piece *pieces = NULL;
static size_t count = 0, capacity = 0, swept = 0;
static int last_is_noted = 0;

static void sweep_piece(const Piece *piece) {
    const Region near = {piece->begin - BEFORE, BEFORE + AFTER, thunk_type};
    char *object = piece->begin;
    while (object < piece->end)
        object = sweep_object(&near, object);
}

/* Evaluation gives other threads a turn. */
void frazil_sweep(void) {
    if (count < FIRST_SWEEP || sizeof(size_t) < 8)
        return;
    for (; swept + AGE < count; swept++)
        sweep_piece(&pieces[swept]);
}

/* The last piece is full, up to `used`; from now on objects are cut from this one. Without memory to note it, it is
   never swept. */
void frazil_sweep_later(char *used, char *piece) {
    if (last_is_noted)
        pieces[count - 1].end = used;
    last_is_noted = 0;
    if (count == capacity) {
        size_t wanted = capacity == 0 ? 64 : 2 * capacity;
        Piece *more = PyMem_RawRealloc(pieces, wanted * sizeof(Piece));
        if (more == NULL)
            return;
        pieces = more;
        capacity = wanted;
    }
    pieces[count].begin = pieces[count].end = piece;
    count++;
    last_is_noted = 1;
}
