"""The goal "these outputs of this derivation are valid".

Valid already, substituted, or built once the inputs are; a derivation whose output paths depend on how its inputs turn
out is resolved first, and the resolved one built instead. Source of truth: libstore's `DerivationGoal`.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING

from frazil.activity import Verbosity
from frazil.build.errors import BuildError, DerivationFailed, Failure
from frazil.build.goals import Done, Event, Goal, Steps, Wait
from frazil.build.missing import fixed_address
from frazil.build.resolution import Chain, input_chains, needs_resolution, resolve, with_plain_inputs
from frazil.build.result import Status
from frazil.errors import UsageError
from frazil.store.derivation import Derivation
from frazil.store.derived_path import ALL_OUTPUTS, OutputsSpec
from frazil.store.path import StorePath

if TYPE_CHECKING:
    from frazil.build.worker import Worker
    from frazil.store.realisation import Realisation

_FEATURES = {"floating": "ca-derivations", "deferred": "ca-derivations", "impure": "impure-derivations"}


class DerivationGoal:
    def __init__(self, worker: Worker, path: StorePath, outputs: OutputsSpec, mode: str) -> None:
        self.worker, self.path, self.outputs, self.mode = worker, path, outputs, mode
        self.store, self.settings = worker.store, worker.settings
        self.drv: Derivation
        self.wanted: list[str]

    @property
    def text(self) -> str:
        return self.store.show(self.path)

    def steps(self) -> Steps:
        yield from self._load()
        kind = self.drv.type().kind
        if kind != "impure":
            valid = self._valid()
            if valid is not None and self.mode == "normal":
                return Done(Status.ALREADY_VALID, valid, self.path)
            substituted = yield from self._substitute()
            valid = self._valid()
            if valid is not None and self.mode == "normal" and substituted:
                return Done(Status.SUBSTITUTED, valid, self.path)
            if valid is None and self.mode == "check":
                raise BuildError(
                    f"some outputs of '{self.text}' are not valid, so checking is not possible\n"
                    "Hint: --rebuild and --check error if the derivation was not previously built and cannot be "
                    "substituted.\n      Remove it to perform a fresh build, or use --repair to rewrite missing or "
                    "corrupted builds in the store.",
                )
            if self.mode == "repair" and valid is not None and all(map(self.worker.contents_good, valid.values())):
                return (yield from self._repair_closure(valid))
        return (yield from self._build())

    def _load(self) -> Steps:
        worker, store = self.worker, self.store
        if not self.path.is_derivation:
            raise BuildError(f"'{self.text}' is not a derivation")
        store.add_temporary_root(self.path)
        if not store.is_registered(self.path):
            goal = worker.path_goal(self.path)
            yield [goal]
            if goal.done is None:
                raise worker.obtaining_failed(self.text, goal)
        self.drv = store.read_derivation(self.path)
        names = self.drv.outputs if self.outputs.names is None else self.outputs.names
        unknown = sorted(set(names) - set(self.drv.outputs))
        if unknown:
            raise BuildError(
                f"derivation '{self.text}' does not have wanted outputs '{unknown[0]}'",
                hint=f"its outputs are: {', '.join(sorted(self.drv.outputs))}",
            )
        self.wanted = sorted(names)
        feature = _FEATURES.get(self.drv.type().kind)
        if feature is not None and not self.settings.has_feature(feature):
            raise UsageError(
                f"experimental Nix feature '{feature}' is disabled; add '--extra-experimental-features {feature}' "
                "to enable it"
            )
        for output in self.drv.output_paths(store.directory).values():
            if output is not None:
                store.add_temporary_root(output)
        return Done(Status.ALREADY_VALID)

    def _valid(self) -> dict[str, StorePath] | None:
        """The wanted outputs, if all of them are valid."""
        outputs = self.store.query_derivation_outputs(self.path)
        found = {}
        for name in self.wanted:
            output = outputs[name]
            if output is None or not self.store.is_registered(output):
                return None
            found[name] = output
        return found

    def _substitute(self) -> Generator[Wait, Event | None, bool]:
        """Fetches what is missing of the wanted outputs; whether all of that came."""
        store, substitution = self.store, None
        if self.mode != "check" and self._may_substitute():
            substitution = self.worker.substitution
        if substitution is None:
            return False
        outputs = store.query_derivation_outputs(self.path)
        found: dict[str, Realisation] = {}
        for name in self.wanted:
            if outputs[name] is None:
                realisation = yield from substitution.realisation(self.path, name)
                if realisation is not None:
                    found[name] = realisation
                    outputs[name] = realisation.path
        goals = []
        for name in self.wanted:
            output = outputs[name]
            if output is not None and not store.is_registered(output):
                goals.append(self.worker.path_goal(output, fixed_address(self.drv, name)))
        if goals:
            yield goals
        failures = [goal.outcome for goal in goals if isinstance(goal.outcome, DerivationFailed)]
        for name, realisation in found.items():
            if store.is_registered(realisation.path):
                store.register_realisation(self.path, name, realisation.path, realisation.signatures)
        if not self.settings.fallback and any(f.failure is not Failure.NO_SUBSTITUTERS for f in failures):
            raise DerivationFailed(
                Failure.TRANSIENT_FAILURE,
                f"some substitutes for the outputs of derivation '{self.text}' failed (usually happens due to "
                "networking issues); try '--fallback' to build derivation from source ",
            )
        return not failures and bool(goals or found)

    def _may_substitute(self) -> bool:
        from frazil.build.options import derivation_options

        if self.settings.always_allow_substitutes:
            return True
        return derivation_options(self.drv, self.store.directory).allow_substitutes

    # ----------------------------------------------------------------------------------------------------- building

    def _build(self) -> Steps:
        worker, store, drv = self.worker, self.store, self.drv
        worker.will_build(self.path)
        self._check_impure_inputs()
        chains = {chain: self._input_goal(chain) for chain in input_chains(drv)}
        goals = list(dict.fromkeys(chains.values()))
        if goals:
            yield goals
        if any(goal.done is None for goal in goals):
            raise self._dependency_failed(goals)
        found = {chain: goal.done.outputs[chain[1][-1]] for chain, goal in chains.items() if goal.done is not None}
        if needs_resolution(drv, self.settings.has_feature("ca-derivations")):
            return (yield from self._build_resolved(resolve(store, drv, found)))
        return (yield from self._build_plain(with_plain_inputs(drv, found)))

    def _input_goal(self, chain: Chain) -> Goal:
        path, names = chain
        mode = "repair" if self.mode == "repair" else "normal"
        if len(names) > 1:
            return self.worker.chain_goal(path, names[:-1], OutputsSpec(frozenset({names[-1]})))
        # One goal for all outputs that are wanted of an input: `names` of the same input share it.
        return self.worker.derivation_goal(path, OutputsSpec(self.drv.input_derivations[path]), mode)

    def _check_impure_inputs(self) -> None:
        kind = self.drv.type()
        if not self.settings.has_feature("impure-derivations") or kind.kind == "impure" or kind.is_fixed:
            return
        for path in {*self.drv.input_derivations, *self.drv.dynamic_inputs}:
            if self.store.is_valid(path) and self.store.read_derivation(path).type().kind == "impure":
                raise BuildError(
                    f"pure derivation '{self.text}' depends on impure derivation '{self.store.show(path)}'"
                )

    def _dependency_failed(self, goals: list[Goal]) -> DerivationFailed:
        from frazil.build.worker import causes

        count = max(1, sum(isinstance(goal.outcome, DerivationFailed) for goal in goals))
        word = "dependency" if count == 1 else "dependencies"
        return DerivationFailed(
            Failure.DEPENDENCY_FAILED,
            f"Cannot build '{self.text}'.\nReason: {count} {word} failed." + known_outputs(self.worker, self.drv),
            caused_by=causes(goals),
        )

    def _build_plain(self, plain: Derivation) -> Steps:
        goal = self.worker.build_goal(self.path, plain, self.mode)
        yield [goal]
        outcome = goal.outcome
        if outcome is None or isinstance(outcome, DerivationFailed):
            raise outcome or DerivationFailed(Failure.MISC_FAILURE, f"the build of '{self.text}' was cut off")
        outputs = dict(outcome.outputs)
        if self.mode == "repair":
            self.worker.contents_mended(outputs.values())
        missing = [name for name in self.wanted if name not in outputs]
        if missing:
            outputs.update(self._valid() or {})
        return Done(
            outcome.status,
            {name: outputs[name] for name in self.wanted},
            self.path,
            outcome.start_time,
            outcome.stop_time,
            outcome.usage,
        )

    def _build_resolved(self, resolved: Derivation) -> Steps:
        from frazil.activity import Activity, ActivityType
        from frazil.build.worker import causes

        store = self.store
        self.worker.bring_evaluated(resolved)
        path = store.write_derivation(resolved, check=False)
        text = f"resolved derivation: '{self.text}' -> '{store.show(path)}'"
        fields = (self.text, store.show(path))
        with Activity(self.worker.reporter, ActivityType.BUILD_WAITING, text, fields=fields):
            goal = self.worker.derivation_goal(path, OutputsSpec(frozenset(self.wanted)), self.mode)
            yield [goal]
        done = goal.done
        if done is None:
            raise DerivationFailed(
                Failure.DEPENDENCY_FAILED,
                f"build of resolved derivation '{store.show(path)}' failed",
                caused_by=causes([goal]),
            )
        if self.drv.type().kind != "impure":
            for name, output in done.outputs.items():
                _note_realisation(self.worker, self.path, name, output)
        status = done.status
        if status is Status.ALREADY_VALID:
            status = Status.RESOLVES_TO_ALREADY_VALID
        return Done(status, done.outputs, self.path, done.start_time, done.stop_time, done.usage)

    # ----------------------------------------------------------------------------------------------------- repairing

    def _repair_closure(self, valid: dict[str, StorePath]) -> Steps:
        """The outputs are good; what they refer to may not be."""
        worker, store = self.worker, self.store
        closure = store.closure(valid.values()) - set(valid.values())
        derivers = {}
        for path in store.closure([self.path]):
            if path.is_derivation:
                for output in store.query_derivation_outputs(path).values():
                    if output is not None:
                        derivers[output] = path
        goals = []
        for path in sorted(closure):
            if worker.contents_good(path):
                continue
            text = f"found corrupted or missing path '{store.show(path)}' in the output closure of '{self.text}'"
            worker.reporter.log(Verbosity.ERROR, text)
            if path in derivers:
                goals.append(worker.derivation_goal(derivers[path], ALL_OUTPUTS, "repair"))
            else:
                goals.append(worker.path_goal(path))
        if goals:
            yield goals
            if any(goal.done is None for goal in goals):
                raise BuildError(f"some paths in the output closure of derivation '{self.text}' could not be repaired")
        return Done(Status.ALREADY_VALID, valid, self.path)


def _note_realisation(worker: Worker, drv_path: StorePath, output: str, path: StorePath) -> None:
    """Notes where an output of an unresolved derivation went, for those who ask the store only.

    The resolved derivation's note is the one that counts: an older note here about a path that is gone gives way.
    """
    store = worker.store
    known = store.query_realisation(drv_path, output)
    if known == path:
        return
    if known is not None:
        store.database.delete_realisation(drv_path, output)
    store.register_own_realisation(drv_path, output, path)


def known_outputs(worker: Worker, drv: Derivation) -> str:
    """The end of a failure's message: where the outputs would have been."""
    paths = sorted({path for path in drv.output_paths(worker.store.directory).values() if path is not None})
    return "\nOutput paths:" + "".join(f"\n  {worker.store.show(path)}" for path in paths) if paths else ""
