"""Services attached to a machine, exchanged there, taken away: what `portablectl` does, and the last good image kept.

In: a machine, an image that was read, options. Out: what is attached now. A version that cannot be attached, or whose
units fail at once, makes way for the one before. Source of truth: portablectl(1).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from frazil.activity import Activity, ActivityType
from frazil.portable.delivery import Delivered, deliver
from frazil.portable.errors import PortableError
from frazil.portable.image import SUFFIX, PortableImage, belongs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from frazil.activity import Reporter
    from frazil.portable.host import Done, Host


@dataclass(frozen=True, slots=True)
class Places:
    """On the machine: images that stay, images until the next start, the lock, folders of attached units."""

    images: str = "/var/lib/portables"
    runtime_images: str = "/run/portables"
    lock: str = "/run/frazil-portable.lock"
    units: tuple[str, ...] = ("/etc/systemd/system.attached", "/run/systemd/system.attached")


@dataclass(frozen=True, slots=True)
class Options:
    """`profile`: None for what the machine takes (or, of a service that is attached, has). `watch`: seconds for which
    units that were started must not fail."""

    profile: str | None = None
    now: bool = False
    enable: bool = False
    runtime: bool = False
    watch: int = 2


@dataclass(frozen=True, slots=True)
class Attached:
    """An image whose units are attached. `profile`: None where it is one of somebody's own."""

    name: str
    path: str
    runtime: bool
    units: tuple[str, ...]
    active: bool
    enabled: bool
    profile: str | None

    def is_called(self, text: str) -> bool:
        """`text`: an image's name, or that of its service."""
        versions = self.name.startswith(text + "_") and any(belongs(unit, text) for unit in self.units)
        return self.name == text or versions

    @property
    def state(self) -> str:
        return ("running" if self.active else "attached") + ("-runtime" if self.runtime else "")


# Arguments: folders of attached units. `portablectl list` tells too little: old versions, too, pass for attached.
_ATTACHED = r"""
for folder in "$@"; do
  for place in "$folder"/*.d/20-portable.conf; do
    [ -f "$place" ] || continue
    unit=${place%.d/*}
    unit=${unit##*/}
    image= enabled=
    # `systemctl is-enabled` does not look there.
    for link in "$folder"/*.wants/"$unit" "$folder"/*.requires/"$unit"; do
      [ -L "$link" ] && enabled=yes
    done
    while read -r line; do
      case $line in RootImage=* | RootDirectory=*) image=${line#*=} ;; esac
    done <"$place"
    printf '%s\t%s\t%s\t%s\t%s\t%s\n' "$folder" "$unit" "$image" "$(systemctl is-active -- "$unit")" \
      "$enabled" "$(readlink "${place%/*}/10-profile.conf")"
  done
done
exit 0
"""

# Arguments: seconds, units. What fails meanwhile, or is started again and again.
_HEALTH = r"""
left=$1
shift
while :; do
  for unit in "$@"; do
    state=$(systemctl show --property=ActiveState --value "$unit")
    restarts=$(systemctl show --property=NRestarts --value "$unit" 2>/dev/null)
    if [ "$state" = failed ] || [ "${restarts:-0}" -gt 0 ]; then
      echo "$unit"
      journalctl --no-pager --quiet --output=cat --lines=5 --unit="$unit" 2>/dev/null
      exit 1
    fi
  done
  [ "$left" -gt 0 ] || exit 0
  left=$((left - 1))
  sleep 1
done
"""

# Arguments: two folders, an image's file, then names of files to keep. Of the images of the same service those go that
# have our note beside them, which says whose they are.
_PRUNE = r"""
images=$1 runtime=$2 image=$3 service=
shift 3
for folder in "$images" "$runtime"; do
  [ -f "$folder/.$image.frazil" ] && read -r service <"$folder/.$image.frazil"
done
[ -n "$service" ] || exit 0
for folder in "$images" "$runtime"; do
  cd "$folder" 2>/dev/null || continue
  for note in .*.frazil; do
    [ -f "$note" ] && read -r owner <"$note" && [ "$owner" = "$service" ] || continue
    name=${note#.}
    name=${name%.frazil}
    rm -f ".$name.previous"
    for kept in "$@"; do [ "$name" = "$kept" ] && continue 2; done
    rm -f "$name" "$note" ".$name".*.part
  done
done
exit 0
"""

_RESTORE = r"""cd "$1" && if [ -f ".$2.previous" ]; then mv -f ".$2.previous" "$2"; else rm -f "$2" ".$2.frazil"; fi"""
_CLEAN = r"""
systemctl stop -- "$@"
systemctl reset-failed -- "$@" 2>/dev/null
systemctl clean --what=state --what=cache --what=logs --what=runtime --what=configuration -- "$@"
"""


class Services:
    """The portable services of one machine, which was found to have them (`Host.check`)."""

    def __init__(
        self, host: Host, reporter: Reporter, note: Callable[[str], None], places: Places | None = None
    ) -> None:
        self.host, self.places = host, places or Places()
        self._reporter, self._note = reporter, note

    def all_attached(self) -> list[Attached]:
        done = self.host.script(_ATTACHED, *self.places.units)
        if done.status:
            raise PortableError(f"{self.host.name} does not say which services are attached: {done.reason}")
        found: dict[str, Attached] = {}
        for line in done.out.splitlines():
            fields = line.split("\t")
            if len(fields) != 6 or not fields[2]:
                continue
            folder, unit, path, state, enabled, profile = fields
            parts = profile.split("/")
            before = found.get(path)
            found[path] = Attached(
                path.rpartition("/")[2].removesuffix(SUFFIX),
                path,
                folder == self.places.units[-1],
                (*(before.units if before is not None else ()), unit),
                state == "active" or (before is not None and before.active),
                bool(enabled) or (before is not None and before.enabled),
                parts[-2] if len(parts) > 2 else None,
            )
        return sorted(found.values(), key=lambda one: one.name)

    def attached(self, text: str) -> list[Attached]:
        """`text`: an image's name, or that of its service."""
        return [one for one in self.all_attached() if one.is_called(text)]

    def attach(self, image: PortableImage, options: Options) -> Attached:
        there = self._of_same(image)
        if there:
            names = ", ".join(one.name for one in there)
            raise PortableError(
                f"'{names}' is attached to {self.host.name} already", hint="exchange it: frazil portable reattach"
            )
        self._check_units(image)
        delivered = self._deliver(image, options)
        try:
            self._attach("attach", delivered, image, options)
            self._check_health(image, options)
        except PortableError:
            self._take_back(image, delivered, options)
            raise
        self._prune(image.name, image.name)
        return self._now_attached(image)

    def reattach(self, image: PortableImage, options: Options) -> Attached:
        """What is not attached yet, is attached."""
        there = self._of_same(image)
        if not there:
            return self.attach(image, options)
        self._check_units(image)
        before = there[0]
        if options.runtime and not before.runtime:
            raise PortableError(
                f"'{before.name}' is attached to {self.host.name} for good, not until its next start",
                hint="leave out --runtime, or detach it first",
            )
        options = replace(
            options,
            profile=options.profile or before.profile,
            runtime=before.runtime,
            enable=options.enable or before.enabled,
        )
        delivered = self._deliver(image, options)
        if before.name == image.name and delivered.state == "have":
            self._note(f"'{image.name}' on {self.host.name} is this image already")
        exchanged = False
        try:
            self._attach("reattach", delivered, image, options)
            exchanged = True
            self._check_health(image, options)
        except PortableError as error:
            self._go_back(image, before, delivered, options, exchanged, error)
            raise
        self._prune(image.name, image.name, before.name)
        return self._now_attached(image)

    def detach(self, text: str, *, now: bool = False, clean: bool = False, keep_image: bool = False) -> list[str]:
        """`text`: an image's name, or that of its service. The names of what was detached. Raises PortableError."""
        found = self.attached(text)
        if not found:
            others = ", ".join(one.name for one in self.all_attached())
            raise PortableError(
                f"nothing of the name '{text}' is attached to {self.host.name}",
                hint=f"attached are: {others or 'no images'}",
            )
        for one in found:
            if clean:
                done = self.host.script(_CLEAN, *(unit for unit in one.units if "@." not in unit))
                if done.status:
                    raise PortableError(f"what '{one.name}' stored cannot be removed: {done.reason}")
            done = self._detach(one.path, runtime=one.runtime, now=now or clean)
            if done.status:
                raise PortableError(
                    f"'{one.name}' cannot be detached from {self.host.name}: {done.reason}",
                    hint="--now stops its units first" if one.active and not now else None,
                )
            if not keep_image:
                self._prune(one.name)
        return [one.name for one in found]

    # -- steps ---------------------------------------------------------------------------------------------------------

    def _portablectl(self, *arguments: str) -> Done:
        return self.host.run("portablectl", *arguments)

    def _folder(self, options: Options) -> str:
        return self.places.runtime_images if options.runtime else self.places.images

    def _check_units(self, image: PortableImage) -> None:
        if not image.matching:
            names = ", ".join(unit.name for unit in image.units) or "none"
            raise PortableError(
                f"'{image.path}' has no units of the service '{image.service}' (its units: {names})",
                hint=f"units are called {image.service}.service, {image.service}-SOMETHING.service, …",
            )

    def _deliver(self, image: PortableImage, options: Options) -> Delivered:
        delivered = deliver(self.host, image, self._folder(options), self.places.lock, self._reporter)
        if delivered.state != "have":
            self._note(f"copied '{image.name}' to {self.host.name}, {delivered.sent} bytes")
        return delivered

    def _attach(self, verb: str, delivered: Delivered, image: PortableImage, options: Options) -> None:
        flags = [flag for flag, on in _flags(options).items() if on]
        profile = [f"--profile={options.profile}"] if options.profile is not None else []
        # What the image's own name begins with is found without saying so.
        prefix = [] if image.service == image.name.partition("_")[0] else [image.service]
        with Activity(self._reporter, ActivityType.UNKNOWN, f"attaching '{image.name}' to {self.host.name}"):
            done = self._portablectl(verb, *flags, *profile, delivered.path, *prefix)
        if done.status:
            raise PortableError(f"portablectl on {self.host.name} refuses '{image.name}': {done.reason}")

    def _check_health(self, image: PortableImage, options: Options) -> None:
        """Of units that were started. One that runs, and fails later, is not seen here."""
        names = [unit.name for unit in image.matching if "@." not in unit.name]
        if not options.now or not names:
            return
        with Activity(self._reporter, ActivityType.UNKNOWN, f"watching '{image.name}' on {self.host.name}"):
            done = self.host.script(_HEALTH, str(options.watch), *names)
        if done.status:
            unit, _, log = done.out.strip().partition("\n")
            raise PortableError(
                f"'{unit or image.service}' of '{image.name}' fails on {self.host.name}" + (f":\n{log}" if log else ""),
                hint=f"journalctl --unit={unit}",
            )

    def _of_same(self, image: PortableImage) -> list[Attached]:
        """Versions of the same service, and whatever has a unit of its names."""
        names = {unit.name for unit in image.matching}
        found = [one for one in self.all_attached() if one.is_called(image.service) or names & set(one.units)]
        return sorted(found, key=lambda one: not one.is_called(image.service))

    def _now_attached(self, image: PortableImage) -> Attached:
        found = [one for one in self.all_attached() if one.name == image.name]
        if not found:
            raise PortableError(f"portablectl on {self.host.name} said that it attached '{image.name}', and has not")
        return found[0]

    def _detach(self, path: str, *, runtime: bool, now: bool) -> Done:
        """By its place: of a name alone some versions of systemd take all that is attached."""
        flags = [flag for flag, on in (("--now", now), ("--runtime", runtime)) if on]
        return self._portablectl("detach", "--enable", *flags, path)

    def _restore(self, image: PortableImage, delivered: Delivered, options: Options) -> None:
        if delivered.state != "have":
            self.host.script(_RESTORE, self._folder(options), image.name + SUFFIX)

    def _take_back(self, image: PortableImage, delivered: Delivered, options: Options) -> None:
        self._detach(delivered.path, runtime=options.runtime, now=True)
        self._restore(image, delivered, options)

    def _go_back(
        self,
        image: PortableImage,
        before: Attached,
        delivered: Delivered,
        options: Options,
        exchanged: bool,
        error: PortableError,
    ) -> None:
        """To what was attached before. `error` says how that went, too."""
        if exchanged or delivered.path != before.path:
            self._detach(delivered.path, runtime=options.runtime, now=True)
        self._restore(image, delivered, options)
        if any(one.path == before.path for one in self.all_attached()):
            error.message += f"\n'{before.name}' is still attached"
            return
        flags = [flag for flag, on in _flags(options).items() if on]
        profile = [f"--profile={options.profile}"] if options.profile is not None else []
        done = self._portablectl("attach", *flags, *profile, before.path)
        if done.status:
            error.message += f"\nand '{before.name}' could not be attached again: {done.reason}"
            error.hint = f"on {self.host.name}: portablectl attach {before.path}"
        else:
            error.message += f"\n'{before.name}' is attached again"

    def _prune(self, name: str, *kept: str) -> None:
        """Images of ours of the same service go, but for `kept`: what is attached, and the one before."""
        files = (one + SUFFIX for one in (name, *kept))
        self.host.script(_PRUNE, self.places.images, self.places.runtime_images, *files)


def _flags(options: Options) -> dict[str, bool]:
    return {"--now": options.now, "--enable": options.enable, "--runtime": options.runtime}
