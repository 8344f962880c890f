"""All commands and programs: which module holds each, so that only that one is imported.

A module named here has `COMMANDS`, a dict from the command's words ("store ls") to `Command`.
"""

from __future__ import annotations

MAIN, SECONDARY, UTILITY, HELP = "Main commands", "Infrequently used commands", "Utility/scripting commands", "Help"

# words -> (module, summary, category)
TABLE: dict[str, tuple[str, str, str]] = {
    "help": ("help_command", "show help about frazil or one of its commands", HELP),
    "help-stores": ("help_command", "show help about store types and their settings", HELP),
    "version": ("help_command", "show the version, and those of the libraries in use", UTILITY),
    "repl": ("repl_command", "start an interactive environment for evaluating Nix expressions", MAIN),
    "run": ("run_commands", "run a Nix application", MAIN),
    "env shell": ("run_commands", "run a shell in which the specified packages are available", MAIN),
    "formatter run": ("run_commands", "reformat your code with the formatter of a flake", SECONDARY),
    "formatter build": ("run_commands", "build the formatter of a flake", SECONDARY),
    "fmt": ("run_commands", "reformat your code with the formatter of a flake", SECONDARY),
    "develop": ("dev_commands", "run a bash shell that provides the build environment of a derivation", MAIN),
    "completion": ("completion_command", "print what a shell needs to complete command lines", UTILITY),
    "direnv install": ("direnv_command", "teach direnv's `use flake` to ask frazil", UTILITY),
    "print-dev-env": ("dev_commands", "print shell code that reproduces a build environment", UTILITY),
    "search": ("search_command", "search for packages", MAIN),
    "cache push": ("cache_commands", "build installables and push them to a binary cache", SECONDARY),
    "cache watch": ("cache_commands", "push to a binary cache whatever is built meanwhile", SECONDARY),
    "copy": ("copying", "copy paths between stores", SECONDARY),
    "path-info": ("path_commands", "query information about store paths", SECONDARY),
    "log": ("path_commands", "show the build log of a package or path", SECONDARY),
    "why-depends": ("path_commands", "show why a package has another package in its closure", SECONDARY),
    "derivation show": ("path_commands", "show the contents of a store derivation", UTILITY),
    "derivation add": ("path_commands", "add a store derivation that is given as JSON", UTILITY),
    "image build": ("image_commands", "make a container image of a package", MAIN),
    "image inspect": ("image_commands", "show an image's configuration, layers and packages", MAIN),
    "image load": ("image_commands", "give an image to Podman or Docker", MAIN),
    "image push": ("image_commands", "send an image to a registry", MAIN),
    "image sign": ("image_commands", "sign an image in a registry, as cosign does with a key", MAIN),
    "image verify": ("image_commands", "check that an image in a registry was signed with a key", MAIN),
    "image pull": ("image_commands", "fetch an image from a registry into an OCI layout", MAIN),
    "image run": ("image_commands", "run a package in a container of Podman or Docker", MAIN),
    "image diff": ("image_commands", "show what a new image adds to an old one, by layer and package", MAIN),
    "image sbom": ("image_commands", "list what is in an image, for other programs", MAIN),
    "portable build": ("portable_commands", "make the image of a portable service", MAIN),
    "portable inspect": ("portable_commands", "show what the image of a portable service holds", MAIN),
    "portable attach": ("portable_commands", "attach a portable service to this machine or another", MAIN),
    "portable reattach": ("portable_commands", "exchange a portable service for another version", MAIN),
    "portable detach": ("portable_commands", "take a portable service away from a machine", MAIN),
    "nar pack": ("path_commands", "write a path's archive", UTILITY),
    "nar cat": ("path_commands", "print a file inside an archive", UTILITY),
    "nar ls": ("path_commands", "list what an archive holds", UTILITY),
    "profile add": ("profile_commands", "add packages to a profile", MAIN),
    "profile remove": ("profile_commands", "remove packages from a profile", MAIN),
    "profile upgrade": ("profile_commands", "upgrade packages to what their flakes provide now", MAIN),
    "profile list": ("profile_commands", "list the packages of a profile", MAIN),
    "profile history": ("profile_commands", "show what changed between the versions of a profile", MAIN),
    "profile diff-closures": ("profile_commands", "show what changed between the closures of versions", MAIN),
    "profile rollback": ("profile_commands", "go back to an earlier version of a profile", MAIN),
    "profile wipe-history": ("profile_commands", "delete earlier versions of a profile", MAIN),
    "store diff-closures": ("store_commands", "show what changed between two closures", UTILITY),
    "store ls": ("store_commands", "list what a store path holds", UTILITY),
    "store cat": ("store_commands", "print a file in the store", UTILITY),
    "store add": ("store_commands", "add a file or folder to the store", UTILITY),
    "store submit-output": ("store_commands", "hand in an output of the build that runs this", UTILITY),
    "store add-file": ("store_commands", "add a file to the store, hashed flat", UTILITY),
    "store add-path": ("store_commands", "add a path to the store", UTILITY),
    "store prefetch-file": ("prefetching", "download a file into the store", UTILITY),
    "store delete": ("store_commands", "delete paths from the store", UTILITY),
    "store copy-log": ("copying", "copy build logs between stores", UTILITY),
    "store copy-sigs": ("copying", "copy store path signatures from substituters", UTILITY),
    "store make-content-addressed": ("copying", "rewrite a path or closure to content-addressed form", UTILITY),
    "store build-trace info": ("build_trace_commands", "query where outputs of derivations went", UTILITY),
    "store build-trace delete": ("build_trace_commands", "forget where outputs of derivations went", UTILITY),
    "store gc": ("store_commands", "collect garbage", UTILITY),
    "store why-alive": ("store_commands", "show which roots keep a store path, and how", UTILITY),
    "store verify": ("store_commands", "check the integrity of store paths", UTILITY),
    "store repair": ("store_commands", "build damaged store paths again", UTILITY),
    "store optimise": ("store_commands", "replace equal files in the store by hard links", UTILITY),
    "store dump-path": ("store_commands", "write a store path's archive to standard output", UTILITY),
    "store roots-daemon": ("daemon_commands", "serve which store paths running processes use", UTILITY),
    "store info": ("store_commands", "test whether the store can be accessed", UTILITY),
    "store path-from-hash-part": ("store_commands", "find a store path by its hash part", UTILITY),
    "build": ("build_command", "build a derivation or fetch a store path", MAIN),
    "eval": ("eval_command", "evaluate a Nix expression", SECONDARY),
    "eval-cache stat": ("eval_cache_commands", "show how much is remembered of evaluations", UTILITY),
    "eval-cache gc": ("eval_cache_commands", "forget answers that were not used for long", UTILITY),
    "eval-cache why-miss": ("eval_cache_commands", "say what changed since something was evaluated", UTILITY),
    "eval-cache export": ("eval_cache_commands", "write what is remembered to a folder", UTILITY),
    "eval-cache import": ("eval_cache_commands", "take over what another machine remembered", UTILITY),
    "daemon": ("daemon_commands", "serve this store to other users and machines", UTILITY),
    "upgrade-nix": ("config_commands", "upgrade Nix (frazil is upgraded by pip)", UTILITY),
    "config show": ("config_commands", "show the values of settings", UTILITY),
    "config check": ("config_commands", "check this machine for what frazil needs", UTILITY),
    "bundle": ("bundle_command", "bundle an application so that it works outside of the Nix store", SECONDARY),
    "edit": ("edit_command", "open the Nix expression of a package in $EDITOR", SECONDARY),
    "key generate-secret": ("key_commands", "make a secret key for signing store paths", UTILITY),
    "key convert-secret-to-public": ("key_commands", "print the public key of a secret key", UTILITY),
    "store sign": ("key_commands", "sign store paths with a key", UTILITY),
    "hash file": ("hash_commands", "print the hash of a file", UTILITY),
    "hash path": ("hash_commands", "print the hash of a path's NAR serialisation", UTILITY),
    "hash convert": ("hash_commands", "convert hashes between formats", UTILITY),
    "hash to-base16": ("hash_commands", "convert a hash to base 16", UTILITY),
    "hash to-base32": ("hash_commands", "convert a hash to base 32", UTILITY),
    "hash to-base64": ("hash_commands", "convert a hash to base 64", UTILITY),
    "hash to-sri": ("hash_commands", "convert a hash to SRI", UTILITY),
}

# Groups whose commands another module lists: TABLE there, in the same form.
DELEGATED = {"flake": "flake_commands", "registry": "flake_commands"}

GROUP_SUMMARIES: dict[str, tuple[str, str]] = {
    "cache": ("fill a binary cache", SECONDARY),
    "config": ("show and check settings", UTILITY),
    "derivation": ("work with derivations", UTILITY),
    "direnv": ("development environments in direnv", UTILITY),
    "eval-cache": ("see, share and forget what is remembered of evaluations", UTILITY),
    "flake": ("manage flakes", MAIN),
    "formatter": ("build or run the formatter", SECONDARY),
    "hash": ("compute and convert hashes", UTILITY),
    "image": ("make, send and run container images", MAIN),
    "key": ("make and convert signing keys", UTILITY),
    "nar": ("create or inspect NAR files", UTILITY),
    "portable": ("make and attach portable services", MAIN),
    "profile": ("manage profiles", MAIN),
    "realisation": ("see and forget where outputs of derivations went", UTILITY),
    "registry": ("manage the flake registry", SECONDARY),
    "store": ("manipulate a store", UTILITY),
    "env": ("manipulate the process environment", UTILITY),
}

# Old names: (new words, deprecated)
ALIASES: dict[str, tuple[str, bool]] = {
    "add-to-store": ("store add-path", True),
    "cat-nar": ("nar cat", True),
    "cat-store": ("store cat", True),
    "copy-sigs": ("store copy-sigs", True),
    "dev-shell": ("develop", True),
    "diff-closures": ("store diff-closures", True),
    "dump-path": ("store dump-path", True),
    "hash-file": ("hash file", True),
    "hash-path": ("hash path", True),
    "ls-nar": ("nar ls", True),
    "ls-store": ("store ls", True),
    "make-content-addressable": ("store make-content-addressed", True),
    "optimise-store": ("store optimise", True),
    "ping-store": ("store info", True),
    "show-derivation": ("derivation show", True),
    "show-config": ("config show", True),
    "sign-paths": ("store sign", True),
    "to-base16": ("hash to-base16", True),
    "to-base32": ("hash to-base32", True),
    "to-base64": ("hash to-base64", True),
    "verify": ("store verify", True),
    "doctor": ("config check", True),
    "shell": ("env shell", False),
    "realisation info": ("store build-trace info", True),
    "realisation delete": ("store build-trace delete", True),
    "store ping": ("store info", True),
    "nar dump-path": ("nar pack", True),
    "store optimize": ("store optimise", False),
    "profile install": ("profile add", True),
}

# argv[0] -> (module, summary)
PROGRAMS: dict[str, tuple[str, str]] = {
    "nix-build": ("legacy_build", "build a Nix expression"),
    "nix-channel": ("legacy_channel", "manage channels"),
    "nix-collect-garbage": ("legacy_misc", "delete unreachable store objects"),
    "nix-copy-closure": ("legacy_copy_closure", "copy store objects over SSH"),
    "nix-daemon": ("daemon_commands", "serve the store to other users and machines"),
    "nix-env": ("legacy_env", "manage profiles"),
    "nix-hash": ("legacy_misc", "compute hashes of paths"),
    "nix-prefetch-url": ("prefetching", "copy a file from a URL into the store and print its hash"),
    "nix-shell": ("legacy_shell", "start a shell based on a Nix expression"),
    "nix-store": ("legacy_store", "manipulate or query the Nix store"),
    "nix-instantiate": ("legacy_instantiate", "instantiate store derivations from Nix expressions"),
}


def table() -> dict[str, tuple[str, str, str]]:
    """Everything, delegated groups included."""
    from importlib import import_module

    found = dict(TABLE)
    for module in dict.fromkeys(DELEGATED.values()):
        try:
            found.update(import_module(f"frazil.cli.{module}").TABLE)
        except ModuleNotFoundError as error:
            if error.name != f"frazil.cli.{module}":
                raise
    return found


def rows(words: list[str]) -> dict[str, tuple[str, str, str]]:
    """The part of the table that these words can name; delegated groups are read only when named."""
    return table() if words and words[0] in DELEGATED else TABLE


def groups() -> set[str]:
    old = {name.partition(" ")[0] for name in ALIASES if " " in name}
    return {name.partition(" ")[0] for name in TABLE if " " in name} | set(DELEGATED) | old
