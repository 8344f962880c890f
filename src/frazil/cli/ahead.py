"""Which modules an evaluation, and looking for a remembered answer, import: for `load_ahead`.

Each comes after those that it imports itself. A name that is missing here costs a little time, nothing else;
tests/cli/test_start.py says which are superfluous or late.
"""

from __future__ import annotations

from frazil import load_ahead

EVALUATION = """
lang lang.origins lang.errors lang.values lang.runtime lang.functions lang.scanner lang.selection lang.variables
lang.sets lang.shapes lang.comparison lang.operators lang.concatenation lang.nodes lang.literals lang.attribute_merge
lang.parser lang.deep_force _native lang.positions lang.registry lang.settings lang.evaluator
cache_folder cli.room_settings instantiate instantiate.context store digest store.errors store.path instantiate.builtins
instantiate.recording lang.effects instantiate.files instantiate.effects instantiate.session store.config
lang.builtins lang.builtins_control lang.numbers lang.builtins_math lang.builtins_sets lang.builtins_lists
lang.versions lang.builtins_strings lang.builtins_context lang.builtins_convert lang.builtins_files
"""
REMEMBERING = """
cli.evaluation_caches cli.remembered cli.room_settings evalcache evalcache.subject store store.errors digest
store.path store.config lang lang.settings evalcache.facts evalcache.database evalcache._walk evalcache.stamps
evalcache.verify evalcache.cache evalcache.program evalcache.hashing plain_sqlite plain_json store.glance
"""


def before_evaluation() -> None:
    load_ahead([f"frazil.{name}" for name in EVALUATION.split()])


def before_remembering() -> None:
    load_ahead([f"frazil.{name}" for name in REMEMBERING.split()])
