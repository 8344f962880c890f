cimport cython

from frazil.lang.arguments cimport arguments1, arguments2, call_builtin, spare_arguments
from frazil.lang.origins cimport Places, Shape
from frazil.lang.stack cimport check_signals, spend, spend_on, stack_is_low
from frazil.lang.texts cimport (
    byte_pointer,
    decimal,
    int_pointer,
    int_value,
    is_in_order,
    joined,
    joined2,
    joined3,
    latin1,
    quoted,
    same_text,
    symbol_of,
    word_pointer,
    writable,
)


cdef extern from *:
    """
    #ifndef FRAZIL_VALUES_H
    #define FRAZIL_VALUES_H
    /* Where memory for objects comes from: arenas.c. */
    void frazil_use_own_arenas(void);

    /* What evaluation makes most: made here, because allocation is most of evaluation. Sizes are counted in words.
       Memory of one size goes from hand to hand through a list of its own; new memory is cut from large pieces. */
    #define FRAZIL_POOL_WORDS 32
    #define FRAZIL_INTEGERS 4096
    typedef struct {
        void *unused[FRAZIL_POOL_WORDS + 1];
        char *next, *end;
        void *(*more)(size_t words);
        PyObject *integers[FRAZIL_INTEGERS];
    } frazil_pool;

    /* Objects count as references to their class where Cython makes classes at run time. */
    #if CYTHON_USE_TYPE_SPECS
    #define FRAZIL_IS_ON_HEAP(type) ((type)->tp_flags & Py_TPFLAGS_HEAPTYPE)
    #else
    #define FRAZIL_IS_ON_HEAP(type) ((void) (type), 0)
    #endif

    /* Integers have 64 bits. Those that are common are made once. */
    static inline PyObject *frazil_new_int(frazil_pool *pool, long long value) {
    #if !defined(Py_GIL_DISABLED)
        if ((unsigned long long) value < FRAZIL_INTEGERS) {
            PyObject *number = pool->integers[value];
            if (__builtin_expect(number == NULL, 0)) {
                number = PyLong_FromLongLong(value);
                if (number == NULL) return NULL;
                pool->integers[value] = number;
            }
            Py_INCREF(number);
            return number;
        }
    #endif
        return PyLong_FromLongLong(value);
    }
    /* None where the outcome is no integer of 64 bits. */
    enum { FRAZIL_SUBTRACT, FRAZIL_MULTIPLY, FRAZIL_DIVIDE, FRAZIL_LESS, FRAZIL_ADD };
    static inline PyObject *frazil_calculate(frazil_pool *pool, int operation, PyObject *left, PyObject *right) {
        long long a = frazil_int(left), b = frazil_int(right), result = 0;
        int failed = 0;
        switch (operation) {
        case FRAZIL_SUBTRACT: failed = __builtin_sub_overflow(a, b, &result); break;
        case FRAZIL_MULTIPLY: failed = __builtin_mul_overflow(a, b, &result); break;
        case FRAZIL_ADD: failed = __builtin_add_overflow(a, b, &result); break;
        case FRAZIL_LESS: if (a < b) Py_RETURN_TRUE; Py_RETURN_FALSE;
        default:
            failed = b == 0 || (b == -1 && a < -0x7fffffffffffffffLL);
            if (!failed) result = a / b;
        }
        if (__builtin_expect(failed, 0)) Py_RETURN_NONE;
        return frazil_new_int(pool, result);
    }
    typedef struct { PyObject_HEAD PyObject *first; PyObject *second; } frazil_pair;
    typedef struct { PyObject_HEAD PyObject *up; Py_ssize_t size; PyObject *items[1]; } frazil_slots;
    /* The values of a set that has a shape; for others there is one item, a dict or None. */
    typedef struct {
        PyObject_HEAD void *table_of_methods; PyObject *shape; PyObject *origin; PyObject *items[1];
    } frazil_attrs;
    typedef struct { PyObject_HEAD Py_ssize_t count; } frazil_shape;
    /* Stands where something has yet to be made, in the scope of a `let` or in a set: it looks like a thunk. One for
       all files of the program; where it stands it counts as a reference. */
    #define FRAZIL_SHARED __attribute__((weak, visibility("hidden")))
    FRAZIL_SHARED frazil_pair frazil_unmade;
    static inline int frazil_is_unmade(PyObject *value) { return value == (PyObject *) &frazil_unmade; }
    static inline PyObject *frazil_get_unmade(void) {
        Py_INCREF((PyObject *) &frazil_unmade);
        return (PyObject *) &frazil_unmade;
    }
    /* A set some of whose values are not made yet has the same methods in another table, and one word more at its end:
       from what they are made, NULL when all are. FRAZIL_METHODS: as many as `Attrs` has below. */
    #define FRAZIL_METHODS 10
    FRAZIL_SHARED void *frazil_lazy_methods[FRAZIL_METHODS];
    #define FRAZIL_WORDS(type) (sizeof(type) / sizeof(void *))
    #define FRAZIL_SLOTS_WORDS(count) (offsetof(frazil_slots, items) / sizeof(void *) + (size_t) (count))
    #define FRAZIL_ATTRS_WORDS(count) (offsetof(frazil_attrs, items) / sizeof(void *) + (size_t) (count))
    /* Where objects count their references, and hold a link when nobody has any. Python's own ways of setting it look
       at what is there first: a link may look like the count of what lives for ever. */
    static inline size_t *frazil_first_word(void *object) { return (size_t *) object; }
    static inline PyObject *frazil_begin(frazil_pool *pool, PyTypeObject *type, size_t words) {
        PyObject *object;
    #if defined(Py_GIL_DISABLED) || defined(Py_TRACE_REFS) || defined(Py_REF_DEBUG)
        object = (PyObject *) PyObject_Malloc(words * sizeof(void *));
        if (object == NULL) return PyErr_NoMemory();
        PyObject_Init(object, type);
    #else
        size_t size = words * sizeof(void *);
        if (__builtin_expect(words > FRAZIL_POOL_WORDS, 0)) {
            object = (PyObject *) PyObject_Malloc(size);
            if (object == NULL) return PyErr_NoMemory();
        }
        else if ((object = (PyObject *) pool->unused[words]) != NULL) pool->unused[words] = (void *) *frazil_first_word(object);
        else if (__builtin_expect((size_t) (pool->end - pool->next) >= size, 1)) {
            object = (PyObject *) pool->next;
            pool->next += size;
        }
        else if ((object = (PyObject *) pool->more(words)) == NULL) return PyErr_NoMemory();
        *frazil_first_word(object) = 1;
        Py_SET_TYPE(object, type);
        if (FRAZIL_IS_ON_HEAP(type)) Py_INCREF((PyObject *) type);
    #endif
        return object;
    }
    static inline PyObject *frazil_new_pair(frazil_pool *pool, PyTypeObject *type, PyObject *first, PyObject *second) {
        frazil_pair *pair = (frazil_pair *) frazil_begin(pool, type, FRAZIL_WORDS(frazil_pair));
        if (__builtin_expect(pair == NULL, 0)) return NULL;
        Py_INCREF(first); pair->first = first;
        Py_INCREF(second); pair->second = second;
        return (PyObject *) pair;
    }
    /* A thunk of a function becomes the function: both hold an expression and an environment. */
    static inline void frazil_become(PyObject *object, PyTypeObject *type) {
        PyTypeObject *old = Py_TYPE(object);
        if (FRAZIL_IS_ON_HEAP(type)) Py_INCREF((PyObject *) type);
        Py_SET_TYPE(object, type);
        if (FRAZIL_IS_ON_HEAP(old)) Py_DECREF((PyObject *) old);
    }
    /* A node becomes one of another class, whose fields are the same: `like` is such a one. */
    static inline void frazil_turn(PyObject *object, PyObject *like) {
        frazil_become(object, Py_TYPE(like));
        ((frazil_attrs *) object)->table_of_methods = ((frazil_attrs *) like)->table_of_methods;
    }
    /* A set whose values are yet to be put in by `init_value`. */
    static inline PyObject *frazil_new_attrs(frazil_pool *pool, PyObject *like, PyObject *shape, PyObject *origin) {
        Py_ssize_t i, count = ((frazil_shape *) shape)->count;
        frazil_attrs *attrs = (frazil_attrs *) frazil_begin(pool, Py_TYPE(like), FRAZIL_ATTRS_WORDS(count));
        if (__builtin_expect(attrs == NULL, 0)) return NULL;
        attrs->table_of_methods = ((frazil_attrs *) like)->table_of_methods;
        Py_INCREF(shape); attrs->shape = shape;
        Py_INCREF(origin); attrs->origin = origin;
        for (i = 0; i < count; i++) attrs->items[i] = NULL;
        return (PyObject *) attrs;
    }
    static inline PyObject *frazil_lazy_attrs(
        frazil_pool *pool, PyObject *like, PyObject *shape, PyObject *origin, PyObject *source
    ) {
        Py_ssize_t i, count = ((frazil_shape *) shape)->count;
        frazil_attrs *attrs = (frazil_attrs *) frazil_begin(pool, Py_TYPE(like), FRAZIL_ATTRS_WORDS(count + 1));
        if (__builtin_expect(attrs == NULL, 0)) return NULL;
        attrs->table_of_methods = frazil_lazy_methods;
        Py_INCREF(shape); attrs->shape = shape;
        Py_INCREF(origin); attrs->origin = origin;
        Py_SET_REFCNT((PyObject *) &frazil_unmade, Py_REFCNT((PyObject *) &frazil_unmade) + count);
        for (i = 0; i < count; i++) attrs->items[i] = (PyObject *) &frazil_unmade;
        Py_INCREF(source); attrs->items[count] = source;
        return (PyObject *) attrs;
    }
    static inline PyObject **frazil_source(PyObject *object) {
        frazil_attrs *attrs = (frazil_attrs *) object;
        if (attrs->table_of_methods != (void *) frazil_lazy_methods) return NULL;
        return &attrs->items[((frazil_shape *) attrs->shape)->count];
    }
    static inline PyObject *frazil_get_source(PyObject *attrs) {
        PyObject **source = frazil_source(attrs), *found = source == NULL || *source == NULL ? Py_None : *source;
        Py_INCREF(found);
        return found;
    }
    static inline void frazil_set_source(PyObject *attrs, PyObject *new_source) {
        PyObject **source = frazil_source(attrs), *old = *source;
        Py_INCREF(new_source);
        *source = new_source;
        Py_XDECREF(old);
    }
    /* When all values are made, what they were made from is let go. */
    static inline void frazil_look_whether_made(PyObject *attrs) {
        PyObject **source = frazil_source(attrs), **item = ((frazil_attrs *) attrs)->items, *old;
        for (; item < source; item++) if (*item == (PyObject *) &frazil_unmade) return;
        old = *source;
        *source = NULL;
        Py_XDECREF(old);
    }
    static inline int frazil_from_literal(PyObject *attrs) {
        PyObject **source = frazil_source(attrs);
        return source != NULL && *source != NULL && Py_TYPE(*source) != Py_TYPE(attrs);
    }
    /* The methods of expressions in the order of `Expr` below. */
    enum { FRAZIL_EVAL, FRAZIL_DELAY, FRAZIL_PEEK, FRAZIL_QUICK, FRAZIL_SETTLE };
    static inline PyObject *frazil_ask(PyObject *expr, int method, PyObject *env) {
        return ((PyObject *(**)(PyObject *, PyObject *)) ((frazil_attrs *) expr)->table_of_methods)[method](expr, env);
    }
    /* Put what is at hand in a set that was just made; `which` are the places where that may be. */
    static inline int frazil_settle(PyObject *attrs, PyObject *exprs, PyObject *which, PyObject *env) {
        const unsigned char *at = (const unsigned char *) PyBytes_AS_STRING(which), *end = at + PyBytes_GET_SIZE(which);
        Py_ssize_t left = ((frazil_slots *) exprs)->size;
        for (; at < end; at++) {
            PyObject *value = frazil_ask(((frazil_slots *) exprs)->items[*at], FRAZIL_SETTLE, env);
            if (__builtin_expect(value == NULL, 0)) return -1;
            if (value != (PyObject *) &frazil_unmade) {
                ((frazil_attrs *) attrs)->items[*at] = value;
                left--;
            }
            Py_DECREF((PyObject *) &frazil_unmade);
        }
        if (left == 0) frazil_look_whether_made(attrs);
        return 0;
    }
    static inline PyObject *frazil_make_from(PyObject *attrs, Py_ssize_t i, PyObject *exprs) {
        PyObject *env = *frazil_source(attrs), *value, *old;
        Py_INCREF(env);
        value = frazil_ask(((frazil_slots *) exprs)->items[i], FRAZIL_DELAY, env);
        Py_DECREF(env);
        if (__builtin_expect(value == NULL, 0)) return NULL;
        old = ((frazil_attrs *) attrs)->items[i];
        Py_INCREF(value);
        ((frazil_attrs *) attrs)->items[i] = value;
        Py_DECREF(old);
        frazil_look_whether_made(attrs);
        return value;
    }
    static inline PyObject *frazil_table_attrs(frazil_pool *pool, PyObject *like, PyObject *table, PyObject *origin) {
        frazil_attrs *attrs = (frazil_attrs *) frazil_begin(pool, Py_TYPE(like), FRAZIL_ATTRS_WORDS(2));
        if (__builtin_expect(attrs == NULL, 0)) return NULL;
        attrs->table_of_methods = ((frazil_attrs *) like)->table_of_methods;
        Py_INCREF(Py_None); attrs->shape = Py_None;
        Py_INCREF(origin); attrs->origin = origin;
        Py_INCREF(table); attrs->items[0] = table;
        Py_INCREF(Py_None); attrs->items[1] = Py_None;
        return (PyObject *) attrs;
    }
    static inline PyObject *frazil_get_value(PyObject *attrs, Py_ssize_t i) {
        PyObject *value = ((frazil_attrs *) attrs)->items[i];
        Py_INCREF(value);
        return value;
    }
    static inline void frazil_set_value(PyObject *attrs, Py_ssize_t i, PyObject *value) {
        PyObject *old = ((frazil_attrs *) attrs)->items[i];
        Py_INCREF(value);
        ((frazil_attrs *) attrs)->items[i] = value;
        Py_DECREF(old);
    }
    static inline void frazil_init_value(PyObject *attrs, Py_ssize_t i, PyObject *value) {
        Py_INCREF(value);
        ((frazil_attrs *) attrs)->items[i] = value;
    }
    /* What is found where nothing need be evaluated, looked for or made; otherwise `unmade()`. */
    static inline PyObject *frazil_made(PyObject *value) {
        if (Py_TYPE(value) == Py_TYPE((PyObject *) &frazil_unmade)) {
            frazil_pair *thunk = (frazil_pair *) value;
            if (thunk->first != Py_None) return (PyObject *) &frazil_unmade;
            return thunk->second;
        }
        return value;
    }
    /* The same; a thunk that is done gives way to its value. */
    static inline PyObject *frazil_settled(PyObject **place) {
        PyObject *old = *place, *value = frazil_made(old);
        if (value != old && value != (PyObject *) &frazil_unmade) {
            Py_INCREF(value);
            *place = value;
            Py_DECREF(old);
        }
        return value;
    }
    /* In memory a `Part`, or the end of a `Select` of one name: what it remembers. */
    typedef struct { PyObject *memo, *held; Py_ssize_t place; } frazil_memory;
    typedef struct { PyObject_HEAD PyObject *item; frazil_memory memory; } frazil_part;
    typedef struct {
        PyObject_HEAD void *table_of_methods; PyObject *state; Py_ssize_t pos; PyObject *subject, *otherwise, *path;
        frazil_memory memory;
    } frazil_select;
    static inline PyObject *frazil_recall(frazil_memory *memory, PyObject *value, PyObject *like) {
        frazil_attrs *attrs = (frazil_attrs *) value;
        if (Py_TYPE(value) != Py_TYPE(like)) return (PyObject *) &frazil_unmade;
        if (attrs->shape == memory->memo && attrs->shape != Py_None)
            return memory->place < 0 ? (PyObject *) &frazil_unmade : frazil_settled(&attrs->items[memory->place]);
        return memory->memo == value ? frazil_made(memory->held) : (PyObject *) &frazil_unmade;
    }
    static inline PyObject *frazil_follow(PyObject *value, PyObject *parts, PyObject *like) {
        Py_ssize_t i, count = PyList_GET_SIZE(parts);
        for (i = 0; i < count; i++)
            value = frazil_recall(&((frazil_part *) PyList_GET_ITEM(parts, i))->memory, value, like);
        Py_INCREF(value);
        return value;
    }
    static inline PyObject *frazil_member(PyObject *select, PyObject *value, PyObject *like) {
        value = frazil_recall(&((frazil_select *) select)->memory, value, like);
        Py_INCREF(value);
        return value;
    }
    static PyObject *frazil_values_list(PyObject *attrs) {
        Py_ssize_t i, count = ((frazil_shape *) ((frazil_attrs *) attrs)->shape)->count;
        PyObject *list = PyList_New(count);
        if (list == NULL) return NULL;
        for (i = 0; i < count; i++) PyList_SET_ITEM(list, i, frazil_get_value(attrs, i));
        return list;
    }
    static PyObject *frazil_values_table(PyObject *names, PyObject *attrs) {
        Py_ssize_t i, count = PyTuple_GET_SIZE(names);
        PyObject *table = PyDict_New();
        if (table == NULL) return NULL;
        for (i = 0; i < count; i++) {
            if (PyDict_SetItem(table, PyTuple_GET_ITEM(names, i), ((frazil_attrs *) attrs)->items[i]) < 0) {
                Py_DECREF(table);
                return NULL;
            }
        }
        return table;
    }
    /* Where shapes have names: of each pair what was last found, -1 for nowhere. Shapes live for ever. */
    #define FRAZIL_PLACES 4096
    static struct { PyObject *shape, *name; Py_ssize_t place; } frazil_places[FRAZIL_PLACES];
    static inline Py_ssize_t frazil_find_place(PyObject *shape, PyObject *index, PyObject *name) {
        size_t hash = (((size_t) shape >> 4) * 31 + ((size_t) name >> 4)) % FRAZIL_PLACES;
        PyObject *found, *old;
        if (frazil_places[hash].shape == shape && frazil_places[hash].name == name) return frazil_places[hash].place;
        found = PyDict_GetItemWithError(index, name);
        old = frazil_places[hash].name;
        Py_INCREF(name);
        frazil_places[hash].shape = shape;
        frazil_places[hash].name = name;
        frazil_places[hash].place = found == NULL ? -1 : PyLong_AsSsize_t(found);
        Py_XDECREF(old);
        return frazil_places[hash].place;
    }
    /* Slots are filled and refilled in place, and never leave the evaluator. Without a filler they hold NULL, which
       `init_slot` expects. */
    static inline PyObject *frazil_new_slots(
        frazil_pool *pool, PyTypeObject *type, PyObject *up, Py_ssize_t count, PyObject *filler
    ) {
        frazil_slots *slots = (frazil_slots *) frazil_begin(pool, type, FRAZIL_SLOTS_WORDS(count));
        Py_ssize_t i;
        if (__builtin_expect(slots == NULL, 0)) return NULL;
        Py_INCREF(up); slots->up = up;
        slots->size = count;
        if (filler != NULL) Py_SET_REFCNT(filler, Py_REFCNT(filler) + count);
        for (i = 0; i < count; i++) slots->items[i] = filler;
        return (PyObject *) slots;
    }
    static inline PyObject *frazil_empty_slots(
        frazil_pool *pool, PyTypeObject *type, PyObject *up, Py_ssize_t count
    ) {
        return frazil_new_slots(pool, type, up, count, NULL);
    }
    /* A scope whose values are made when somebody asks: behind them stands the node that makes them. */
    static inline PyObject *frazil_lazy_slots(
        frazil_pool *pool, PyTypeObject *type, PyObject *up, Py_ssize_t count, PyObject *definer
    ) {
        PyObject *slots = frazil_new_slots(pool, type, up, count + 1, (PyObject *) &frazil_unmade);
        if (__builtin_expect(slots == NULL, 0)) return NULL;
        Py_DECREF((PyObject *) &frazil_unmade);
        Py_INCREF(definer);
        ((frazil_slots *) slots)->items[count] = definer;
        return slots;
    }
    static inline PyObject *frazil_definer(PyObject *object) {
        frazil_slots *slots = (frazil_slots *) object;
        PyObject *last = slots->size > 0 ? slots->items[slots->size - 1] : Py_None;
        Py_INCREF(last);
        return last;
    }
    static inline PyObject *frazil_get_slot(PyObject *slots, Py_ssize_t i) {
        PyObject *value = ((frazil_slots *) slots)->items[i];
        Py_INCREF(value);
        return value;
    }
    static inline void frazil_set_slot(PyObject *slots, Py_ssize_t i, PyObject *value) {
        PyObject *old = ((frazil_slots *) slots)->items[i];
        Py_INCREF(value);
        ((frazil_slots *) slots)->items[i] = value;
        Py_DECREF(old);
    }
    /* The same, some scopes further out. */
    typedef struct { PyObject_HEAD PyObject *up; PyObject *payload; } frazil_scope;
    static inline PyObject *frazil_outer(PyObject *env, Py_ssize_t depth) {
        for (; depth > 0; depth--) env = ((frazil_scope *) env)->up;
        return env;
    }
    static inline PyObject *frazil_outer_env(PyObject *env, Py_ssize_t depth) {
        env = frazil_outer(env, depth);
        Py_INCREF(env);
        return env;
    }
    static inline PyObject *frazil_get_outer(PyObject *env, Py_ssize_t depth, Py_ssize_t i) {
        return frazil_get_slot(frazil_outer(env, depth), i);
    }
    /* The value of a variable that was evaluated before. */
    static inline PyObject *frazil_known_slot(PyObject *env, Py_ssize_t depth, Py_ssize_t i) {
        PyObject *value = frazil_settled(&((frazil_slots *) frazil_outer(env, depth))->items[i]);
        Py_INCREF(value);
        return value;
    }
    static inline void frazil_set_outer(PyObject *env, Py_ssize_t depth, Py_ssize_t i, PyObject *value) {
        frazil_set_slot(frazil_outer(env, depth), i, value);
    }
    static inline PyObject *frazil_get_argument(PyObject *env, Py_ssize_t depth) {
        PyObject *value = ((frazil_scope *) frazil_outer(env, depth))->payload;
        Py_INCREF(value);
        return value;
    }
    static inline void frazil_set_argument(PyObject *env, Py_ssize_t depth, PyObject *value) {
        frazil_scope *scope = (frazil_scope *) frazil_outer(env, depth);
        PyObject *old = scope->payload;
        Py_INCREF(value);
        scope->payload = value;
        Py_DECREF(old);
    }
    /* What a failure, or a value of another kind than expected, asks for is in Cython: called while Python knows of the
       error, or with the value waiting; `frazil_pending` raises the one or gives the other. */
    FRAZIL_SHARED PyObject *frazil_pending_value;
    FRAZIL_SHARED PyObject *(*frazil_unusual)(PyObject *thunk);
    FRAZIL_SHARED PyObject *(*frazil_untraced)(PyObject *expr, PyObject *text);
    FRAZIL_SHARED PyObject *(*frazil_uncalled)(PyObject *function, Py_ssize_t call_pos);
    static PyObject *frazil_pending(void) {
        PyObject *value = frazil_pending_value;
        frazil_pending_value = NULL;
        return value;
    }
    static inline PyObject *frazil_traced(PyObject *expr, PyObject *env, PyObject *text) {
        PyObject *value = frazil_ask(expr, FRAZIL_EVAL, env);
        return __builtin_expect(value != NULL, 1) ? value : frazil_untraced(expr, text);
    }
    /* 2: neither true nor false, but waiting or failed. */
    static inline int frazil_ask_bool(PyObject *expr, PyObject *env) {
        PyObject *value = frazil_ask(expr, FRAZIL_EVAL, env);
        int found = value == Py_True ? 1 : value == Py_False ? 0 : 2;
        if (__builtin_expect(found == 2, 0)) frazil_pending_value = value;
        else Py_DECREF(value);
        return found;
    }
    static inline PyObject *frazil_eval_body(PyObject *body, PyObject *env, PyObject *function, Py_ssize_t call_pos) {
        PyObject *value = frazil_ask(body, FRAZIL_EVAL, env);
        return __builtin_expect(value != NULL, 1) ? value : frazil_uncalled(function, call_pos);
    }
    /* Evaluate a pending thunk. While it is evaluated it has `blackhole` for an expression (not counted: it has
       references enough), which itself is where the environment was. A failure leaves it pending; so does a function,
       which asks for a cell of its own. */
    static frazil_pool *frazil_own_pool;
    static PyTypeObject *frazil_function_types[3];
    static void frazil_know_functions(PyTypeObject *function, PyTypeObject *builtin, PyTypeObject *application) {
        frazil_function_types[0] = function;
        frazil_function_types[1] = builtin;
        frazil_function_types[2] = application;
    }
    static void frazil_keep_for_ever(PyObject *object) { Py_SET_REFCNT(object, (Py_ssize_t) 1 << 29); }
    /* A function for a thunk's cell (Cython's `own_function` says which). */
    static inline PyObject *frazil_own_function(PyObject *thunk, PyObject *function) {
        frazil_pair *pair = (frazil_pair *) thunk, *found = (frazil_pair *) function;
        PyObject *expr = pair->first, *env = pair->second, *own;
        if (found->first == expr) {
            frazil_become(thunk, Py_TYPE(function));
            Py_INCREF(thunk);
            Py_DECREF(function);
            return thunk;
        }
        own = frazil_new_pair(frazil_own_pool, Py_TYPE(function), found->first, found->second);
        Py_DECREF(function);
        if (__builtin_expect(own == NULL, 0)) return NULL;
        Py_INCREF(Py_None);
        pair->first = Py_None;
        Py_INCREF(own);
        pair->second = own;
        Py_DECREF(expr);
        Py_DECREF(env);
        return own;
    }
    static inline PyObject *frazil_run(PyObject *thunk, PyObject *blackhole) {
        frazil_pair *pair = (frazil_pair *) thunk;
        PyObject *expr = pair->first, *env = pair->second, *value;
        PyTypeObject *type;
        pair->first = blackhole;
        pair->second = expr;
        value = frazil_ask(expr, FRAZIL_EVAL, env);
        if (__builtin_expect(value != NULL, 1)) {
            type = Py_TYPE(value);
            if (__builtin_expect(type != frazil_function_types[0] && type != frazil_function_types[1]
                                 && type != frazil_function_types[2], 1)) {
                Py_INCREF(Py_None);
                pair->first = Py_None;
                Py_INCREF(value);
                pair->second = value;
                Py_DECREF(expr);
                Py_DECREF(env);
                return value;
            }
            if (type == frazil_function_types[0]) {
                pair->first = expr;
                pair->second = env;
                return frazil_own_function(thunk, value);
            }
        }
        pair->first = expr;
        pair->second = env;
        frazil_pending_value = value;
        return frazil_unusual(thunk);
    }
    static inline void frazil_init_slot(PyObject *slots, Py_ssize_t i, PyObject *value) {
        Py_INCREF(value);
        ((frazil_slots *) slots)->items[i] = value;
    }
    static PyObject *frazil_slots_table(PyObject *names, PyObject *slots) {
        Py_ssize_t i, count = ((frazil_slots *) slots)->size;
        PyObject *table = PyDict_New();
        if (table == NULL) return NULL;
        for (i = 0; i < count; i++) {
            if (PyDict_SetItem(table, PyTuple_GET_ITEM(names, i), ((frazil_slots *) slots)->items[i]) < 0) {
                Py_DECREF(table);
                return NULL;
            }
        }
        return table;
    }

    /* The end of such an object. Chains of any length end without deep recursion: what would nest too far waits in a
       list until the outermost is done. */
    #define FRAZIL_NESTING 500
    static int frazil_nesting = 0;
    static PyObject *frazil_waiting = NULL;
    static void frazil_finish(PyObject *object);
    static inline __attribute__((always_inline)) void frazil_drop(PyObject *object, size_t words) {
    #if defined(Py_GIL_DISABLED) || defined(Py_TRACE_REFS) || defined(Py_REF_DEBUG)
        PyObject_Free(object);
    #else
        PyTypeObject *type = Py_TYPE(object);
        if (FRAZIL_IS_ON_HEAP(type)) Py_DECREF((PyObject *) type);
        if (words > FRAZIL_POOL_WORDS) { PyObject_Free(object); return; }
        *frazil_first_word(object) = (size_t) frazil_own_pool->unused[words];
        frazil_own_pool->unused[words] = object;
    #endif
    }
    static PyTypeObject *frazil_slots_type, *frazil_attrs_type;
    static inline __attribute__((always_inline)) void frazil_finish_inline(PyObject *object) {
        PyTypeObject *type = Py_TYPE(object);
        if (__builtin_expect(type != frazil_slots_type && type != frazil_attrs_type, 1)) {
            frazil_pair *pair = (frazil_pair *) object;
            PyObject *first = pair->first, *second = pair->second;
            Py_XDECREF(first);
            Py_XDECREF(second);
            frazil_drop(object, FRAZIL_WORDS(frazil_pair));
        }
        else if (type == frazil_slots_type) {
            frazil_slots *slots = (frazil_slots *) object;
            Py_ssize_t i, count = slots->size;
            for (i = 0; i < count; i++) Py_XDECREF(slots->items[i]);
            Py_XDECREF(slots->up);
            frazil_drop(object, FRAZIL_SLOTS_WORDS(count));
        }
        else {
            frazil_attrs *attrs = (frazil_attrs *) object;
            Py_ssize_t i, count = attrs->shape == Py_None ? 2 : ((frazil_shape *) attrs->shape)->count;
            for (i = 0; i < count; i++) Py_XDECREF(attrs->items[i]);
            if (attrs->table_of_methods == (void *) frazil_lazy_methods) Py_XDECREF(attrs->items[count++]);
            Py_DECREF(attrs->shape); Py_XDECREF(attrs->origin);
            frazil_drop(object, FRAZIL_ATTRS_WORDS(count));
        }
    }
    static void frazil_finish(PyObject *object) { frazil_finish_inline(object); }
    static void frazil_dealloc(PyObject *object) {
        if (__builtin_expect(frazil_nesting >= FRAZIL_NESTING, 0)) {
            *frazil_first_word(object) = (size_t) frazil_waiting;
            frazil_waiting = object;
            return;
        }
        frazil_nesting++;
        frazil_finish_inline(object);
        while (__builtin_expect(frazil_nesting == 1 && frazil_waiting != NULL, 0)) {
            object = frazil_waiting;
            frazil_waiting = (PyObject *) *frazil_first_word(object);
            *frazil_first_word(object) = 0;
            frazil_finish(object);
        }
        frazil_nesting--;
    }
    /* `runtime.CallExpr`, as much is made of as of thunks. `like` is another, for its table of methods. */
    typedef struct {
        PyObject_HEAD void *table_of_methods; PyObject *state; Py_ssize_t pos; PyObject *function; int paired, unplaced;
    } frazil_call;
    static inline PyObject *frazil_new_call(
        frazil_pool *pool, PyObject *like, PyObject *state, PyObject *function, int paired, int unplaced
    ) {
        frazil_call *call = (frazil_call *) frazil_begin(pool, Py_TYPE(like), FRAZIL_WORDS(frazil_call));
        if (__builtin_expect(call == NULL, 0)) return NULL;
        call->table_of_methods = ((frazil_call *) like)->table_of_methods;
        Py_INCREF(state); call->state = state;
        call->pos = 0;
        Py_INCREF(function); call->function = function;
        call->paired = paired;
        call->unplaced = unplaced;
        return (PyObject *) call;
    }
    static void frazil_dealloc_call(PyObject *object) {
        PyObject *state = ((frazil_call *) object)->state, *function = ((frazil_call *) object)->function;
        frazil_drop(object, FRAZIL_WORDS(frazil_call));
        Py_XDECREF(state);
        Py_XDECREF(function);
    }
    static void frazil_pool_calls(frazil_pool *pool, PyTypeObject *type) {
        frazil_own_pool = pool;
        type->tp_dealloc = frazil_dealloc_call;
    }
    #if defined(FRAZIL_RELEASES) && defined(__PYX_HAVE__frazil__lang__values)
    /* What Py_DECREF calls (tracebacks.h). */
    extern void frazil_python_dealloc(PyObject *) __asm__("_Py_Dealloc");
    void frazil_release(PyObject *object) {
        if (__builtin_expect(Py_TYPE(object)->tp_dealloc == frazil_dealloc, 1)) frazil_dealloc(object);
        else frazil_python_dealloc(object);
    }
    #endif
    #define FRAZIL_PIECE ((size_t) 1 << 20)
    static void *frazil_more(size_t words) {
        frazil_pool *pool = frazil_own_pool;
        char *piece;
    #if defined(__linux__)
        PyObjectArenaAllocator arenas;
        PyObject_GetArenaAllocator(&arenas);
        piece = (char *) arenas.alloc(arenas.ctx, FRAZIL_PIECE);
    #else
        piece = (char *) malloc(FRAZIL_PIECE);
    #endif
        if (piece == NULL) return NULL;
        pool->next = piece + words * sizeof(void *);
        pool->end = piece + FRAZIL_PIECE;
        return piece;
    }
    static void frazil_begin_pool(
        frazil_pool *pool, PyTypeObject *thunk, PyTypeObject *env, PyTypeObject *lambda, PyTypeObject *slots,
        PyTypeObject *attrs
    ) {
        frazil_own_pool = pool;
        pool->more = frazil_more;
        frazil_slots_type = slots;
        frazil_attrs_type = attrs;
        Py_SET_REFCNT((PyObject *) &frazil_unmade, 1);
        Py_SET_TYPE((PyObject *) &frazil_unmade, thunk);
        thunk->tp_dealloc = env->tp_dealloc = lambda->tp_dealloc = slots->tp_dealloc = attrs->tp_dealloc = frazil_dealloc;
    }
    static void frazil_begin_laziness(PyObject *like, PyObject *expr) {
        memcpy(frazil_lazy_methods, ((frazil_attrs *) like)->table_of_methods, sizeof frazil_lazy_methods);
        Py_INCREF(expr); frazil_unmade.first = expr;
        Py_INCREF(Py_None); frazil_unmade.second = Py_None;
    }
    #endif
    """
    ctypedef struct Pool "frazil_pool":
        pass
    object pool_int "frazil_new_int"(Pool *pool, long long value)
    object pool_calculate "frazil_calculate"(Pool *pool, int operation, object left, object right)
    object pool_pair "frazil_new_pair"(Pool *pool, type kind, object first, object second)
    void become "frazil_become"(object value, type kind)
    void turn "frazil_turn"(object node, object like)
    object pool_attrs "frazil_new_attrs"(Pool *pool, object like, object shape, object origin)
    object pool_table_attrs "frazil_table_attrs"(Pool *pool, object like, object table, object origin)
    object pool_lazy_attrs "frazil_lazy_attrs"(Pool *pool, object like, object shape, object origin, object source)
    object get_source "frazil_get_source"(object attrs)
    void set_source "frazil_set_source"(object attrs, object source)
    void look_whether_made "frazil_look_whether_made"(object attrs)
    bint is_from_literal "frazil_from_literal"(object attrs) noexcept
    int settle_members "frazil_settle"(object attrs, object exprs, bytes which, object env) except -1
    object make_from "frazil_make_from"(object attrs, Py_ssize_t i, object exprs)
    object outer_env "frazil_outer_env"(object env, Py_ssize_t depth)
    bint is_unmade "frazil_is_unmade"(object value) noexcept
    object unmade "frazil_get_unmade"()
    object get_definer "frazil_definer"(object frame)
    object pool_lazy_slots "frazil_lazy_slots"(Pool *pool, type kind, object up, Py_ssize_t count, object definer)
    void begin_laziness "frazil_begin_laziness"(object like, object expr)
    object raw_value "frazil_get_value"(object attrs, Py_ssize_t i)
    void set_value "frazil_set_value"(object attrs, Py_ssize_t i, object value)
    void init_value "frazil_init_value"(object attrs, Py_ssize_t i, object value)
    list values_list "frazil_values_list"(object attrs)
    dict values_table "frazil_values_table"(tuple names, object attrs)
    Py_ssize_t find_place "frazil_find_place"(object shape, dict index, object name) noexcept
    object pool_slots "frazil_new_slots"(Pool *pool, type kind, object up, Py_ssize_t count, object filler)
    object pool_empty_slots "frazil_empty_slots"(Pool *pool, type kind, object up, Py_ssize_t count)
    object get_slot "frazil_get_slot"(object slots, Py_ssize_t i)
    void set_slot "frazil_set_slot"(object slots, Py_ssize_t i, object value)
    void init_slot "frazil_init_slot"(object slots, Py_ssize_t i, object value)
    object known_slot "frazil_known_slot"(object env, Py_ssize_t depth, Py_ssize_t i)
    object follow "frazil_follow"(object value, list parts, object like)
    object member "frazil_member"(object select, object value, object like)
    object get_outer "frazil_get_outer"(object env, Py_ssize_t depth, Py_ssize_t i)
    void set_outer "frazil_set_outer"(object env, Py_ssize_t depth, Py_ssize_t i, object value)
    object get_argument "frazil_get_argument"(object env, Py_ssize_t depth)
    void set_argument "frazil_set_argument"(object env, Py_ssize_t depth, object value)
    object run_expression "frazil_run"(object thunk, object blackhole)
    object pending "frazil_pending"()
    object traced "frazil_traced"(object expr, object env, object text)
    int ask_bool "frazil_ask_bool"(object expr, object env) noexcept
    object eval_body "frazil_eval_body"(object body, object env, object function, Py_ssize_t call_pos)
    void *UNUSUAL "frazil_unusual"
    void *UNTRACED "frazil_untraced"
    void *UNCALLED "frazil_uncalled"
    void keep_for_ever "frazil_keep_for_ever"(object value)
    void know_functions "frazil_know_functions"(type function, type builtin, type application)
    dict slots_table "frazil_slots_table"(tuple names, object slots)
    object pool_call "frazil_new_call"(
        Pool *pool, object like, object state, object function, bint paired, bint unplaced)
    void pool_calls "frazil_pool_calls"(Pool *pool, type kind) noexcept
    void begin_pool "frazil_begin_pool"(Pool *pool, type thunk, type env, type function, type slots, type attrs)
    void use_own_arenas "frazil_use_own_arenas"() noexcept


cdef class State:
    cdef public object effects
    cdef public object settings
    cdef public object positions
    cdef public Py_ssize_t call_depth
    cdef public Py_ssize_t max_call_depth
    cdef public bint show_trace
    cdef public bint interrupted
    cdef public object observer
    cdef public dict globals
    cdef public dict symbols
    cdef public dict symbol_ranks


@cython.final
cdef class Scope:
    cdef Scope up
    cdef dict names
    cdef str single
    cdef Py_ssize_t pos
    cdef Py_ssize_t first_source


cdef class Env:
    cdef Env up
    cdef object payload


# In memory a frazil_slots: the number of values is where others have the payload.
@cython.final
cdef class Slots(Env):
    pass


@cython.no_gc
cdef class Expr:
    cdef State state
    cdef public Py_ssize_t pos
    cdef object eval(self, Env env)
    cdef object delay(self, Env env)
    cdef object peek(self, Env env)
    cdef object quick(self, Env env)
    cdef object settle(self, Env env)
    cdef int leads(self) noexcept
    cdef Expr bind(self, Scope scope)


@cython.no_gc
cdef class Definer(Expr):
    cdef object define(self, Env frame, Py_ssize_t slot)
    cdef object make_member(self, Attrs attrs, Py_ssize_t i)


@cython.no_gc
cdef class LambdaExpr(Expr):
    cdef public object name
    cdef LambdaExpr inner
    cdef bint strict
    cdef bint strict_up
    cdef object apply(self, Env up, object argument, Py_ssize_t call_pos)


@cython.final
cdef class Thunk:
    cdef Expr expr
    cdef object slot


@cython.final
cdef class Former:
    cdef Attrs newer
    cdef object names
    cdef list values


# In memory a frazil_attrs: with a shape, the values begin where others have `table`.
@cython.final
cdef class Attrs:
    cdef Shape shape
    cdef object origin
    cdef dict table
    cdef Former former
    cdef dict own_table(self)
    cdef object known(self, str name)
    cpdef object lookup(self, str name)
    cpdef bint has(self, str name) except -1
    cpdef Py_ssize_t size(self) noexcept
    cpdef object names(self)
    cpdef list items(self)
    cpdef list raw_values(self)
    cpdef Py_ssize_t position(self, str name) except -1
    cpdef dict copy_table(self)


@cython.final
cdef class Lambda:
    cdef readonly LambdaExpr expr
    cdef Env env


ctypedef object (*Direct)(State state, list arguments, int skip_dispatch)


@cython.final
cdef class Primop:
    cdef readonly str name
    cdef readonly Py_ssize_t arity
    cdef readonly object function
    cdef Direct direct
    cdef readonly bint internal
    cdef public bint add_trace
    cdef public object spec


@cython.final
cdef class PrimopApplication:
    cdef readonly Primop primop
    cdef readonly list arguments


@cython.final
cdef class PathValue:
    cdef readonly str text


@cython.final
cdef class ContextString:
    cdef readonly str text
    cdef readonly object context



@cython.final
cdef class Blackhole(Expr):
    pass


@cython.final
cdef class Failed(Expr):
    cdef object error
    cdef object marks


@cython.final
cdef class Marks(Expr):
    cdef object bits
    cdef dict unions
    cdef object met
    cdef object union
    cdef Marks instead
    cdef object forget(self)


cdef Pool POOL
cdef Py_ssize_t ASKED_FROM
cdef bint MARKING
cdef Marks MARKS
cdef Marks NO_MARKS
cdef object MISSING
cdef Attrs EMPTY_ATTRS
cdef Expr BLACKHOLE

cdef list EMPTY_LIST

cdef dict DIRECT
cdef object know_direct(object function, void *direct)
cdef object new_cell(object value)
cdef object own_function(Thunk thunk, object value)
cdef object make_value(Attrs attrs, Py_ssize_t i)
cdef object make_all(Attrs attrs)
cdef object define_slot(Env env, Py_ssize_t depth, Py_ssize_t slot)
cdef object run_thunk(Thunk thunk, Py_ssize_t pos)
cdef object run_marked(Thunk thunk, Py_ssize_t pos)
cpdef object set_marking(bint on)
cpdef bint is_marking() noexcept
cpdef object note_marks(object marks)
cpdef object note_always(object bits)
cpdef object take_marks()
cpdef object swap_marks(Marks marks)
cdef Marks united(Marks left, Marks right)
cdef Marks marks_of(object bits)
cdef object marked_value(Thunk thunk)
cdef object restore_thunk(Thunk thunk, Expr expr, object env)
cdef object stack_overflow(State state, Py_ssize_t pos)
cpdef object copy_error(object error)
cpdef Attrs attrs_from_dict(dict table, object positions=*, Py_ssize_t pos=*)
cdef Py_ssize_t place_of(Shape shape, str name) noexcept
cdef object recover(Attrs attrs)


cdef inline object new_int(long long value):
    return pool_int(&POOL, value)


cdef inline object calculate(int operation, object left, object right):
    """One of `operators`' operations on integers; None where the outcome is no integer of 64 bits."""
    return pool_calculate(&POOL, operation, left, right)


cdef inline Thunk new_thunk(object expr, object slot):
    return <Thunk> pool_pair(&POOL, Thunk, expr, slot)


cdef inline Scope new_scope(Scope up, dict names, str single, Py_ssize_t pos):
    cdef Scope scope = <Scope> Scope.__new__(Scope)
    scope.up = up
    scope.names = names
    scope.single = single
    scope.pos = pos
    return scope


cdef inline Env new_env(object up, object payload):
    return <Env> pool_pair(&POOL, Env, up, payload)


cdef inline Lambda new_lambda(object expr, object env):
    return <Lambda> pool_pair(&POOL, Lambda, expr, env)


cdef inline Attrs new_attrs(Shape shape, object origin):
    return <Attrs> pool_attrs(&POOL, EMPTY_ATTRS, shape, origin)


cdef inline Attrs new_table_attrs(dict table, object origin):
    return <Attrs> pool_table_attrs(&POOL, EMPTY_ATTRS, table, origin)


cdef inline Attrs new_lazy_attrs(Shape shape, object origin, object source):
    """A set whose values are made when they are asked for: `source` is the environment of the literal that `origin`
    belongs to, or a set that has these values under the same names."""
    return <Attrs> pool_lazy_attrs(&POOL, EMPTY_ATTRS, shape, origin, source)


cdef inline object get_value(Attrs attrs, Py_ssize_t i):
    cdef object value = raw_value(attrs, i)
    return make_value(attrs, i) if is_unmade(value) else value


cdef inline object new_call(object like, object state, object function, bint paired, bint unplaced):
    return pool_call(&POOL, like, state, function, paired, unplaced)


cdef inline void use_pool_of_calls(type kind) noexcept:
    pool_calls(&POOL, kind)


cdef inline void use_pool(type thunk, type env, type function, type slots, type attrs) noexcept:
    begin_pool(&POOL, thunk, env, function, slots, attrs)


cdef inline object new_slots(Py_ssize_t count, object filler):
    return pool_slots(&POOL, Slots, None, count, filler)


cdef inline object empty_slots(Py_ssize_t count):
    return pool_empty_slots(&POOL, Slots, None, count)


cdef inline Env new_frame(object up, Py_ssize_t count, object filler):
    """An environment of several values."""
    return <Env> pool_slots(&POOL, Slots, up, count, filler)


cdef inline Env new_lazy_frame(object up, Py_ssize_t count, object definer):
    """The same; each value is made by the definer when it is asked for."""
    return <Env> pool_lazy_slots(&POOL, Slots, up, count, definer)


cdef inline void set_asked_from(Py_ssize_t pos) noexcept:
    global ASKED_FROM
    ASKED_FROM = pos


cdef inline Py_ssize_t asked_from() noexcept:
    """Who wants the value of the thunk whose expression begins to be evaluated."""
    return ASKED_FROM


cdef inline object finished(object value, Py_ssize_t pos):
    """The value of a value or thunk."""
    if type(value) is Thunk:
        if (<Thunk> value).expr is None:
            return (<Thunk> value).slot
        return run_thunk(<Thunk> value, pos)
    return value


cdef inline object kept(Thunk thunk, object value):
    """What may stand in the place of a thunk that was forced: its value, unless whoever looks next must be told what it
    rests on."""
    return value if thunk.expr is None else thunk


cdef inline object glance(object value):
    """The value if it is there already, otherwise MISSING."""
    if type(value) is Thunk:
        if (<Thunk> value).expr is None:
            return (<Thunk> value).slot
        return MISSING
    return value


cdef inline object cell(object value):
    """What to put in a new cell for something in another cell: itself, but the value of a finished thunk."""
    if type(value) is Thunk and (<Thunk> value).expr is None:
        return (<Thunk> value).slot
    return value
