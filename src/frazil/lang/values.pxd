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


cdef extern from "frazil/native/values/pool.h":
    ctypedef struct Pool "frazil_pool":
        pass
    object pool_int "frazil_new_int"(Pool *pool, long long value)
    object pool_calculate "frazil_calculate"(Pool *pool, int operation, object left, object right)
    object pool_pair "frazil_new_pair"(Pool *pool, type kind, object first, object second)
    void become "frazil_become"(object value, type kind)
    void turn "frazil_turn"(object node, object like)
    bint is_unmade "frazil_is_unmade"(object value) noexcept
    object unmade "frazil_get_unmade"()
    void use_own_arenas "frazil_use_own_arenas"() noexcept


cdef extern from "frazil/native/values/sets.h":
    object pool_attrs "frazil_new_attrs"(Pool *pool, object like, object shape, object origin)
    object pool_table_attrs "frazil_table_attrs"(Pool *pool, object like, object table, object origin)
    object pool_lazy_attrs "frazil_lazy_attrs"(Pool *pool, object like, object shape, object origin, object source)
    object get_source "frazil_get_source"(object attrs)
    void set_source "frazil_set_source"(object attrs, object source)
    void look_whether_made "frazil_look_whether_made"(object attrs)
    bint is_from_literal "frazil_from_literal"(object attrs) noexcept
    int settle_members "frazil_settle"(object attrs, object exprs, bytes which, object env) except -1
    object make_from "frazil_make_from"(object attrs, Py_ssize_t i, object exprs)
    object raw_value "frazil_get_value"(object attrs, Py_ssize_t i)
    void set_value "frazil_set_value"(object attrs, Py_ssize_t i, object value)
    void init_value "frazil_init_value"(object attrs, Py_ssize_t i, object value)
    list values_list "frazil_values_list"(object attrs)
    dict values_table "frazil_values_table"(tuple names, object attrs)
    Py_ssize_t find_place "frazil_find_place"(object shape, dict index, object name) noexcept
    object follow "frazil_follow"(object value, list parts, object like)
    object member "frazil_member"(object select, object value, object like)


cdef extern from "frazil/native/values/scopes.h":
    object outer_env "frazil_outer_env"(object env, Py_ssize_t depth)
    object get_definer "frazil_definer"(object frame)
    object pool_lazy_slots "frazil_lazy_slots"(Pool *pool, type kind, object up, Py_ssize_t count, object definer)
    object pool_slots "frazil_new_slots"(Pool *pool, type kind, object up, Py_ssize_t count, object filler)
    object pool_empty_slots "frazil_empty_slots"(Pool *pool, type kind, object up, Py_ssize_t count)
    object get_slot "frazil_get_slot"(object slots, Py_ssize_t i)
    void set_slot "frazil_set_slot"(object slots, Py_ssize_t i, object value)
    void init_slot "frazil_init_slot"(object slots, Py_ssize_t i, object value)
    object known_slot "frazil_known_slot"(object env, Py_ssize_t depth, Py_ssize_t i)
    object get_outer "frazil_get_outer"(object env, Py_ssize_t depth, Py_ssize_t i)
    void set_outer "frazil_set_outer"(object env, Py_ssize_t depth, Py_ssize_t i, object value)
    object get_argument "frazil_get_argument"(object env, Py_ssize_t depth)
    void set_argument "frazil_set_argument"(object env, Py_ssize_t depth, object value)
    dict slots_table "frazil_slots_table"(tuple names, object slots)


cdef extern from "frazil/native/values/thunks.h":
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


cdef extern from "frazil/native/values/release.h":
    void begin_laziness "frazil_begin_laziness"(object like, object expr)
    object pool_call "frazil_new_call"(
        Pool *pool, object like, object state, object function, bint paired, bint unplaced)
    void pool_calls "frazil_pool_calls"(Pool *pool, type kind) noexcept
    void begin_pool "frazil_begin_pool"(Pool *pool, type thunk, type env, type function, type slots, type attrs)


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


cdef inline Py_ssize_t quiet(Py_ssize_t pos) noexcept:
    """A place that Nix does not know of (errors.py)."""
    return -1 - pos


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
