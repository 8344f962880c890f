"""What to do about an error, where the error itself does not say. In: an error, and where it was shown to be. Out:
sentences for `hint:`.

Rules read the message (whose wording is Nix's or nixpkgs'), the source line, and what the evaluator knows.
"""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from frazil.errors import FrazilError
    from frazil.position import Position

SHOWN_NAMES = 12
MOST_LISTED = 10_000
_FEATURE = re.compile(r"experimental Nix feature '([a-z-]+)' is disabled")
_CALLING = re.compile(r"while calling the '(\w+'?)' builtin")
_SYSTEM = re.compile(r"Required system: '([^']*)'.*Current system: '([^']*)'", re.S)
# Of the value that `inputs.x` is: what every flake has.
_OF_ALL_FLAKES = frozenset({"_type", "inputs", "lastModified", "lastModifiedDate", "narHash", "outPath", "outputs"}) | {
    "rev",
    "revCount",
    "shortRev",
    "dirtyRev",
    "dirtyShortRev",
    "sourceInfo",
    "submodules",
}
# Names that people expect to be there, and where they come from.
_EXPECTED = {
    "system": 'a flake does not know the machine it runs on: write the system, "x86_64-linux", or make the outputs for '
    "several: lib.genAttrs [ … ] (system: …)",
    "pkgs": "packages come from somewhere: let pkgs = nixpkgs.legacyPackages.x86_64-linux; in …; in a module or a "
    "package they are an argument: { pkgs, ... }:",
    "lib": "`lib` is an argument ({ lib, ... }:), or nixpkgs.lib, or pkgs.lib",
    "nixpkgs": "an input of the flake is named in the arguments of `outputs`: { self, nixpkgs }:",
    "config": "in a module `config` is an argument: { config, ... }:",
    "self": "`self` is the first argument of `outputs`: { self, ... }:",
    "inputs": "all inputs together: outputs = { self, ... }@inputs: …; in a module: specialArgs = { inherit inputs; }",
    "final": "an overlay is a function of two arguments: final: prev: { … }",
    "prev": "an overlay is a function of two arguments: final: prev: { … }",
}


def advice(error: FrazilError, place: Position | None = None) -> list[str]:
    """None, one or several. `place`: what is shown of the source."""
    from frazil.cli.display import readable

    message = readable(error.message)
    line = readable(place.source_line) if place is not None and place.source_line is not None else ""
    found = _of_names(error, message, place)
    # Of what a library complains about, the user's line is not the one that is wrong.
    arose = _arose(error)
    exact = line if place is not None and arose is not None and _same_line(place, arose) else ""
    for rule in RULES:
        text = rule(error, message, line)
        if text:
            found.append(text)
    for rule in (_of_values, _of_calls):
        text = rule(error, message, exact)
        if text:
            found.append(text)
    if not error.hint:
        for pattern, text in SENTENCES:
            if pattern.search(message):
                found.append(text)
                break
    return found


def _arose(error: FrazilError) -> Position | None:
    """Where the error arose: its own place, or that of the innermost step that has one."""
    if error.position is not None:
        return error.position
    return next((frame.position for frame in reversed(error.trace) if frame.position is not None), None)


def _same_line(one: Position, other: Position) -> bool:
    return one.file == other.file and one.line == other.line


def _of_names(error: FrazilError, message: str, place: Position | None) -> list[str]:
    from frazil.cli.display import readable
    from frazil.lang.errors import display

    found = []
    near = [readable(display(name)) for name in getattr(error, "near", ())]
    asked = re.match(r"undefined variable '(.*)'", message)
    if asked is not None:
        near = likely(asked[1], near)
    if near:
        found.append(f"did you mean {either(near)}?")
    there = getattr(error, "there", None)
    said = there() if there is not None else None
    if said:
        found.append(readable(said))
    formals = getattr(error, "formals", "")
    if formals:
        where = "" if place is not None and place == error.position else function_place(error)
        found.append(f"the function{f' ({where})' if where else ''} takes {display(formals)}")
        unexpected = re.search(r"unexpected argument '(.*)'", message)
        if unexpected is not None and "..." not in formals:
            found.append(_of_unexpected(error, unexpected[1], formals))
    return found


def _of_unexpected(error: FrazilError, name: str, formals: str) -> str:
    if name in ("config", "options", "lib", "specialArgs", "_class", "_prefix", "modulesPath") and any(
        frame.position is not None and frame.position.file.endswith("lib/modules.nix") for frame in error.trace
    ):
        return "the arguments of a module end with `...`, as there may be more of them: { config, lib, ... }:"
    if "self" in re.findall(r"[\w'-]+", formals) and error.message.startswith("function 'outputs'"):
        return f"`outputs` is given all inputs: add `{name}` to its arguments, or `...`"
    return "take the argument away, or add it (or `...`) to those of the function"


def likely(name: str, near: list[str]) -> list[str]:
    """Of near names those that share more with the name than they differ: any two names of a letter are "near"."""
    from frazil.errors import edit_distance

    return [
        other
        for other in near
        if 2 * edit_distance(name, other, 2) <= max(len(name), len(other)) or sorted(name) == sorted(other)
    ]


def function_place(error: FrazilError) -> str:
    """Where the function is defined, shortly: the last folders and the line."""
    place = error.position
    if place is None or not place.file.startswith(("/", "«")):
        return ""
    from frazil.cli.display import readable

    names = [name for name in place.file.partition("»")[2 if "»/" in place.file else 0].split("/") if name]
    return readable(f"{'/'.join(names[-3:])}:{place.line}")


def either(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def _features(error: FrazilError, message: str, line: str) -> str | None:
    feature = _FEATURE.search(message)
    if feature is None:
        return None
    if "--extra-experimental-features" in message:
        return f"for good: echo 'extra-experimental-features = {feature[1]}' >> ~/.config/frazil/frazil.conf"
    return f"add '--extra-experimental-features {feature[1]}'"


def _of_systems(error: FrazilError, message: str, line: str) -> str | None:
    system = _SYSTEM.search(message)
    if system is None or error.hint:
        return None
    return (
        f"this machine builds for {system[2]}: ask for that system's attribute, name '{system[1]}' in the setting "
        f"'extra-platforms' where the machine can run such programs (qemu), or build it on one that is a '{system[1]}'"
    )


def _of_depth(error: FrazilError, message: str, line: str) -> str | None:
    if message.startswith("stack overflow"):
        return (
            "a function that calls itself without end, or more than 'max-call-depth' allows (--option max-call-depth N)"
        )
    if not message.startswith("infinite recursion encountered"):
        return None
    if re.search(r"\bimports\b.*\bconfig\b", line):
        return (
            "`imports` is needed to know `config`, so it cannot depend on it: import always, and switch inside the "
            "imported module: config = lib.mkIf config.….enable { … }"
        )
    if "imports" in line:
        return (
            "`imports` is needed before the arguments in `_module.args` are known; what it uses must come by "
            "`specialArgs`: lib.evalModules { specialArgs = { … }; … }"
        )
    if re.search(r"\bconfig\s*=\s*(?:if\b|\()", line) or re.search(r"\bconfig\s*=.*//", line):
        return "which options a module sets must not depend on `config`: config = lib.mkIf CONDITION { … };"
    if re.search(r"(?::\s*if|\boptionalAttrs)\b.*\bconfig\.", line):
        return (
            "which options a module sets must be known before `config` is: set them always, and say under which "
            "condition that counts: lib.mkIf config.….enable { … }"
        )
    overlay = re.search(r"\b([\w-]+)\s*=\s*\(?\s*(final|self)\.([\w-]+)\b", line)
    if overlay is not None and overlay[1] == overlay[3]:
        name = overlay[1]
        return f"in an overlay {overlay[2]}.{name} is the very thing being defined; what was there before: prev.{name}"
    if re.search(r"\bif\s+\(?final\b|\boptionalAttrs\s+\(?\(?final\b|final\s*\?", line):
        return "which names an overlay defines must not depend on `final`: ask `prev`"
    if re.search(r"mkIf\s*\(?\s*!?\s*\(?config\.", line) or "config." in line:
        return "an option's value depends on itself: what decides about a definition must not need its result"
    if not getattr(error, "steps", ()):
        return "'--show-trace' shows how the value came to need itself"
    return None


def _of_variables(error: FrazilError, message: str, line: str) -> str | None:
    """A name that is nowhere defined."""
    undefined = re.match(r"undefined variable '(.*)'", message)
    if undefined is None:
        return None
    name = undefined[1]
    if re.search(r"\$\{" + re.escape(name) + r"\}", line) and (name.isupper() or name in ("out", "src")):
        return (
            f"for the shell's variable write ''${{{name}}} in ''…'', \\${{{name}}} in \"…\"; or ${name} without braces"
        )
    if name in ("true", "false", "null", "True", "False", "None", "nil", "undefined", "nullptr"):
        return "truth values and nothing are written true, false, null"
    inherited = re.search(r"\binherit\s+([\w'.-]+)\s[^;()]*?(?<![\w.'-])" + re.escape(name) + r"(?![\w'-])", line)
    if inherited is not None:
        return f"`inherit` alone takes from the names around; from a set: inherit ({inherited[1]}) {name};"
    text = _source(error)
    if text is not None and _is_defined_beside(text, name):
        return (
            f"`{name}` is defined in this file, but not where this place sees it: definitions of a set see each other "
            "in `rec { … }` only, those of `let … in` in all that follows"
        )
    return _EXPECTED.get(name)


def _source(error: FrazilError) -> bytes | None:
    positions, pos = getattr(error, "positions", None), getattr(error, "pos", 0)
    text: bytes | None = positions.text_at(pos) if positions is not None else None
    return text


def _is_defined_beside(text: bytes, name: str) -> bool:
    return (
        re.search(rb"(?m)(?:^|[{;\s])" + re.escape(name.encode("utf-8", "replace")) + rb"\s*=(?!=)", text) is not None
    )


def _of_attributes(error: FrazilError, message: str, line: str) -> str | None:
    missing = re.match(r"attribute '(.*)' missing", message)
    if missing is None:
        return None
    name = missing[1]
    if name == "name" and any("'derivationStrict' builtin" in frame.text for frame in error.trace):
        return "a derivation has a name: `name`, or `pname` and `version`"
    asked = (f"while evaluating the module argument `{name}' in", f"while getting the argument `{name}' for the module")
    if any(frame.text.startswith(asked) for frame in error.trace):
        return (
            f"the module asks for an argument `{name}` that nobody gives: evalModules {{ "
            f"specialArgs = {{ {name} = …; }}; … }}, or in a module _module.args.{name} = …;"
        )
    if name in ("currentSystem", "currentTime") and f"builtins.{name}" in line:
        return (
            f"builtins.{name} is no part of pure evaluation: name the system in the outputs, or use --impure"
            if name == "currentSystem"
            else "what is evaluated must not depend on the time: self.lastModified says when the source changed"
        )
    available = sorted(set(getattr(error, "available", ())))
    if "_type" in available and "sourceInfo" in available:
        available = [known for known in available if known not in _OF_ALL_FLAKES]
    if likely(name, list(getattr(error, "suggestions", ()))) or not available:
        return None
    from frazil.lang.errors import display

    # Names that go on after what was asked for, or end with it, first.
    available.sort(key=lambda known: (not known.startswith(name), not known.lower().endswith(name.lower())))
    shown = [display(known) for known in available[:SHOWN_NAMES]]
    rest = len(available) - len(shown)
    return "what is there: " + ", ".join(shown) + (f", … ({rest} more)" if rest else "")


def _of_values(error: FrazilError, message: str, line: str) -> str | None:
    """A value of a kind that does not fit."""
    kind = re.match(r"cannot coerce (\w+(?: \w+)?) to a string", message)
    if kind is not None and re.search(r'_type = "(?:override|order|if|merge)"', message):
        return (
            "what lib.mkForce, mkDefault, mkIf and the like make is the value of an option and nothing else: they "
            "stand outside, lib.mkForce (a + b)"
        )
    if kind is not None:
        return _not_a_string(kind[1])
    found = re.match(r"expected (an? [\w ]+?) but found (.*?)(?:: (.*))?$", message, re.S)
    if found is None:
        return None
    wanted, kind_found = found[1], found[2]
    if wanted == "a Boolean" and kind_found == "a string" and found[3] in ('"true"', '"false"'):
        return f"write {found[3].strip(chr(34))} without the quotes"
    if kind_found.startswith(("the built-in function", "the partially applied built-in function")):
        return "a function was found where its value is wanted: is an argument missing?"
    if wanted in ("an integer", "a float") and kind_found == "a string":
        return "a number is written without quotes; lib.toInt turns text into one"
    if wanted == "a set" and kind_found == "null":
        return "the value may be null: `if x == null then … else x.name`"
    if wanted == "a set" and kind_found == "a function" and ".nix" in (found[3] or ""):
        return "a function gives its value when it is called: (import ./file.nix { … })"
    if wanted == "a string" and kind_found in ("an integer", "a float"):
        return "toString makes a string of it"
    if wanted == "a list" and kind_found != "a list":
        called = _signature(error) if line else None
        return called or (None if kind_found in ("a function", "a set") else "a list of one: [ x ]")
    return _signature(error) if line else None


def _not_a_string(kind: str) -> str:
    known = {
        "an integer": 'toString makes a string of a number: "${toString x}"',
        "a float": 'toString makes a string of a number: "${toString x}"',
        "a Boolean": 'lib.boolToString x, or: if x then "yes" else "no"',
        "null": 'null is no text: `if x == null then "" else x`, or lib.optionalString',
        "a list": 'lib.concatStringsSep ", " list joins the strings of a list; toString puts spaces between',
        "a set": "a set is text only if it has `outPath` (as packages have) or `__toString`; is an attribute meant? "
        "builtins.toJSON shows all of it",
        "a function": "a function is no text: is an argument missing?",
    }
    return known.get(kind, "toString, or builtins.toJSON, make text of other values")


def _signature(error: FrazilError) -> str | None:
    """How the builtin that complained is called, told where its arguments may be in the wrong order."""
    frames = [frame.text for frame in error.trace[-2:]]
    called = next((found for text in reversed(frames) if (found := _CALLING.match(text))), None)
    if called is None:
        return None
    from frazil.lang.builtins import all_builtins

    name = called[1]
    names = next((spec.argument_names for spec in all_builtins() if spec.name == name), ())
    return f"it is called so: {name} {' '.join(names)}" if names else None


def _of_inputs(error: FrazilError, message: str, line: str) -> str | None:
    """An argument of `outputs` that is no input is looked up in the registry."""
    name = re.match(r"cannot find flake 'flake:([\w-]+)' in the flake registries", message)
    if name is None or all("updating the flake input" not in frame.text for frame in error.trace):
        return None
    return (
        f"`{name[1]}` is an argument of `outputs` (or an input) without a place: inputs.{name[1]}.url = "
        f'"github:OWNER/{name[1]}";'
    )


def _of_files(error: FrazilError, message: str, line: str) -> str | None:
    """A file that is not there: what is."""
    found = re.match(
        r"path '([^']*)' does not exist|.*Path '([^']*)' does not exist in Git repository \"(.*)\"", message
    )
    if found is None:
        return None
    import os

    path = found[1] if found[1] is not None else os.path.join(found[3], found[2])
    folder, base = os.path.split(path)
    try:
        there = sorted(os.listdir(folder))[:MOST_LISTED] if os.path.isabs(folder) else []
    except OSError:
        return None if os.path.lexists(folder) else f"there is no folder {folder} either"
    from frazil.cli.display import readable
    from frazil.cli.suggest import closest

    if base == "default.nix":
        files = [name for name in there if name.endswith(".nix")]
        says = "importing a folder reads its default.nix"
        return says + (f"; what it holds: {', '.join(files[:SHOWN_NAMES])}" if files else "")
    near = closest(base, there, within=2 if len(base) > 4 else 1)
    return readable(f"did you mean {either(near)}?") if near else None


def _of_calls(error: FrazilError, message: str, line: str) -> str | None:
    found = re.match(r"attempt to call something which is not a function but (an? \w+|null)(?:: (.*))?", message, re.S)
    if found is None:
        return None
    kind = found[1]
    if kind == "a float" and re.search(r"=\s*[0-9]+\.[0-9]+\.", line):
        return 'a version is text: write it in quotes, "1.2.3"'
    if kind == "a set" and re.search(r"\bimport\s+[./~\w-]+\s+[({\w]", line):
        return "the imported file holds a set, no function: leave out the argument"
    if kind == "a set" and 'type = "derivation"' in (found[2] or ""):
        return "a package takes no arguments; `package.override { … }` changes those of its function"
    if kind == "a set" and "final" in line:
        return "an overlay is a function of two arguments: final: prev: { … }"
    return "what stands before a value is called with it: is a `;`, an operator or a pair of parentheses missing?"


def _of_purity(error: FrazilError, message: str, line: str) -> str | None:
    if error.hint or "pure eval" not in message:
        return None
    if "cannot look up '<" in message:
        return (
            'a flake names what it uses: inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable"; and then '
            "nixpkgs.legacyPackages.x86_64-linux in place of import <nixpkgs> { }"
        )
    if "requires a 'sha256' argument" in message:
        return (
            'give its hash (sha256 = ""; makes the error say the right one), or better: make it an input of the flake, '
            "whose lock file keeps it"
        )
    if "doesn't fetch unlocked input" in message:
        return 'name the commit (rev = "…";), or better: make it an input of the flake, whose lock file keeps it'
    path = re.search(r"access to absolute path '([^']*)' is forbidden", message)
    if path is None:
        return None
    if "../" in line:
        return "a flake sees nothing outside its own folder: move the file inside, or make it an input"
    if "getEnv" in line:
        return "the environment is empty in pure evaluation; --impure shows it"
    return "a flake reads its own files (./file), and those of its inputs, only"


Rule = tuple[re.Pattern[str], str]


def _rules(*pairs: tuple[str, str]) -> tuple[Rule, ...]:
    return tuple((re.compile(pattern, re.S), text) for pattern, text in pairs)


RULES = (_features, _of_systems, _of_depth, _of_variables, _of_attributes, _of_purity, _of_files, _of_inputs)
SENTENCES: tuple[Rule, ...] = _rules(
    (
        r"flake\.nix' must be an attribute set",
        "flake.nix is read before anything is evaluated: the whole file is one `{ … }`, with no `let`, `with` or "
        "arguments around it; they have their place inside `outputs`",
    ),
    (
        r"^expected (?:a string|a set|a function).* but got a thunk at ",
        "`description`, `inputs` and `nixConfig` are read before anything is evaluated: write them out, without "
        "operators, variables or ${…}",
    ),
    (r"lacks attribute 'outputs'", "a flake has outputs: outputs = { self, nixpkgs }: { … };"),
    (
        r"^expected a function but got a set at .*flake\.nix",
        "`outputs` is a function of the inputs: outputs = { self, nixpkgs }: { … };",
    ),
    (
        r"has an unsupported attribute '",
        "a flake has `description`, `inputs`, `outputs` and `nixConfig`; all else belongs inside `outputs`",
    ),
    (
        r"^input '[a-z]+:.*' is unsupported",
        "references begin with github:, gitlab:, sourcehut:, git+https:, git+ssh:, https: (a tarball), path: or a name "
        "of the registry",
    ),
    (
        r"to be a derivation or path but found a function",
        "a function of packages is given them by: pkgs.callPackage ./package.nix { }",
    ),
    (
        r"to be a derivation or path but found",
        "what is built is a derivation: pkgs.stdenv.mkDerivation { … }, pkgs.writeShellScriptBin …, or the like",
    ),
    (
        r"should have type 'app'",
        'an app is a set: { type = "app"; program = "${package}/bin/name"; }',
    ),
    (
        r"because the option 'allow-import-from-derivation' is disabled",
        "evaluation reads what would have to be built first: keep the generated file in the repository, or allow it "
        "with --allow-import-from-derivation",
    ),
    (
        r"requires lock file changes but they're not allowed",
        "lock it with 'frazil flake lock' and commit flake.lock",
    ),
    (
        r"Dependency is not of a valid type",
        "each element of the list is a package; a call inside a list needs parentheses: [ (f x) y ]",
    ),
    (
        r"does not look like a module\.",
        "a module is a set, or a function of one: { config, lib, pkgs, ... }: { … }",
    ),
    (
        r"has an unsupported attribute `[^']*'\. This is caused by introducing",
        "a module that has `options` or `config` puts all its settings inside: config = { … };",
    ),
    (
        r"mkIf['’] called with a non-Boolean condition",
        "lib.mkIf CONDITION { … }: the condition is true or false",
    ),
    (
        r"string '[^']*' doesn't represent an absolute path",
        "a path is written without quotes: ./file.nix",
    ),
    (
        r"^hash mismatch in ",
        "if the new content is what you want, put the hash after `got:` in its place",
    ),
    (r"invalid SRI hash|wrong length for hash algorithm", "lib.fakeHash makes the build say the right one"),
    (
        r"is not allowed to refer to|cannot refer to other paths|contains a (?:store path|reference)",
        "builtins.unsafeDiscardStringContext takes the reference to a package from a string",
    ),
    (
        r"^required attribute '(?:builder|system)' missing",
        'a derivation has at least: name, system (such as "x86_64-linux") and builder (a program)',
    ),
)
