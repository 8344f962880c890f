"""An LALR(1) automaton with bison's conflict resolution and default reductions, built from `grammar` when first needed.

In: nothing. Out: `Automaton`, whose `expected(state)` names the tokens a message lists. Lookaheads are computed by the
method of DeRemer and Pennello (1982).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from frazil.lang.grammar import PRECEDENCE, RULES, TOKENS

Item = tuple[int, int]


class Grammar:
    """Symbols as numbers: tokens first, in their order; rule 0 is the augmented start."""

    def __init__(self) -> None:
        self.token_names = [name for name, _ in TOKENS]
        self.shown = [shown for _, shown in TOKENS]
        self.numbers = {name: i for i, name in enumerate(self.token_names)}
        self.token_count = len(TOKENS)
        self.precedence: dict[int, tuple[int, str]] = {}
        for level, (kind, names) in enumerate(PRECEDENCE, 1):
            for name in names.split():
                self.precedence[self.numbers[name]] = (level, kind)
        self.left: list[int] = []
        self.right: list[tuple[int, ...]] = []
        self.rule_precedence: list[int | None] = []
        self._read(RULES.strip().splitlines())
        self.alternatives: dict[int, list[int]] = {}
        for rule, left in enumerate(self.left):
            self.alternatives.setdefault(left, []).append(rule)
        self.nullable = self._find_nullable()

    def _number(self, name: str) -> int:
        return self.numbers.setdefault(name, len(self.numbers))

    def _read(self, lines: list[str]) -> None:
        parsed = []
        for line in lines:
            left, _, rest = line.partition(" =")
            body, _, explicit = rest.partition("%prec")
            parsed.append((left, body.split(), explicit.strip()))
        for left, _, _ in parsed:
            self._number(left)
        self._add("$accept", ["start", "$end"], "")
        for name, symbols, explicit in parsed:
            self._add(name, symbols, explicit)

    def _add(self, left: str, body: list[str], explicit: str) -> None:
        symbols = tuple(self._number(name) for name in body)
        self.left.append(self._number(left))
        self.right.append(symbols)
        level: int | None = None
        for symbol in symbols:
            if symbol < self.token_count:
                level = symbol
        if explicit:
            level = self.numbers[explicit]
        self.rule_precedence.append(level if level in self.precedence else None)

    def _find_nullable(self) -> set[int]:
        found: set[int] = set()
        changed = True
        while changed:
            changed = False
            for left, right in zip(self.left, self.right, strict=True):
                if left not in found and all(symbol in found for symbol in right):
                    found.add(left)
                    changed = True
        return found


class Automaton:
    """States with their transitions, explicit actions and default reductions."""

    def __init__(self) -> None:
        self.grammar = Grammar()
        self.goto: list[dict[int, int]] = []
        self.kernels: list[frozenset[Item]] = []
        self._build_states()
        self.lookaheads = self._lookaheads()
        self.actions: list[dict[int, int | None]] = []
        self.default: list[int | None] = []
        for state in range(len(self.kernels)):
            self._decide(state)

    # --- LR(0)

    def _closure(self, kernel: Iterable[Item]) -> list[Item]:
        grammar = self.grammar
        items = list(kernel)
        seen = set(items)
        for rule, dot in items:
            right = grammar.right[rule]
            if dot < len(right) and right[dot] >= grammar.token_count:
                for other in grammar.alternatives[right[dot]]:
                    if (other, 0) not in seen:
                        seen.add((other, 0))
                        items.append((other, 0))
        return items

    def _build_states(self) -> None:
        numbers = {frozenset([(0, 0)]): 0}
        self.kernels.append(frozenset([(0, 0)]))
        self.closures: list[list[Item]] = []
        state = 0
        while state < len(self.kernels):
            closure = self._closure(self.kernels[state])
            self.closures.append(closure)
            moves: dict[int, set[Item]] = {}
            for rule, dot in closure:
                right = self.grammar.right[rule]
                if dot < len(right):
                    moves.setdefault(right[dot], set()).add((rule, dot + 1))
            targets = {}
            for symbol, items in moves.items():
                kernel = frozenset(items)
                if kernel not in numbers:
                    numbers[kernel] = len(self.kernels)
                    self.kernels.append(kernel)
                targets[symbol] = numbers[kernel]
            self.goto.append(targets)
            state += 1

    # --- lookaheads

    def _lookaheads(self) -> dict[tuple[int, int], set[int]]:
        """(state, rule) to the tokens on which the rule may be reduced."""
        grammar = self.grammar
        transitions = [
            (state, symbol) for state, row in enumerate(self.goto) for symbol in row if symbol >= grammar.token_count
        ]
        reads: dict[tuple[int, int], list[tuple[int, int]]] = {}
        direct: dict[tuple[int, int], set[int]] = {}
        for state, symbol in transitions:
            after = self.goto[self.goto[state][symbol]]
            direct[state, symbol] = {s for s in after if s < grammar.token_count}
            follow = self.goto[state][symbol]
            reads[state, symbol] = [(follow, s) for s in after if s in grammar.nullable]
        includes: dict[tuple[int, int], list[tuple[int, int]]] = {t: [] for t in transitions}
        lookback: dict[tuple[int, int], list[tuple[int, int]]] = {}
        for state, symbol in transitions:
            for rule in grammar.alternatives[symbol]:
                self._follow_rule(state, symbol, rule, includes, lookback)
        spread(direct, reads)
        spread(direct, includes)
        found: dict[tuple[int, int], set[int]] = {}
        for key, sources in lookback.items():
            found[key] = set().union(*(direct[source] for source in sources))
        return found

    def _follow_rule(
        self,
        state: int,
        symbol: int,
        rule: int,
        includes: dict[tuple[int, int], list[tuple[int, int]]],
        lookback: dict[tuple[int, int], list[tuple[int, int]]],
    ) -> None:
        grammar = self.grammar
        right = grammar.right[rule]
        current = state
        for index, part in enumerate(right):
            if part >= grammar.token_count and all(s in grammar.nullable for s in right[index + 1 :]):
                includes[current, part].append((state, symbol))
            current = self.goto[current][part]
        lookback.setdefault((current, rule), []).append((state, symbol))

    # --- actions

    def _decide(self, state: int) -> None:
        """Explicit actions of a state (a shift is state + 1, a reduction -rule, an error None) and its default."""
        grammar = self.grammar
        reductions = sorted(rule for rule, dot in self.closures[state] if dot == len(grammar.right[rule]) and rule)
        shifts = {s: t for s, t in self.goto[state].items() if s < grammar.token_count}
        row: dict[int, int | None] = {}
        dropped: set[tuple[int, int]] = set()
        for rule in reductions:
            for token in self.lookaheads.get((state, rule), ()):
                if token in shifts:
                    self._resolve(token, rule, row, dropped)
        for rule in reversed(reductions):
            for token in self.lookaheads.get((state, rule), ()):
                if (token, rule) not in dropped and not (token in row and row[token] is None):
                    row[token] = -rule
        for token, target in shifts.items():
            if (token, 0) not in dropped and not (token in row and row[token] is None):
                row[token] = target + 1
        self._choose_default(state, reductions, row, bool(shifts))

    def _resolve(self, token: int, rule: int, row: dict[int, int | None], dropped: set[tuple[int, int]]) -> None:
        """A shift or a reduction on one token: precedence decides; (token, 0) in `dropped` is the shift."""
        grammar = self.grammar
        level = grammar.rule_precedence[rule]
        if level is None or token not in grammar.precedence:
            dropped.add((token, rule))
            return
        strength, kind = grammar.precedence[token]
        of_rule = grammar.precedence[level][0]
        if strength > of_rule or (strength == of_rule and kind == "right"):
            dropped.add((token, rule))
        elif strength < of_rule or kind == "left":
            dropped.add((token, 0))
        else:
            dropped |= {(token, 0), (token, rule)}
            row[token] = None

    def _choose_default(self, state: int, reductions: list[int], row: dict[int, int | None], shifts: bool) -> None:
        default: int | None = None
        if len(reductions) == 1 and not shifts:
            default = reductions[0]
            row = {}
        elif reductions:
            most = 0
            for rule in reductions:
                count = sum(1 for action in row.values() if action == -rule)
                if count > most:
                    most, default = count, rule
            row = {token: action for token, action in row.items() if default is None or action != -default}
        self.actions.append(row)
        self.default.append(default)

    def expected(self, state: int) -> list[int]:
        """Tokens that have an action of their own, in order."""
        return sorted(token for token, action in self.actions[state].items() if action is not None and token != 1)

    def run(self, tokens: Iterable[tuple[int, int]]) -> tuple[int, int, int] | None:
        """(state, token, offset) where parsing (token, offset) pairs fails, None where it succeeds."""
        grammar = self.grammar
        stack = [0]
        for token, offset in tokens:
            while True:
                state = stack[len(stack) - 1]
                row = self.actions[state]
                if token in row:
                    action = row[token]
                    if action is None:
                        return state, token, offset
                    if action > 0:
                        stack.append(action - 1)
                        break
                    rule = -action
                elif self.default[state] is not None:
                    rule = self.default[state] or 0
                else:
                    return state, token, offset
                size = len(grammar.right[rule])
                if size:
                    del stack[len(stack) - size :]
                stack.append(self.goto[stack[len(stack) - 1]][grammar.left[rule]])
            if token == 0:
                return None
        return None


def spread(values: dict[tuple[int, int], set[int]], relation: dict[tuple[int, int], list[tuple[int, int]]]) -> None:
    """Grow every value by those it is related to, until nothing changes."""
    users: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for key, sources in relation.items():
        for source in sources:
            users.setdefault(source, []).append(key)
    work = list(values)
    while work:
        key = work.pop()
        value = values[key]
        for user in users.get(key, ()):
            if not value <= values[user]:
                values[user] |= value
                work.append(user)


@lru_cache(maxsize=1)
def automaton() -> Automaton:
    return Automaton()
