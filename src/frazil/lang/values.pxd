cimport cython


cdef extern from *:
    """
    #ifndef FRAZIL_STACK_H
    #define FRAZIL_STACK_H
    #define FRAZIL_STACK_RESERVE (384 * 1024)
    /* Above every address, so that one comparison finds both a stack not yet measured and one that is used up. */
    #define FRAZIL_STACK_UNKNOWN ((char *) ~(size_t) 0)
    #include <pthread.h>
    #if defined(__GLIBC__) || defined(__linux__)
    extern int pthread_getattr_np(pthread_t, pthread_attr_t *);
    static __thread __attribute__((tls_model("initial-exec"))) char *frazil_stack_limit = FRAZIL_STACK_UNKNOWN;
    #else
    static __thread char *frazil_stack_limit = FRAZIL_STACK_UNKNOWN;
    #endif
    static __attribute__((noinline)) int frazil_find_stack(char *here) {
        char *low = here - 4 * 1024 * 1024;
        if (frazil_stack_limit != FRAZIL_STACK_UNKNOWN) return 1;
    #if defined(__APPLE__)
        pthread_t self = pthread_self();
        low = (char *) pthread_get_stackaddr_np(self) - pthread_get_stacksize_np(self);
    #elif defined(__linux__)
        pthread_attr_t attributes;
        void *address; size_t size;
        if (pthread_getattr_np(pthread_self(), &attributes) == 0) {
            if (pthread_attr_getstack(&attributes, &address, &size) == 0) low = (char *) address;
            pthread_attr_destroy(&attributes);
        }
    #endif
        frazil_stack_limit = low + FRAZIL_STACK_RESERVE;
        return here < frazil_stack_limit;
    }
    /* Evaluation runs no Python code for long stretches. Without this a signal, or any other thread, would wait for
       its end. */
    static unsigned int frazil_ticks = 0;
    #define FRAZIL_TURN 0x8000
    static __attribute__((noinline)) void frazil_let_others_run(void) {
        frazil_ticks = 0;
        PyEval_RestoreThread(PyEval_SaveThread());
    }
    static inline __attribute__((always_inline)) void frazil_spend(unsigned int ticks) {
        if (__builtin_expect((frazil_ticks += ticks) > FRAZIL_TURN, 0)) frazil_let_others_run();
    }
    static inline __attribute__((always_inline)) int frazil_stack_is_low(void) {
        char *here = (char *) __builtin_frame_address(0);
        frazil_spend(1);
        return __builtin_expect(here < frazil_stack_limit, 0) ? frazil_find_stack(here) : 0;
    }

    /* Where memory for objects comes from: arenas.c. */
    void frazil_use_own_arenas(void);

    /* Views of a text of bytes, and of packed numbers. */
    /* Whether an absolute path has no doubled or trailing slash, and no part that begins with a dot. */
    static inline int frazil_is_in_order(PyObject *text) {
        Py_ssize_t size = PyUnicode_GET_LENGTH(text);
        int kind = PyUnicode_KIND(text);
        const void *data = PyUnicode_DATA(text);
        if (size > 1 && PyUnicode_READ(kind, data, size - 1) == '/')
            return 0;
        for (Py_ssize_t i = 0; i < size - 1; i++) {
            if (kind == PyUnicode_1BYTE_KIND) {
                const char *found = memchr((const char *) data + i, '/', (size_t) (size - 1 - i));
                if (found == NULL)
                    return 1;
                i = found - (const char *) data;
            }
            else if (PyUnicode_READ(kind, data, i) != '/')
                continue;
            Py_UCS4 next = PyUnicode_READ(kind, data, i + 1);
            if (next == '/' || next == '.')
                return 0;
        }
        return 1;
    }
    static inline const unsigned char *frazil_latin1(PyObject *text) { return (const unsigned char *) PyUnicode_DATA(text); }
    static inline const unsigned char *frazil_bytes(PyObject *data) { return (const unsigned char *) PyBytes_AS_STRING(data); }
    static inline int *frazil_ints(PyObject *data) {
        return PyBytes_Check(data) ? (int *) PyBytes_AS_STRING(data) : (int *) PyByteArray_AS_STRING(data);
    }
    static inline long long *frazil_words(PyObject *data) { return (long long *) PyByteArray_AS_STRING(data); }

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

    /* Integers have 64 bits. Those that are common are made once. */
    static inline long long frazil_int(PyObject *number) {
    #if PY_VERSION_HEX < 0x030C0000
        Py_ssize_t size = Py_SIZE(number);
        if (size == 1) return ((PyLongObject *) number)->ob_digit[0];
        if (size == 0) return 0;
        if (size == -1) return -(long long) ((PyLongObject *) number)->ob_digit[0];
    #else
        if (PyUnstable_Long_IsCompact((PyLongObject *) number))
            return PyUnstable_Long_CompactValue((PyLongObject *) number);
    #endif
        return PyLong_AsLongLong(number);
    }
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
    static PyObject *frazil_decimal(PyObject *number) {
        char digits[24], *at = digits + sizeof digits;
        long long value = frazil_int(number);
        unsigned long long rest = value < 0 ? 0ULL - (unsigned long long) value : (unsigned long long) value;
        do { *--at = (char) ('0' + rest % 10); rest /= 10; } while (rest != 0);
        if (value < 0) *--at = '-';
        return PyUnicode_FromStringAndSize(at, digits + sizeof digits - at);
    }
    /* The texts of a list, one after the other. */
    static PyObject *frazil_joined(PyObject *parts) {
        Py_ssize_t i, count = PyList_GET_SIZE(parts), size = 0;
        Py_UCS4 highest = 127;
        PyObject *text, *part;
        char *data;
        for (i = 0; i < count; i++) {
            part = PyList_GET_ITEM(parts, i);
            size += PyUnicode_GET_LENGTH(part);
            if (!PyUnicode_IS_ASCII(part)) highest = 255;
            if (__builtin_expect(PyUnicode_KIND(part) != PyUnicode_1BYTE_KIND, 0)) {
                PyErr_SetString(PyExc_ValueError, "not a byte string");
                return NULL;
            }
        }
        text = PyUnicode_New(size, highest);
        if (text == NULL || size == 0) return text;
        data = (char *) PyUnicode_DATA(text);
        for (i = 0; i < count; i++) {
            part = PyList_GET_ITEM(parts, i);
            size = PyUnicode_GET_LENGTH(part);
            memcpy(data, PyUnicode_DATA(part), (size_t) size);
            data += size;
        }
        return text;
    }
    static inline int frazil_same_text(PyObject *left, PyObject *right) {
        Py_ssize_t size = PyUnicode_GET_LENGTH(left);
        if (left == right) return 1;
        if (size != PyUnicode_GET_LENGTH(right) || PyUnicode_KIND(left) != PyUnicode_KIND(right)) return 0;
        return memcmp(PyUnicode_DATA(left), PyUnicode_DATA(right), (size_t) size * PyUnicode_KIND(left)) == 0;
    }
    /* A string of JSON: what must be escaped is, and nothing else. None for what is no byte string. */
    static PyObject *frazil_quoted(PyObject *text) {
        static const char digits[] = "0123456789abcdef";
        static const char letters[32] = {0, 0, 0, 0, 0, 0, 0, 0, 'b', 't', 'n', 0, 'f', 'r'};
        Py_ssize_t i, size = PyUnicode_GET_LENGTH(text), more = 2;
        const unsigned char *data = (const unsigned char *) PyUnicode_DATA(text);
        unsigned char *out, c;
        PyObject *quoted;
        if (PyUnicode_KIND(text) != PyUnicode_1BYTE_KIND) Py_RETURN_NONE;
        for (i = 0; i < size; i++) {
            c = data[i];
            if (c < 32) more += letters[c] ? 1 : 5;
            else if (c == 34 || c == 92) more++;
        }
        quoted = PyUnicode_New(size + more, PyUnicode_IS_ASCII(text) ? 127 : 255);
        if (quoted == NULL) return NULL;
        out = (unsigned char *) PyUnicode_DATA(quoted);
        *out++ = 34;
        if (more == 2) { memcpy(out, data, (size_t) size); out += size; }
        else for (i = 0; i < size; i++) {
            c = data[i];
            if (c >= 32) {
                if (c == 34 || c == 92) *out++ = 92;
                *out++ = c;
            }
            else if (letters[c]) { *out++ = 92; *out++ = (unsigned char) letters[c]; }
            else {
                out[0] = 92; out[1] = 'u'; out[2] = out[3] = '0';
                out[4] = digits[c >> 4];
                out[5] = digits[c & 15];
                out += 6;
            }
        }
        *out = 34;
        return quoted;
    }
    static inline unsigned char *frazil_writable(PyObject *data) { return (unsigned char *) PyByteArray_AS_STRING(data); }
    /* The one string for a name that a text holds; `symbols` has them all. This table, which may forget, finds most
       without making a string first. */
    #define FRAZIL_SYMBOLS ((size_t) 1 << 16)
    #define FRAZIL_PROBES 8
    typedef struct { PyObject *symbols, *name; size_t hash; } frazil_known_symbol;
    static frazil_known_symbol *frazil_symbols = NULL;
    static size_t frazil_symbol_mask = 0, frazil_symbol_count = 0;
    static void frazil_put_symbol(PyObject *symbols, PyObject *name, size_t hash) {
        size_t i, probe;
        frazil_known_symbol old;
        for (probe = 0; probe < FRAZIL_PROBES; probe++) {
            i = (hash + probe) & frazil_symbol_mask;
            if (frazil_symbols[i].name == NULL) break;
        }
        if (probe == FRAZIL_PROBES) i = hash & frazil_symbol_mask;
        else frazil_symbol_count++;
        old = frazil_symbols[i];
        Py_INCREF(symbols); frazil_symbols[i].symbols = symbols;
        Py_INCREF(name); frazil_symbols[i].name = name;
        frazil_symbols[i].hash = hash;
        Py_XDECREF(old.symbols);
        Py_XDECREF(old.name);
    }
    static void frazil_more_symbols(void) {
        frazil_known_symbol *old = frazil_symbols;
        size_t i, size = old == NULL ? 0 : frazil_symbol_mask + 1, larger = size == 0 ? 2048 : 4 * size;
        frazil_known_symbol *table = (frazil_known_symbol *) PyMem_RawCalloc(larger, sizeof(frazil_known_symbol));
        if (table == NULL) return;
        frazil_symbols = table;
        frazil_symbol_mask = larger - 1;
        frazil_symbol_count = 0;
        for (i = 0; i < size; i++) {
            if (old[i].name == NULL) continue;
            frazil_put_symbol(old[i].symbols, old[i].name, old[i].hash);
            Py_DECREF(old[i].symbols);
            Py_DECREF(old[i].name);
        }
        PyMem_RawFree(old);
    }
    static PyObject *frazil_symbol(PyObject *symbols, const unsigned char *text, Py_ssize_t start, Py_ssize_t end) {
        Py_ssize_t i, size = end - start;
        size_t hash = (size_t) size, probe;
        PyObject *name, *known;
        text += start;
        for (i = 0; i < size; i++) hash = hash * 31 + text[i];
        hash ^= hash >> 15;
    #if !defined(Py_GIL_DISABLED)
        for (probe = 0; probe < FRAZIL_PROBES && frazil_symbols != NULL; probe++) {
            frazil_known_symbol *entry = &frazil_symbols[(hash + probe) & frazil_symbol_mask];
            if (entry->name == NULL) break;
            if (entry->hash == hash && entry->symbols == symbols && PyUnicode_GET_LENGTH(entry->name) == size
                && memcmp(PyUnicode_DATA(entry->name), text, (size_t) size) == 0) {
                Py_INCREF(entry->name);
                return entry->name;
            }
        }
    #endif
        name = PyUnicode_DecodeLatin1((const char *) text, size, NULL);
        if (name == NULL) return NULL;
        known = PyDict_SetDefault(symbols, name, name);
        Py_XINCREF(known);
        Py_DECREF(name);
    #if !defined(Py_GIL_DISABLED)
        if (known != NULL) {
            if (2 * frazil_symbol_count >= frazil_symbol_mask && frazil_symbol_mask + 1 < FRAZIL_SYMBOLS)
                frazil_more_symbols();
            if (frazil_symbols != NULL) frazil_put_symbol(symbols, known, hash);
        }
    #endif
        return known;
    }
    static inline PyObject *frazil_call_builtin(PyObject *function, PyObject *state, PyObject *arguments) {
        PyObject *given[3] = {NULL, state, arguments};
        vectorcallfunc call = PyVectorcall_Function(function);
        if (__builtin_expect(call != NULL, 1)) return call(function, given + 1, 2 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
        return PyObject_CallFunctionObjArgs(function, state, arguments, NULL);
    }
    typedef struct { PyObject_HEAD PyObject *first; PyObject *second; } frazil_pair;
    typedef struct { PyObject_HEAD PyObject *up; Py_ssize_t size; PyObject *items[1]; } frazil_slots;
    /* The values of a set that has a shape; for others there is one item, a dict or None. */
    typedef struct {
        PyObject_HEAD void *table_of_methods; PyObject *shape; PyObject *origin; PyObject *items[1];
    } frazil_attrs;
    typedef struct { PyObject_HEAD Py_ssize_t count; } frazil_shape;
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
        if (__builtin_expect(type->tp_flags & Py_TPFLAGS_HEAPTYPE, 0)) Py_INCREF((PyObject *) type);
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
        if (type->tp_flags & Py_TPFLAGS_HEAPTYPE) Py_INCREF((PyObject *) type);
        Py_SET_TYPE(object, type);
        if (old->tp_flags & Py_TPFLAGS_HEAPTYPE) Py_DECREF((PyObject *) old);
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
    static inline PyObject *frazil_get_outer(PyObject *env, Py_ssize_t depth, Py_ssize_t i) {
        return frazil_get_slot(frazil_outer(env, depth), i);
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
    /* A thunk while it is evaluated has `blackhole` for an expression, which itself is where the environment was. */
    /* Evaluate a pending thunk. A failure leaves it pending; so does a function, which asks for a cell of its own.
       `eval` is the first method of every expression. */
    static PyTypeObject *frazil_function_types[3];
    static void frazil_know_functions(PyTypeObject *function, PyTypeObject *builtin, PyTypeObject *application) {
        frazil_function_types[0] = function;
        frazil_function_types[1] = builtin;
        frazil_function_types[2] = application;
    }
    static inline PyObject *frazil_run(PyObject *thunk, PyObject *blackhole) {
        frazil_pair *pair = (frazil_pair *) thunk;
        PyObject *expr = pair->first, *env = pair->second, *value;
        PyTypeObject *type;
        Py_INCREF(blackhole);
        pair->first = blackhole;
        pair->second = expr;
        value = (*(PyObject *(**)(PyObject *, PyObject *)) ((frazil_attrs *) expr)->table_of_methods)(expr, env);
        if (__builtin_expect(value != NULL, 1)) {
            type = Py_TYPE(value);
            if (__builtin_expect(type != frazil_function_types[0] && type != frazil_function_types[1]
                                 && type != frazil_function_types[2], 1)) {
                Py_INCREF(Py_None);
                pair->first = Py_None;
                Py_INCREF(value);
                pair->second = value;
                Py_DECREF(blackhole);
                Py_DECREF(expr);
                Py_DECREF(env);
                return value;
            }
        }
        pair->first = expr;
        pair->second = env;
        Py_DECREF(blackhole);
        return value;
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

    /* Lists of one or two arguments for builtins: one that nobody kept is used again. */
    #define FRAZIL_SPARES 32
    static PyObject *frazil_spares[3][FRAZIL_SPARES];
    static int frazil_spare_count[3];
    static inline PyObject *frazil_spare_list(int size) {
    #if !defined(Py_GIL_DISABLED)
        if (__builtin_expect(frazil_spare_count[size] > 0, 1)) return frazil_spares[size][--frazil_spare_count[size]];
    #endif
        return PyList_New(size);
    }
    static inline PyObject *frazil_arguments1(PyObject *first) {
        PyObject *list = frazil_spare_list(1);
        if (__builtin_expect(list == NULL, 0)) return NULL;
        Py_INCREF(first); PyList_SET_ITEM(list, 0, first);
        return list;
    }
    static inline PyObject *frazil_arguments2(PyObject *first, PyObject *second) {
        PyObject *list = frazil_spare_list(2);
        if (__builtin_expect(list == NULL, 0)) return NULL;
        Py_INCREF(first); PyList_SET_ITEM(list, 0, first);
        Py_INCREF(second); PyList_SET_ITEM(list, 1, second);
        return list;
    }
    static inline void frazil_spare_arguments(PyObject *list) {
    #if !defined(Py_GIL_DISABLED)
        Py_ssize_t size = PyList_GET_SIZE(list);
        if (Py_REFCNT(list) == 1 && size <= 2 && size > 0 && frazil_spare_count[size] < FRAZIL_SPARES) {
            PyObject *first = PyList_GET_ITEM(list, 0), *second = size == 2 ? PyList_GET_ITEM(list, 1) : NULL;
            PyList_SET_ITEM(list, 0, NULL);
            if (size == 2) PyList_SET_ITEM(list, 1, NULL);
            Py_INCREF(list);
            frazil_spares[size][frazil_spare_count[size]++] = list;
            Py_DECREF(first);
            Py_XDECREF(second);
        }
    #endif
    }

    /* The end of such an object. Chains of any length end without deep recursion: what would nest too far waits in a
       list until the outermost is done. */
    #define FRAZIL_NESTING 500
    static frazil_pool *frazil_own_pool;
    static int frazil_nesting = 0;
    static PyObject *frazil_waiting = NULL;
    static void frazil_finish(PyObject *object);
    static inline __attribute__((always_inline)) void frazil_drop(PyObject *object, size_t words) {
    #if defined(Py_GIL_DISABLED) || defined(Py_TRACE_REFS) || defined(Py_REF_DEBUG)
        PyObject_Free(object);
    #else
        PyTypeObject *type = Py_TYPE(object);
        if (type->tp_flags & Py_TPFLAGS_HEAPTYPE) Py_DECREF((PyObject *) type);
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
        thunk->tp_dealloc = env->tp_dealloc = lambda->tp_dealloc = slots->tp_dealloc = attrs->tp_dealloc = frazil_dealloc;
    }
    #endif
    """
    const unsigned char *latin1 "frazil_latin1"(str text) noexcept
    bint is_in_order "frazil_is_in_order"(str text) noexcept
    const unsigned char *byte_pointer "frazil_bytes"(bytes data) noexcept
    int *int_pointer "frazil_ints"(object data) noexcept
    long long *word_pointer "frazil_words"(bytearray data) noexcept
    ctypedef struct Pool "frazil_pool":
        pass
    object pool_int "frazil_new_int"(Pool *pool, long long value)
    object pool_calculate "frazil_calculate"(Pool *pool, int operation, object left, object right)
    long long int_value "frazil_int"(object number) noexcept
    str decimal "frazil_decimal"(object number)
    str joined "frazil_joined"(list parts)
    object call_builtin "frazil_call_builtin"(object function, object state, list arguments)
    bint same_text "frazil_same_text"(str left, str right) noexcept
    object quoted "frazil_quoted"(str text)
    unsigned char *writable "frazil_writable"(bytearray data) noexcept
    str symbol_of "frazil_symbol"(dict symbols, const unsigned char *text, Py_ssize_t start, Py_ssize_t end)
    object pool_pair "frazil_new_pair"(Pool *pool, type kind, object first, object second)
    void become "frazil_become"(object value, type kind)
    void turn "frazil_turn"(object node, object like)
    object pool_attrs "frazil_new_attrs"(Pool *pool, object like, object shape, object origin)
    object pool_table_attrs "frazil_table_attrs"(Pool *pool, object like, object table, object origin)
    object get_value "frazil_get_value"(object attrs, Py_ssize_t i)
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
    object get_outer "frazil_get_outer"(object env, Py_ssize_t depth, Py_ssize_t i)
    void set_outer "frazil_set_outer"(object env, Py_ssize_t depth, Py_ssize_t i, object value)
    object get_argument "frazil_get_argument"(object env, Py_ssize_t depth)
    void set_argument "frazil_set_argument"(object env, Py_ssize_t depth, object value)
    object run_expression "frazil_run"(object thunk, object blackhole)
    void know_functions "frazil_know_functions"(type function, type builtin, type application)
    list arguments1 "frazil_arguments1"(object first)
    list arguments2 "frazil_arguments2"(object first, object second)
    void spare_arguments "frazil_spare_arguments"(list arguments)
    dict slots_table "frazil_slots_table"(tuple names, object slots)
    object pool_call "frazil_new_call"(
        Pool *pool, object like, object state, object function, bint paired, bint unplaced)
    void pool_calls "frazil_pool_calls"(Pool *pool, type kind) noexcept
    void begin_pool "frazil_begin_pool"(Pool *pool, type thunk, type env, type function, type slots, type attrs)
    void use_own_arenas "frazil_use_own_arenas"() noexcept
    int check_signals "PyErr_CheckSignals" () except -1
    bint stack_is_low "frazil_stack_is_low" () noexcept
    void spend "frazil_spend" (unsigned int ticks) noexcept


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
    cdef int leads(self) noexcept
    cdef Expr bind(self, Scope scope)


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
cdef class Shape:
    cdef readonly Py_ssize_t count
    cdef readonly tuple names
    cdef readonly dict index
    cdef readonly object nowhere
    cdef dict merges
    cdef dict removals


@cython.final
cdef class Places:
    cdef Shape shape
    cdef object table
    cdef readonly Py_ssize_t pos


@cython.final
cdef class MergedPositions:
    cdef object left
    cdef object right
    cdef int depth


@cython.final
cdef class KeptPositions:
    cdef object origin
    cdef object kept


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


@cython.final
cdef class Primop:
    cdef readonly str name
    cdef readonly Py_ssize_t arity
    cdef readonly object function
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
cdef Shape EMPTY_SHAPE
cdef dict SHAPES

cdef object new_cell(object value)
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
cdef Places places(Shape shape, object table, Py_ssize_t pos)
cdef object kept_positions(object origin, object kept)
cpdef Shape shape_of(tuple names)
cdef Py_ssize_t place_of(Shape shape, str name) noexcept
cdef object recover(Attrs attrs)
cpdef object origin_names(object origin)
cpdef bint has_origin(object origin, str name) except -1
cpdef Py_ssize_t origin_position(object origin, str name) except -1


cdef inline void spend_on(Py_ssize_t count) noexcept:
    """Account for work on so many elements, or characters, that asks for no calls."""
    spend(<unsigned int> count if count < 0x8000 else 0x8001)


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
