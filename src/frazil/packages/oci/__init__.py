"""Container images out of store objects: layers, archives, layouts.

Used by the room `image`, and by the builders of the package set, which run this folder as a program with the set's own
Python (`python3 …/oci COMMAND`). So it needs the standard library alone. Sources of truth: OCI image specification 1.1;
Docker image specification 1.2 (`docker load`); POSIX pax for the tar format.
"""
