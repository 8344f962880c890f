"""The book over HTTP: `/` for people, `/entries.json` for programs, `/health` for whoever watches."""

import html
import json
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

from guestbook.book import Book, Entry

LARGEST_FORM = 16 * 1024

PAGE = """<!doctype html>
<meta charset="utf-8">
<title>Guestbook</title>
<style>body {{ font: 1.1rem/1.5 sans-serif; max-width: 40rem; margin: 3rem auto }} dt {{ font-weight: bold }}</style>
<h1>Guestbook</h1>
<form method="post" action="/entries">
  <input name="name" placeholder="Your name" required> <input name="text" placeholder="A word" required>
  <button>Sign</button>
</form>
<dl>{entries}</dl>
"""


class Handler(BaseHTTPRequestHandler):
    book: Book

    def do_GET(self) -> None:
        if self.path == "/health":
            self._answer("text/plain", "ok\n")
        elif self.path == "/entries.json":
            self._answer("application/json", json.dumps([entry.as_dict() for entry in self.book.entries()]) + "\n")
        elif self.path == "/":
            rows = "".join(
                f"<dt>{html.escape(entry.name)}</dt><dd>{html.escape(entry.text)}</dd>" for entry in self.book.entries()
            )
            self._answer("text/html; charset=utf-8", PAGE.format(entries=rows))
        else:
            self.send_error(HTTPStatus.NOT_FOUND)

    def do_POST(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        if self.path != "/entries" or not 0 < size <= LARGEST_FORM:
            self.send_error(HTTPStatus.BAD_REQUEST)
            return
        form = parse_qs(self.rfile.read(size).decode("utf-8", errors="replace"))
        try:
            self.book.sign(Entry(form.get("name", [""])[0], form.get("text", [""])[0]))
        except ValueError as error:
            self.send_error(HTTPStatus.BAD_REQUEST, str(error))
            return
        self.send_response(HTTPStatus.SEE_OTHER)
        self.send_header("Location", "/")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _answer(self, content_type: str, text: str) -> None:
        body = text.encode("utf-8")
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


def make_server(book: Book, port: int) -> ThreadingHTTPServer:
    handler = type("BookHandler", (Handler,), {"book": book})
    return ThreadingHTTPServer(("127.0.0.1", port), handler)
