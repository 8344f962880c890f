"""A guestbook: visitors sign, everybody reads."""
