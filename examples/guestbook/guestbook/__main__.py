"""`guestbook --port 8080 --database book.sqlite`; a port of 0 takes a free one and prints it."""

import argparse
import os
import signal

from guestbook.book import Book
from guestbook.server import make_server


def main() -> None:
    parser = argparse.ArgumentParser(prog="guestbook")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--database", default=os.environ.get("GUESTBOOK_DATABASE", ":memory:"))
    options = parser.parse_args()
    server = make_server(Book(options.database), options.port)
    print(f"guestbook on http://127.0.0.1:{server.server_address[1]}", flush=True)
    # The first program of a container ends by no signal that it does not handle.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass


main()
