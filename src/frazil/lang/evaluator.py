"""The evaluator as other rooms see it: parse, evaluate, call, select.

In: source text or paths, `Effects`, `EvalSettings`. Out: values in weak head normal form. Every call from outside
leaves the
depth counter as it was, so an evaluator can be used again after an error. The contract is docs/design/rooms.md.
"""

import gc
import sys

import cython
from cython.cimports.frazil.lang.comparison import equal_cells
from cython.cimports.frazil.lang.deep_force import force_deep
from cython.cimports.frazil.lang.functions import Formal, FormalsLambda, SimpleLambda
from cython.cimports.frazil.lang.parser import Parser
from cython.cimports.frazil.lang.runtime import (
    add_trace,
    call_value,
    coerce_to_string,
    force_at,
    lazy,
    show_type,
    type_name,
)
from cython.cimports.frazil.lang.selection import Part
from cython.cimports.frazil.lang.sets import AttrsExpr, DynamicDef
from cython.cimports.frazil.lang.values import (
    MISSING,
    Attrs,
    Env,
    Expr,
    Lambda,
    Places,
    Primop,
    Scope,
    State,
    Thunk,
    attrs_from_dict,
    check_signals,
    is_marking,
    new_env,
    new_frame,
    note_marks,
    set_slot,
    swap_marks,
)

from frazil.lang.endings import end_without_recursion, use_pool_for
from frazil.lang.errors import EvalBaseError, EvalError, MissingArgument, MissingAttribute, TypeMismatch, byte_string
from frazil.lang.positions import PositionTable
from frazil.lang.registry import BuiltinSpec
from frazil.lang.runtime import canonical_path, position_value, suggestions
from frazil.lang.selection import holder_and_name
from frazil.lang.sets import is_literal
from frazil.lang.settings import EvalSettings

GLOBAL_NAMES = frozenset(
    "abort baseNameOf break builtins derivation derivationStrict dirOf false fetchFinalTree fetchGit fetchMercurial"
    " fetchTarball fetchTree fromTOML import isNull map null placeholder removeAttrs scopedImport throw toString"
    " true".split()
)
DEFAULT_SETTINGS = EvalSettings()
SIGNAL_PERIOD = 0.1
"""How long a signal may go unseen, in seconds, while another thread evaluates."""

STACK_SIZES = (256 << 20, 64 << 20, 16 << 20)
RECURSION_LIMIT = 200_000
STRING_ORIGIN = byte_string("«string»")


end_without_recursion(Expr)
use_pool_for((DynamicDef, Formal, Part, Places, Scope))
ROOT = cython.declare(Env, new_env(None, None))
ROOT = new_env(None, None)


def scope_env(values):
    """An environment whose slots hold these values."""
    frame: object = new_frame(None, len(values), MISSING)
    i: cython.Py_ssize_t
    for i in range(len(values)):
        set_slot(frame, i, values[i])
    return frame


@cython.cclass
class Parsed:
    """An expression ready to evaluate."""

    def show(self):
        """As `nix-instantiate --parse` prints it."""
        from frazil.lang.ast_printer import show_expr

        return show_expr(self.expr)

    @property
    def is_attribute_set(self):
        """Whether it is written as a set, not computed."""
        return self.written_as_set


@cython.cclass
class Evaluator(State):
    """One evaluation: its settings, files, positions and builtins."""

    def __init__(self, effects, settings=DEFAULT_SETTINGS, extra_builtins=()):
        self.effects = effects
        self.settings = settings
        self.positions = PositionTable()
        self.positions.read_again = effects.read_again
        self.observer = None
        if settings.observed:
            from frazil.lang.observation import Observer

            self.observer = Observer(self, settings)
        self.call_depth = 0
        self.max_call_depth = self.allowed_depth = settings.max_call_depth
        self.interrupted = False
        self.show_trace = settings.show_trace
        self.globals = {}
        self.symbols = {}
        self.symbol_ranks = None
        self.files = {}
        self.resolved = {}
        self.entered = 0
        self.documentation = {}
        self.registered = {}
        self.install(extra_builtins)

    # --- builtins

    def install(self, extra_builtins):
        """Make `builtins` and the global names; later specs replace earlier ones of the same name."""
        from frazil.lang.builtins import all_builtins

        table = {}
        for spec in [*OWN_BUILTINS, *all_builtins(), *extra_builtins]:
            if spec.impure and self.settings.pure:
                continue
            if spec.experimental is None or spec.experimental in self.settings.experimental_features:
                self.register(spec, table)
        constants = {"true": True, "false": False, "null": None}
        table.update(constants)
        self.builtins_set = attrs_from_dict(table)
        table["builtins"] = self.builtins_set
        self.globals.update(constants)
        self.globals["builtins"] = self.builtins_set

    def register(self, spec, table):
        name = spec.name
        self.registered[name] = spec
        if spec.arity == 0:
            value = lazy(lambda: spec.function(self, []))
        else:
            function = spec.function
            if self.observer is not None:
                function = self.observer.watched_primop(name, function)
            value = Primop(name, spec.arity, function, spec.internal)
            value.add_trace = spec.add_trace
            value.spec = spec
        if name in GLOBAL_NAMES:
            self.globals[name] = value
        else:
            self.globals["__" + name] = value
        if not spec.internal:
            table[name] = value

    def registered_primop(self, name):
        """A builtin by its own name, which may be none of `builtins`."""
        spec = self.registered[name]
        return Primop(name, spec.arity, spec.function, spec.internal)

    def global_names(self):
        """Names that are in scope everywhere, sorted; without those of internal builtins and the `__…` aliases."""
        internal = {spec.name for spec in self.registered.values() if spec.internal}
        return sorted(name for name in self.globals if not name.startswith("__") and name not in internal)

    def close(self):
        """The end: what was observed is written."""
        if self.observer is not None:
            self.observer.close()

    def builtins(self):
        """The set `builtins`."""
        return self.builtins_set

    # --- parsing

    def parse_string(self, text, base_directory, origin=STRING_ORIGIN):
        """`text`: bytes or a byte string; `base_directory`: where relative paths start."""
        return self.parse_text(text, base_directory, origin, False, None, None)

    def parse_file(self, path):
        """A file, or `default.nix` of a directory."""
        path = self.resolve_expression_path(path)
        return self.parse_at(path, None, None)

    def parse_with_scope(self, text, base_directory, scope, origin=STRING_ORIGIN):
        """An expression that may use the names of a mapping before the global ones."""
        names = {name: i for i, name in enumerate(scope)}
        return self.parse_text(
            text, base_directory, origin, False, Scope(None, names, None), scope_env(list(scope.values()))
        )

    def parse_bindings(self, text, base_directory, scope, origin=STRING_ORIGIN, shown=None):
        """Definitions as a REPL takes them (`a = 1; b = a;`), as a set that may use the scope.

        `shown`: what messages show, where that lacks what was added to the end."""
        data = text if isinstance(text, bytes) else text.encode("latin-1")
        base = self.positions.add_origin(origin, False, data if shown is None else shown)
        parser = Parser(self, data, base, base_directory)
        expr: Expr = parser.parse_definitions()
        names = {name: i for i, name in enumerate(scope)}
        return self.bound(parser, expr, Scope(None, names, None), scope_env(list(scope.values())), None)

    def parse_at(self, path, scope, env):
        text = self.effects.read_file(path)
        directory = path.rpartition("/")[0] or "/"
        return self.parse_text(text, directory, path, True, scope, env)

    def parse_text(self, text, directory, origin, is_path, scope, env):
        data = text if isinstance(text, bytes) else text.encode("latin-1")
        base = self.positions.add_origin(origin, is_path, data)
        parser = Parser(self, data, base, directory)
        try:
            expr: Expr = parser.parse()
            parsed = self.bound(parser, expr, scope, env, origin if is_path else None)
        except EvalBaseError as error:
            if error.positions is None:
                error.positions = self.positions
            raise
        if is_path and self.effects.is_plain_file(origin):
            self.positions.let_go(base)
        return parsed

    def bound(self, parser, expr, scope, env, path):
        parsed = Parsed()
        parsed.expr = cython.cast(Expr, expr).bind(scope)
        parsed.written_as_set = type(parsed.expr) is AttrsExpr
        if self.observer is not None:
            from frazil.lang.observed import watched_place

            what = None if path is None else f"while evaluating the file '{path}':"
            where = cython.cast(Expr, parsed.expr).pos
            parsed.expr = watched_place(self.observer, parsed.expr, scope, where, what)
        parsed.env = ROOT if env is None else env
        parsed.path = path
        return parsed

    def resolve_expression_path(self, path):
        """Follow a symbolic link, so that paths in the file are relative to where it is; a directory means
        default.nix."""
        path = canonical_path(path)
        known = self.resolved.get(path)
        if known is not None:
            if is_marking():
                note_marks(known[1])
            return known[0]
        if not is_marking():
            found = self.expression_path(path)
            self.resolved[path] = (found, None)
            return found
        outer = swap_marks(None)
        own = None
        try:
            found = self.expression_path(path)
        finally:
            own = swap_marks(outer)
            note_marks(own)
        self.resolved[path] = (found, own)
        return found

    def expression_path(self, path):
        effects = self.effects
        found = path
        kind = effects.file_type(found)
        if kind == "symlink":
            found = effects.resolve_symlinks(found)
            kind = effects.file_type(found)
        if kind == "directory":
            found = ("" if found == "/" else found) + "/default.nix"
            if effects.file_type(found) == "symlink":
                found = effects.resolve_symlinks(found)
        return found

    # --- evaluation

    def enter(self):
        """Start of a call from outside: the collector has nothing to find in values, and would look at all of them."""
        self.entered += 1
        if self.entered == 1:
            self.outer_recursion_limit = raise_recursion_limit()
            if gc.isenabled():
                gc.disable()
                return True
        return False

    def leave(self, collect, depth):
        self.entered -= 1
        if self.entered == 0:
            sys.setrecursionlimit(self.outer_recursion_limit)
            self.end_interruption()
        self.call_depth = depth
        error = sys.exc_info()[1]
        if isinstance(error, EvalBaseError) and error.positions is None:
            error.positions = self.positions
        if collect:
            keep_from_collector()

    def interrupt(self):
        """From another thread: what is being evaluated ends with `Interrupted` at its next call of a function."""
        if self.entered and not self.interrupted:
            self.allowed_depth = self.max_call_depth
            self.interrupted = True
            self.max_call_depth = -1

    def end_interruption(self):
        """After `Interrupted`, where an outer evaluation is to go on (a debugger's)."""
        if self.interrupted:
            self.interrupted = False
            self.max_call_depth = self.allowed_depth

    def evaluate(self, parsed):
        """Weak head normal form."""
        depth = self.call_depth
        collect = self.enter()
        try:
            return cython.cast(Expr, cython.cast(Parsed, parsed).expr).eval(cython.cast(Parsed, parsed).env)
        finally:
            self.leave(collect, depth)

    def evaluate_holder(self, parsed):
        """Of a selection the value that something is selected from, and what; None for other expressions."""
        depth = self.call_depth
        collect = self.enter()
        try:
            return holder_and_name(cython.cast(Parsed, parsed).expr, cython.cast(Parsed, parsed).env)
        finally:
            self.leave(collect, depth)

    def eval_string(self, text, base_directory, origin=STRING_ORIGIN):
        return self.evaluate(self.parse_string(text, base_directory, origin))

    def eval_file(self, path, must_be_trivial=False):
        """The value of a file, evaluated once however often it is asked for."""
        path = self.resolve_expression_path(path)
        known = self.files.get(path, MISSING)
        if known is MISSING:
            known = lazy(lambda: self.eval_new_file(path, must_be_trivial))
            self.files[path] = known
        return self.force(known)

    def eval_new_file(self, path, must_be_trivial):
        parsed = self.parse_at(path, None, None)
        done: cython.bint = False
        try:
            if must_be_trivial and not parsed.is_attribute_set:
                raise EvalError(f"file '{path}' must be an attribute set")
            value = cython.cast(Expr, cython.cast(Parsed, parsed).expr).eval(ROOT)
            done = True
        finally:
            if not done:
                add_trace(self, 0, f"while evaluating the file '{path}':")
        return value

    def import_path(self, path, scope=None):
        """`import path`, or `scopedImport scope path`."""
        if scope is None:
            return self.eval_file(path)
        path = self.resolve_expression_path(path)
        attrs: Attrs = scope
        names = {name: i for i, name in enumerate(attrs.names())}
        parsed = self.parse_at(path, Scope(None, names, None), scope_env(attrs.raw_values()))
        return self.evaluate(parsed)

    def reset_file_cache(self):
        """Forget files, so that changes on disk are seen."""
        self.files.clear()
        self.resolved.clear()

    def force(self, value):
        if type(value) is not Thunk:
            return value
        depth = self.call_depth
        collect = self.enter()
        try:
            return force_at(value, 0)
        finally:
            self.leave(collect, depth)

    def force_deep(self, value):
        depth = self.call_depth
        collect = self.enter()
        try:
            return force_deep(self, value)
        finally:
            self.leave(collect, depth)

    def call(self, function, *arguments):
        depth = self.call_depth
        collect = self.enter()
        try:
            return call_value(self, function, list(arguments), 0)
        finally:
            self.leave(collect, depth)

    def auto_call(self, function, arguments):
        """Call a function with formals with what there is for them (--arg); anything else stays as it is."""
        function = self.force(function)
        if type(function) is Attrs:
            functor = cython.cast(Attrs, function).lookup("__functor")
            if functor is not MISSING:
                return self.auto_call(self.call(functor, function), arguments)
            return function
        if type(function) is not Lambda:
            return function
        expr = cython.cast(Lambda, function).expr
        if type(expr) is not FormalsLambda:
            return function
        table = {}
        if cython.cast(FormalsLambda, expr).ellipsis:
            table.update(arguments)
        else:
            for item in cython.cast(FormalsLambda, expr).formals:
                formal: Formal = item
                if formal.name in arguments:
                    table[formal.name] = arguments[formal.name]
                elif formal.default is None:
                    raise MissingArgument(NO_ARGUMENT % formal.name, pos=formal.pos, positions=self.positions)
        return self.call(function, attrs_from_dict(table))

    def select(self, value, path, arguments=None):
        """Follow an attribute path as `-A` does: functions are called on the way, numbers index lists."""
        return self.select_with_position(value, path, arguments)[0]

    def select_with_position(self, value, path, arguments=None):
        """(value, position of its definition or 0)."""
        arguments = arguments or {}
        shown = ".".join(path)
        pos = 0
        for name in path:
            value = self.auto_call(value, arguments)
            if is_index(name):
                if type(value) is not list:
                    raise self.selection_error(shown, "a list", value)
                if int(name) >= len(value):
                    raise MissingAttribute(f"list index {int(name)} in selection path '{shown}' is out of range")
                value = value[int(name)]
                continue
            if type(value) is not Attrs:
                raise self.selection_error(shown, "a set", value)
            if not name:
                raise EvalError(f"empty attribute name in selection path '{shown}'")
            found = value.lookup(name)
            if found is MISSING:
                raise MissingAttribute(
                    f"attribute '{name}' in selection path '{shown}' not found",
                    suggestions=suggestions(name, value.names()),
                )
            pos = value.position(name)
            value = found
        return self.force(value), pos

    def selection_error(self, shown, wanted, value):
        return TypeMismatch(
            f"the expression selected by the selection path '{shown}' should be {wanted} but is {show_type(value)}"
        )

    def coerce_to_string(
        self, value, context, *, coerce_more=False, copy_to_store=True, canonicalize_path=True, trace=""
    ):
        depth = self.call_depth
        collect = self.enter()
        try:
            return coerce_to_string(self, value, context, trace, coerce_more, copy_to_store, canonicalize_path)
        finally:
            self.leave(collect, depth)

    def equal(self, left, right):
        depth = self.call_depth
        collect = self.enter()
        try:
            return equal_cells(self, left, right, 0)
        finally:
            self.leave(collect, depth)

    # --- values

    def make_attrs(self, mapping):
        return attrs_from_dict(dict(mapping))

    def attrs_items(self, attrs):
        return iter(attrs.items())

    def lazy(self, function):
        return lazy(function)

    def get_attr(self, attrs, name):
        """The forced attribute, None where it is absent (or null)."""
        value = attrs.lookup(name)
        return None if value is MISSING else self.force(value)

    def primop(self, name, arity, function):
        return Primop(name, arity, function)

    def type_name(self, value):
        return type_name(value)

    def is_literal(self, value):
        """Whether a value is written out: a set, list, number, string or function."""
        return is_literal(value)

    def argument_name(self, function):
        """The name in `name: …` or `{ … } @ name:`, otherwise None."""
        if type(function) is not Lambda:
            return None
        expr = cython.cast(Lambda, function).expr
        if type(expr) is SimpleLambda:
            return cython.cast(SimpleLambda, expr).argument
        return cython.cast(FormalsLambda, expr).argument if type(expr) is FormalsLambda else None

    def formals(self, function):
        """[(name, has a default, position)] of `{ a, b ? c }:`, None for any other function."""
        if type(function) is not Lambda or type(cython.cast(Lambda, function).expr) is not FormalsLambda:
            return None
        formals = cython.cast(FormalsLambda, cython.cast(Lambda, function).expr).formals
        return [
            (cython.cast(Formal, f).name, cython.cast(Formal, f).default is not None, cython.cast(Formal, f).pos)
            for f in formals
        ]

    def position_value(self, pos):
        """`{ file, line, column }` of a position, or null where it is in no file."""
        return position_value(self, pos)


NO_ARGUMENT = """cannot evaluate a function that has an argument without a value ('%s')
Nix attempted to evaluate a function as a top level expression; in
this case it must have its arguments supplied either by default
values, or passed explicitly with '--arg' or '--argstr'. See
https://nix.dev/manual/nix/stable/language/syntax.html#functions."""


def is_index(name):
    """Whether an element of an attribute path is a list index."""
    return name.isdigit() and name.isascii() and int(name) < 2**32


def import_value(evaluator, value, scope):
    """What `import` gives for a path, a string or a set that stands for one."""
    from frazil.lang.runtime import coerce_to_path

    context = set()
    path = coerce_to_path(evaluator, value, context, "while realising the context of a path")
    if context:
        try:
            for placeholder, real in evaluator.effects.realise_context(frozenset(context)).items():
                path = path.replace(placeholder, real)
        except EvalBaseError as error:
            error.add_trace(0, f"while realising the context of path '{path}'")
            raise
    import_derivation = getattr(evaluator.effects, "import_derivation", None)
    if import_derivation is not None and path.endswith(".drv"):
        found = import_derivation(evaluator, path)
        if found is not None:
            return found
    return evaluator.import_path(path, scope)


def builtin_import(evaluator, arguments):
    return import_value(evaluator, arguments[0], None)


def builtin_scoped_import(evaluator, arguments):
    from frazil.lang.runtime import force_attrs

    scope = force_attrs(arguments[0], "while evaluating the first argument passed to builtins.scopedImport")
    return import_value(evaluator, arguments[1], scope)


OWN_BUILTINS = [BuiltinSpec("import", 1, builtin_import), BuiltinSpec("scopedImport", 2, builtin_scoped_import)]


def keep_from_collector():
    """Switch the cyclic collector on again, but not for what there is by now: looking at all lists of a large
    evaluation takes longer than the evaluation, and nothing in them could be freed."""
    gc.freeze()
    gc.enable()


def raise_recursion_limit():
    """Gives the limit that was. It must come back after evaluation: other threads' stacks hold no such depth, and C
    code that relies on the limit (the standard library's JSON reader) would overflow them."""
    outer = sys.getrecursionlimit()
    if outer < RECURSION_LIMIT:
        sys.setrecursionlimit(RECURSION_LIMIT)
    return outer


def run_with_deep_stack(function, interrupt=None, waiting=None):
    """Call it in a thread whose stack holds any depth that max-call-depth allows; errors and results pass through.

    `interrupt`: called when the waiting thread is interrupted, to make the other one end soon (`Evaluator.interrupt`);
    without it a KeyboardInterrupt leaves at once, and the thread goes on until the process ends.
    `waiting`: called again and again while it goes on, for the first time after SIGNAL_PERIOD.
    """
    import _thread

    outcome = []
    # What `threading` adds (an import of milliseconds) is not needed to wait for one thread.
    ended = _thread.allocate_lock()

    def run():
        gc_was_on = gc.isenabled()
        gc.disable()
        try:
            outcome.append((function(), None))
        except BaseException as error:
            outcome.append((None, error))
        finally:
            if gc_was_on:
                keep_from_collector()
            ended.release()

    ended.acquire()
    outer_recursion_limit = raise_recursion_limit()
    previous = _thread.stack_size()
    started = False
    for size in STACK_SIZES:
        try:
            _thread.stack_size(size)
            _thread.start_new_thread(run, ())
            started = True
            break
        except (RuntimeError, ValueError, MemoryError):
            pass
        finally:
            _thread.stack_size(previous)
    if not started:
        run()
    while True:
        try:
            # In steps: a signal between the last look and the wait would wake nobody.
            while not ended.acquire(True, SIGNAL_PERIOD):
                check_signals()
                if waiting is not None:
                    waiting()
            break
        except KeyboardInterrupt:
            if interrupt is None:
                raise
            interrupt()
    sys.setrecursionlimit(outer_recursion_limit)
    result, error = outcome[0]
    if error is not None:
        raise error
    return result
