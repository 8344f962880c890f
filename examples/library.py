"""A program that uses frazil as a library: a fleet's description in Nix, checked and asked in Python.

Everything is typed: `make lint` checks this file as strictly as the project itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import frazil

FLEET = """
{ domain, port }:
let service = name: { inherit name; url = "http://${name}.${domain}:${toString (port name)}"; };
in rec {
  names = [ "web" "cache" ];
  services = builtins.listToAttrs (map (name: { inherit name; value = service name; }) names);
  broken = throw "nobody asks for this";
}
"""


def port(name: str) -> int:
    """A Python function, called from Nix."""
    return 8000 + len(name)


def addresses(domain: str) -> dict[str, str]:
    fleet = frazil.evaluate(FLEET)
    assert isinstance(fleet, frazil.Function)
    made = fleet({"domain": domain, "port": port})
    assert isinstance(made, Mapping)
    services = made["services"]
    assert isinstance(services, Mapping)
    return {str(name): str(service["url"]) for name, service in services.items()}


def explain(text: str) -> str:
    """What is wrong with an expression, in a sentence."""
    try:
        value = frazil.evaluate(text)
    except frazil.UndefinedVariable as error:
        return f"undefined: {error.message}"
    except frazil.EvalError as error:
        return error.message
    return "a list" if isinstance(value, Sequence) and not isinstance(value, str) else "a value"


def main() -> None:
    for name, url in addresses("example.org").items():
        print(f"{name}: {url}")
    print(explain("[ 1 2 ]"))
    print(explain("1 + x"))
    print(explain('throw "no"'))


if __name__ == "__main__":
    main()
