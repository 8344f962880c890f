"""What `values.pxd` has in C, in Python: for the evaluator as it runs without being compiled.

`values` imports all of it, so its own names are asked for only when they are needed.
"""

import frazil.lang.values as values
from frazil.lang.origins import few_place


def use_own_arenas():
    return None


def latin1(text):
    return text.encode("latin-1") + b"\0"


def is_in_order(text):
    return "//" not in text and "/." not in text and not (len(text) > 1 and text.endswith("/"))


def byte_pointer(data):
    return data


def int_pointer(data):
    return memoryview(data).cast("i")


def word_pointer(data):
    return memoryview(data).cast("q")


def use_pool(thunk, env, function, slots, attrs):
    return None


def use_pool_of_calls(kind):
    return None


def new_call(like, state, function, paired, unplaced):
    calls = type(like).__new__(type(like))
    calls.state = state
    calls.pos = 0
    calls.function = function
    calls.paired = paired
    calls.unplaced = unplaced
    return calls


def check_signals():
    return None


def stack_is_low():
    return False


def spend(ticks):
    return None


spend_on = spend


def become(value, kind):
    return None


def turn(node, like):
    node.__class__ = type(like)


def new_slots(count, filler):
    return new_frame(None, count, filler)


def empty_slots(count):
    return new_frame(None, count, None)


def new_frame(up, count, filler):
    slots = values.Slots(up, None)
    slots.items = [filler] * count
    return slots


def get_slot(slots, i):
    return slots.items[i]


def set_slot(slots, i, value):
    slots.items[i] = value


init_slot = set_slot


def outer_scope(env, depth):
    for _ in range(depth):
        env = env.up
    return env


outer_env = outer_scope


def get_outer(env, depth, i):
    return outer_scope(env, depth).items[i]


def set_outer(env, depth, i, value):
    outer_scope(env, depth).items[i] = value


def known_slot(env, depth, i):
    return unmade()


def follow(value, parts, like):
    return unmade()


def member(select, value, like):
    return unmade()


def get_argument(env, depth):
    return outer_scope(env, depth).payload


def set_argument(env, depth, value):
    outer_scope(env, depth).payload = value


def run_expression(thunk, blackhole):
    expr = thunk.expr
    env = thunk.slot
    thunk.expr = blackhole
    thunk.slot = expr
    try:
        value = expr.eval(env)
    except BaseException:
        thunk.expr = expr
        thunk.slot = env
        values.restore_thunk(thunk, expr, env)
        raise
    if type(value) in (values.Lambda, values.Primop, values.PrimopApplication):
        thunk.expr = expr
        thunk.slot = env
        return values.own_function(thunk, value)
    thunk.expr = None
    thunk.slot = value
    return value


def know_functions(function, builtin, application):
    return None


# Addresses, in C.
UNUSUAL = UNTRACED = UNCALLED = None


def pending():
    """Errors stay where they are raised."""
    raise AssertionError


def eval_body(body, env, function, call_pos):
    from frazil.lang.functions import call_failed

    try:
        return body.eval(env)
    except BaseException:
        call_failed(function, call_pos)
        raise


def arguments1(first):
    return [first]


def arguments2(first, second):
    return [first, second]


def spare_arguments(arguments):
    return None


def slots_table(names, slots):
    return dict(zip(names, slots.items))


def raw_value(attrs, i):
    return attrs.values[i]


def get_value(attrs, i):
    value = attrs.values[i]
    return values.make_value(attrs, i) if is_unmade(value) else value


def set_value(attrs, i, value):
    attrs.values[i] = value


init_value = set_value


def values_list(attrs):
    return list(attrs.values)


def values_table(names, attrs):
    return dict(zip(names, attrs.values))


UNMADE = []


def unmade():
    if not UNMADE:
        UNMADE.append(values.Thunk(values.Expr(), None))
    return UNMADE[0]


def is_unmade(value):
    return UNMADE and value is UNMADE[0]


def begin_laziness(like, expr):
    return None


def new_lazy_attrs(shape, origin, source):
    attrs = new_attrs(shape, origin)
    attrs.values = [unmade()] * shape.count
    attrs.source = source
    return attrs


def get_source(attrs):
    return getattr(attrs, "source", None)


def set_source(attrs, source):
    attrs.source = source


def is_from_literal(attrs):
    return isinstance(get_source(attrs), values.Env)


def look_whether_made(attrs):
    if unmade() not in attrs.values:
        attrs.source = None


def settle_members(attrs, exprs, which, env):
    for i in which:
        attrs.values[i] = exprs.items[i].settle(env)
    look_whether_made(attrs)


def make_from(attrs, i, exprs):
    value = exprs.items[i].delay(attrs.source)
    attrs.values[i] = value
    look_whether_made(attrs)
    return value


def new_lazy_frame(up, count, definer):
    frame = new_frame(up, count, unmade())
    frame.definer = definer
    return frame


def get_definer(frame):
    return getattr(frame, "definer", None)


def find_place(shape, index, name):
    return few_place(shape.names, name) if index is None else index.get(name, -1)


def int_value(number):
    return number


def quiet(pos):
    return -1 - pos


def new_int(value):
    return value


def calculate(operation, left, right):
    if operation == 3:
        return left < right
    if operation == 2:
        if right == 0:
            return None
        result = abs(left) // abs(right)
        result = result if (left < 0) == (right < 0) else -result
    else:
        result = left - right if operation == 0 else left * right if operation == 1 else left + right
    return result if -(2**63) <= result < 2**63 else None


def call_builtin(function, state, arguments):
    return function(state, arguments)


def same_text(left, right):
    return left == right


def quoted(text):
    return None


def writable(data):
    return data


def symbol_of(symbols, text, start, end):
    name = text[start:end].decode("latin-1")
    return symbols.setdefault(name, name)


decimal = str
joined = "".join


def joined2(first, second):
    return first + second


def joined3(first, second, third):
    return first + second + third


def new_thunk(expr, slot):
    return values.Thunk(expr, slot)


def new_scope(up, names, single, pos):
    return values.Scope(up, names, single, pos)


def new_env(up, payload):
    return values.Env(up, payload)


def new_lambda(expr, env):
    return values.Lambda(expr, env)


def new_attrs(shape, origin):
    attrs = values.Attrs()
    attrs.shape = shape
    attrs.origin = origin
    attrs.values = [None] * shape.count
    return attrs


def new_table_attrs(table, origin):
    attrs = values.Attrs()
    attrs.shape = None
    attrs.origin = origin
    attrs.table = table
    attrs.former = None
    return attrs


ASKED_FROM = 0


def set_asked_from(pos):
    global ASKED_FROM
    ASKED_FROM = pos


def asked_from():
    return ASKED_FROM


def finished(value, pos):
    if type(value) is values.Thunk:
        return value.slot if value.expr is None else values.run_thunk(value, pos)
    return value


def kept(thunk, value):
    return value if thunk.expr is None else thunk


def glance(value):
    if type(value) is values.Thunk:
        return value.slot if value.expr is None else values.MISSING
    return value


def cell(value):
    return value.slot if type(value) is values.Thunk and value.expr is None else value
