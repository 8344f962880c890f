"""Images brought to a machine: whole or not at all, on from where an earlier copy was cut, only if it is not there.

In: an image here, a folder there. Out: its place there. One script on the other side does all steps under a lock; the
image gets its name when its digest is right. A hidden note beside it says that it is ours, and its digest.
"""

from __future__ import annotations

from dataclasses import dataclass

from frazil.activity import Activity, ActivityType
from frazil.portable.errors import PortableError
from frazil.portable.image import SUFFIX

TYPE_CHECKING = False
if TYPE_CHECKING:
    import subprocess

    from frazil.activity import Reporter
    from frazil.portable.host import Host
    from frazil.portable.image import PortableImage

_CHUNK = 1 << 18

# Arguments: folder, name of the file, digest, size, lock, service. Says "have", or "send OFFSET" and takes the rest.
RECEIVE = r"""
set -u
umask 022
folder=$1 name=$2 digest=$3 size=$4 lock=$5 service=$6
mkdir -p "$folder" && cd "$folder" || { echo "failed"; exit 1; }
exec 9>"$lock" || { echo "failed"; exit 1; }
if command -v flock >/dev/null && ! flock -n 9; then echo "busy"; exit 1; fi
sum() { sha256sum "$1" | cut -d " " -f 1; }
if [ -f "$name" ] && [ "$(sum "$name")" = "$digest" ]; then
  echo "have"
  exit 0
fi
part=".$name.$digest.part"
for other in ".$name".*.part; do
  [ "$other" = "$part" ] || rm -f "$other"
done
[ -f "$part" ] || : >"$part" || { echo "failed"; exit 1; }
there=$(wc -c <"$part")
if [ "$there" -gt "$size" ]; then : >"$part"; there=0; fi
free=$(df -Pk . | tail -n 1 | { read -r _ _ _ free _; echo "$free"; })
case $free in "" | *[!0-9]*) free= ;; esac
if [ -n "$free" ] && [ $(((size - there) / 1024)) -ge "$free" ]; then
  rm -f "$part"
  echo "full $free"
  exit 1
fi
echo "send $there"
if ! cat >>"$part"; then
  rm -f "$part"
  echo "failed"
  exit 1
fi
there=$(wc -c <"$part")
if [ "$there" -ne "$size" ]; then echo "cut $there"; exit 1; fi
if [ "$(sum "$part")" != "$digest" ]; then
  rm -f "$part"
  echo "damaged"
  exit 1
fi
sync "$part" 2>/dev/null || sync
if [ -f "$name" ]; then
  ln -f "$name" ".$name.previous" || { echo "failed"; exit 1; }
  replaced=replaced
else
  replaced=new
fi
chmod 644 "$part" && echo "$service" >".$name.frazil" && mv -f "$part" "$name" || { echo "failed"; exit 1; }
echo "$replaced"
"""


@dataclass(frozen=True, slots=True)
class Delivered:
    """`state`: `have` (it was there), `new`, or `replaced` (the file of that name, which is kept beside it)."""

    path: str
    state: str
    sent: int


def digest_of(path: str) -> str:
    import hashlib

    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def deliver(host: Host, image: PortableImage, folder: str, lock: str, reporter: Reporter) -> Delivered:
    """Raises PortableError; what was sent until then is kept there for the next time."""
    name, size, digest = image.name + SUFFIX, image.file_size, digest_of(image.path)
    command = ["/bin/sh", "-c", RECEIVE, "sh", folder, name, digest, str(size), lock, image.service]
    with (
        open(image.path, "rb") as file,
        Activity(reporter, ActivityType.FILE_TRANSFER, f"copying '{name}' to {host.name}", fields=(name,)) as activity,
        host.start(command) as child,
    ):
        assert child.stdin is not None and child.stdout is not None and child.stderr is not None
        answer = child.stdout.readline().decode(errors="replace").split()
        sent = 0
        if answer[:1] == ["send"] and len(answer) == 2 and answer[1].isdigit():
            file.seek(int(answer[1]))
            sent = _send(child, file, int(answer[1]), size, activity)
            answer = child.stdout.readline().decode(errors="replace").split()
        _close(child)
        said = child.stderr.read().decode(errors="replace").strip().splitlines()
        child.wait()
    if answer in (["have"], ["new"], ["replaced"]):
        return Delivered(f"{folder}/{name}", answer[0], sent)
    raise _failure(host, name, folder, answer, said[-1] if said else "")


def _send(child: subprocess.Popen[bytes], file: object, offset: int, size: int, activity: Activity) -> int:
    sent = 0
    assert child.stdin is not None
    try:
        while chunk := file.read(_CHUNK):  # type: ignore[attr-defined]
            view = memoryview(chunk)
            while view:
                view = view[child.stdin.write(view) :]
            sent += len(chunk)
            activity.progress(offset + sent, size)
    except BrokenPipeError:
        pass  # the other side says why
    _close(child)
    return sent


def _close(child: subprocess.Popen[bytes]) -> None:
    assert child.stdin is not None
    try:
        child.stdin.close()
    except BrokenPipeError:
        pass  # it ended before it had read all


def _failure(host: Host, name: str, folder: str, answer: list[str], said: str) -> PortableError:
    what = answer[0] if answer else ""
    if what == "busy":
        return PortableError(f"somebody else copies to {host.name} just now", hint="try again when that is done")
    if what == "full":
        return PortableError(
            f"there is no room for '{name}' in '{folder}' on {host.name}: {answer[-1]} kB are free",
            hint="`portablectl list` shows old images, `portablectl remove` removes one",
        )
    if what == "damaged":
        return PortableError(f"'{name}' arrived damaged on {host.name}; it was removed", hint="run the command again")
    if what == "failed":
        hint = "is the disk full?" if "space" in said else None
        return PortableError(f"'{name}' cannot be written to '{folder}' on {host.name}: {said}", hint=hint)
    return PortableError(
        f"copying '{name}' to {host.name} was cut off{': ' + said if said else ''}",
        hint="run the command again: what arrived is kept",
    )
