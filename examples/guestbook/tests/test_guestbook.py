import json
import threading
import unittest
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import urlopen

from guestbook.book import Book, Entry
from guestbook.server import make_server


class EntryTest(unittest.TestCase):
    def test_an_entry_needs_a_name_and_a_text(self) -> None:
        for name, text in [("", "hello"), ("Ada", ""), ("A" * 81, "hello")]:
            with self.assertRaises(ValueError):
                Entry(name, text)


class ServerTest(unittest.TestCase):
    def setUp(self) -> None:
        self.book = Book(":memory:")
        self.server = make_server(self.book, 0)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def tearDown(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.book.close()

    def sign(self, name: str, text: str) -> None:
        with urlopen(f"{self.url}/entries", urlencode({"name": name, "text": text}).encode()) as answer:
            answer.read()

    def test_what_is_signed_can_be_read_newest_first(self) -> None:
        self.sign("Ada", "first")
        self.sign("Grace", "second")
        with urlopen(f"{self.url}/entries.json") as answer:
            names = [entry["name"] for entry in json.load(answer)]
        self.assertEqual(names, ["Grace", "Ada"])

    def test_markup_in_an_entry_is_escaped(self) -> None:
        self.sign("<b>", "<script>")
        with urlopen(self.url) as answer:
            self.assertNotIn("<script>", answer.read().decode())

    def test_an_empty_name_is_refused(self) -> None:
        with self.assertRaises(HTTPError) as caught:
            self.sign("", "hello")
        self.assertEqual(caught.exception.code, 400)
        caught.exception.close()


if __name__ == "__main__":
    unittest.main()
